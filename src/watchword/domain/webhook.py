"""Webhook: an address of an app that hears what became of its codes, and how it knows us.

What we send follows Standard Webhooks 1.0 (https://www.standardwebhooks.com): an id that stays the
same each time, an instant, and a signature over both and the body.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

SECRET_PREFIX = "whsec_"  # noqa: S105  (what a secret begins with, not one)
SECRET_BYTES = 32

_WAITS = (
    *(timedelta(seconds=5), timedelta(minutes=5), timedelta(minutes=30)),
    *(timedelta(hours=hours) for hours in (2, 5, 10, 14, 20, 24)),
)


class Notice(StrEnum):
    """What an app can be told."""

    CREATED = "verification.created"
    APPROVED = "verification.approved"
    FAILED = "verification.failed"
    EXPIRED = "verification.expired"
    DELIVERED = "verification.delivered"
    REFUSED = "verification.refused"


class Webhook(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where an app hears of its codes. `secret` has its secrets, sealed under the id, the newest
    first: while there are two, what is sent is signed with both. `stopped` says why nothing is sent
    any more, "" while it is."""

    id: str
    app_id: str
    url: str
    secret: bytes
    created_at: datetime
    notices: tuple[Notice, ...] = tuple(Notice)
    stopped: str = ""


class Unheard(msgspec.Struct, frozen=True):
    """How many notices wait for a webhook, and when what the oldest tells of happened."""

    notices: int
    oldest_at: datetime


def next_try_in(tries: int) -> timedelta | None:
    """How long to wait after the `tries`-th one failed; None where it was the last. Ten tries take
    about three days (Standard Webhooks, "Deliverability and reliability")."""
    return _WAITS[tries - 1] if tries <= len(_WAITS) else None


def signed(notice_id: str, body: bytes, secrets: Sequence[bytes], now: datetime) -> dict[str, str]:
    """The headers that prove who sent this body, and when."""
    at = str(int(now.timestamp()))
    content = b".".join((notice_id.encode(), at.encode(), body))
    return {
        "webhook-id": notice_id,
        "webhook-timestamp": at,
        "webhook-signature": " ".join(
            "v1," + b64encode(hmac.digest(secret, content, "sha256")).decode() for secret in secrets
        ),
    }


def written(secret: bytes) -> str:
    """A secret as receivers are given it."""
    return SECRET_PREFIX + b64encode(secret).decode()


def body(notice: str, at: datetime, told: msgspec.Raw) -> bytes:
    """What is sent: type, timestamp and data (JSON), in this order, which is what gets signed."""
    return msgspec.json.encode({"type": notice, "timestamp": at, "data": told})
