"""Quota: how many in which window, how much of it is used, how long until there is room again."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

import msgspec

LARGEST_TRAILING = 10_000
"""A trailing quota remembers each instant; above this, count per calendar window."""


class Scope(StrEnum):
    """What a quota is counted for. Sends are counted per app in all but EVERYTHING; CREDENTIAL
    counts guesses at a secret, whoever's it is."""

    DESTINATION = "destination"
    APP = "app"
    ACCOUNT = "account"
    NETWORK = "network"
    FINGERPRINT = "fingerprint"
    PREFIX = "prefix"
    COUNTRY = "country"
    EVERYTHING = "everything"
    CREDENTIAL = "credential"


class Span(StrEnum):
    """A calendar window."""

    DAY = "day"
    MONTH = "month"


class Quota(msgspec.Struct, frozen=True):
    """`amount` a `window` that trails behind now, or a calendar `span` of a named `zone`."""

    scope: Scope
    amount: int
    window: timedelta = timedelta()
    span: Span | None = None
    zone: str = "UTC"

    @property
    def calendar(self) -> str:
        """The name of its calendar window, "" where it trails."""
        return f"{self.span} {self.zone}" if self.span else ""


class Meter(msgspec.Struct, frozen=True):
    """The quotas that share one counter: the trailing ones of a scope, or those of one calendar
    window of it. `longest` is the longest of their windows, `largest` of their amounts: nothing
    further back is asked for."""

    scope: Scope
    calendar: str
    quotas: tuple[Quota, ...]
    longest: timedelta
    largest: int


def meters(quotas: Iterable[Quota]) -> tuple[Meter, ...]:
    """The quotas, put together by what they count."""
    shared: dict[tuple[Scope, str], list[Quota]] = {}
    for quota in quotas:
        shared.setdefault((quota.scope, quota.calendar), []).append(quota)
    return tuple(
        Meter(
            scope,
            calendar,
            tuple(found),
            longest=max(quota.window for quota in found),
            largest=max(quota.amount for quota in found),
        )
        for (scope, calendar), found in shared.items()
    )


class Demand(msgspec.Struct, frozen=True):
    """One unit wanted of every quota of a meter, for one value of its scope.

    `counter` is the keyed digest of scope and value. A calendar meter comes with the bounds of its
    current window; a trailing one has none.
    """

    meter: Meter
    counter: bytes
    opens_at: datetime | None = None
    closes_at: datetime | None = None


def demand(meter: Meter, counter: bytes, now: datetime) -> Demand:
    quota = meter.quotas[0]
    if quota.span is None:
        return Demand(meter, counter)
    return Demand(meter, counter, *bounds(quota.span, ZoneInfo(quota.zone), now))


def bounds(span: Span, zone: ZoneInfo, now: datetime) -> tuple[datetime, datetime]:
    """The calendar window that holds `now`: a day may last 23 or 25 hours."""
    here = now.astimezone(zone)
    local = datetime(here.year, here.month, here.day)
    if span is Span.MONTH:
        local = local.replace(day=1)
        following = (local + timedelta(days=32)).replace(day=1)
    else:
        following = local + timedelta(days=1)
    return _instant(local, zone), _instant(following, zone)


def _instant(local: datetime, zone: ZoneInfo) -> datetime:
    """The first instant of a local midnight, also where that midnight is skipped or comes twice."""
    return local.replace(tzinfo=zone).astimezone(UTC)
