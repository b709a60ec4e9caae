"""Rows to values and back. An instant on disk is microseconds since 1970 in UTC."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from watchword.domain.challenge import Challenge, Draw, State
from watchword.domain.purpose import Purpose

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

encode = msgspec.msgpack.Encoder().encode
_draws = msgspec.msgpack.Decoder(tuple[Draw, ...]).decode


def micros(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000 + 0.5)


def span(duration: timedelta) -> int:
    return duration // _MICROSECOND


def instant(at: int) -> datetime:
    return _EPOCH + timedelta(microseconds=at)


def maybe_instant(at: int | None) -> datetime | None:
    return None if at is None else instant(at)


def maybe_micros(at: datetime | None) -> int | None:
    return None if at is None else micros(at)


def packed(instants: Iterable[int]) -> bytes:
    return array("q", instants).tobytes()


def unpacked(blob: bytes) -> Sequence[int]:
    return array("q", blob)


def challenge(row: tuple[Any, ...]) -> Challenge:
    """A row of the `challenge` statements, its first column (the row number) left aside."""
    return Challenge(
        id=row[1],
        app_id=row[2],
        purpose=Purpose(row[3]),
        channel=row[4],
        slot=row[5],
        destination=row[6],
        subject=row[7],
        masked=row[8],
        recipient=row[9],
        code_length=row[10],
        max_attempts=row[11],
        attempts=row[12],
        state=State(row[13]),
        draws=_draws(row[14]),
        opened_at=instant(row[15]),
        resend_at=instant(row[16]),
        expires_at=instant(row[17]),
        closed_at=maybe_instant(row[18]),
    )
