"""What a webhook is sent, and how often it is tried."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from standardwebhooks import Webhook as Judge
from standardwebhooks import WebhookVerificationError

from watchword.domain.webhook import Notice, body, next_try_in, signed, written

NOW = datetime.now(UTC)
SAID = body(Notice.CREATED, NOW, msgspec.Raw(b'{"id":"v1","to":"+86******8000"}'))


def test_what_is_signed_is_taken_by_the_standard_s_own_library():
    headers = signed("msg_1", SAID, [b"k" * 32], NOW)
    told = Judge(written(b"k" * 32)).verify(SAID, headers)
    assert told == {
        "type": "verification.created",
        "timestamp": NOW.isoformat().replace("+00:00", "Z"),
        "data": {"id": "v1", "to": "+86******8000"},
    }


def test_either_of_two_secrets_proves_it():
    """A receiver changes to a new secret in its own time."""
    headers = signed("msg_1", SAID, [b"n" * 32, b"o" * 32], NOW)
    for secret in (b"n" * 32, b"o" * 32):
        Judge(written(secret)).verify(SAID, headers)


@pytest.mark.parametrize(
    ("notice_id", "said", "secret"),
    [("msg_2", SAID, b"k"), ("msg_1", SAID + b" ", b"k"), ("msg_1", SAID, b"x")],
)
def test_another_id_body_or_secret_proves_nothing(notice_id, said, secret):
    headers = signed("msg_1", SAID, [b"k" * 32], NOW)
    with pytest.raises(WebhookVerificationError):
        Judge(written(secret * 32)).verify(said, headers | {"webhook-id": notice_id})


def test_ten_tries_take_three_days():
    waits = [wait for tries in range(1, 10) if (wait := next_try_in(tries))]
    assert next_try_in(10) is None
    assert waits[:2] == [timedelta(seconds=5), timedelta(minutes=5)]
    assert timedelta(days=3) < sum(waits, timedelta()) < timedelta(days=3.5)
