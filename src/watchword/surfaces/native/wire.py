"""The native dialect on the wire: what may be asked, what is told, and what each becomes in ours.

An absent member is UNSET; null is not a way to leave one out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl

import msgspec
from msgspec import UNSET, Meta, UnsetType

from watchword.domain.challenge import Challenge, State, Verdict
from watchword.domain.delivery import Delivery, DeliveryState
from watchword.domain.destination import LONGEST
from watchword.domain.purpose import Purpose
from watchword.errors import RequestInvalid
from watchword.ports import Issued, Judged, Received
from watchword.service.house import Client
from watchword.surfaces.addresses import network_of


class Channel(StrEnum):
    SMS = "sms"
    EMAIL = "email"


MOST_PAIRS = 16
MOST_BINDING_BYTES = 512
_LOCALE = re.compile(r"[A-Za-z0-9]{1,8}([-_][A-Za-z0-9]{1,8})*")

Binding = Annotated[
    dict[str, str],
    Meta(
        max_length=MOST_PAIRS,
        description="What else the code is bound to; at most 512 bytes of names and values. A "
        "check has to bring the same pairs.",
        examples=[{"session": "Zk1Q"}],
    ),
]


class EndUser(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who asked the calling program for the code, as far as it knows; only limits use it."""

    ip: Annotated[str, Meta(max_length=64, examples=["203.0.113.7"])] | UnsetType = UNSET
    fingerprint: Annotated[str, Meta(max_length=128)] | UnsetType = UNSET


class NewVerification(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Send a code. While a verification for the same purpose, destination and binding is open,
    this is a resend of it."""

    to: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=LONGEST,
            description="A phone number with its country code, or a mailbox",
            examples=["+8613800138000"],
        ),
    ]
    channel: Channel
    purpose: Purpose
    locale: (
        Annotated[
            str,
            Meta(
                max_length=35,
                description="A language tag; an unknown language falls back",
                examples=["en-US"],
            ),
        ]
        | UnsetType
    ) = UNSET
    code_length: Annotated[int, Meta(ge=6, le=16)] | UnsetType = UNSET
    ttl: Annotated[int, Meta(ge=60, le=600, description="Seconds")] | UnsetType = UNSET
    binding: Binding | UnsetType = UNSET
    client: EndUser | UnsetType = UNSET


class AnotherSend(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Send the code of an open verification again, over the same or another channel."""

    channel: Channel | UnsetType = UNSET
    client: EndUser | UnsetType = UNSET


class Answered(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the person typed. Blanks and dashes in it do not count."""

    code: Annotated[str, Meta(min_length=1, max_length=64, examples=["493817"])]
    binding: Binding | UnsetType = UNSET
    client: EndUser | UnsetType = UNSET


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """A verification that was just sent."""

    id: str
    status: Literal["pending"] = "pending"
    to: Annotated[str, Meta(description="Masked")]
    channel: str
    expires_at: datetime
    resend_at: datetime
    attempts_left: int


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """`approved` when the code is right; `pending` and how many tries are left when it is wrong."""

    id: str
    status: Literal["approved", "pending"]
    attempts_left: int


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """A verification as it stands."""

    id: str
    status: State
    to: Annotated[str, Meta(description="Masked")]
    channel: str
    purpose: Purpose
    created_at: datetime
    expires_at: datetime
    resend_at: datetime
    attempts_left: int


class Handover(msgspec.Struct, frozen=True, kw_only=True):
    """One hand-over to a provider."""

    id: int
    channel: str
    provider: str
    state: DeliveryState
    tries: int
    queued_at: datetime
    settled_at: datetime | None


class Handovers(msgspec.Struct, frozen=True, kw_only=True):
    """Every hand-over of a verification, oldest first."""

    deliveries: tuple[Handover, ...]


class InboxItem(msgspec.Struct, frozen=True, kw_only=True):
    """A message that the virtual carrier keeps."""

    to: str
    channel: str
    text: str
    code: str
    at: datetime


class InboxPage(msgspec.Struct, frozen=True, kw_only=True):
    """The newest messages, oldest first."""

    items: tuple[InboxItem, ...]


class InboxQuery(msgspec.Struct, frozen=True, kw_only=True):
    to: str | None
    limit: int


encode = msgspec.json.Encoder().encode


def language(locale: str | UnsetType) -> str:
    """`zh_CN` -> zh-cn, "" for none. Raises RequestInvalid at /locale."""
    if locale is UNSET:
        return ""
    if not _LOCALE.fullmatch(locale):
        raise RequestInvalid("This is not a language tag.", field="/locale")
    return locale.lower().replace("_", "-")


def ttl(given: int | UnsetType) -> timedelta | None:
    return None if given is UNSET else timedelta(seconds=given)


def subject(binding: dict[str, str] | UnsetType) -> bytes:
    """The digest that stands for a binding, b"" for none. Raises RequestInvalid at /binding."""
    if binding is UNSET or not binding:
        return b""
    parts = [part.encode() for name in sorted(binding) for part in (name, binding[name])]
    if sum(map(len, parts)) > MOST_BINDING_BYTES:
        raise RequestInvalid("A binding has at most 512 bytes.", field="/binding")
    return sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).digest()


def client(end_user: EndUser | UnsetType) -> Client:
    """What limits know of the end user. Raises RequestInvalid at /client/ip."""
    if end_user is UNSET:
        return _NOBODY
    try:
        network = "" if end_user.ip is UNSET else network_of(end_user.ip)
    except ValueError:
        raise RequestInvalid("This is not an IP address.", field="/client/ip") from None
    return Client(network=network, fingerprint=end_user.fingerprint or "")


def inbox_query(query: bytes) -> InboxQuery:
    """`to` in any spelling, `limit` 1 to 1000. Raises RequestInvalid at the parameter."""
    try:
        given = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        raise RequestInvalid("The query is not percent-encoded UTF-8.") from None
    asked = dict(given)
    if len(asked) != len(given):
        raise RequestInvalid("A parameter came twice.")
    for name in asked.keys() - {"to", "limit"}:
        raise RequestInvalid("There is no such parameter.", field=f"/{name[:64]}")
    return InboxQuery(to=asked.get("to"), limit=_limit(asked.get("limit", "100")))


def sent(issued: Issued) -> bytes:
    return encode(
        Sent(
            id=issued.challenge_id,
            to=issued.masked,
            channel=issued.channel,
            expires_at=_not_after(issued.expires_at),
            resend_at=_not_before(issued.resend_at),
            attempts_left=issued.attempts_left,
        )
    )


def checked(challenge_id: str, judged: Judged) -> bytes:
    status: Literal["approved", "pending"] = (
        "approved" if judged.verdict is Verdict.MATCH else "pending"
    )
    return encode(Checked(id=challenge_id, status=status, attempts_left=judged.attempts_left))


def verification(challenge: Challenge, now: datetime) -> bytes:
    return encode(
        Verification(
            id=challenge.id,
            status=challenge.state_at(now),
            to=challenge.masked,
            channel=challenge.channel,
            purpose=challenge.purpose,
            created_at=_not_after(challenge.opened_at),
            expires_at=_not_after(challenge.expires_at),
            resend_at=_not_before(challenge.resend_at),
            attempts_left=challenge.attempts_left,
        )
    )


def handovers(deliveries: Sequence[Delivery]) -> bytes:
    return encode(Handovers(deliveries=tuple(map(_handover, deliveries))))


def inbox_page(received: Sequence[Received], limit: int) -> bytes:
    return encode(InboxPage(items=tuple(map(_inbox_item, received[-limit:]))))


def _handover(delivery: Delivery) -> Handover:
    settled_at = delivery.settled_at
    return Handover(
        id=delivery.id,
        channel=delivery.channel,
        provider=delivery.provider,
        state=delivery.state,
        tries=delivery.tries,
        queued_at=_not_after(delivery.queued_at),
        settled_at=None if settled_at is None else _not_after(settled_at),
    )


def _inbox_item(received: Received) -> InboxItem:
    fields: dict[str, Any] = msgspec.structs.asdict(received)
    return InboxItem(**{**fields, "at": _not_after(received.at)})


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 4 and 1 <= int(text) <= 1000):
        raise RequestInvalid("A limit is a number from 1 to 1000.", field="/limit")
    return int(text)


def _not_after(instant: datetime) -> datetime:
    """Whole seconds that promise nothing beyond the instant."""
    return instant - timedelta(microseconds=instant.microsecond)


def _not_before(instant: datetime) -> datetime:
    """Whole seconds, none of them too early."""
    missing = -instant.microsecond % 1_000_000
    return instant + timedelta(microseconds=missing)


_NOBODY = Client()
