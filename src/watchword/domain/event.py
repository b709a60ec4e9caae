"""What happened, and how the journal keeps it: events, chains of entries, and what proves both.

An entry commits to its event by a hash over a random salt and the event's body; a keyed mac binds
it to its place behind the entry before. Erasing takes salt and body, and nothing that a mac covers:
the chain still holds, and what was erased cannot be guessed from the hash that stays.
"""

from __future__ import annotations

import os
from datetime import datetime
from enum import StrEnum
from hashlib import blake2b
from typing import Any, Protocol

import msgspec

_framed = msgspec.msgpack.Encoder().encode
_SALT = 16
_HASH = 32
ROLL = 0
"""The number of the row that counts the chains themselves."""


class Kind(StrEnum):
    """What an event tells of. A message's own end is told apart from its challenge's."""

    CREATED = "created"
    RESENT = "resent"
    APPROVED = "approved"
    FAILED = "failed"
    EXHAUSTED = "exhausted"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    MESSAGE_ACCEPTED = "message_accepted"
    MESSAGE_DELIVERED = "message_delivered"
    MESSAGE_REFUSED = "message_refused"
    MESSAGE_UNKNOWN = "message_unknown"
    MESSAGE_EXPIRED = "message_expired"
    MESSAGE_CANCELLED = "message_cancelled"
    REFUSALS = "refusals"
    OPERATOR = "operator"
    ERASED = "erased"
    OPENED = "opened"
    CLOSED = "closed"


class Standing(StrEnum):
    """How far a chain has come; what retention dropped leaves its chain's row behind. An unproven
    one came from a backup whose key ring is lost: it can be read, and no more."""

    OPEN = "open"
    CLOSED = "closed"
    DROPPED = "dropped"
    UNPROVEN = "unproven"
    ROLL = "roll"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was committed. `subject` is the keyed digest of (app, destination); `details`
    a JSON object, as it came from where the event was written."""

    at: datetime
    kind: str
    app_id: str = ""
    channel: str = ""
    purpose: str = ""
    challenge_id: str = ""
    subject: bytes = b""
    masked: str = ""
    details: str = "{}"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """An event sealed at its place. Of an erased one neither salt nor body nor subject is left;
    `erased` is then the mac that says so."""

    chain: int
    position: int
    commitment: bytes
    mac: bytes
    salt: bytes | None = None
    body: bytes | None = None
    subject: bytes | None = None
    erased: bytes | None = None


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    """One process' entries of one day (UTC, as in 2026-03-02): how many, and the last one's mac."""

    number: int
    day: str
    entries: int
    last: bytes
    standing: str
    """As in `Standing`, unless somebody altered it."""
    mac: bytes = b""


class Maker(Protocol):
    """Makes and knows macs under the journal's keys: the key ring."""

    def journal_mac(self, *parts: str | bytes | int) -> bytes: ...
    def journal_knows(self, mac: bytes, *parts: str | bytes | int) -> bool: ...


def signed(chain: Chain, keys: Maker) -> Chain:
    return msgspec.structs.replace(chain, mac=keys.journal_mac(*_chain_parts(chain)))


def is_ours(chain: Chain, keys: Maker) -> bool:
    """Whether a chain's row is as we left it. Raises KeyUnknown."""
    return keys.journal_knows(chain.mac, *_chain_parts(chain))


def appended(chain: Chain, event: Event, keys: Maker) -> tuple[Chain, Entry]:
    """The event as the chain's next entry, and the chain behind it, not yet signed."""
    salt, body = os.urandom(_SALT), written(event)
    commitment = committed(salt, body)
    mac = keys.journal_mac(*_parts(chain.number, chain.entries, chain.last, commitment))
    entry = Entry(
        chain=chain.number,
        position=chain.entries,
        commitment=commitment,
        mac=mac,
        salt=salt,
        body=body,
        subject=event.subject or None,
    )
    return msgspec.structs.replace(chain, entries=chain.entries + 1, last=mac), entry


def follows(entry: Entry, previous: bytes, keys: Maker) -> bool:
    """Whether the mac binds this entry behind that of the one before. Raises KeyUnknown."""
    parts = _parts(entry.chain, entry.position, previous, entry.commitment)
    return keys.journal_knows(entry.mac, *parts)


def erasure(chain: int, position: int, keys: Maker) -> bytes:
    """What stands where an entry's event was: only we can make it."""
    return keys.journal_mac("erased", chain, position)


def is_whole(entry: Entry, keys: Maker) -> bool:
    """Whether an entry holds the event that it commits to, or was erased by us. Raises
    KeyUnknown."""
    if entry.erased is not None:
        is_bare = (entry.salt, entry.body, entry.subject) == (None, None, None)
        return is_bare and keys.journal_knows(entry.erased, "erased", entry.chain, entry.position)
    if entry.salt is None or entry.body is None:
        return False
    subject = entry.subject.hex() if entry.subject else ""
    return (
        committed(entry.salt, entry.body) == entry.commitment
        and read(entry.body).get("subject", "") == subject
    )


def committed(salt: bytes, body: bytes) -> bytes:
    return blake2b(_framed((salt, body)), digest_size=_HASH).digest()


def written(event: Event) -> bytes:
    """The body of an event: JSON, its fields in one order, without what is not known."""
    fields = {
        "at": f"{event.at:%Y-%m-%dT%H:%M:%S.%fZ}",
        "kind": str(event.kind),
        "app": event.app_id,
        "channel": event.channel,
        "purpose": event.purpose,
        "challenge": event.challenge_id,
        "subject": event.subject.hex(),
        "to": event.masked,
    }
    known: dict[str, Any] = {name: value for name, value in fields.items() if value}
    if event.details != "{}":
        known["details"] = msgspec.Raw(event.details.encode())
    return msgspec.json.encode(known)


def read(body: bytes) -> dict[str, Any]:
    """What a body says; nothing where it is none of ours."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}


def _parts(
    chain: int, position: int, previous: bytes, commitment: bytes
) -> tuple[str | bytes | int, ...]:
    return ("entry", chain, position, previous, commitment)


def _chain_parts(chain: Chain) -> tuple[str | bytes | int, ...]:
    return ("chain", chain.number, chain.day, chain.entries, chain.last, str(chain.standing))
