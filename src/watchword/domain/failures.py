"""The failure budget: how many wrong codes a destination may get, whatever is sent again."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """Terms (NIST SP 800-63B-4, 3.2.2; PCI DSS 8.3.4).

    `per_network` and `per_destination` wrong codes fit into a trailing `window`. After `in_a_row`
    without a success every check is refused until `rest` has passed since the last failure, or for
    good with `hard_stop`. Failures are forgotten `kept` after the last one.
    """

    window: timedelta = timedelta(minutes=30)
    per_network: int = 10
    per_destination: int = 30
    in_a_row: int = 100
    rest: timedelta = timedelta(hours=24)
    kept: timedelta = timedelta(days=30)
    hard_stop: bool = False


class Failures(msgspec.Struct, frozen=True):
    """What was spent: the latest instants, oldest first, and the length of the present streak."""

    instants: tuple[datetime, ...] = ()
    streak: int = 0

    def remembered(self, budget: Budget, now: datetime) -> Failures:
        """Nothing once `kept` has passed since the last one, swept or not."""
        forgotten = self.instants and self.instants[-1] + budget.kept <= now
        return Failures() if forgotten else self

    def wait(self, amount: int, budget: Budget, now: datetime) -> timedelta | None:
        """How long until a check is heard again; None when it is heard now. A clock that stepped
        back neither frees nor takes anything: what counts is the latest instant seen."""
        if not self.instants:
            return None
        last = self.instants[-1]
        if self.streak >= budget.in_a_row:
            if budget.hard_stop:
                return last + budget.kept - now
            if last + budget.rest > now:
                return last + budget.rest - now
        if len(self.instants) < amount:
            return None
        frees_at = self.instants[-amount] + budget.window
        return frees_at - now if frees_at > max(now, last) else None

    def and_one(self, amount: int, now: datetime) -> Failures:
        """After another wrong code. Time never runs backwards."""
        at = max(now, self.instants[-1]) if self.instants else now
        return Failures((*self.instants, at)[-amount:], self.streak + 1)
