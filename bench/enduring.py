"""An hour at half the peak rate, deliveries and sweeping on: does anything grow, or slow down?

What is over is kept for a day, so the store begins as one that is a day old: as much as is sent in
the hour falls due in it, evenly. Only the journal is kept for longer, and grows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import apsw
import msgspec

from bench.inside import Home
from bench.measure import CROWD, Window
from bench.rig import CREATED, Plan, Rig, new_data, rig_on, rigged
from bench.scenarios import Tell
from bench.seed import seed
from watchword.stores._rows import KEPT

SLICES = 12
THIRD = SLICES // 3
_WINDOWS_A_SLICE = 150
"""Of two seconds each: five minutes. A quick run has a few."""
_QUICK_WINDOWS = 4
_SPARE = 1.1
_TTL = timedelta(seconds=30)
_SEEDED_IN = timedelta(microseconds=40)
"""About how long it takes to seed one, so that nothing is overdue when the load begins."""
_SIZES = "SELECT name GLOB 'journal*', sum(pgsize) FROM dbstat GROUP BY 1"


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """One slice of the hour, and what there was at its end, in MiB: resident memory, what the store
    uses but for its journal, its journal, and its file with the free pages in it."""

    sent: Window
    resident_mib: float
    store_mib: float
    journal_mib: float
    file_mib: float
    lag_s: float
    """For how long the oldest challenge could have been swept."""


class Endured(msgspec.Struct, frozen=True, kw_only=True):
    """What became of memory, store and p99 from the first third of the hour to the last, as the
    ratio of their medians."""

    peak: float
    seconds: float
    sent: int
    stretches: list[Stretch]
    resident: float
    store: float
    p99: float
    journal_bytes: float
    """A send."""

    @property
    def refused(self) -> int:
        return sum(one.sent.answers - one.sent.statuses.get(CREATED, 0) for one in self.stretches)

    @property
    def on_time(self) -> float:
        """The slowest slice as a share of what was due in it."""
        return min(one.sent.rate for one in self.stretches) / (self.peak / 2)

    @property
    def lag_s(self) -> float:
        return self.stretches[-1].lag_s


def slice_seconds(plan: Plan) -> float:
    return plan.seconds * (_WINDOWS_A_SLICE if plan.rounds > 1 else _QUICK_WINDOWS)


def endured(plan: Plan, tell: Tell) -> Endured:
    """Seed, then send for an hour."""
    with rigged(plan, deliver=True) as rig:
        rates = [rig.until_delivered(lambda: rig.send(CROWD))[1].rate for _ in range(plan.rounds)]
    peak, each_s = median(rates), slice_seconds(plan)
    over = timedelta(seconds=SLICES * each_s)
    many = round(peak / 2 * over.total_seconds() * _SPARE)
    with new_data(plan) as data:
        tell(f"peak {peak:.0f}/s until delivered; seeding {many} sends of yesterday")
        begins_at = datetime.now(UTC) + _SEEDED_IN * many
        seed(data, many, now=begins_at - KEPT - _TTL, ttl=_TTL, over=over * _SPARE)
        with rig_on(plan, Home(data), deliver=True) as rig:
            stretches = [_stretch(rig, data, peak / 2, each_s, tell) for _ in range(SLICES)]
    first, last = stretches[:THIRD], stretches[-THIRD:]
    sent = sum(one.sent.answers for one in stretches)
    return Endured(
        peak=peak,
        seconds=over.total_seconds(),
        sent=sent,
        stretches=stretches,
        resident=_grown(first, last, lambda one: one.resident_mib),
        store=_grown(first, last, lambda one: one.store_mib),
        p99=_grown(first, last, lambda one: one.sent.p99),
        journal_bytes=(stretches[-1].journal_mib - stretches[0].journal_mib)
        * 2**20
        / max(1, sent - stretches[0].sent.answers),
    )


def _grown(
    first: Sequence[Stretch], last: Sequence[Stretch], what: Callable[[Stretch], float]
) -> float:
    return median(map(what, last)) / median(map(what, first))


def _stretch(rig: Rig, data: Path, rate: float, seconds: float, tell: Tell) -> Stretch:
    """On connections of its own: while the store is looked at, the server closes idle ones."""
    with rig.client(4 * CROWD) as client:
        sent = rig.steady(client, rate, seconds)
    store, journal, lag_s = _looked_at(data)
    found = Stretch(
        sent=sent,
        resident_mib=rig.server.resident_mib()[0],
        store_mib=store,
        journal_mib=journal,
        file_mib=(data / "watchword.db").stat().st_size / 2**20,
        lag_s=lag_s,
    )
    tell(
        f"{sent.rate:.0f}/s, p50 {sent.p50:.1f} ms, p99 {sent.p99:.1f} ms; resident "
        f"{found.resident_mib:.0f} MiB; store {store:.0f} MiB, journal {journal:.0f} MiB, file "
        f"{found.file_mib:.0f} MiB; sweeping {lag_s:.0f} s behind; others {sent.others:.0%}"
    )
    return found


def _looked_at(data: Path) -> tuple[float, float, float]:
    """MiB in use by all but the journal and by the journal, and how long ago the oldest challenge
    could have been swept."""
    with closing(apsw.Connection(f"{data}/watchword.db", apsw.SQLITE_OPEN_READONLY)) as connection:
        sizes: list[Any] = connection.execute(_SIZES).fetchall()
        oldest = connection.execute("SELECT min(expires_at) FROM challenges").get
    found = dict(sizes)
    lag_s = time.time() - oldest / 1e6 - KEPT.total_seconds()
    return found.get(0, 0) / 2**20, found.get(1, 0) / 2**20, max(0.0, lag_s)
