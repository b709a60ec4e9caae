"""The acts on the journal: events written by other acts, chains that a scribe appends to."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw

from watchword.domain.challenge import Challenge
from watchword.domain.event import Chain, Entry, Event
from watchword.errors import StoreUnavailable
from watchword.ports import Erasure, NewNotice, Unsealed
from watchword.stores._instants import maybe_instant, micros
from watchword.stores._journal_rows import chain_from, entry_from, event_from
from watchword.stores.sqlite._connection import NAP_S, PATIENCE_S, changed, connect, patiently
from watchword.stores.sqlite._queries import SQL

_TEST = '{"test":true}'
_Row = tuple[object, ...]


def tell_sent(
    cursor: apsw.Cursor, challenge: Challenge, at: int, *, opened: bool, is_test: bool
) -> None:
    """The event of an `issue`: what the rows themselves do not say."""
    cursor.execute(
        SQL["tell_sent"],
        (
            at,
            "created" if opened else "resent",
            challenge.app_id,
            challenge.channel,
            str(challenge.purpose),
            challenge.id,
            challenge.destination,
            challenge.masked,
            _TEST if is_test else "{}",
        ),
    )


def note(cursor: apsw.Cursor, events: Sequence[Event]) -> None:
    cursor.executemany(SQL["tell_sent"], [_event_row(event) for event in events])


def unsealed(cursor: apsw.Cursor, most: int) -> Sequence[tuple[int, Event]]:
    return [event_from(row) for row in cursor.execute(SQL["unsealed"], (most,)).fetchall()]


def to_seal(cursor: apsw.Cursor) -> Unsealed:
    count, since = cursor.execute(SQL["to_seal"]).get
    return Unsealed(count, maybe_instant(since))


def chains(cursor: apsw.Cursor) -> Sequence[Chain]:
    return [chain_from(row) for row in cursor.execute(SQL["chains"]).fetchall()]


def begin_chain(cursor: apsw.Cursor, chain: Chain, roll: Chain) -> bool:
    """The roll goes up by one, from what whoever asks has seen."""
    if roll.entries == 1:
        cursor.execute(SQL["first_roll"], _chain_row(roll))
    else:
        cursor.execute(SQL["grow"], (*_chain_row(roll), roll.entries - 1))
    if changed(cursor) != 1:
        return False
    cursor.execute(SQL["add_chain"], _chain_row(chain))
    return True


def seal(
    cursor: apsw.Cursor,
    chain: Chain,
    entries: Sequence[Entry],
    events: Sequence[int],
    notices: Sequence[NewNotice],
) -> bool:
    """Looks first: of two scribes at the same events the second one has written nothing."""
    marks = ",".join("?" * len(events))
    asked = f"SELECT count(*) FROM events WHERE id IN ({marks})"  # noqa: S608 (marks alone)
    there = cursor.execute(asked, tuple(events)).get
    if there != len(events):
        return False
    cursor.execute(SQL["grow"], (*_chain_row(chain), chain.entries - len(entries)))
    if changed(cursor) != 1:
        return False
    cursor.executemany(SQL["take_event"], [(number,) for number in events])
    cursor.executemany(SQL["append"], [_entry_row(entry) for entry in entries])
    cursor.executemany(SQL["queue_notice"], [_notice_row(notice) for notice in notices])
    return True


def entries(cursor: apsw.Cursor, chain: int, since: int, most: int) -> Sequence[Entry]:
    rows = cursor.execute(SQL["entries"], (chain, since, most)).fetchall()
    return [entry_from(row) for row in rows]


def strays(cursor: apsw.Cursor) -> int:
    return int(cursor.execute(SQL["strays"]).get)


def put_chain(cursor: apsw.Cursor, chain: Chain) -> None:
    cursor.execute(SQL["put_chain"], _chain_row(chain))


def drop_entries(cursor: apsw.Cursor, chain: int, most: int) -> int:
    return changed(cursor.execute(SQL["drop_entries"], (chain, most)))


def entries_about(cursor: apsw.Cursor, subjects: Sequence[bytes]) -> Sequence[tuple[int, int]]:
    places: list[Any] = []
    for subject in subjects:
        places += cursor.execute(SQL["entries_about"], (subject,)).fetchall()
    return places


def erase(
    cursor: apsw.Cursor, subjects: Sequence[bytes], marks: Sequence[tuple[int, int, bytes]]
) -> Erasure:
    events = len(marks)
    cursor.executemany(SQL["erase_entry"], [(mark, *place) for *place, mark in marks])
    challenges = deliveries = 0
    for subject in subjects:
        for serial, challenge_id in cursor.execute(SQL["challenges_of"], (subject,)).fetchall():
            deliveries += changed(cursor.execute(SQL["delete_deliveries"], (serial,)))
            cursor.execute(SQL["delete_challenge"], (serial,))
            cursor.execute(SQL["erase_answers"], (challenge_id,))
            challenges += 1
        events += changed(cursor.execute(SQL["erase_events"], (subject,)))
        cursor.execute(SQL["erase_notices"], (subject,))
    return Erasure(events, challenges, deliveries)


def scrub(path: Path) -> None:
    """Write the file anew without what is free in it, and empty the log. Raises
    StoreUnavailable."""
    with closing(connect(path)) as connection:
        connection.execute("PRAGMA temp_store = FILE")  # the whole file need not fit into memory
        patiently(lambda: connection.execute("VACUUM"))
        _empty_the_log(connection)


def _empty_the_log(connection: apsw.Connection) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").get[0]:
        if time.monotonic() > deadline:
            raise StoreUnavailable("The store's log is being read all the time; try again.")
        time.sleep(NAP_S)


def _notice_row(notice: NewNotice) -> _Row:
    at = micros(notice.at)
    told = notice.told.decode()
    return notice.webhook, notice.key, notice.notice, at, notice.subject, told, at


def _event_row(event: Event) -> _Row:
    return (
        micros(event.at),
        str(event.kind),
        event.app_id,
        event.channel,
        event.purpose,
        event.challenge_id,
        event.subject,
        event.masked,
        event.details,
    )


def _chain_row(chain: Chain) -> _Row:
    return (
        chain.day,
        chain.entries,
        chain.last,
        str(chain.standing),
        chain.mac,
        chain.number,
    )


def _entry_row(entry: Entry) -> _Row:
    return (
        entry.chain,
        entry.position,
        entry.commitment,
        entry.mac,
        entry.salt,
        entry.body,
        entry.subject,
    )
