"""How the store keeps up: what waits in the outbox, and what the sweeper has yet to delete."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import apsw

from watchword.ports import Condition, Waiting
from watchword.stores._condition import MOST_COUNTED, unswept_since
from watchword.stores._instants import instant, maybe_instant
from watchword.stores._rows import KEPT
from watchword.stores.sqlite._queries import SQL


def condition(cursor: apsw.Cursor, now: datetime) -> Condition:
    """See ports.Store.condition."""
    ends = map(maybe_instant, cursor.execute(SQL["unswept"]).get)
    return Condition(list(_waiting(cursor)), unswept_since(*ends, kept=KEPT, now=now))


def _waiting(cursor: apsw.Cursor) -> Iterator[Waiting]:
    """The channels with unsettled deliveries, one look at the index each."""
    channel = cursor.execute(SQL["next_channel"], ("",)).get
    while channel is not None:
        messages, oldest = cursor.execute(SQL["waiting"], (channel, MOST_COUNTED)).get
        if messages:  # or the last was settled since
            yield Waiting(channel, messages, instant(oldest))
        channel = cursor.execute(SQL["next_channel"], (channel,)).get
