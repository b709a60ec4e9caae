"""What we promise of these figures, and whether this run keeps it."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from bench.fleet import Cleared, Fleet
from bench.hints import HURRIED, Hinted
from bench.measure import BUSY, CONSTANT, CROWD, PLAIN, Beside, Figure
from bench.results import Results
from bench.scenarios import SWEPT_WITHIN, Dialects

RATIOS = {"send": 0.22, "check": 0.35}
COMMITS = 2
SIGNED_TO_NATIVE = 0.7
SENT = {"native": 201, "huawei": 204, "aliyun, ACS3": 200, "aliyun, V1": 200}
"""What each dialect answers to a send."""
KEPT_WITH_A_MILLION = 0.85
RESIDENT_MIB = 150.0
SLOWED_BY_SWEEPING = 3.0
FAIRNESS = 0.6
BESIDE_A_FLOOD = 1.5
FLAT, FLAT_P99 = 1.1, 1.25
ON_TIME, BEHIND_S = 0.99, 120
CPU_TO_SQLITE = 1.4
GROWN = 1.25
TELLING = 0.1
"""How far from an even chance. Of 200 calls each, chance alone goes so far once in 2,000 times."""


class Claim(msgspec.Struct, frozen=True):
    """One that is not `judged` is told beside those that are, and fails no run."""

    says: str
    measured: str
    wanted: str
    holds: bool
    judged: bool = True

    @property
    def verdict(self) -> str:
        if self.judged:
            return "holds" if self.holds else "MISSED"
        return f"not judged; {'would hold' if self.holds else 'would be missed'}"


def claims(results: Results) -> Iterator[Claim]:
    """Only of what was measured."""
    for figure in results.speed:
        yield from _of_speed(figure, results)
    for found in results.dialects:
        yield from _of_dialects(found)
    if (captchas := results.captchas) is not None:
        yield from (_unrefused(each) for each in (captchas.crowd, captchas.steady))
    for hinted in results.hints:
        yield from _of_hints(hinted)
    if (million := results.million) is not None:
        kept = "send rate with the full store, as a share of the empty one's"
        yield _at_least(kept, million.kept, KEPT_WITH_A_MILLION)
        yield _at_most(
            "resident memory with the full store, MiB", million.highest_mib, RESIDENT_MIB
        )
    if (sweep := results.sweep) is not None:
        slowed = sweep.sweeping.p99 / sweep.quiet.p99
        yield _at_most("seconds to sweep", sweep.seconds, SWEPT_WITHIN)
        yield _at_most("p99 while sweeping, to the quiet one", slowed, SLOWED_BY_SWEEPING)
    for crowd in results.processes:
        says = f"{crowd.processes} processes, {_cores(crowd.cores)}: slowest to fastest"
        yield _at_least(says, crowd.fairness, FAIRNESS)
    for lane in results.fairness:
        says = f"{lane.lane}: p95 of another app's hand-overs beside a flood, to that alone"
        yield _at_most(says, lane.ratio, BESIDE_A_FLOOD)
    if (hour := results.hour) is not None:
        yield _at_most("last third of the hour to its first: resident memory", hour.resident, FLAT)
        yield _at_most("the same of the store but for its journal", hour.store, FLAT)
        yield _at_most("the same of p99", hour.p99, FLAT_P99)
        yield _at_most("refusals in the hour", hour.refused, 0)
        yield _at_least("its slowest slice, to half the peak", hour.on_time, ON_TIME)
        yield _at_most("seconds that sweeping is behind at its end", hour.lag_s, BEHIND_S)
    if results.fleet is not None:
        yield from _of_fleet(results.fleet)


def _of_speed(figure: Figure, results: Results) -> Iterator[Claim]:
    refused = sum(many for status, many in figure.statuses.items() if not 200 <= status < 300)
    yield _at_most(f"{_told(figure)}: refusals", refused, 0)
    if figure.worker:
        return
    if figure.clients >= CROWD:  # a ratio means something only if both its sides count
        busy = f"{_told(figure)}: server's share of its core"
        yield _at_least(busy, figure.busy, BUSY, judged=figure.scenario != PLAIN)
    for route, beside in ((CONSTANT, figure.to_constant), (PLAIN, figure.to_plain)):
        if beside is not None:
            yield from _of_beside(figure, route, beside, results.commit_ms)


def _of_dialects(found: Dialects) -> Iterator[Claim]:
    for figure in (found.native, *found.signed):
        sent = SENT[figure.scenario]
        others = sum(many for status, many in figure.statuses.items() if status != sent)
        yield _at_most(f"{figure.scenario}, sends to {found.kind}: answers but {sent}", others, 0)
    for figure, ratio in zip(found.signed, found.ratios, strict=True):
        says = f"{figure.scenario}, signed, until delivered: ratio to native"
        yield _at_least(says, ratio, SIGNED_TO_NATIVE)


def _of_hints(hinted: Hinted) -> Iterator[Claim]:
    """Of a call by itself we promise that it tells nothing; of what it leaves to do we tell."""
    yield _at_most(f"{hinted.call}: answers unlike the others", hinted.unlike, 0)
    says = f"{hinted.call}: chance that a known number's is the slower, off 0.5 by"
    off = abs(hinted.slower - 0.5)
    yield _at_most(says, off, TELLING, judged=hinted.call != HURRIED)


def _of_beside(
    figure: Figure, route: str, beside: Beside, commit_ms: float | None
) -> Iterator[Claim]:
    """Beside the constant route of the stack we are judged; beside the plain one it is told."""
    judged = route == CONSTANT
    if figure.clients == CROWD:
        says = f"{_told(figure)}: ratio to {route}"
        yield _at_least(says, beside.rate, RATIOS[figure.scenario], judged=judged)
    if figure.clients == 1 and commit_ms is not None:
        says = f"{_told(figure)}: p50 ms, to {route} + {COMMITS} commits"
        yield _at_most(says, figure.p50, beside.p50 + COMMITS * commit_ms, judged=judged)


def _of_fleet(fleet: Fleet) -> Iterator[Claim]:
    for kind, judged in ((fleet.sends, True), (fleet.checks, False)):
        if kind is not None:
            says = f"{kind.kind} on PostgreSQL: CPU us of the process, to SQLite"
            yield _at_most(says, kind.cpu, CPU_TO_SQLITE, judged=judged)
            yield from (_unrefused(figure) for figure in (kind.sqlite, kind.postgres))
    if (full := fleet.full) is not None:
        says = "send rate on PostgreSQL with the full store, as a share of the empty one's"
        yield _at_least(says, full.kept, KEPT_WITH_A_MILLION)
        yield _unrefused(full.figure)
    for extra in (fleet.limited, fleet.delivered):
        if extra is not None:
            yield _unrefused(extra.figure)
    if fleet.cleared is not None:
        yield from _of_cleared(fleet.cleared)


def _of_cleared(cleared: Cleared) -> Iterator[Claim]:
    sweeping = cleared.sweeping
    slowed = sweeping.sweeping.p99 / sweeping.quiet.p99
    says = "PostgreSQL: p99 while sweeping and vacuuming, to the quiet one"
    yield _at_most(says, slowed, SLOWED_BY_SWEEPING)
    says = "PostgreSQL: room of a send after sweep and refill, to that before"
    yield _at_most(says, cleared.grown, GROWN)
    yield _unrefused(sweeping.sweeping)


def _unrefused(figure: Figure) -> Claim:
    refused = sum(many for status, many in figure.statuses.items() if not 200 <= status < 300)
    return _at_most(f"{figure.scenario}, {figure.clients} clients: refusals", refused, 0)


def _told(figure: Figure) -> str:
    worker = ", worker on" if figure.worker else ""
    return f"{figure.scenario}, {figure.clients} client{'s' * (figure.clients > 1)}{worker}"


def _at_least(says: str, measured: float, wanted: float, *, judged: bool = True) -> Claim:
    return Claim(says, f"{measured:.3g}", f">= {wanted:.3g}", measured >= wanted, judged)


def _at_most(says: str, measured: float, wanted: float, *, judged: bool = True) -> Claim:
    return Claim(says, f"{measured:.3g}", f"<= {wanted:.3g}", measured <= wanted, judged)


def _cores(many: int) -> str:
    return "one core" if many == 1 else f"{many} cores"
