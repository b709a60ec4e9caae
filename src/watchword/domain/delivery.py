"""Delivery is our record of one hand-over; Receipt is the provider's word on it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

import msgspec


class DeliveryState(StrEnum):
    """Where a message is (DESIGN, "How a message travels")."""

    QUEUED = "queued"
    LEASED = "leased"
    SENDING = "sending"
    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    FAILED = "failed"
    UNKNOWN = "unknown"
    EXPIRED = "expired"
    CANCELLED = "cancelled"

    @property
    def is_settled(self) -> bool:
        """No further hand-over of this row can happen."""
        return self not in _UNSETTLED


_UNSETTLED = frozenset({DeliveryState.QUEUED, DeliveryState.LEASED, DeliveryState.SENDING})
_TROUBLE = frozenset({DeliveryState.QUEUED, DeliveryState.UNKNOWN})


class Receipt(msgspec.Struct, frozen=True):
    """A provider's answer: its reference for the message, and ACCEPTED or DELIVERED."""

    reference: str
    state: DeliveryState = DeliveryState.ACCEPTED


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """What may be shown of a hand-over: no text, no address."""

    id: int
    challenge_id: str
    channel: str
    provider: str
    state: DeliveryState
    tries: int
    reason: str
    queued_at: datetime
    settled_at: datetime | None
    due_at: datetime | None = None
    """When it is looked at again; None once it is settled."""


class Listed(Delivery, frozen=True, kw_only=True):
    """A hand-over as an operator finds it: whose it is, and to whom it went, masked."""

    app_id: str
    masked: str


class Turns(msgspec.Struct, frozen=True, kw_only=True):
    """How apps take turns in a lane: a place goes to whoever holds the fewest there (`held`), among
    equals to the one that follows the last served (`after`), and none holds more than `share`."""

    held: Mapping[str, int] = MappingProxyType({})
    after: str = ""
    share: int = 10_000


class Leased(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that one worker holds, and what it takes to hand it over.

    `token` is the fence: a worker whose lease lapsed finds that its token no longer counts.
    `recipient` is sealed under the slot, `code` under the challenge id.
    """

    id: int
    token: int
    app_id: str
    challenge_id: str
    slot: bytes
    purpose: str
    channel: str
    tries: int
    minutes: int
    recipient: bytes
    code: bytes
    expires_at: datetime
    queued_at: datetime


class Handover(msgspec.Struct, frozen=True, kw_only=True):
    """How a hand-over ended: the state to record and, where it is QUEUED again, from when on, and
    whether the provider puts off this recipient alone."""

    id: int
    token: int
    state: DeliveryState
    reference: str = ""
    reason: str = ""
    not_before: datetime | None = None
    for_all: bool = True

    @property
    def is_trouble(self) -> bool:
        """Whether the provider itself looks unwell by it."""
        return self.state in _TROUBLE and self.for_all


def back_off(tries: int) -> timedelta:
    """How long to wait after the `tries`-th unavailable answer: 1, 2, 4 ... at most 60 seconds."""
    return timedelta(seconds=min(60, 2 ** (tries - 1)))
