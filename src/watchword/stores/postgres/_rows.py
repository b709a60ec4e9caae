"""Values to what a statement is given, and what it answers back to values."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from watchword.domain.challenge import Challenge, Draw, State
from watchword.domain.delivery import Leased
from watchword.domain.failures import Budget
from watchword.domain.purpose import Purpose
from watchword.ports import Write
from watchword.stores._instants import instant, maybe_instant, maybe_micros, span
from watchword.stores.postgres._connections import Row
from watchword.stores.postgres._literals import numbers

_PURPOSES = {purpose.value: purpose for purpose in Purpose}
_STATES = {state.value: state for state in State}


@lru_cache(64)
def budget_array(budget: Budget) -> str:
    """As functions/3_failures.sql wants it."""
    return numbers(
        (
            span(budget.window),
            budget.per_network,
            budget.per_destination,
            budget.in_a_row,
            span(budget.rest),
            span(budget.kept),
            int(budget.hard_stop),
        )
    )


def write_arrays(writes: Sequence[Write]) -> tuple[list[Any], ...]:
    """As functions/1_records.sql wants them: kinds, keys, versions, bodies, ends."""
    return (
        [write.kind for write in writes],
        [write.key for write in writes],
        [write.version for write in writes],
        [write.body for write in writes],
        [maybe_micros(write.expires_at) for write in writes],
    )


def challenge_from(row: Row) -> Challenge:
    """A row of the statements that give a whole challenge."""
    drawn = zip(row[13], row[14], row[15], row[16], strict=True)
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
        draws=tuple(Draw(one[0], instant(one[1]), instant(one[2]), one[3]) for one in drawn),
        opened_at=instant(row[17]),
        resend_at=instant(row[18]),
        expires_at=instant(row[19]),
        closed_at=maybe_instant(row[20]),
    )


def leased_from(row: Row, channel: str) -> Leased:
    return Leased(
        id=row[0],
        token=row[1],
        app_id=row[2],
        challenge_id=row[3],
        slot=row[4],
        purpose=row[5],
        channel=channel,
        tries=row[6],
        minutes=row[7],
        recipient=row[8],
        code=row[9],
        expires_at=instant(row[10]),
        queued_at=instant(row[11]),
    )
