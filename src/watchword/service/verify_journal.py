"""Verify the journal: walk every chain, and say what is not as it was sealed. Writers may go on."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from watchword.domain.event import (
    ROLL,
    Chain,
    Entry,
    Kind,
    Standing,
    follows,
    is_ours,
    is_whole,
    read,
)
from watchword.domain.keys import KeyRing
from watchword.errors import KeyUnknown
from watchword.ports import Store

_PAGE = 1000
_LATE = timedelta(minutes=1)


class Fault(msgspec.Struct, frozen=True):
    """What is wrong, and where; a chain as a whole has no position."""

    chain: int
    position: int | None
    what: str


class Report(msgspec.Struct, kw_only=True):
    """What was found. `unmarked` chains ended without a mark: their process was killed. Nobody can
    say of `unproven` ones whether they are whole: the ring they were sealed under is lost."""

    events: int = 0
    erased: int = 0
    chains: int = 0
    open: list[int] = []
    unmarked: list[int] = []
    dropped: list[int] = []
    unproven: list[int] = []
    unsealed: int = 0
    is_late: bool = False
    faults: list[Fault] = []

    @property
    def is_whole(self) -> bool:
        return not self.faults


async def verify_journal(store: Store, keys: KeyRing, now: datetime) -> Report:
    """Raises StoreUnavailable."""
    report = Report()
    chains = await store.chains()
    _judge_the_roll(chains, keys, report)
    for chain in chains:
        if chain.number != ROLL:
            await _Walk(store, keys, report).along(chain, now)
    if strays := await store.strays():
        report.faults.append(Fault(ROLL, None, f"{strays} entries belong to no chain"))
    waiting = await store.to_seal()
    report.unsealed = waiting.events
    report.is_late = waiting.since is not None and waiting.since < now - _LATE
    return report


def _judge_the_roll(chains: Sequence[Chain], keys: KeyRing, report: Report) -> None:
    """Every chain that ever began is there."""
    roll = chains[0] if chains and chains[0].number == ROLL else None
    numbers = {chain.number for chain in chains} - {ROLL}
    if roll is None:
        if numbers:
            report.faults.append(Fault(ROLL, None, "the roll of chains was removed"))
        return
    if not _knows(roll, keys):
        report.faults.append(Fault(ROLL, None, "the roll of chains was altered"))
        return
    for missing in sorted({*range(1, roll.entries + 1)} - numbers):
        report.faults.append(Fault(missing, None, "the whole chain was removed"))
    for added in sorted(numbers - {*range(1, roll.entries + 1)}):
        report.faults.append(Fault(added, None, "the chain is not on the roll"))


def _knows(chain: Chain, keys: KeyRing) -> bool:
    try:
        return is_ours(chain, keys)
    except KeyUnknown:
        return False


class _Walk:
    """Along one chain, from entry to entry."""

    def __init__(self, store: Store, keys: KeyRing, report: Report) -> None:
        self._store, self._keys, self._report = store, keys, report
        self._expected, self._last = 0, b""
        self._whose: dict[str, Any] = {}

    async def along(self, chain: Chain, now: datetime) -> None:
        self._report.chains += 1
        if not _knows(chain, self._keys):
            self._tell(chain.number, None, "its row was altered")
        if chain.standing == Standing.DROPPED:
            self._report.dropped.append(chain.number)
            return
        if chain.standing == Standing.UNPROVEN:
            self._report.unproven.append(chain.number)
            return
        found: list[Fault] = []
        before, self._report.faults = self._report.faults, found
        is_told = await self._walk(chain)
        self._report.faults = before
        if found and await self._was_dropped(chain):
            self._report.dropped.append(chain.number)
            return
        before += found
        if not is_told and self._expected == chain.entries and self._last != chain.last:
            self._tell(chain.number, None, "its row names another end")
        if chain.standing == Standing.OPEN:
            self._report_open(chain, now)

    async def _walk(self, chain: Chain) -> bool:
        """Whether anything was told."""
        told = len(self._report.faults)
        while self._expected < chain.entries:
            page = await self._store.entries(chain.number, self._expected, _PAGE)
            page = [entry for entry in page if entry.position < chain.entries]
            for entry in page:
                self._judge(entry)
            if not page:
                break
        if self._expected < chain.entries:
            self._tell_missing(chain.number, chain.entries)
        return len(self._report.faults) > told

    def _judge(self, entry: Entry) -> None:
        told = len(self._report.faults)
        if entry.position > self._expected:
            self._tell_missing(entry.chain, entry.position)
        elif not self._is(follows, entry, self._last):
            self._tell(entry.chain, entry.position, "altered, or moved from another place")
        if not self._is(is_whole, entry):
            self._tell(entry.chain, entry.position, "what it tells was altered")
        elif entry.erased is not None:
            self._report.erased += 1
        elif len(self._report.faults) == told:
            self._count(read(entry.body or b""))
        self._expected, self._last = entry.position + 1, entry.mac

    def _count(self, body: dict[str, Any]) -> None:
        """What a scribe of ours wrote."""
        if body.get("kind") == Kind.OPENED:
            self._whose = body["details"]
        elif body.get("kind") != Kind.CLOSED:
            self._report.events += 1

    def _is(self, judge: Any, entry: Entry, *more: bytes) -> bool:
        try:
            return bool(judge(entry, *more, self._keys))
        except KeyUnknown:
            return False

    def _tell_missing(self, chain: int, until: int) -> None:
        if until - self._expected == 1:
            self._tell(chain, self._expected, "removed")
        else:
            self._tell(chain, self._expected, f"removed, and all before {until}")

    def _tell(self, chain: int, position: int | None, what: str) -> None:
        self._report.faults.append(Fault(chain, position, what))

    async def _was_dropped(self, chain: Chain) -> bool:
        """Whether retention came by meanwhile."""
        now = next((c for c in await self._store.chains() if c.number == chain.number), chain)
        return now.standing == Standing.DROPPED and _knows(now, self._keys)

    def _report_open(self, chain: Chain, now: datetime) -> None:
        here = self._whose.get("host") == socket.gethostname()
        is_over = chain.day < f"{now - _LATE:%Y-%m-%d}"
        is_dead = is_over or (here and not _is_alive(self._whose["process"]))
        (self._report.unmarked if is_dead else self._report.open).append(chain.number)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
