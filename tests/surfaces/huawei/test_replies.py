"""Every outcome has an answer, and the manual has every answer."""

import re
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from tests.surfaces.outcomes import every_outcome
from watchword import errors
from watchword.domain.challenge import Verdict
from watchword.surfaces.huawei import wire
from watchword.surfaces.huawei.replies import (
    GUESSED,
    NOT_FOUND,
    REPLIES,
    TAKEN,
    TOO_MANY,
    keystone_error,
    refused,
    service_error,
)
from watchword.surfaces.huawei.signing import SignatureStale

pytestmark = pytest.mark.store("sqlite")

SENDING = {
    "CBC.0100", "CBC.99000035", "CBC.99004002", "CBC.99004003", "CBC.99004004", "CBC.99004015",
    "CBC.0154", "CBC.0151", "CBC.0999",
}  # fmt: skip
CREATING = {
    "CBC.0101", "CBC.99004008", "CBC.99004009", "CBC.99004010", "CBC.99000038", "CBC.99000031",
    "CBC.99000039", "CBC.99000036", "CBC.99000029", "CBC.99000030", "CBC.5017", "CBC.99000037",
}  # fmt: skip
GATEWAY = {"APIGW.0301", "APIGW.0101", "APIGW.0201", "APIGW.0308"}
"""The tables of the contract: sections 1, 5 (but 99000050, a call that is not here) and 4."""
NOT_400 = {
    "CBC.0154": 401, "CBC.0151": 403, "CBC.0999": 500, "APIGW.0301": 401, "APIGW.0101": 404,
    "APIGW.0201": 413, "APIGW.0308": 429,
}  # fmt: skip
REFUSALS = [
    *(reply for outcome, reply in REPLIES.items() if outcome is not Verdict.MATCH),
    *TAKEN.values(), TOO_MANY, GUESSED, NOT_FOUND,
]  # fmt: skip
ROW = re.compile(r"^\| (\d{3}) (`[^|]*) \|", re.MULTILINE)


@pytest.mark.parametrize("outcome", every_outcome("huawei"))
def test_every_outcome_has_a_reply(outcome):
    """The surface never has to invent an answer."""
    assert outcome in REPLIES


def test_the_codes_are_the_contracts_and_all_of_them():
    assert {reply.code for reply in REFUSALS} == SENDING | CREATING | GATEWAY


@pytest.mark.parametrize("reply", REFUSALS, ids=lambda reply: reply.code)
def test_a_reply_has_the_status_of_its_code(reply):
    """400 unless the contract says otherwise; nothing of ours is told with a 5xx."""
    assert reply.status == NOT_400.get(reply.code, 400) or (reply.status, reply.code) == (
        408,
        "CBC.0100",
    )
    assert reply.status < 500 or reply.says


LONG = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    "error",
    [
        errors.RequestInvalid("x" * 5000, field="/email"),
        errors.RequestInvalid("x", field="/" + "x" * 5000),
        wire.EmailMalformed(field="/email"),
        errors.QuotaExceeded(scope="x" * 5000, retry_in=timedelta(seconds=1)),
        SignatureStale(LONG, LONG),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_answer_is_no_longer_than_the_vendors(error):
    """16 characters of a code and 1024 of a message, which is never empty."""
    reply = REPLIES[type(error)]
    told = msgspec.json.decode(refused(reply, error, "r", service_error).body)
    assert 1 <= len(told["error_code"]) <= 16
    assert 1 <= len(told["error_msg"]) <= 1024
    told = msgspec.json.decode(refused(reply, error, "r", keystone_error).body)
    assert 1 <= len(told["error"]["message"]) <= 1024


def test_the_manual_has_every_code(request):
    """docs/huawei.md is true: each code with its status, and no other."""
    manual = (request.config.rootpath / "docs" / "huawei.md").read_text(encoding="utf-8")
    told = {(int(status), code) for status, codes in ROW.findall(manual) for code in _each(codes)}
    kept = {(reply.status, reply.code) for reply in REFUSALS}
    assert told == kept


def _each(codes):
    """`CBC.99000038`, `.39` are two of them."""
    first, *others = re.findall(r"`([^`]+)`", codes)
    yield first
    for code in others:
        ending = code.removeprefix(".")
        yield code if ending == code else first[: -len(ending)] + ending
