"""Our sends and checks beside the least that they could cost on this store (floor.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

import msgspec

from bench.inside import made_by
from bench.measure import CONSTANT, CROWD, Beside, Figure, Window, figure
from bench.rig import CREATED, Plan, Rig, rigged
from bench.scenarios import Tell
from bench.traffic import FLOOR_CODE, FLOOR_PATH, Known

WINDOWS_A_ROUND = 6
_CHECKS_A_SECOND = 10_000
"""More than any server gets through; what is left of a window's is left."""
_FOR_EVER = 3600.0


class Floored(msgspec.Struct, frozen=True, kw_only=True):
    """Ours in turns with the bare one; `beside` says what ours is as a share of that, by rate and
    CPU time, and the figures how each stands beside the constant route."""

    constant: Figure
    bare: Figure
    ours: Figure
    beside: Beside


def floored(plan: Plan, tell: Tell) -> list[Floored]:
    """Sends and checks by a crowd, each in turns with a bare one and the constant route."""
    with rigged(plan) as rig:
        turns: dict[str, list[tuple[Window, Window, Window]]] = {"send": [], "check": []}
        for number in range(plan.rounds):
            for kind, taken in turns.items():
                taken.append(_turn(rig, kind, bare_first=number % 2 == 0))
                rates = "constant {:.0f}/s  bare {:.0f}/s  ours {:.0f}/s"
                tell(f"{kind:6} {rates.format(*(each.rate for each in taken[-1]))}")
    return [_floored(kind, taken) for kind, taken in turns.items()]


def _turn(rig: Rig, kind: str, *, bare_first: bool) -> tuple[Window, Window, Window]:
    """What checks are of was sent before the first window. Bare and ours take turns in being first:
    whoever is second finds the log as the other one left it."""
    bare, ours = _sends(rig) if kind == "send" else _checks(rig)
    constant = rig.constant(CROWD)
    if bare_first:
        return constant, bare(), ours()
    of_ours = ours()
    return constant, bare(), of_ours


def _sends(rig: Rig) -> tuple[Callable[[], Window], Callable[[], Window]]:
    bare = rig.traffic.sends(FLOOR_PATH)
    return lambda: rig.load(bare, CROWD)[0], lambda: rig.send(CROWD)


def _checks(rig: Rig) -> tuple[Callable[[], Window], Callable[[], Window]]:
    bare, ours = _bare_checks(rig), rig.checks_for_a_window(CROWD)
    return lambda: rig.load(bare, CROWD)[0], lambda: rig.check(CROWD, ours)


def _bare_checks(rig: Rig) -> Iterator[bytes]:
    """More than fit into a window, each of a challenge of its own that a bare send made."""
    many = int(_CHECKS_A_SECOND * rig.plan.seconds)
    with rig.client(CROWD) as client:
        (made,) = client.closed_loop(islice(rig.traffic.sends(FLOOR_PATH), many), _FOR_EVER)
    if set(made.statuses) != {CREATED}:
        raise RuntimeError(f"Bare sends failed: {dict(made.statuses)}")
    known = [Known(made_by(body), FLOOR_CODE) for body in made.bodies]
    return rig.traffic.checks(known, FLOOR_PATH)


def _floored(kind: str, turns: list[tuple[Window, Window, Window]]) -> Floored:
    constant, bare, ours = ([*each] for each in zip(*turns, strict=True))
    return Floored(
        constant=figure(CONSTANT, CROWD, constant),
        bare=figure(f"bare {kind}", CROWD, bare, constant=constant),
        ours=figure(kind, CROWD, ours, constant=constant),
        beside=Beside.medians(ours, bare),
    )
