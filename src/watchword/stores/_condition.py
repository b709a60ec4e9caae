"""What every store means by keeping up."""

from __future__ import annotations

from datetime import datetime, timedelta

from watchword.domain.failures import Budget
from watchword.stores._instants import micros

MOST_COUNTED = 100_000
"""More waiting messages of a channel than these are not counted: it would take too long."""
_LATELY = timedelta(days=1)


def unswept_since(
    challenge: datetime | None,
    once: datetime | None,
    record: datetime | None,
    *,
    kept: timedelta,
    now: datetime,
) -> datetime | None:
    """Since when the oldest row could have been swept, given the oldest ends of each kind; a
    challenge is `kept` after its own."""
    due = (challenge and challenge + kept, once, record)
    return min((at for at in due if at is not None and at <= now), default=None)


def troubles_asked(budget: Budget, now: datetime) -> tuple[int, int, int, int]:
    """What the `troubles` statement is asked with: that a destination is idle `kept` after its last
    wrong code tells when that was."""
    rests_since = now - (budget.kept if budget.hard_stop else budget.rest)
    return (
        MOST_COUNTED,
        micros(now - _LATELY),
        budget.in_a_row,
        micros(rests_since + budget.kept),
    )
