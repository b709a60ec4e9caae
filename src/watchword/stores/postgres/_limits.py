"""Demands as the rings that count them (functions/4_limits.sql)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

from watchword.domain.quota import Demand, Meter, Quota, Scope
from watchword.errors import QuotaExceeded
from watchword.stores._instants import maybe_micros, span
from watchword.stores._refusals import exceeded
from watchword.stores.postgres._literals import NONE, numbers, octets

SHARE = 32
"""How many units of a quota make one share, where it has not too many."""
MOST_SHARES = 64
_OWN = {Scope.DESTINATION, Scope.CREDENTIAL}
"""Scopes of one owner, whose acts wait for each other anyway: their counters have one share."""
_LONGEST_OWN = 256
_COMMON, _CALENDAR = 0, -1


class _Ring(NamedTuple):
    kind: int
    shares: int
    quotas: tuple[Quota, ...]


class Rings:
    """What an act spends, in the order of the counters: nobody then waits in a circle."""

    def __init__(self, demands: Sequence[Demand]) -> None:
        self._counted = [(one.counter, ring, one) for one in demands for ring in _rings(one.meter)]
        self._demands = demands
        if len(self._counted) > 1:
            self._counted.sort(key=lambda one: (one[0], one[1].kind))

    def arrays(self) -> tuple[str, ...]:
        """Counters, kinds, shares, firsts, amounts, spans, longest, largest, and the bounds of
        calendar windows, as literals."""
        if not self._counted:
            return _NOTHING
        shape = _shape(tuple(ring for _, ring, _ in self._counted))
        opens_at = closes_at = NONE
        if any(one.closes_at for _, _, one in self._counted):
            opens_at = numbers(maybe_micros(one.opens_at) for _, _, one in self._counted)
            closes_at = numbers(maybe_micros(one.closes_at) for _, _, one in self._counted)
        return (octets(counter for counter, _, _ in self._counted), *shape, opens_at, closes_at)

    def refusal(self, waits: Sequence[int]) -> QuotaExceeded | None:
        """For the longest wait, and of equal ones for what was demanded first; None without any."""
        owners = [(demand, quota) for _, ring, demand in self._counted for quota in ring.quotas]
        refused = [
            (wait, -self._demands.index(demand), -demand.meter.quotas.index(quota), quota, demand)
            for wait, (demand, quota) in zip(waits, owners, strict=True)
            if wait > 0
        ]
        if not refused:
            return None
        wait, _, _, quota, demand = max(refused, key=lambda one: one[:3])
        return exceeded(wait, quota, demand)


_NOTHING = (NONE,) * 10


@lru_cache(1024)
def _shape(rings: tuple[_Ring, ...]) -> tuple[str, ...]:
    quotas = [quota for ring in rings for quota in ring.quotas]
    return (
        numbers(ring.kind for ring in rings),
        numbers(ring.shares for ring in rings),
        numbers(accumulate((len(ring.quotas) for ring in rings), initial=1)),
        numbers(quota.amount for quota in quotas),
        numbers(span(quota.window) for quota in quotas),
        numbers(max(span(quota.window) for quota in ring.quotas) for ring in rings),
        numbers(max(quota.amount for quota in ring.quotas) for ring in rings),
    )


@lru_cache(256)
def _rings(meter: Meter) -> tuple[_Ring, ...]:
    """Which rings count a meter. Of several quotas of one window the strictest holds for all."""
    if meter.calendar:
        strictest = min(meter.quotas, key=lambda quota: quota.amount)
        return (_Ring(_CALENDAR, _shares(meter, strictest), (strictest,)),)
    if meter.scope in _OWN and meter.largest <= _LONGEST_OWN:
        return (_Ring(_COMMON, 1, meter.quotas),)
    by_window: dict[int, Quota] = {}
    for quota in meter.quotas:
        known = by_window.setdefault(span(quota.window), quota)
        if quota.amount < known.amount:
            by_window[span(quota.window)] = quota
    return tuple(
        _Ring(window, _shares(meter, quota), (quota,)) for window, quota in by_window.items()
    )


def _shares(meter: Meter, quota: Quota) -> int:
    """Into how many it is split: so few that a ring stays short, so many that a send finds one."""
    if meter.scope in _OWN and meter.calendar:
        return 1
    return min(MOST_SHARES, -(-quota.amount // SHARE))
