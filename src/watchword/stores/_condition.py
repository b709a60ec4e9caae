"""What every store means by keeping up."""

from __future__ import annotations

from datetime import datetime, timedelta

MOST_COUNTED = 100_000
"""More waiting messages of a channel than these are not counted: it would take too long."""


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
