"""Rows of the journal, as every store that speaks SQL has them."""

from __future__ import annotations

from typing import Any

from watchword.domain.event import Chain, Entry, Event
from watchword.stores._instants import instant


def event_from(row: Any) -> tuple[int, Event]:
    """A row of the `unsealed` statement."""
    number, at, kind, app_id, channel, purpose, challenge_id, subject, masked, details = row
    return number, Event(
        at=instant(at),
        kind=kind,
        app_id=app_id,
        channel=channel,
        purpose=purpose,
        challenge_id=challenge_id,
        subject=subject,
        masked=masked,
        details=details,
    )


def chain_from(row: Any) -> Chain:
    """A row of the `chains` statement, whatever it says: its mac tells whether it is ours."""
    number, day, entries, last, standing, mac = row
    return Chain(number=number, day=day, entries=entries, last=last, standing=standing, mac=mac)


def entry_from(row: Any) -> Entry:
    """A row of the `entries` statement."""
    chain, position, commitment, mac, salt, body, subject, erased = row
    return Entry(
        chain=chain,
        position=position,
        commitment=commitment,
        mac=mac,
        salt=salt,
        body=body,
        subject=subject,
        erased=erased,
    )
