"""What PostgreSQL costs: the store of a fleet beside the one of a single machine, in turns."""

from __future__ import annotations

import asyncio
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from statistics import median
from time import perf_counter
from typing import NamedTuple, TypeVar

import msgspec

from bench import bare, seed_postgres
from bench.inside import CONNECTIONS, Home
from bench.load import Answers
from bench.measure import CROWD, Figure, Window, figure, spent_on
from bench.postgres import Postgres
from bench.process import Pinned
from bench.rig import Plan, Rig, new_data, rig_on, rigged
from bench.sampling import Place
from bench.scenarios import Sweeping, Tell, profiled, swept
from watchword.stores.postgres import migrate

SQLITE, POSTGRES, BARE, FULL = "SQLite", "PostgreSQL", "bare", "full"
LIMITED, DELIVERED = "send, two shared limits", "send until delivered"
POOLS = (1, 4, 10, 20)
_VACUUM = ("SET vacuum_cost_delay = '2ms'", "VACUUM")
"""As autovacuum does it: by itself a VACUUM by hand would take all of a core."""
_COUNT = "SELECT count(*) FROM watchword.challenges"
_OK = 200
_POOLED_APART = 1_000_000
"""Phones of the servers of one store are numbered so far from each other."""
_SPARE = 1.05
_TTL = timedelta(days=1)
T = TypeVar("T")


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer cost the whole PostgreSQL server: microseconds of CPU, bytes of its log."""

    cpu_us: float
    wal_bytes: float


class Costed(NamedTuple):
    window: Window
    cost: Cost


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of answer from a process on either store, turn by turn; `cpu` is what it costs that
    process on PostgreSQL as a share of what it does on SQLite."""

    kind: str
    sqlite: Figure
    postgres: Figure
    cpu: float
    cost: Cost


class BesideBare(msgspec.Struct, frozen=True, kw_only=True):
    """Sends beside bare calls of one round trip and one commit; `rate` is theirs as a share."""

    parameters: int
    figure: Figure
    rate: float
    cost: Cost


class Full(msgspec.Struct, frozen=True, kw_only=True):
    """Sends on a store with so many live challenges, in turns with an empty one."""

    challenges: int
    seeding_seconds: float
    store_mib: float
    figure: Figure
    kept: float
    cost: Cost
    kept_after_checkpoint: float
    cost_after_checkpoint: Cost
    """When nearly each page is changed for the first time since."""


class Pooled(msgspec.Struct, frozen=True, kw_only=True):
    """Sends over so many connections, and how many commits share one sync of the log."""

    connections: int
    sends: Figure
    cost: Cost
    commits_a_sync: float


class Extra(msgspec.Struct, frozen=True, kw_only=True):
    """Sends that do more than queue under the limits of a destination, in turns with those."""

    figure: Figure
    cost: Cost


class Cleared(msgspec.Struct, frozen=True, kw_only=True):
    """A minute of sweeping with a VACUUM beside it, and MiB of tables and indexes: with what so
    many sends left that have expired; when all that is gone and what the load has `sent` is there
    instead; and with as much again as has expired."""

    sweeping: Sweeping
    vacuums: int
    full_mib: float
    swept_mib: float
    refilled_mib: float
    expired: int
    sent: int
    cost: Cost
    """Of what one send has left, swept without a rest."""

    @property
    def grown(self) -> float:
        """The room of a send at last, as a share of what it was at first."""
        first, last = self.full_mib / self.expired, self.refilled_mib / (self.expired + self.sent)
        return last / first


class Fleet(msgspec.Struct, kw_only=True):
    """All that was found out about PostgreSQL."""

    version: str
    cores: str
    settings: dict[str, str]
    sends: Compared | None = None
    checks: Compared | None = None
    bare: BesideBare | None = None
    full: Full | None = None
    limited: Extra | None = None
    delivered: Extra | None = None
    pools: list[Pooled] = []
    cleared: Cleared | None = None


class _Rigs(NamedTuple):
    server: Postgres
    sqlite: Rig
    postgres: Rig
    loop: Pinned
    limited: Rig
    delivered: Rig
    full: Rig | None


def turns(plan: Plan, running: Postgres, tell: Tell, found: Fleet, *, only: Sequence[str]) -> None:
    """Sends and checks on both stores, bare calls, and sends on a full store: one after another,
    and again."""
    with ExitStack() as stack:
        full, seconds, size = None, 0.0, 0.0
        if "million" in only:
            home, seconds = _seeded(plan, running, "full", tell, stack, age=timedelta())
            size = running.size_mib("full")
            full = stack.enter_context(rig_on(plan, home))
            full.warm_up()
        home = _home(plan, running, "empty", stack)
        rigs = _Rigs(
            running,
            stack.enter_context(rigged(plan)),
            stack.enter_context(rig_on(plan, home)),
            stack.enter_context(_loop(plan, running)),
            stack.enter_context(rig_on(plan, _home(plan, running, "limited", stack, limited=True))),
            stack.enter_context(
                rig_on(plan, _home(plan, running, "delivered", stack), deliver=True)
            ),
            full,
        )
        for rig in (rigs.postgres, rigs.limited, rigs.delivered):
            rig.warm_up()
        rigs.loop.do(str(plan.seconds))
        taken = [_turn(rigs, tell, only) for _ in range(plan.rounds)]
        parameters = rigs.loop.greeting
        after: list[Turn] = []
        if full:
            running.checkpoint()
            after = [_turn(rigs, tell, ("million",)) for _ in range(plan.rounds)]
    if "send" in only:
        found.sends = _compared("send", taken)
        found.bare = _beside_bare(taken, parameters)
        found.limited = _extra(LIMITED, taken)
        found.delivered = _extra(DELIVERED, taken)
    if "check" in only:
        found.checks = _compared("check", taken)
    if "million" in only:
        found.full = _full(plan, taken, after, seconds, size)


Turn = Mapping[str, Costed]


def _turn(rigs: _Rigs, tell: Tell, only: Sequence[str]) -> Turn:
    turn: dict[str, Costed] = {}

    def take(name: str, load: Callable[[], Window]) -> None:
        turn[name] = _costed(rigs.server, load)
        window, cost = turn[name]
        tell(
            f"{name:23} {window.rate:8.0f}/s  {window.cpu_us:4.0f} us, database"
            f" {cost.cpu_us:4.0f} us, {cost.wal_bytes:6.0f} bytes of log"
        )

    if "send" in only:
        take(f"send, {SQLITE}", lambda: rigs.sqlite.send(CROWD))
    if {"send", "million"} & {*only}:
        take(f"send, {POSTGRES}", lambda: rigs.postgres.send(CROWD))
    if full := rigs.full:
        take(f"send, {FULL}", lambda: full.send(CROWD))
    if "send" in only:
        take(BARE, lambda: _looped(rigs))
        take(LIMITED, lambda: rigs.limited.send(CROWD))
        take(DELIVERED, lambda: _until_delivered(rigs.delivered))
    if "check" in only:
        for name, rig in ((SQLITE, rigs.sqlite), (POSTGRES, rigs.postgres)):
            checks = rig.checks_for_a_window(CROWD)
            take(f"check, {name}", partial(rig.check, CROWD, checks))
    return turn


def _costed(running: Postgres, load: Callable[[], Window]) -> Costed:
    """A window, and what it cost the database; both looks are at rest."""
    spent, written = running.cpu_seconds(), running.written()
    window = load()
    spent, written = running.cpu_seconds() - spent, running.written() - written
    many = max(1, window.answers)
    return Costed(window, Cost(cpu_us=spent / many * 1e6, wal_bytes=written / many))


def _until_delivered(rig: Rig) -> Window:
    """The process's CPU time and rate are those until all was delivered."""
    window, delivered = rig.until_delivered(lambda: rig.send(CROWD))
    return msgspec.structs.replace(window, rate=delivered.rate, cpu_us=delivered.cpu_us)


def _looped(rigs: _Rigs) -> Window:
    def load() -> Answers:
        done = msgspec.convert(rigs.loop.do(str(rigs.sqlite.plan.seconds)), bare.Looped)
        return Answers(done.seconds, done.latencies, Counter({_OK: len(done.latencies)}))

    return spent_on(rigs.loop, load)[0]


def _compared(kind: str, taken: Sequence[Turn]) -> Compared:
    sqlite = [turn[f"{kind}, {SQLITE}"].window for turn in taken]
    costed = [turn[f"{kind}, {POSTGRES}"] for turn in taken]
    windows = [each.window for each in costed]
    return Compared(
        kind=kind,
        sqlite=figure(f"{kind}, {SQLITE}", CROWD, sqlite),
        postgres=figure(f"{kind}, {POSTGRES}", CROWD, windows),
        cpu=median(p.cpu_us / s.cpu_us for p, s in zip(windows, sqlite, strict=True)),
        cost=_cost(costed),
    )


def _beside_bare(taken: Sequence[Turn], parameters: int) -> BesideBare:
    loops = [turn[BARE] for turn in taken]
    sends = [turn[f"send, {POSTGRES}"].window for turn in taken]
    return BesideBare(
        parameters=parameters,
        figure=figure("bare round trip", CONNECTIONS, [each.window for each in loops]),
        rate=median(s.rate / b.window.rate for s, b in zip(sends, loops, strict=True)),
        cost=_cost(loops),
    )


def _full(
    plan: Plan, taken: Sequence[Turn], after: Sequence[Turn], seconds: float, size: float
) -> Full:
    full = [turn[f"send, {FULL}"] for turn in taken]
    return Full(
        challenges=plan.rows,
        seeding_seconds=seconds,
        store_mib=size,
        figure=figure("send, full store", CROWD, [each.window for each in full]),
        kept=_kept(taken),
        cost=_cost(full),
        kept_after_checkpoint=_kept(after),
        cost_after_checkpoint=_cost([turn[f"send, {FULL}"] for turn in after]),
    )


def _kept(taken: Sequence[Turn]) -> float:
    return median(
        turn[f"send, {FULL}"].window.rate / turn[f"send, {POSTGRES}"].window.rate for turn in taken
    )


def _extra(name: str, taken: Sequence[Turn]) -> Extra:
    costed = [turn[name] for turn in taken]
    return Extra(figure=figure(name, CROWD, [each.window for each in costed]), cost=_cost(costed))


def _cost(costed: Sequence[Costed]) -> Cost:
    return Cost(
        cpu_us=median(each.cost.cpu_us for each in costed),
        wal_bytes=median(each.cost.wal_bytes for each in costed),
    )


def pools(plan: Plan, running: Postgres, tell: Tell) -> list[Pooled]:
    """Sends over one connection, and over several."""
    with ExitStack() as stack:
        home = _home(plan, running, "pools", stack)
        return [_pooled(plan, running, home, many, tell) for many in POOLS]


def _pooled(plan: Plan, running: Postgres, home: Home, many: int, tell: Tell) -> Pooled:
    home = msgspec.structs.replace(home, connections=many)
    before = running.syncs()
    # What a backend has counted is told for certain when it ends.
    with rig_on(plan, home, first=many * _POOLED_APART) as rig:
        warming = rig.send(CROWD)
        costed = [_costed(running, lambda: rig.send(CROWD)) for _ in range(plan.rounds)]
    sent = sum(window.answers for window in (warming, *(each.window for each in costed)))
    shared = sent / max(1, running.syncs() - before)
    sends = figure(f"send, {many} connections", CROWD, [each.window for each in costed])
    tell(f"{many:2} connections: {sends.rate:.0f}/s, {shared:.1f} commits a sync")
    return Pooled(
        connections=many,
        sends=sends,
        cost=_cost(costed),
        commits_a_sync=shared,
    )


def cleared(plan: Plan, running: Postgres, tell: Tell) -> Cleared:
    """Sweep about `plan.rows` expired rows, with VACUUM beside it, while sends go on at half the
    peak rate; then fill the room again."""
    many = round(plan.rows / seed_postgres.ROWS_A_SEND * _SPARE)
    old = timedelta(days=60)
    with ExitStack() as stack:
        small = msgspec.structs.replace(plan, rows=many)
        home, _ = _seeded(small, running, "old", tell, stack, age=old)
        vacuuming = _Vacuuming(running, "old")
        full = running.size_mib("old")
        with rig_on(plan, home) as rig:
            rig.warm_up()
            peak = median(rig.send(CROWD).rate for _ in range(plan.rounds))
            with rig.client(4 * CROWD) as client:
                sweeping = swept(
                    rig,
                    client,
                    peak,
                    tell,
                    command="sweep a minute",
                    meanwhile=vacuuming.go_on,
                )
            before = running.value("old", _COUNT)
            spent, written = running.cpu_seconds(), running.written()
            rig.server.do("sweep at once")
            spent, written = running.cpu_seconds() - spent, running.written() - written
            vacuuming.end()
            left = running.value("old", _COUNT)
            gone = max(1, before - left)
            empty = running.size_mib("old")
            seed_postgres.refill(running, "old", many)
            refilled = running.size_mib("old")
        tell(f"{full:.0f} MiB, swept {empty:.0f}, refilled {refilled:.0f}, {left} sent meanwhile")
    return Cleared(
        sweeping=sweeping,
        vacuums=vacuuming.begun,
        full_mib=full,
        swept_mib=empty,
        refilled_mib=refilled,
        expired=many,
        sent=left,
        cost=Cost(cpu_us=spent / gone * 1e6, wal_bytes=written / gone),
    )


def profile(
    plan: Plan, running: Postgres, tell: Tell, *, kinds: Sequence[str]
) -> dict[str, list[Place]]:
    """Where the CPU time of a process goes, for each kind."""
    with ExitStack() as stack:
        home = _home(plan, running, "profile", stack)
        rig = stack.enter_context(rig_on(plan, home, profile=True))
        rig.warm_up()
        rig.send(CROWD)  # also says how many checks there will be
        return {f"{kind}, {POSTGRES}": profiled(rig, kind, tell) for kind in kinds}


class _Vacuuming:
    """One VACUUM after another, by hand, beside what autovacuum does by itself."""

    def __init__(self, running: Postgres, database: str) -> None:
        self._running = running
        self._database = database
        self._under_way: subprocess.Popen[bytes] | None = None
        self.begun = 0

    def go_on(self) -> None:
        if self._under_way is None or self._under_way.poll() is not None:
            self._under_way = self._running.begin(self._database, *_VACUUM)
            self.begun += 1

    def end(self) -> None:
        """With a last one, of all that is dead by now."""
        if self._under_way is not None:
            self._under_way.wait()
        self._running.begin(self._database, *_VACUUM).wait()
        self.begun += 1


def _home(
    plan: Plan, running: Postgres, database: str, stack: ExitStack, *, limited: bool = False
) -> Home:
    data = stack.enter_context(new_data(plan))
    return Home(data, running.create(database), limited=limited)


def _seeded(
    plan: Plan, running: Postgres, database: str, tell: Tell, stack: ExitStack, *, age: timedelta
) -> tuple[Home, float]:
    """What `plan.rows` sends leave, of that age; and the seconds it took."""
    tell(f"seeding {plan.rows} sends, {f'{age.days} days ago' if age else 'now'}")
    home = _home(plan, running, database, stack)
    started_at = perf_counter()
    seed_postgres.seed(running, database, home, plan.rows, now=datetime.now(UTC) - age, ttl=_TTL)
    return home, perf_counter() - started_at


@contextmanager
def _loop(plan: Plan, running: Postgres) -> Iterator[Pinned]:
    address = running.create(BARE)
    asyncio.run(migrate(address))
    asyncio.run(bare.prepare(address))
    options = ["--address", address, "--connections", str(CONNECTIONS)]
    with Pinned("bench.bare", options, cores={plan.server_core}) as loop:
        yield loop
