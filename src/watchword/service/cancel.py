"""Cancel: close a challenge before its time."""

from __future__ import annotations

from datetime import datetime

from watchword.domain.challenge import Challenge, State
from watchword.errors import ChallengeClosed
from watchword.service.house import House


async def cancel(app_id: str, challenge_id: str, house: House, *, now: datetime) -> Challenge:
    """Close it and whatever of it is still queued. Cancelling twice is the same as once.

    Raises ChallengeNotFound, and ChallengeClosed where it ended in another way.
    """
    challenge = await house.store.cancel(app_id, challenge_id, now)
    state = challenge.state_at(now)
    if state is not State.CANCELLED:
        raise ChallengeClosed(state)
    return challenge
