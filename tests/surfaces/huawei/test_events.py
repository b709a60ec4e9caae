"""What the log says of a refused request: enough to find it by its id, and nothing of a person."""

import json
from datetime import timedelta

import pytest

from tests.surfaces.huawei.calling import (
    CREATE,
    DOMAINS,
    IDENTITY,
    JSON,
    SEND,
    TOKENS,
    VENDORS_WARNINGS,
    by_key,
    by_password,
    customer,
    log_in,
    opened_by,
    sent,
    token_of,
    travelled,
    wanted,
    with_password,
    wrong,
)
from watchword import log
from watchword.errors import StoreUnavailable

pytestmark = [pytest.mark.filterwarnings(one) for one in VENDORS_WARNINGS]
HOUR = timedelta(hours=1)


@pytest.fixture
def events(written):
    """What was told of requests so far, and all there is as it was written."""
    log.configure("json", stream=written)

    def told():
        found = [json.loads(line) for line in written.getvalue().splitlines()]
        of_codes = ("challenge_issued", "challenge_checked", "delivery_settled")
        return [one for one in found if one["event"] not in of_codes], written.getvalue()

    return told


def test_a_refused_request_is_one_event(shop, ann, events):
    """With its code, whose it was, and the id that the partner was told."""
    code = sent(shop, ann)
    bad = wrong(code)
    before, _ = events()
    proven = {"email": ann, "verification_code": bad}
    asked = [
        (SEND, {"receiver_type": 2, "email": f"{ann}@"}),
        (SEND, {"receiver_type": 1, "mobile_phone": "13800138"}),
        (CREATE, customer(**proven)),
        (CREATE, customer(email=f"x{ann}", verification_code=bad)),
        (CREATE, customer(**proven, password="x" + ann)),
        (CREATE, customer(**proven, domain_name="1 ann")),
        (IDENTITY, {"search_type": "email", "search_value": f"{ann}@"}),
        (SEND, {"receiver_type": "2", "email": ann}),
        (SEND, f'{{"email": "{ann}"'.encode()),
    ]
    replies = [shop.ask(path=path, body=body) for path, body in asked]
    told, said = events()
    for (path, _), reply, event in zip(asked, replies, told[len(before) :], strict=True):
        assert (event["event"], event["level"]) == ("request_refused", "info")
        assert event["code"] == reply.refusal[1]
        assert event["account"] == shop.account.id
        assert event["request_id"] == reply.headers["x-request-id"]
        assert event["route"].startswith("huawei_"), path
    for secret in (ann, code, bad, "13800138", "1 ann", shop.sk):
        assert secret not in said


def test_a_partner_by_token_is_told_as_well(server, still, events):
    token = token_of(with_password(still))
    server.do(server.service.huawei.accounts.suspend(still.account.id, server.clock()))
    reply = opened_by(server, token)
    told, said = events()
    assert reply.refusal == (400, "CBC.99000035")
    (event,) = told
    assert (event["account"], event["code"]) == (still.account.id, "CBC.99000035")
    assert event["request_id"] == reply.headers["x-request-id"]
    assert token not in said


def test_what_is_served_is_no_refusal(shop, ann, events):
    assert shop.register(email=ann, verification_code=sent(shop, ann)).domain_id
    assert shop.domains().status == 200
    assert "request_refused" not in events()[1]


def test_whoever_comes_fills_no_log(server, still, events):
    """Nobody who is not let in has a line written, however often."""
    with_password(still)
    signed = still.signed(body=b"{}")
    unknown = {**signed, "Authorization": signed["Authorization"].replace(still.ak, "NOBODY")}
    strangers = [
        lambda: travelled(server, "POST", SEND, b"{}", {"Content-Type": JSON}.items()),
        lambda: travelled(server, "POST", SEND, b"{ }", signed.items()),
        lambda: travelled(server, "POST", SEND, b"{}", unknown.items()),
        lambda: travelled(server, "POST", SEND, b"{}", {"Authorization": "x"}.items()),
        lambda: still.ask("GET", DOMAINS, off=HOUR),
        lambda: opened_by(server, "nonsense"),
        lambda: travelled(server, "POST", SEND, b"x" * 70_000, {}),
        lambda: travelled(server, "GET", "/v3/nothing", b"", {}),
        lambda: log_in(server, {}),
        lambda: log_in(server, [1]),
        lambda: travelled(server, "POST", TOKENS, b"{", {"Content-Type": JSON}.items()),
        lambda: travelled(server, "POST", TOKENS, b"\xff", {"Content-Type": "x/y"}.items()),
        lambda: log_in(server, by_password(still, "wrong")),
        lambda: log_in(server, by_password(still, "wrong", name="nobody")),
        lambda: log_in(server, by_key(still, "wrong")),
    ]
    for _ in range(12):
        for ask in strangers:
            assert 400 <= ask().status < 500
    assert events() == ([], "")


@pytest.mark.parametrize(
    ("error", "names"), [(StoreUnavailable, ["StoreUnavailable"]), (ValueError, ["ValueError", ""])]
)
def test_a_failure_of_ours_is_an_error(server, still, events, monkeypatch, ann, error, names):
    """For an operator to look at, with the id that the partner was told."""

    async def failing(*_):
        raise error("493817")

    monkeypatch.setattr(type(server.service.store), "issue", failing)
    reply = still.ask(body=wanted(ann))
    assert reply.refusal == (500, "CBC.0999")
    told, said = events()
    assert [event["level"] for event in told] == ["error"] * len(names)
    assert [event["error"] for event in told] == names
    assert told[-1]["event"] == "request_refused"
    assert (told[-1]["code"], told[-1]["account"]) == ("CBC.0999", still.account.id)
    assert told[-1]["request_id"] == reply.headers["x-request-id"]
    assert "493817" not in said
    assert ann not in said


def test_a_failure_of_ours_is_told_whoever_asked(server, still, events, monkeypatch):
    """Before anybody is known, too."""

    async def away(*_):
        raise StoreUnavailable

    monkeypatch.setattr(type(server.service.store), "record", away)
    reply = log_in(server, by_password(still))
    assert reply.status == 500
    ((event,), _) = events()
    assert (event["event"], event["level"], event["account"]) == ("request_refused", "error", "")
    assert event["request_id"] == reply.headers["x-request-id"]
