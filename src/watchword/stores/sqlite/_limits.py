"""Quotas and failures: asked for and spent within the act that they limit."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta

from watchword.domain.failures import Budget, Failures
from watchword.domain.quota import Demand
from watchword.errors import FailureBudgetSpent, QuotaExceeded
from watchword.stores.sqlite._queries import SQL
from watchword.stores.sqlite._rows import instant, maybe_micros, micros, packed, span, unpacked

_PAGE = 32


def spend(cursor: sqlite3.Cursor, demands: Sequence[Demand], now: datetime) -> None:
    """Take one unit of every quota, or none of any. Raises QuotaExceeded for the longest wait."""
    at = micros(now)
    counters: dict[bytes, list[Demand]] = {}
    for demand in demands:
        counters.setdefault(demand.counter, []).append(demand)
    windows = [
        _Tally(cursor, counter, wanted[0], at)
        if wanted[0].quota.is_calendar
        else _Trail(cursor, counter, wanted, at)
        for counter, wanted in counters.items()
    ]
    waits = [wait for window in windows for wait in window.waits()]
    if waits:
        _refuse(*max(waits, key=lambda wait: wait[0]))
    for window in windows:
        window.spend()


def _refuse(wait: int, demand: Demand) -> None:
    quota = demand.quota
    window = quota.window
    if demand.opens_at and demand.closes_at:
        window = demand.closes_at - demand.opens_at
    raise QuotaExceeded(
        scope=quota.scope.value,
        retry_in=timedelta(microseconds=wait),
        amount=quota.amount,
        window=window,
    )


class _Trail:
    """The trailing quotas of one counter. They share its instants: the n-th last tells whether
    there is room for n in a window."""

    def __init__(
        self, cursor: sqlite3.Cursor, counter: bytes, demands: list[Demand], at: int
    ) -> None:
        self._cursor, self._counter, self._demands = cursor, counter, demands
        row = cursor.execute(SQL["newest_page"], (counter,)).fetchone()
        self._page: int = row[0] if row else 0
        self._instants: bytes = row[1] if row else b""
        newest = unpacked(self._instants)
        self._seen = self._page * _PAGE + len(newest)
        self._newest = newest
        self._at = max(at, newest[-1]) if newest else at

    def waits(self) -> list[tuple[int, Demand]]:
        found = []
        for demand in self._demands:
            taken_at = self._nth_last(demand.quota.amount)
            if taken_at is not None and taken_at + span(demand.quota.window) > self._at:
                found.append((taken_at + span(demand.quota.window) - self._at, demand))
        return found

    def _nth_last(self, n: int) -> int | None:
        number = self._seen - n
        if number < 0:
            return None
        page, slot = divmod(number, _PAGE)
        if page == self._page:
            return self._newest[slot]
        row = self._cursor.execute(SQL["page"], (self._counter, page)).fetchone()
        return unpacked(row[0])[slot] if row else None

    def spend(self) -> None:
        page, instants = self._page, self._instants + packed((self._at,))
        if len(self._newest) == _PAGE:
            page, instants = page + 1, packed((self._at,))
            largest = max(demand.quota.amount for demand in self._demands)
            needed = max(0, self._seen + 1 - largest) // _PAGE
            self._cursor.execute(SQL["drop_pages"], (self._counter, needed))
        idle_at = self._at + max(span(demand.quota.window) for demand in self._demands)
        self._cursor.execute(SQL["put_page"], (self._counter, page, instants, idle_at))


class _Tally:
    """A calendar quota: how many in its window. A clock that steps back stays in the later one."""

    def __init__(self, cursor: sqlite3.Cursor, counter: bytes, demand: Demand, at: int) -> None:
        self._cursor, self._counter, self._demand, self._at = cursor, counter, demand, at
        self._opens = maybe_micros(demand.opens_at) or 0
        self._closes = maybe_micros(demand.closes_at) or 0
        self._amount = 0
        row = cursor.execute(SQL["tally"], (counter,)).fetchone()
        if row and row[0] >= self._opens:
            self._opens, self._closes, self._amount = row

    def waits(self) -> list[tuple[int, Demand]]:
        if self._amount < self._demand.quota.amount:
            return []
        return [(self._closes - self._at, self._demand)]

    def spend(self) -> None:
        self._cursor.execute(
            SQL["put_tally"], (self._counter, self._opens, self._closes, self._amount + 1)
        )


class FailureBudget:
    """What a destination has failed so far: in all, and from one network."""

    def __init__(
        self, cursor: sqlite3.Cursor, destination: bytes, network: bytes, budget: Budget
    ) -> None:
        self._cursor, self._destination, self._budget = cursor, destination, budget
        rows = cursor.execute(SQL["failures"], (destination, network)).fetchall()
        self._found = {
            row[0]: Failures(tuple(map(instant, unpacked(row[1]))), row[2]) for row in rows
        }
        self._amounts = {b"": budget.per_destination}
        if network:
            self._amounts[network] = budget.per_network

    def refuse_if_spent(self, now: datetime) -> None:
        """Raises FailureBudgetSpent for the longest wait."""
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
        for network, amount in self._amounts.items():
            failures = self._found.get(network, Failures()).and_one(amount, now)
            self._cursor.execute(
                SQL["put_failures"],
                (
                    self._destination,
                    network,
                    packed(map(micros, failures.instants)),
                    failures.streak,
                    micros(failures.instants[-1] + self._budget.kept),
                ),
            )

    def clear(self) -> None:
        """A right answer forgets every failure of this destination, from wherever it came."""
        if self._found:
            self._cursor.execute(SQL["forget_failures"], (self._destination,))
