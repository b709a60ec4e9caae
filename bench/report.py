"""The results as Markdown tables, that a terminal shows as well."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from bench.captcha import SHARE_OF_PEAK, Captchas
from bench.claims import claims
from bench.delivering import Handed, Undisturbed
from bench.enduring import Endured
from bench.fleet import Cleared, Cost, Fleet, Pooled
from bench.floored import Floored
from bench.hints import CALLS, Hinted
from bench.measure import Figure
from bench.results import Results
from bench.sampling import Place
from bench.scenarios import Crowded, Dialects, Million, Sweeping

_MOST_MODULES = 25
_MOST_FUNCTIONS = 40


def report(results: Results) -> str:
    return "\n\n".join(_sections(results)) + "\n"


def _sections(results: Results) -> Iterator[str]:
    machine = results.machine
    yield (
        f"{machine.processor}, {machine.cores} cores, {machine.memory_gib:.0f} GiB; Linux "
        f"{machine.kernel}, {machine.file_system}; Python {machine.python}, SQLite "
        f"{machine.sqlite}.\nCommand: `{results.command}`."
    )
    if results.commit_ms is not None:
        yield f"One bare commit on this disk (p50): {results.commit_ms:.3f} ms."
    if results.speed:
        yield _speed(results.speed)
    for floored in results.floored:
        yield _floored(floored)
    for found in results.dialects:
        yield _dialects(found)
    if results.captchas is not None:
        yield _captchas(results.captchas)
    if results.hints:
        yield _hints(results.hints)
    if results.million is not None:
        yield _million(results.million)
    if results.sweep is not None:
        yield _sweep(results.sweep)
    if results.processes:
        yield _processes(results.processes)
    if results.handed:
        yield _handed(results.handed)
    if results.fairness:
        yield _undisturbed(results.fairness)
    if results.hour is not None:
        yield _endured(results.hour)
    if results.fleet is not None:
        yield from _fleet(results.fleet)
    for kind, places in results.profiles.items():
        yield _profile(kind, places)
    if verdicts := list(claims(results)):
        rows = [(c.says, c.measured, c.wanted, c.verdict) for c in verdicts]
        yield table(("claim", "measured", "wanted", ""), rows)


def _speed(figures: Sequence[Figure]) -> str:
    heads = (
        *("scenario", "worker", "clients", "per second", "to constant", "to plain"),
        *("p50 ms", "p99 ms", "CPU us", "CPU to constant", "CPU to plain"),
        *("server busy", "client busy", "others", "until delivered/s", "note"),
    )
    return table(heads, [_speed_row(figure) for figure in figures])


def _speed_row(figure: Figure) -> tuple[str, ...]:
    beside = [each for each in (figure.to_constant, figure.to_plain) if each is not None]
    rates = [f"{each.rate:.3f}" for each in beside] or ["", ""]
    costs = [f"{each.cpu:.2f}" for each in beside] or ["", ""]
    return (
        figure.scenario,
        "on" if figure.worker else "off",
        str(figure.clients),
        f"{figure.rate:.0f}",
        *rates,
        f"{figure.p50:.2f}",
        f"{figure.p99:.2f}",
        f"{figure.cpu_us:.0f}",
        *costs,
        f"{figure.busy:.0%}",
        f"{figure.client_busy:.0%}",
        f"{figure.others:.0%}",
        _or_blank(figure.rate_until_delivered, ".0f"),
        "; ".join(_notes(figure)),
    )


def _notes(figure: Figure) -> Iterator[str]:
    if not figure.counts:
        yield "does not count: server not busy"
    if refusals := _refusals(figure):
        yield refusals


def _refusals(figure: Figure) -> str:
    strange = {s: n for s, n in figure.statuses.items() if not 200 <= s < 300}
    return ", ".join(f"{n} x {status}" for status, n in strange.items())


def _floored(found: Floored) -> str:
    ours, bare = found.ours, found.bare
    rows = [
        (
            each.scenario,
            f"{each.rate:.0f}",
            f"{each.to_constant.rate:.3f}" if each.to_constant else "",
            f"{each.p50:.2f}",
            f"{each.p99:.2f}",
            f"{each.cpu_us:.0f}",
            f"{each.busy:.0%}",
            f"{each.others:.0%}",
            "; ".join(_notes(each)),
        )
        for each in (found.constant, bare, ours)
    ]
    heads = (
        *("scenario", "per second", "to constant", "p50 ms", "p99 ms", "CPU us"),
        *("server busy", "others", "note"),
    )
    return (
        f"By {ours.clients} clients, in turns: a {ours.scenario} reaches {found.beside.rate:.3f} "
        f"of the rate of a {bare.scenario}, and costs {found.beside.cpu:.2f} times its CPU time."
        "\n\n"
    ) + table(heads, rows)


def _dialects(found: Dialects) -> str:
    heads = (
        *("dialect", "until delivered/s", "per second", "p50 ms", "p99 ms"),
        *("CPU us", "CPU us until delivered", "server busy", "client busy", "others", "note"),
    )
    shares = " and ".join(
        f"{ratio:.3f} ({figure.scenario})"
        for figure, ratio in zip(found.signed, found.ratios, strict=True)
    )
    return (
        f"Sends to {found.kind} by {found.native.clients} clients, worker on, in turns: signed "
        f"ones reach {shares} of the native rate, until all are delivered.\n\n"
    ) + table(heads, [_dialect_row(figure) for figure in (found.native, *found.signed)])


def _dialect_row(figure: Figure) -> tuple[str, ...]:
    return (
        figure.scenario,
        _or_blank(figure.rate_until_delivered, ".0f"),
        f"{figure.rate:.0f}",
        f"{figure.p50:.2f}",
        f"{figure.p99:.2f}",
        f"{figure.cpu_us:.0f}",
        _or_blank(figure.cpu_us_until_delivered, ".0f"),
        f"{figure.busy:.0%}",
        f"{figure.client_busy:.0%}",
        f"{figure.others:.0%}",
        "; ".join(_notes(figure)),
    )


def _captchas(found: Captchas) -> str:
    figures = [found.crowd, found.crowd_constant, found.steady, found.steady_constant]
    return (
        f"{found.crowd.clients} clients get captchas at {found.rate:.3f} of the constant route's "
        f"rate. At {SHARE_OF_PEAK:.0%} of that peak their p99 is {found.p99:.2f} times that one's."
        "\n\n"
    ) + _figures(figures, head="captchas")


def _hints(found: Sequence[Hinted]) -> str:
    rows = [
        (
            each.call,
            *(f"{time:.2f}" for time in (each.known.median, each.unknown.median)),
            *(f"{time:.2f}" for time in (each.known.p90, each.unknown.p90)),
            f"{each.slower:.3f}",
        )
        for each in found
    ]
    heads = (
        *("call", "known, median ms", "unknown, median ms", "known, p90 ms", "unknown, p90 ms"),
        "chance that the known is the slower",
    )
    return (
        f"{CALLS} calls of known and {CALLS} of unknown numbers, one client, in a drawn order:\n\n"
    ) + table(heads, rows)


def _million(found: Million) -> str:
    return (
        f"{found.challenges:,} live challenges, {found.store_mib:.0f} MiB, seeded in "
        f"{found.seeding_seconds:.0f} s. In turns with an empty store, it keeps "
        f"{found.kept:.2f} of that one's rate of sends. Resident: {found.resident_mib:.0f} MiB, "
        f"at most {found.highest_mib:.0f} MiB.\n\n"
    ) + _figures([found.empty, found.full])


def _sweep(found: Sweeping) -> str:
    return (
        f"{found.rows:,} expired rows swept in {found.seconds:.0f} s, at half the peak rate of "
        f"{found.peak:.0f} sends a second. The slowest slice had a p99 of "
        f"{found.slowest_p99:.1f} ms.\n\n"
    ) + _figures([found.quiet, found.sweeping])


def _handed(found: Sequence[Handed]) -> str:
    rows = [(h.provider, f"{h.worker:.0f}", f"{h.bare:.0f}", f"{h.ratio:.3f}") for h in found]
    heads = ("provider", "hand-overs/s by a worker", "by a bare loop", "ratio")
    return table(heads, rows)


def _undisturbed(found: Sequence[Undisturbed]) -> str:
    rows = [(u.lane, f"{u.alone_ms:.1f}", f"{u.beside_ms:.1f}", f"{u.ratio:.2f}") for u in found]
    return table(("lane", "p95 ms alone", "p95 ms beside a flood", "ratio"), rows)


def _endured(found: Endured) -> str:
    rows = [
        (
            str(number),
            f"{one.sent.rate:.0f}",
            f"{one.sent.p50:.2f}",
            f"{one.sent.p99:.2f}",
            f"{one.resident_mib:.0f}",
            f"{one.store_mib:.0f}",
            f"{one.journal_mib:.0f}",
            f"{one.file_mib:.0f}",
            f"{one.lag_s:.0f}",
            f"{one.sent.busy:.0%}",
            f"{one.sent.others:.0%}",
        )
        for number, one in enumerate(found.stretches, 1)
    ]
    heads = (
        *("slice", "sends a second", "p50 ms", "p99 ms", "resident MiB", "store MiB"),
        *("journal MiB", "file MiB", "sweeping behind s", "server busy", "others"),
    )
    return (
        f"{found.sent:,} sends in {found.seconds / 60:.0f} min, at half of {found.peak:.0f} a "
        f"second, delivered and swept meanwhile. The journal grows by {found.journal_bytes:.0f} "
        "bytes a send.\n\n"
    ) + table(heads, rows)


def _figures(figures: Sequence[Figure], head: str = "sends") -> str:
    rows = [
        (
            figure.scenario,
            f"{figure.rate:.0f}",
            f"{figure.p50:.2f}",
            f"{figure.p99:.2f}",
            f"{figure.cpu_us:.0f}",
            f"{figure.busy:.0%}",
            f"{figure.others:.0%}",
            _refusals(figure),
        )
        for figure in figures
    ]
    heads = (head, "per second", "p50 ms", "p99 ms", "CPU us", "server busy", "others", "note")
    return table(heads, rows)


def _processes(found: Sequence[Crowded]) -> str:
    rows = [
        (
            str(each.processes),
            str(each.cores),
            ", ".join(f"{rate:.0f}" for rate in each.rates),
            f"{sum(each.rates):.0f}",
            f"{each.fairness:.2f}",
        )
        for each in found
    ]
    return table(
        ("processes", "cores", "sends a second, each", "together", "slowest/fastest"), rows
    )


def _fleet(fleet: Fleet) -> Iterator[str]:
    settings = ", ".join(f"{name} {value}" for name, value in fleet.settings.items())
    yield f"PostgreSQL {fleet.version} on {fleet.cores}: {settings}."
    if rows := list(_fleet_rows(fleet)):
        heads = (
            *("", "clients", "per second", "p50 ms", "p99 ms", "CPU us", "server busy", "others"),
            *("database CPU us", "log bytes", "note"),
        )
        yield table(heads, rows)
    if told := list(_fleet_ratios(fleet)):
        yield "\n".join(told)
    if fleet.pools:
        yield _pools(fleet.pools)
    if fleet.cleared is not None:
        yield _cleared(fleet.cleared)


def _fleet_rows(fleet: Fleet) -> Iterator[tuple[str, ...]]:
    for kind in (fleet.sends, fleet.checks):
        if kind is not None:
            yield _costed_row(kind.sqlite, None)
            yield _costed_row(kind.postgres, kind.cost)
    for found in (fleet.bare, fleet.full, fleet.limited, fleet.delivered):
        if found is not None:
            yield _costed_row(found.figure, found.cost)


def _costed_row(figure: Figure, cost: Cost | None) -> tuple[str, ...]:
    return (
        figure.scenario,
        str(figure.clients),
        f"{figure.rate:.0f}",
        f"{figure.p50:.2f}",
        f"{figure.p99:.2f}",
        f"{figure.cpu_us:.0f}",
        f"{figure.busy:.0%}",
        f"{figure.others:.0%}",
        f"{cost.cpu_us:.0f}" if cost else "",
        f"{cost.wal_bytes:.0f}" if cost else "",
        _refusals(figure),
    )


def _fleet_ratios(fleet: Fleet) -> Iterator[str]:
    for kind in (fleet.sends, fleet.checks):
        if kind is not None:
            yield f"- A {kind.kind} costs the process {kind.cpu:.2f} of what it does on SQLite."
    if (bare := fleet.bare) is not None:
        yield (
            f"- Sends reach {bare.rate:.3f} of the rate of bare calls of {bare.parameters} "
            f"parameters over {bare.figure.clients} connections."
        )
    if (full := fleet.full) is not None:
        yield (
            f"- With {full.challenges:,} live challenges, {full.store_mib:.0f} MiB seeded in "
            f"{full.seeding_seconds:.0f} s, they keep {full.kept:.3f} of the empty store's rate; "
            f"right after a checkpoint {full.kept_after_checkpoint:.3f}, with "
            f"{full.cost_after_checkpoint.wal_bytes:.0f} bytes of log each."
        )


def _pools(pools: Sequence[Pooled]) -> str:
    heads = (
        *("connections", "sends a second", "p50 ms", "p99 ms", "CPU us", "database CPU us"),
        *("log bytes", "commits a sync"),
    )
    rows = [
        (
            str(each.connections),
            f"{each.sends.rate:.0f}",
            f"{each.sends.p50:.2f}",
            f"{each.sends.p99:.2f}",
            f"{each.sends.cpu_us:.0f}",
            f"{each.cost.cpu_us:.0f}",
            f"{each.cost.wal_bytes:.0f}",
            f"{each.commits_a_sync:.2f}",
        )
        for each in pools
    ]
    return table(heads, rows)


def _cleared(found: Cleared) -> str:
    return (
        f"{_sweep(found.sweeping)}\n\n"
        f"VACUUM ran {found.vacuums} times meanwhile. Tables and indexes: {found.full_mib:.0f} MiB "
        f"with the {found.expired:,} expired sends; when all those were gone, with {found.sent:,} "
        f"sent meanwhile, {found.swept_mib:.0f} MiB; with as many expired ones again "
        f"{found.refilled_mib:.0f} MiB: {found.grown:.2f} of the room a send. What "
        f"a send has left costs the database {found.cost.cpu_us:.0f} us and "
        f"{found.cost.wal_bytes:.0f} bytes of log to sweep."
    )


def _profile(kind: str, places: Sequence[Place]) -> str:
    whole = sum(place.itself for place in places) or 1.0
    modules: dict[tuple[str, str], float] = defaultdict(float)
    for place in places:
        modules[place.thread, place.module] += place.itself
    dearest = sorted(modules.items(), key=lambda item: -item[1])[:_MOST_MODULES]
    by_module = [(thread, module, f"{spent / whole:.1%}") for (thread, module), spent in dearest]
    by_function = [
        (p.thread, p.module, p.function, f"{p.itself / whole:.1%}", f"{p.total / whole:.1%}")
        for p in places[:_MOST_FUNCTIONS]
    ]
    return "\n\n".join(
        [
            f"Where the CPU time of `{kind}` goes, {whole:.1f} s of it:",
            table(("thread", "module", "itself"), by_module),
            table(("thread", "module", "function", "itself", "with what it calls"), by_function),
        ]
    )


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [list(heads), *map(list, rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(heads))]
    head, *body = (" | ".join(c.ljust(w) for c, w in zip(x, widths, strict=True)) for x in lines)
    rule = " | ".join("-" * max(3, width) for width in widths)
    return "\n".join(f"| {line} |" for line in (head, rule, *body))


def _or_blank(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
