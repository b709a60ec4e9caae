"""How the store keeps up: what waits in the outbox, and what the sweeper has yet to delete."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from watchword.ports import Condition, Waiting
from watchword.stores._condition import MOST_COUNTED, unswept_since
from watchword.stores._instants import instant, maybe_instant
from watchword.stores.sqlite._queries import SQL
from watchword.stores.sqlite._sweeping import KEPT


def condition(cursor: sqlite3.Cursor, now: datetime) -> Condition:
    """See ports.Store.condition."""
    waiting = [
        Waiting(channel, messages, instant(oldest))
        for (named,) in cursor.execute(SQL["waiting_channels"]).fetchall()
        for channel, messages, oldest in cursor.execute(SQL["waiting"], (named, MOST_COUNTED))
    ]
    ends = map(maybe_instant, cursor.execute(SQL["unswept"]).fetchone())
    return Condition(waiting, unswept_since(*ends, kept=KEPT, now=now))
