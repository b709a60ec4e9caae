"""How long each part of a run will take, told before it begins."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import msgspec

from bench.captcha import WINDOWS_A_ROUND
from bench.enduring import SLICES, slice_seconds
from bench.fleet import POOLS
from bench.floored import WINDOWS_A_ROUND as FLOOR_WINDOWS
from bench.rig import Plan
from bench.scenarios import CROWDS, SLICE, SWEPT_WITHIN
from bench.seed import ROWS_A_SEND
from bench.seed_postgres import ROWS_A_SEND as FLEET_ROWS_A_SEND

_START_S = 3.0
"""A server starts, warms up and stops."""
_PREPARED = 0.45
"""Outside the windows challenges are sent for the checks, and outboxes emptied: as a share of the
time inside."""
_SEEDED_A_SECOND = 15_000
_SEEDED_BY_POSTGRES = 10_000
_SWEPT_BY_POSTGRES = 10_000
_WINDOWS_A_TURN = 3
_HINTS_S = 30.0
_HANDED_S = 30.0
"""Queueing so many messages, and handing them over twice."""
_FLEET_WINDOWS = {"send": 5, "check": 2, "million": 3}
_DIALECT_WINDOWS = 2 + 3
"""A round of mailboxes, and one of phones."""


class Part(msgspec.Struct, frozen=True):
    name: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.name}: about {self.seconds:.0f} s"


def schedule(plan: Plan, *, only: Collection[str], workers: Sequence[bool]) -> Iterator[Part]:
    """What was asked for, in the order it is measured."""
    kinds = [kind for kind in ("send", "check") if kind in only]
    turns = len(plan.clients) * plan.rounds * len(kinds)
    for deliver in workers if kinds else ():
        measured = turns * _WINDOWS_A_TURN * plan.seconds
        name = f"{' and '.join(kinds)}, worker {'on' if deliver else 'off'}"
        yield Part(name, _START_S + measured * (1 + _PREPARED))
    if "floor" in only:
        measured = FLOOR_WINDOWS * plan.rounds * plan.seconds
        yield Part("floor", _START_S + measured * (1 + 2 * _PREPARED))
    if "dialects" in only:
        measured = _DIALECT_WINDOWS * plan.rounds * plan.seconds
        yield Part("dialects", 2 * _START_S + measured * (1 + _PREPARED))
    if "captcha" in only:
        yield Part("captcha", _START_S + WINDOWS_A_ROUND * plan.rounds * plan.seconds)
    if "hints" in only:
        yield Part("hints", _START_S + _HINTS_S)
    if "million" in only:
        measured = 2 * plan.rounds * plan.seconds
        yield Part("million", 2 * _START_S + plan.rows / _SEEDED_A_SECOND + measured)
    if "sweep" in only:
        measured = plan.rounds * (1 + 2 * SLICE) * plan.seconds
        name = f"sweep, without the sweep itself, which has {SWEPT_WITHIN:.0f} s"
        yield Part(name, _START_S + plan.rows / ROWS_A_SEND / _SEEDED_A_SECOND + measured)
    if "processes" in only:
        yield Part("processes", len(CROWDS) * (_START_S + plan.rounds * plan.seconds))
    if "handover" in only:
        yield Part("handover", plan.rounds * 4 * _START_S + plan.rounds * _HANDED_S)
    if "fairness" in only:
        yield Part("fairness", plan.rounds * (4 * _START_S + _HANDED_S + 4 * plan.seconds))
    if "hour" in only:
        yield Part("hour, without its seeding", SLICES * slice_seconds(plan))


def fleet_schedule(plan: Plan, only: Collection[str]) -> Iterator[Part]:
    """The same for what is asked of PostgreSQL."""
    windows = sum(many for part, many in _FLEET_WINDOWS.items() if part in only)
    if windows:
        yield Part("turns", _START_S + windows * plan.rounds * plan.seconds * (1 + _PREPARED))
    if "million" in only:
        yield Part("a full store", plan.rows / _SEEDED_BY_POSTGRES)
    if "connections" in only:
        yield Part("connections", len(POOLS) * (_START_S + plan.rounds * plan.seconds))
    if "sweep" in only:
        measured = plan.rounds * (1 + 2 * SLICE) * plan.seconds
        seeded = 2 * plan.rows / FLEET_ROWS_A_SEND / _SEEDED_BY_POSTGRES
        swept = plan.rows / _SWEPT_BY_POSTGRES
        yield Part("sweep", _START_S + seeded + measured + swept)
