"""Measure, print, and keep: `python -m bench --help`."""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import apsw
import msgspec

from bench import captcha, delivering, enduring, fleet, floored, hints, postgres, scale, scenarios
from bench.claims import claims
from bench.disk import commit_seconds, file_system
from bench.fleet import Fleet
from bench.measure import CROWD
from bench.report import report
from bench.results import Machine, Results
from bench.rig import Plan
from bench.scenarios import Tell
from bench.schedule import Part, fleet_schedule, schedule

ALL = {
    "sqlite": (
        *("send", "check", "floor", "dialects", "captcha", "hints"),
        *("million", "sweep", "processes", "handover", "fairness", "hour"),
    ),
    "postgresql": ("send", "check", "million", "connections", "sweep"),
}
"""What can be measured of each store."""
_IF_ASKED = {"hour"}
"""Too long for whoever asks for nothing in particular."""
MILLION = 1_000_000
_QUICK_ROWS = 10_000
_PLAN = "--plan"


def main(words: Sequence[str]) -> int:
    """0 when every claim that was measured holds, else 1."""
    if words[:1] == [_PLAN]:
        scale.main(words[1:])
        return 0
    asked = _read(words)
    plan = _plan(asked)
    os.sched_setaffinity(0, {plan.client_core})
    command = shlex.join(["scripts/bench", *words])
    results = Results(machine=machine(plan.folder), command=command)
    try:
        work = measure if asked.store == "sqlite" else measure_fleet
        work(plan, results, asked, _tell_since(time.monotonic()))
    finally:  # what was found out before something broke is worth keeping
        _keep(results, asked)
    return 0 if all(claim.holds for claim in claims(results) if claim.judged) else 1


def _keep(results: Results, asked: argparse.Namespace) -> None:
    text = report(results)
    print(text)
    if asked.markdown:
        asked.markdown.write_text(text)
    if asked.json:
        asked.json.write_bytes(msgspec.json.format(msgspec.json.encode(results)))


def measure(plan: Plan, results: Results, asked: argparse.Namespace, tell: Tell) -> None:
    """Fill in what was asked for."""
    kinds = {"send", "check"} & set(asked.only)
    workers = {"off": [False], "on": [True], "both": [False, True]}[asked.worker]
    if asked.profile:
        results.profiles = scenarios.profile(plan, tell, kinds=kinds, deliver=workers[-1])
        return
    _announce(list(schedule(plan, only=asked.only, workers=workers)), tell)
    results.commit_ms = commit_seconds(plan.folder) * 1e3
    tell(f"one bare commit: {results.commit_ms:.3f} ms")
    for deliver in workers if kinds else ():
        tell(f"worker {'on' if deliver else 'off'}")
        results.speed += scenarios.speed(plan, tell, kinds=kinds, deliver=deliver)
    if "floor" in asked.only:
        tell("the floor")
        results.floored = floored.floored(plan, tell)
    if "dialects" in asked.only:
        tell("dialects, worker on")
        results.dialects = scenarios.dialects(plan, tell)
    if "captcha" in asked.only:
        tell("captchas")
        results.captchas = captcha.captchas(plan, tell)
    if "hints" in asked.only:
        tell("hints, worker on")
        results.hints = hints.hints(plan, tell)
    if "million" in asked.only:
        results.million = scenarios.million(plan, tell)
    if "sweep" in asked.only:
        results.sweep = scenarios.sweep(plan, tell)
    if "processes" in asked.only:
        results.processes = scenarios.processes(plan, tell)
    if "handover" in asked.only:
        results.handed = delivering.handover(plan, tell)
    if "fairness" in asked.only:
        results.fairness = delivering.fairness(plan, tell)
    if "hour" in asked.only:
        results.hour = enduring.endured(plan, tell)


def measure_fleet(plan: Plan, results: Results, asked: argparse.Namespace, tell: Tell) -> None:
    """Fill in what was asked for of PostgreSQL."""
    _announce(list(fleet_schedule(plan, asked.only)), tell)
    results.commit_ms = commit_seconds(plan.folder) * 1e3
    with postgres.running(plan.folder, set(plan.database_cores)) as server:
        shared = (
            "the client's core" if plan.client_core in plan.database_cores else "cores of its own"
        )
        found = Fleet(version=server.version, cores=shared, settings=postgres.SETTINGS)
        results.fleet = found
        if asked.profile:
            kinds = [kind for kind in ("send", "check") if kind in asked.only]
            results.profiles = fleet.profile(plan, server, tell, kinds=kinds)
            return
        if {"send", "check", "million"} & set(asked.only):
            fleet.turns(plan, server, tell, found, only=asked.only)
        if "connections" in asked.only:
            found.pools = fleet.pools(plan, server, tell)
        if "sweep" in asked.only:
            found.cleared = fleet.cleared(plan, server, tell)


def _announce(parts: Sequence[Part], tell: Tell) -> None:
    for part in parts:
        tell(str(part))
    tell(f"in all about {sum(part.seconds for part in parts) / 60:.0f} min")


def machine(folder: Path) -> Machine:
    described = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in described if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine(
        processor=names[0] if names else platform.machine(),
        cores=os.cpu_count() or 1,
        memory_gib=memory / 2**30,
        kernel=platform.release().split("-")[0],
        file_system=file_system(folder),
        python=platform.python_version(),
        sqlite=apsw.sqlite_lib_version(),
    )


def _tell_since(started_at: float) -> Callable[[str], None]:
    def tell(words: str) -> None:
        print(f"{time.monotonic() - started_at:7.1f} s  {words}", file=sys.stderr, flush=True)

    return tell


def _plan(asked: argparse.Namespace) -> Plan:
    server_core, client_core, *left = sorted(os.sched_getaffinity(0))
    return Plan(
        folder=asked.folder,
        server_core=server_core,
        client_core=client_core,
        seconds=asked.seconds or (0.5 if asked.quick else 2.0),
        rounds=asked.rounds or (1 if asked.quick else 5),
        clients=tuple(asked.clients or ([1, CROWD] if asked.quick else [1, 8, 32, 128])),
        mailboxes=asked.mailboxes,
        rows=asked.rows or (_QUICK_ROWS if asked.quick else MILLION),
        database_cores=tuple(left) or (client_core,),
    )


def _read(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "scripts/bench",
        description="Measure what watchword costs; with --plan as the first word, plan a fleet.",
    )
    parser.add_argument("--quick", action="store_true", help="two minutes: does it work at all?")
    parser.add_argument("--store", choices=tuple(ALL), default="sqlite")
    parser.add_argument("--only", type=_words, help=_offered())
    parser.add_argument(
        "--worker",
        choices=("off", "on", "both"),
        default="both",
        help="for send and check; dialects have it on",
    )
    parser.add_argument("--clients", type=_numbers, help="1,8,32,128")
    parser.add_argument("--seconds", type=float, help="how long a window is open")
    parser.add_argument("--rounds", type=int, help="windows of each kind; medians are reported")
    parser.add_argument("--rows", type=int, help="live challenges, and expired rows")
    parser.add_argument("--mailboxes", type=float, default=0.0, help="their share of the sends")
    parser.add_argument(
        "--profile", action="store_true", help="say where the CPU time goes instead"
    )
    parser.add_argument("--folder", type=Path, default=Path(), help="on the disk to measure")
    parser.add_argument("--markdown", type=Path, help="write the report here too")
    parser.add_argument("--json", type=Path, help="and the figures here")
    asked = parser.parse_args(words)
    known = ALL[asked.store]
    asked.only = asked.only or [name for name in known if name not in _IF_ASKED]
    if strange := set(asked.only) - set(known):
        parser.error(f"argument --only: {', '.join(sorted(strange))}: not one of {known}")
    return asked


def _offered() -> str:
    return "; ".join(f"of {store}: {','.join(known)}" for store, known in ALL.items())


def _words(text: str) -> list[str]:
    return text.split(",")


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
