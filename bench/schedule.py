"""How long each part of a run will take, told before it begins."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import msgspec

from bench.rig import Plan
from bench.scenarios import CROWDS, SLICE, SWEPT_WITHIN
from bench.seed import ROWS_A_SEND

_START_S = 3.0
"""A server starts, warms up and stops."""
_PREPARED = 0.45
"""Outside the windows challenges are sent for the checks, and outboxes emptied: as a share of the
time inside."""
_SEEDED_A_SECOND = 15_000
_WINDOWS_A_TURN = 3
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
    if "dialects" in only:
        measured = _DIALECT_WINDOWS * plan.rounds * plan.seconds
        yield Part("dialects", 2 * _START_S + measured * (1 + _PREPARED))
    if "million" in only:
        measured = 2 * plan.rounds * plan.seconds
        yield Part("million", 2 * _START_S + plan.rows / _SEEDED_A_SECOND + measured)
    if "sweep" in only:
        measured = plan.rounds * (1 + 2 * SLICE) * plan.seconds
        name = f"sweep, without the sweep itself, which has {SWEPT_WITHIN:.0f} s"
        yield Part(name, _START_S + plan.rows / ROWS_A_SEND / _SEEDED_A_SECOND + measured)
    if "processes" in only:
        yield Part("processes", len(CROWDS) * (_START_S + plan.rounds * plan.seconds))
