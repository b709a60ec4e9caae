"""Rows to values and back."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from sys import byteorder
from typing import Any

import msgspec

from watchword.domain.challenge import Challenge, Draw, Question, State
from watchword.domain.purpose import Purpose
from watchword.ports import Sealed
from watchword.stores._instants import instant, maybe_instant
from watchword.stores._rows import sealed_challenge

_PURPOSES = {purpose.value: purpose for purpose in Purpose}
_STATES = {state.value: state for state in State}

encode = msgspec.msgpack.Encoder().encode
_draws = msgspec.msgpack.Decoder(tuple[Draw, ...]).decode


def packed(instants: Iterable[int]) -> bytes:
    return array("q", instants).tobytes()


def packed_one(instant: int) -> bytes:
    return instant.to_bytes(8, byteorder)


def unpacked(blob: bytes) -> Sequence[int]:
    return array("q", blob)


def question_from(row: tuple[Any, ...]) -> Question:
    """A row of the `question` statement."""
    return Question(
        destination=row[0],
        subject=row[1],
        max_attempts=row[2],
        attempts=row[3],
        state=_STATES[row[4]],
        draws=_draws(row[5]),
        expires_at=instant(row[6]),
    )


def challenge_from(row: tuple[Any, ...]) -> Challenge:
    """A row of the `challenge` statements."""
    return Challenge(
        id=row[0],
        app_id=row[1],
        purpose=_PURPOSES[row[2]],
        channel=row[3],
        slot=row[4],
        destination=row[5],
        subject=row[6],
        masked=row[7],
        recipient=row[8],
        code_length=row[9],
        max_attempts=row[10],
        attempts=row[11],
        state=_STATES[row[12]],
        draws=_draws(row[13]),
        opened_at=instant(row[14]),
        resend_at=instant(row[15]),
        expires_at=instant(row[16]),
        closed_at=maybe_instant(row[17]),
    )


def sealed_challenge_from(row: tuple[Any, ...]) -> Sealed:
    """A row of the `sealed_challenges` statement."""
    seals = [draw.sealed[:2] for draw in _draws(row[2]) if draw.sealed]
    return sealed_challenge(row[0], [row[1], *seals], row[3])
