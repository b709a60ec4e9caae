"""What is measured: one function a question, each interleaving what it compares."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import NamedTuple

import msgspec

from bench import inside
from bench.inside import Home
from bench.load import Answers, Client
from bench.measure import CONSTANT, CROWD, PLAIN, Delivered, Figure, Window, figure
from bench.rig import Plan, Rig, new_data, rig_on, rigged, several
from bench.sampling import Place
from bench.seed import ROWS_A_SEND, seed
from bench.signing import Acs3Traffic, HuaweiTraffic, Signed, V1Traffic
from bench.traffic import Traffic

Tell = Callable[[str], None]
Sent = tuple[Window, Delivered]

SWEPT_WITHIN = 600.0
SLICE = 2.5
"""A slice of the sweep is so many windows long."""
CROWDS = [(cores, processes) for cores in (1, 2) for processes in (2, 4)]
_SPARE = 1.05
_SIGNED = 200_000_000
"""Addresses of signed sends are numbered from here on, so that no native send meets one."""
_WARM_UP_S = 0.5


class Crowded(msgspec.Struct, frozen=True, kw_only=True):
    """Several processes on one file: what each did, and the slowest as a share of the fastest."""

    processes: int
    cores: int
    rates: list[float]
    fairness: float
    statuses: dict[int, int]


class Dialects(msgspec.Struct, frozen=True, kw_only=True):
    """Signed sends of vendors' dialects in turns with native ones to the same `kind` of address,
    until all are delivered; `ratios` are their rates as shares of the native one."""

    kind: str
    native: Figure
    signed: list[Figure]
    ratios: list[float]


class Million(msgspec.Struct, frozen=True, kw_only=True):
    """A full store beside an empty one, under the same load in turns."""

    challenges: int
    seeding_seconds: float
    store_mib: float
    empty: Figure
    full: Figure
    kept: float
    resident_mib: float
    highest_mib: float


class Sweeping(msgspec.Struct, frozen=True, kw_only=True):
    """Expired rows going at half the peak rate; each figure the medians of slices."""

    rows: int
    seconds: float
    peak: float
    quiet: Figure
    sweeping: Figure
    slowest_p99: float


class Turn(NamedTuple):
    """A window of sends or checks, just after one of the constant route and just before one of the
    plain."""

    constant: Window
    window: Window
    plain: Window
    until_delivered: Delivered | None = None

    def __str__(self) -> str:
        beside = f"of {self.constant.rate:.0f}/s, plain {self.plain.rate:.0f}/s"
        return f"{self.window.rate:8.0f}/s  {beside}"


def speed(plan: Plan, tell: Tell, *, kinds: set[str], deliver: bool) -> list[Figure]:
    """Sends and checks beside both constant routes, for each number of clients."""
    with rigged(plan, deliver=deliver) as rig:
        return [
            each
            for clients in plan.clients
            for each in _speed_of(rig, clients, tell, kinds=kinds, deliver=deliver)
        ]


def _speed_of(
    rig: Rig, clients: int, tell: Tell, *, kinds: set[str], deliver: bool
) -> list[Figure]:
    turns: dict[str, list[Turn]] = {kind: [] for kind in sorted(kinds, reverse=True)}
    for _ in range(rig.plan.rounds):
        for kind, taken in turns.items():
            turn = _turn(rig, kind, clients)
            tell(f"{clients:4} clients  {kind:6} {turn}")
            taken.append(turn)
    every = [turn for taken in turns.values() for turn in taken]
    return [
        figure(CONSTANT, clients, [turn.constant for turn in every], worker=deliver),
        figure(PLAIN, clients, [turn.plain for turn in every], worker=deliver),
        *(_figure_of(kind, clients, taken, deliver) for kind, taken in turns.items()),
    ]


def _turn(rig: Rig, kind: str, clients: int) -> Turn:
    if kind == "check":
        checks = rig.checks_for_a_window(clients)
        return Turn(rig.constant(clients), rig.check(clients, checks), rig.plain_constant(clients))
    constant = rig.constant(clients)
    window, delivered = rig.until_delivered(lambda: rig.send(clients))
    return Turn(constant, window, rig.plain_constant(clients), delivered)


def _figure_of(kind: str, clients: int, turns: Sequence[Turn], deliver: bool) -> Figure:
    delivered = [turn.until_delivered for turn in turns if turn.until_delivered is not None]
    return figure(
        kind,
        clients,
        [turn.window for turn in turns],
        worker=deliver,
        constant=[turn.constant for turn in turns],
        plain=[turn.plain for turn in turns],
        until_delivered=delivered if deliver else (),
    )


def dialects(plan: Plan, tell: Tell) -> list[Dialects]:
    """Each dialect beside the native one, on a server of their own."""
    with _rigged_for(plan, mailboxes=1.0) as rig:
        huawei = HuaweiTraffic(inside.inside(rig.home, inside.partner), first=_SIGNED)
        mailboxes = _in_dialects(rig, "mailboxes", {"huawei": huawei}, tell)
    with _rigged_for(plan, mailboxes=0.0) as rig:
        account = inside.inside(rig.home, inside.cloud_account)
        schemes: dict[str, Signed] = {
            "aliyun, ACS3": Acs3Traffic(account, first=_SIGNED),
            "aliyun, V1": V1Traffic(account, first=2 * _SIGNED),
        }
        return [mailboxes, _in_dialects(rig, "phones", schemes, tell)]


def _rigged_for(plan: Plan, *, mailboxes: float) -> AbstractContextManager[Rig]:
    return rigged(msgspec.structs.replace(plan, mailboxes=mailboxes), deliver=True)


def _in_dialects(rig: Rig, kind: str, signed: Mapping[str, Signed], tell: Tell) -> Dialects:
    for traffic in signed.values():
        rig.warm_up_signed(traffic)
    turns = []
    for _ in range(rig.plan.rounds):
        turn = {"native": _sent(rig, rig.traffic.sends())}
        turn |= {name: _sent(rig, traffic.sends()) for name, traffic in signed.items()}
        rates = "  ".join(f"{name} {sent[1].rate:.0f}/s" for name, sent in turn.items())
        tell(f"until delivered: {rates}")
        turns.append(turn)
    return Dialects(
        kind=kind,
        native=_dialect("native", turns),
        signed=[_dialect(name, turns) for name in signed],
        ratios=[
            median(turn[name][1].rate / turn["native"][1].rate for turn in turns) for name in signed
        ],
    )


def _sent(rig: Rig, sends: Iterator[bytes]) -> Sent:
    return rig.until_delivered(lambda: rig.load(sends, CROWD)[0])


def _dialect(name: str, turns: Sequence[Mapping[str, Sent]]) -> Figure:
    delivered = [turn[name][1] for turn in turns]
    windows = [turn[name][0] for turn in turns]
    return figure(name, CROWD, windows, worker=True, until_delivered=delivered)


def million(plan: Plan, tell: Tell) -> Million:
    """Sends on a store that holds `plan.rows` live challenges, in turns with an empty one."""
    with new_data(plan) as data, rigged(plan) as empty:
        seconds = _seed(data, tell, many=plan.rows, age=timedelta(), ttl=timedelta(days=1))
        size = sum(path.stat().st_size for path in data.rglob("*") if path.is_file()) / 2**20
        with rig_on(plan, Home(data)) as full:
            full.warm_up()
            windows = _in_turns(empty, full, tell)
            resident, highest = full.server.resident_mib()
    return Million(
        challenges=plan.rows,
        seeding_seconds=seconds,
        store_mib=size,
        empty=figure("send, empty store", CROWD, [e for e, _ in windows]),
        full=figure("send, full store", CROWD, [f for _, f in windows]),
        kept=median(f.rate / e.rate for e, f in windows),
        resident_mib=resident,
        highest_mib=highest,
    )


def _in_turns(empty: Rig, full: Rig, tell: Tell) -> list[tuple[Window, Window]]:
    windows = []
    for _ in range(empty.plan.rounds):
        pair = empty.send(CROWD), full.send(CROWD)
        tell(f"empty {pair[0].rate:.0f}/s  full {pair[1].rate:.0f}/s")
        windows.append(pair)
    return windows


def sweep(plan: Plan, tell: Tell) -> Sweeping:
    """Sweep about `plan.rows` expired rows while sends go on at half the peak rate."""
    with new_data(plan) as data:
        many = round(plan.rows / ROWS_A_SEND * _SPARE)
        _seed(data, tell, many=many, age=timedelta(days=60), ttl=timedelta(minutes=10))
        with rig_on(plan, Home(data)) as rig:
            rig.warm_up()
            peak = median(rig.send(CROWD).rate for _ in range(plan.rounds))
            with rig.client(4 * CROWD) as client:
                return swept(rig, client, peak, tell)


def swept(
    rig: Rig,
    client: Client,
    peak: float,
    tell: Tell,
    *,
    command: str = "sweep",
    meanwhile: Callable[[], object] = lambda: None,
) -> Sweeping:
    """Quiet slices, slices while the service obeys the command, and quiet ones again; `meanwhile`
    is done before each of those in the middle."""
    quiet = [_slice(rig, client, peak, tell) for _ in range(rig.plan.rounds)]
    rig.server.begin(command)
    loud, until = [], time.perf_counter() + 2 * SWEPT_WITHIN
    while not rig.server.has_answered() and time.perf_counter() < until:
        meanwhile()
        loud.append(_slice(rig, client, peak, tell))
    done = rig.server.answer()
    quiet += [_slice(rig, client, peak, tell) for _ in range(rig.plan.rounds)]
    return Sweeping(
        rows=done["rows"],
        seconds=done["seconds"],
        peak=peak,
        quiet=figure("quiet", 4 * CROWD, quiet),
        sweeping=figure("sweeping", 4 * CROWD, loud),
        slowest_p99=max(window.p99 for window in loud),
    )


def _slice(rig: Rig, client: Client, peak: float, tell: Tell) -> Window:
    window = rig.steady(client, peak / 2, SLICE * rig.plan.seconds)
    tell(f"{window.rate:.0f}/s, p99 {window.p99:.1f} ms, others {window.others:.0%}")
    return window


def processes(plan: Plan, tell: Tell) -> list[Crowded]:
    """Two and four server processes on one file, sharing the server's core, then both cores."""
    cores = [plan.server_core, plan.client_core]
    return [_crowded(plan, many, set(cores[:shared]), tell) for shared, many in CROWDS]


def _crowded(plan: Plan, many: int, cores: set[int], tell: Tell) -> Crowded:
    with (
        several(plan, many, cores) as (servers, traffic),
        Client([server.port for server in servers], CROWD) as client,
    ):
        _even_round(client, traffic, _WARM_UP_S)
        rounds = [_even_round(client, traffic, plan.seconds) for _ in range(plan.rounds)]
    rates = [median(each[n].rate for each in rounds) for n in range(many)]
    tell(f"{many} processes, {len(cores)} of the cores: " + ", ".join(f"{r:.0f}/s" for r in rates))
    return Crowded(
        processes=many,
        cores=len(cores),
        rates=rates,
        fairness=median(min(a.rate for a in each) / max(a.rate for a in each) for each in rounds),
        statuses=dict(sum((a.statuses for each in rounds for a in each), Counter[int]())),
    )


def _even_round(client: Client, traffic: Traffic, seconds: float) -> list[Answers]:
    answers = client.closed_loop(traffic.sends(), seconds)
    client.settle()
    return answers


def profile(plan: Plan, tell: Tell, *, kinds: set[str], deliver: bool) -> dict[str, list[Place]]:
    """Where the server's CPU time goes, for both constant routes and each kind."""
    with rigged(plan, deliver=deliver, profile=True) as rig:
        return {kind: profiled(rig, kind, tell) for kind in (CONSTANT, PLAIN, *sorted(kinds))}


def profiled(rig: Rig, kind: str, tell: Tell) -> list[Place]:
    requests = _requests(rig, kind)
    rig.server.do("sample")
    window, _ = rig.load(requests, CROWD)
    tell(f"{kind} under the sampler: {window.rate:.0f}/s")
    return msgspec.convert(rig.server.do("end sampling"), list[Place])


def _requests(rig: Rig, kind: str) -> Iterator[bytes]:
    if kind == "check":
        return rig.checks_for_a_window(CROWD)
    traffic = rig.traffic
    endless = {CONSTANT: traffic.constants, PLAIN: traffic.plain_constants, "send": traffic.sends}
    return endless[kind]()


def _seed(data: Path, tell: Tell, *, many: int, age: timedelta, ttl: timedelta) -> float:
    """Leave what so many sends leave, of that age; gives the seconds it took."""
    tell(f"seeding {many} sends, {f'{age.days} days ago' if age else 'now'}")
    started_at = time.perf_counter()
    now = datetime.now(UTC) - age
    seed(data, many, now=now, ttl=ttl)
    return time.perf_counter() - started_at
