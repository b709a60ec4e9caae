"""Names that are one owner's: readable, the same in any case, each claimed by a record."""

from __future__ import annotations

from datetime import datetime

from watchword.directory.apps import line
from watchword.errors import RequestInvalid
from watchword.ports import RecordStore, Write


def readable(name: str) -> str:
    """A name that can be looked up as it is typed. Raises RequestInvalid."""
    if not name.isprintable():
        raise RequestInvalid("A name has no characters that do not show.", field="/name")
    return line(name, "name")


def folded(name: str) -> str:
    """What makes two names one: they differ in case only."""
    return name.casefold()


def claim(kind: str, key: str, owner: str) -> Write:
    """What takes a name for its owner, unless it is taken."""
    return Write(kind=kind, key=key, version=0, body=owner.encode())


def release(kind: str, key: str) -> Write:
    """What gives a claim back. It goes with a change of its owner's record: a claim does not tell
    whether another has taken it since."""
    return Write(kind=kind, key=key, version=1, body=None)


async def claimant(store: RecordStore, kind: str, key: str, now: datetime) -> str:
    """Who claimed it, "" where nobody did."""
    record = await store.record(kind, key, now) if key.isprintable() else None
    return record.body.decode() if record else ""
