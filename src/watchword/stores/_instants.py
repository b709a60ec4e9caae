"""Instants and spans as stores keep them: microseconds, since 1970 in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(at: datetime) -> int:
    since = at - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


@lru_cache(256)
def span(duration: timedelta) -> int:
    return (duration.days * 86_400 + duration.seconds) * 1_000_000 + duration.microseconds


def instant(at: int) -> datetime:
    return _EPOCH + at * _MICROSECOND


def maybe_instant(at: int | None) -> datetime | None:
    return None if at is None else instant(at)


def maybe_micros(at: datetime | None) -> int | None:
    return None if at is None else micros(at)
