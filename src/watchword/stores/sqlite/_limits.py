"""Quotas and failures: asked for and spent within the act that they limit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import apsw

from watchword.domain.failures import Budget, Failures
from watchword.domain.quota import Demand, Quota
from watchword.errors import FailureBudgetSpent
from watchword.stores._instants import instant, maybe_micros, micros, span
from watchword.stores._refusals import exceeded
from watchword.stores.sqlite._looking import Known, Look, look
from watchword.stores.sqlite._queries import SQL
from watchword.stores.sqlite._rows import packed, packed_one, unpacked

_PAGE = 32
_NONE = Failures()


def spend(cursor: apsw.Cursor, demands: Sequence[Demand], now: datetime) -> None:
    """See ports.LimitStore.spend."""
    spending = _spending(cursor, demands, now)
    spending.refuse_if_spent()
    spending.spend()


def spent(cursor: apsw.Cursor, demands: Sequence[Demand], now: datetime) -> bool:
    """See ports.LimitStore.spent. Writes nothing, so a reader may ask."""
    spending = _spending(cursor, demands, now)
    spending.refuse_if_spent()
    return spending.counts_something


def forget(cursor: apsw.Cursor, counters: Sequence[bytes]) -> None:
    """Whether they trail or follow the calendar."""
    rows = [(counter,) for counter in counters]
    cursor.executemany(SQL["forget_pages"], rows)
    cursor.executemany(SQL["forget_tally"], rows)


def looks_at(demands: Sequence[Demand]) -> list[Look]:
    """What `Spending` has to know of them."""
    return [("tally" if one.closes_at else "newest_page", (one.counter,)) for one in demands]


def _spending(cursor: apsw.Cursor, demands: Sequence[Demand], now: datetime) -> Spending:
    known = look(cursor, looks_at(demands)) if demands else {}
    return Spending(cursor, known, demands, micros(now))


class Spending:
    """One unit of every quota that an act demands: looked at first, then spent together."""

    def __init__(
        self, cursor: apsw.Cursor, known: Known, demands: Sequence[Demand], at: int
    ) -> None:
        self._cursor = cursor
        self._first: list[tuple[bytes, bytes, int]] = []
        now = packed_one(at)
        self._counts: list[_Trail | _Tally] = []
        for demand in demands:
            if demand.closes_at:
                tally = known.get(("tally", demand.counter))
                self._counts.append(_Tally(cursor, tally, demand, at))
            elif page := known.get(("newest_page", demand.counter)):
                self._counts.append(_Trail(cursor, page, demand, at))
            else:  # never spent, so there is room
                idle_at = at + span(demand.meter.longest)
                self._first.append((demand.counter, now, idle_at))

    def refuse_if_spent(self) -> None:
        """Raises QuotaExceeded for the longest wait."""
        if not self._counts:
            return
        waits = [wait for count in self._counts for wait in count.waits()]
        if waits:
            raise exceeded(*max(waits, key=lambda wait: wait[0]))

    @property
    def counts_something(self) -> bool:
        return any(count.is_begun for count in self._counts)

    def spend(self) -> None:
        self._cursor.executemany(SQL["first_page"], self._first)
        for count in self._counts:
            count.spend()


class _Trail:
    """The trailing quotas of one counter. They share its instants: the n-th last tells whether
    there is room for n in a window."""

    __slots__ = ("_asked_at", "_at", "_before", "_cursor", "_demand", "_instants", "_newest")

    def __init__(self, cursor: apsw.Cursor, page: tuple[Any, ...], demand: Demand, at: int) -> None:
        self._cursor, self._demand, self._asked_at = cursor, demand, at
        self._before: int = page[0]
        self._instants: bytes = page[1]
        self._newest = unpacked(self._instants)
        self._at = max(at, self._newest[-1])

    @property
    def is_begun(self) -> bool:
        """Whether the newest instant is within the longest window."""
        return self._newest[-1] + span(self._demand.meter.longest) > self._at

    def waits(self) -> list[tuple[int, Quota, Demand]]:
        found: list[tuple[int, Quota, Demand]] = []
        for quota in self._demand.meter.quotas:
            taken_at = self._nth_last(quota.amount)
            if taken_at is None:
                continue
            frees_at = taken_at + span(quota.window)
            if frees_at > self._at:
                found.append((frees_at - self._asked_at, quota, self._demand))
        return found

    def _nth_last(self, n: int) -> int | None:
        number = self._before + len(self._newest) - n
        if number < 0:
            return None
        if number >= self._before:
            return self._newest[number - self._before]
        page, slot = divmod(number, _PAGE)
        row = self._cursor.execute(SQL["page"], (self._demand.counter, page)).fetchone()
        return None if row is None else unpacked(row[0])[slot]

    def spend(self) -> None:
        meter, counter = self._demand.meter, self._demand.counter
        idle_at = self._at + span(meter.longest)
        if len(self._newest) == _PAGE:
            self._turn_page()
        instants = self._instants + packed_one(self._at)
        self._cursor.execute(SQL["put_newest"], (self._before, instants, idle_at, counter))

    def _turn_page(self) -> None:
        """File the newest page, and drop those that no quota can ask for any more."""
        meter, counter = self._demand.meter, self._demand.counter
        idle_at = self._newest[-1] + span(meter.longest)
        page = self._before // _PAGE
        self._cursor.execute(SQL["file_page"], (counter, page, self._instants, idle_at))
        self._before, self._instants = self._before + _PAGE, b""
        needed = max(0, self._before + 1 - meter.largest) // _PAGE
        self._cursor.execute(SQL["drop_pages"], (counter, needed))


class _Tally:
    """A calendar quota: how many in its window. A clock that steps back stays in the later one."""

    __slots__ = ("_amount", "_at", "_closes", "_cursor", "_demand", "_opens")

    def __init__(
        self, cursor: apsw.Cursor, tally: tuple[int, ...] | None, demand: Demand, at: int
    ) -> None:
        self._cursor, self._demand, self._at = cursor, demand, at
        self._opens = maybe_micros(demand.opens_at) or 0
        self._closes = maybe_micros(demand.closes_at) or 0
        self._amount = 0
        if tally and tally[0] >= self._opens:
            self._opens, self._closes, self._amount = tally

    @property
    def is_begun(self) -> bool:
        return self._amount > 0

    def waits(self) -> list[tuple[int, Quota, Demand]]:
        wait = self._closes - self._at
        quotas = self._demand.meter.quotas
        return [(wait, one, self._demand) for one in quotas if self._amount >= one.amount]

    def spend(self) -> None:
        self._cursor.execute(
            SQL["put_tally"], (self._demand.counter, self._opens, self._closes, self._amount + 1)
        )


class FailureBudget:
    """What a destination has failed so far: in all, and from one network."""

    def __init__(
        self,
        cursor: apsw.Cursor,
        known: Known,
        destination: bytes,
        network: bytes,
        budget: Budget,
        now: datetime,
    ) -> None:
        self._cursor, self._destination, self._budget = cursor, destination, budget
        self._amounts = {b"": budget.per_destination}
        if network:
            self._amounts[network] = budget.per_network
        self._found: dict[bytes, Failures] = {}
        # Every failure counts for the destination, so where it has none no network has any.
        if network and ("failures", b"") in known:
            known = known | look(cursor, [("failures", (destination, network))])
        for one in self._amounts:
            if found := known.get(("failures", one)):
                kept = Failures(tuple(map(instant, unpacked(found[0]))), found[1])
                self._found[one] = kept.remembered(budget, now)

    def refuse_if_spent(self, now: datetime) -> None:
        """Raises FailureBudgetSpent for the longest wait."""
        if not self._found:
            return
        waits = {
            network: wait
            for network, failures in self._found.items()
            if (wait := failures.wait(self._amounts[network], self._budget, now))
        }
        if waits:
            network = max(waits, key=lambda key: waits[key])
            raise FailureBudgetSpent(
                scope="failures",
                retry_in=waits[network],
                amount=self._amounts[network],
                window=self._budget.window,
            )

    def add(self, now: datetime) -> None:
        rows = []
        for network, amount in self._amounts.items():
            failures = self._found.get(network, _NONE).and_one(amount, now)
            instants = [micros(instant) for instant in failures.instants]
            idle_at = instants[-1] + span(self._budget.kept)
            rows.append((self._destination, network, packed(instants), failures.streak, idle_at))
        self._cursor.executemany(SQL["put_failures"], rows)

    def clear(self) -> None:
        """A right answer forgets every failure of this destination, from wherever it came."""
        if self._found:
            self._cursor.execute(SQL["forget_failures"], (self._destination,))
