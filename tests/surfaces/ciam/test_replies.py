"""Every outcome has an answer in both languages, and the published ones are to the letter."""

import msgspec
import pytest

from tests.surfaces.ciam.test_sending import TEXTS
from tests.surfaces.outcomes import every_outcome
from watchword import errors
from watchword.directory.ciam import users
from watchword.domain.challenge import Verdict
from watchword.surfaces.ciam import replies
from watchword.surfaces.ciam.replies import REPLIES, TAKEN, Reply, refused

pytestmark = pytest.mark.store("sqlite")

OURS = {
    "PARAM.0000", "PARAM.0009", "PARAM.0010", "PARAM.0011", "PARAM.0012", "PARAM.0013",
    "PARAM.0014", "PARAM.0015", "PARAM.0016", "USER.0005", "USER.0006", "USER.0007",
    "CAPTCHA.0001", "CAPTCHA.0002", "CAPTCHA.0007", "CAPTCHA.0008", "CAPTCHA.0009",
    "SYSTEM.0404", "SYSTEM.0405", "SYSTEM.0500", "SYSTEM.0503",
}  # fmt: skip
NOT_400 = {"SYSTEM.0404": 404, "SYSTEM.0405": 405, "SYSTEM.0500": 500, "SYSTEM.0503": 503}
KNOWN = [
    *(reply for outcome, reply in REPLIES.items() if outcome is not Verdict.MATCH),
    *TAKEN.values(),
    *(value for value in vars(replies).values() if isinstance(value, Reply)),
]


def short(reply):
    return reply.code.removeprefix("IDAAS.SDK.")


@pytest.mark.parametrize("outcome", every_outcome("ciam"), ids=str)
def test_every_outcome_has_a_reply(outcome):
    """The surface never has to invent an answer."""
    assert outcome in REPLIES


def test_the_codes_are_the_published_ones_and_those_that_we_say_are_ours():
    assert {short(reply) for reply in KNOWN} == set(TEXTS) | OURS


@pytest.mark.parametrize("code", TEXTS)
def test_a_published_code_has_its_published_texts(code):
    """0004 of a user is also said of a mailbox, in other words."""
    texts = {(reply.en, reply.zh) for reply in KNOWN if short(reply) == code}
    assert TEXTS[code] in texts
    assert len(texts) == (3 if code == "USER.0004" else 1)


@pytest.mark.parametrize("reply", KNOWN, ids=short)
def test_a_reply_is_400_unless_it_is_about_http_or_ourselves(reply):
    """The vendor's clients know no other status. No text is empty, and each speaks its language."""
    usual = NOT_400.get(short(reply), 400)
    assert reply.status == usual or (short(reply), reply.status) in [
        ("PARAM.0000", status) for status in (408, 413, 415)
    ]
    assert reply.en.isascii()
    assert reply.en
    assert not reply.zh.isascii()


def test_every_claim_of_a_user_has_a_reply():
    assert set(TAKEN) == {users.MOBILE, users.EMAIL, users.USER_NAME}


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize(
    "error",
    [errors.RequestInvalid("x" * 5000, field="/email"), errors.RequestInvalid("x", field="/" * 900),
     users.PasswordWeak("x" * 5000), errors.RequestInvalid("")],
)  # fmt: skip
def test_an_answer_is_short(error, language):
    told = msgspec.json.decode(refused(REPLIES[type(error)], error, language).body)
    assert list(told) == ["error_code", "error_msg"]
    assert 1 <= len(told["error_msg"]) <= 512


def test_what_an_error_says_is_told_only_where_it_is_about_the_request():
    """A limit, a store or a carrier has words that are not the caller's to hear."""
    for outcome, reply in REPLIES.items():
        if isinstance(outcome, type):
            assert not reply.is_told or issubclass(
                outcome, errors.RequestInvalid | errors.IdempotencyKeyReused
            )
