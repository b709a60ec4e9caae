"""Erase a subject: what the journal and the outbox know of a destination goes, over all apps.

Counters of limits and failures stay: whoever asks to be forgotten must not get a fresh budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from watchword.domain.destination import Destination
from watchword.domain.event import Event, Kind, erasure
from watchword.errors import StoreUnavailable
from watchword.ports import Erasure
from watchword.service.house import House

_MOST_TRIES = 20


async def erase_subject(
    destination: Destination, app_ids: Sequence[str], house: House, now: datetime
) -> Erasure:
    """Open challenges go, too: their codes are dead from then on, and what of them was queued is
    not sent. A mailbox goes with its +tags. Raises StoreUnavailable."""
    subjects = [house.guesses(app_id, destination) for app_id in app_ids]
    gone = Erasure()
    for _ in range(_MOST_TRIES):
        places = await house.store.entries_about(subjects)
        marks = [(*place, erasure(*place, house.keys)) for place in places]
        more = await house.store.erase(subjects, marks)
        gone = Erasure(
            gone.events + more.events,
            gone.challenges + more.challenges,
            gone.deliveries + more.deliveries,
        )
        if more == Erasure():
            break
    else:
        raise StoreUnavailable("The subject is being written about all the time; try again.")
    details = msgspec.json.encode({"events": gone.events}).decode()
    await house.store.note([Event(at=now, kind=Kind.ERASED, details=details)])
    await house.store.scrub()
    return gone
