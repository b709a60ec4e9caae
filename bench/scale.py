"""The plan to many sends a second: what each step takes, and what gives way first.

Unit costs are those of a run of `scripts/bench --store postgresql --json FILE`, or else those kept
here. From them all is arithmetic, but for the shares of a limit, which are simulated. Explained in
docs/scale.md.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from math import ceil, exp
from pathlib import Path

import msgspec

from bench.fleet import Fleet
from bench.report import table

STEPS = (100, 1_000, 3_000, 10_000)
SHARES = (1, 4, 16, 64)
_MIB, _GIB = 2**20, 2**30
_DAY_S = 86_400
_PAGE = 8_192
_HANDFUL = 32
_IMAGE = 5_800
"""Bytes of the log that the image of a page took as measured: without its hole, not compressed."""


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """Of one act: microseconds of CPU of a process and of the database, and bytes of the log but
    for images of pages. A send changes so many pages of which the log may want `images`, and
    leaves `room_bytes` in tables and indexes."""

    send_us: float = 323
    check_us: float = 213
    deliver_us: float = 156
    send_database_us: float = 540
    check_database_us: float = 407
    deliver_database_us: float = 209
    sweep_database_us: float = 466
    send_bytes: float = 3_088
    check_bytes: float = 1_113
    deliver_bytes: float = 1_505
    sweep_bytes: float = 1_234
    images: float = 3.7
    room_bytes: float = 2_212

    @classmethod
    def measured(cls, fleet: Fleet) -> Costs:
        """From a run that left nothing out."""
        sends, checks, full = fleet.sends, fleet.checks, fleet.full
        delivered, cleared = fleet.delivered, fleet.cleared
        if not (sends and checks and full and delivered and cleared):
            raise ValueError("That run left something out.")
        return cls(
            send_us=sends.postgres.cpu_us,
            check_us=checks.postgres.cpu_us,
            deliver_us=max(0.0, delivered.figure.cpu_us - sends.postgres.cpu_us),
            send_database_us=sends.cost.cpu_us,
            check_database_us=checks.cost.cpu_us,
            deliver_database_us=max(0.0, delivered.cost.cpu_us - sends.cost.cpu_us),
            sweep_database_us=cleared.cost.cpu_us,
            send_bytes=sends.cost.wal_bytes,
            check_bytes=checks.cost.wal_bytes,
            deliver_bytes=max(0.0, delivered.cost.wal_bytes - sends.cost.wal_bytes),
            sweep_bytes=cleared.cost.wal_bytes,
            images=max(0.0, full.cost_after_checkpoint.wal_bytes - sends.cost.wal_bytes) / _IMAGE,
            room_bytes=full.store_mib * _MIB / full.challenges,
        )


class Assumed(msgspec.Struct, frozen=True, kw_only=True):
    """What a fleet and its machines are like. Nobody measured these: put in your own."""

    checks_a_send: float = 1.1
    mean_to_peak: float = 1 / 3
    kept_days: float = 1.0
    """Challenges, keys and counters go about a day after their end."""
    bloat: float = 1.3
    busy: float = 0.6
    """No core is planned to be busier: one process may be lost, and latencies stay low."""
    pool: int = 10
    sync_ms: float = 1.0
    sweeping_share: float = 0.1
    replica_ms: float = 0.5
    """To a synchronous replica in the same region and back."""
    checkpoint_s: float = 900.0
    image_share: float = 0.35
    """Of a page, what its image takes once it is compressed (wal_compression = lz4)."""
    hot_share: float = 0.5
    """Of all room, what keys that fall anywhere touch again and again."""
    database_cores: float = 32.0
    database_connections: float = 300.0
    database_log_mib_s: float = 200.0
    database_memory_gib: float = 128.0

    @property
    def commit_ms(self) -> float:
        """A COMMIT waits for half of the sync under way, on average, and for the next one."""
        return 1.5 * self.sync_ms + self.replica_ms


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What so many sends a second take in all. `strain` is of one database, were there one only:
    what is wanted of each resource as a share of what it has."""

    rate: int
    processes: int
    workers: int
    connections_open: int
    connections_busy: float
    cores: float
    log_mib_s: float
    images_mib_s: float
    disk_gib: float
    hot_gib: float
    strain: dict[str, float]

    @property
    def databases(self) -> int:
        """Connections are pooled, anything else is split."""
        return ceil(max(used for name, used in self.strain.items() if name != "connections"))

    @property
    def wants_pgbouncer(self) -> bool:
        return self.strain["connections"] > self.databases


def step(rate: int, costs: Costs, given: Assumed) -> Step:
    checks = rate * given.checks_a_send
    spent = rate * costs.send_us + checks * costs.check_us
    connections_busy = _connections_busy(rate, checks, costs, given)
    by_connections = ceil(connections_busy / given.pool / given.busy)
    processes = max(_processes(spent, given), by_connections)
    mean = rate * given.mean_to_peak  # what the sweeper follows
    workers = max(_processes(rate * costs.deliver_us, given), _sweepers(mean, costs, given))
    kept = mean * given.kept_days * _DAY_S * costs.room_bytes * given.bloat
    log = (
        rate * (costs.send_bytes + costs.deliver_bytes)
        + checks * costs.check_bytes
        + mean * costs.sweep_bytes
    )
    images = _images(rate * costs.images, kept / _PAGE, given)
    cores = _cores(rate, checks, mean, costs, given)
    hot, opened = kept * given.hot_share / _GIB, (processes + workers) * given.pool + workers
    return Step(
        rate=rate,
        processes=processes,
        workers=workers,
        connections_open=opened,
        connections_busy=connections_busy,
        cores=cores,
        log_mib_s=(log + images) / _MIB,
        images_mib_s=images / _MIB,
        disk_gib=(kept + 2 * given.checkpoint_s * (log + images)) / _GIB,
        hot_gib=hot,
        strain={
            "cores": cores / given.database_cores,
            "connections": opened / given.database_connections,
            "log": (log + images) / _MIB / given.database_log_mib_s,
            "memory": hot / given.database_memory_gib,
        },
    )


def gives_way(databases: int, costs: Costs, given: Assumed) -> tuple[str, int]:
    """What so many databases run out of first, and at how many sends a second."""
    rate = 10
    while True:
        worst, used = max(step(rate, costs, given).strain.items(), key=lambda item: item[1])
        if used > databases:
            return worst, rate
        rate += max(10, rate // 100)


def _processes(spent_us: float, given: Assumed) -> int:
    """Two at the least: one of them may be lost."""
    return max(2, ceil(spent_us / 1e6 / given.busy))


def _sweepers(mean: float, costs: Costs, given: Assumed) -> int:
    """Each worker sweeps for its share of the time, a handful a COMMIT."""
    row_s = costs.sweep_database_us / 1e6 + given.commit_ms / 1e3 / _HANDFUL
    return ceil(mean * row_s / given.sweeping_share)


def _cores(rate: float, checks: float, mean: float, costs: Costs, given: Assumed) -> float:
    spent = (
        rate * (costs.send_database_us + costs.deliver_database_us)
        + checks * costs.check_database_us
        + mean * costs.sweep_database_us
    )
    return spent / 1e6 / given.busy


def _connections_busy(rate: float, checks: float, costs: Costs, given: Assumed) -> float:
    """Little's law."""
    commit_ms = given.commit_ms
    send_ms, check_ms = costs.send_database_us / 1e3, costs.check_database_us / 1e3
    return (rate * (send_ms + commit_ms) + checks * (check_ms + commit_ms)) / 1e3


def _images(touches: float, pages: float, given: Assumed) -> float:
    """Bytes a second: each page that is changed between two checkpoints is in the log once, whole;
    `touches` a second fall anywhere among `pages`."""
    touched = pages * (1 - exp(-touches * given.checkpoint_s / pages))
    return touched * _PAGE * given.image_share / given.checkpoint_s


class Shared(msgspec.Struct, frozen=True, kw_only=True):
    """Sends that spend of one limit in so many shares: milliseconds they wait for a share."""

    shares: int
    rate: int
    mean_ms: float
    p99_ms: float


def share(shares: int, rate: int, given: Assumed, *, sends: int = 40_000, seed: int = 5) -> Shared:
    """Each send takes the first share that nobody holds, else waits for the first of all; and holds
    it until it is committed."""
    dice = random.Random(seed)
    hold = given.commit_ms / 1e3
    free_at, now = [0.0] * shares, 0.0
    waits = []
    for _ in range(sends):
        now += dice.expovariate(rate)
        place = next((n for n, at in enumerate(free_at) if at <= now), 0)
        begins_at = max(now, free_at[place])
        free_at[place] = begins_at + hold * dice.uniform(0.5, 1.5)
        waits.append(begins_at - now)
    waits.sort()
    return Shared(
        shares=shares,
        rate=rate,
        mean_ms=sum(waits) / sends * 1e3,
        p99_ms=waits[int(sends * 0.99)] * 1e3,
    )


def report(costs: Costs, given: Assumed) -> str:
    """The tables of docs/scale.md."""
    steps = [step(rate, costs, given) for rate in STEPS]
    limits = [gives_way(each.databases, costs, given) for each in steps]
    tables = [_unit_costs(costs), _needs(steps), _strains(steps, limits), _shares(given)]
    return "\n\n".join(tables) + "\n"


def _unit_costs(costs: Costs) -> str:
    rows = [
        ("send", costs.send_us, costs.send_database_us, costs.send_bytes),
        ("check", costs.check_us, costs.check_database_us, costs.check_bytes),
        ("delivery", costs.deliver_us, costs.deliver_database_us, costs.deliver_bytes),
        ("sweep", 0.0, costs.sweep_database_us, costs.sweep_bytes),
    ]
    heads = ("what one costs", "process CPU us", "database CPU us", "log bytes")
    return table(heads, [(name, *(f"{cost:.0f}" for cost in each)) for name, *each in rows]) + (
        f"\n\nA send leaves {costs.room_bytes:.0f} bytes of tables and indexes, and changes "
        f"{costs.images:.1f} pages that fall anywhere."
    )


def _needs(steps: Sequence[Step]) -> str:
    heads = (
        *("sends a second", "API processes", "workers", "connections open", "of them busy"),
        *("database cores", "log MiB/s", "of it images", "disk GiB", "hot GiB"),
        *("databases", "replicas", "PgBouncer"),
    )
    rows = [
        (
            f"{each.rate:,}",
            str(each.processes),
            str(each.workers),
            str(each.connections_open),
            f"{each.connections_busy:.0f}",
            f"{each.cores:.1f}",
            f"{each.log_mib_s:.1f}",
            f"{each.images_mib_s:.1f}",
            f"{each.disk_gib:.0f}",
            f"{each.hot_gib:.0f}",
            str(each.databases),
            str(2 * each.databases),
            "yes" if each.wants_pgbouncer else "no",
        )
        for each in steps
    ]
    return table(heads, rows)


def _strains(steps: Sequence[Step], limits: Sequence[tuple[str, int]]) -> str:
    names = list(steps[0].strain)
    rows = [
        (
            f"{each.rate:,}",
            *(f"{each.strain[name]:.0%}" for name in names),
            f"{name}, at {rate:,} a second",
        )
        for each, (name, rate) in zip(steps, limits, strict=True)
    ]
    heads = ("sends a second", *(f"{name} of one" for name in names), "gives way next")
    return table(heads, rows)


def _shares(given: Assumed) -> str:
    return table(
        ("shares", *(f"{rate:,} a second" for rate in STEPS)),
        [(str(shares), *(_waits(shares, rate, given) for rate in STEPS)) for shares in SHARES],
    )


def _waits(shares: int, rate: int, given: Assumed) -> str:
    if rate * given.commit_ms / 1e3 >= shares:
        return "never catches up"
    found = share(shares, rate, given)
    return f"{found.mean_ms:.2f}, p99 {found.p99_ms:.1f}"


def main(words: Sequence[str]) -> None:
    parser = argparse.ArgumentParser("python -m bench.scale", description=__doc__)
    parser.add_argument("--measured", type=_written, help="what scripts/bench --json wrote")
    for name, value in msgspec.structs.asdict(Assumed()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    asked = vars(parser.parse_args(words))
    measured = asked.pop("measured")
    print(report(_costs(measured) if measured else Costs(), Assumed(**asked)), end="")


def _written(name: str) -> Path:
    if not Path(name).is_file():
        raise argparse.ArgumentTypeError(f"there is no {name}; scripts/bench --json writes it")
    return Path(name)


def _costs(measured: Path) -> Costs:
    class Run(msgspec.Struct):
        fleet: Fleet

    return Costs.measured(msgspec.json.decode(measured.read_bytes(), type=Run).fleet)


if __name__ == "__main__":
    main(sys.argv[1:])
