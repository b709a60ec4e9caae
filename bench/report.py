"""The results as Markdown tables, that a terminal shows as well."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from bench.claims import claims
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
    for found in results.dialects:
        yield _dialects(found)
    if results.million is not None:
        yield _million(results.million)
    if results.sweep is not None:
        yield _sweep(results.sweep)
    if results.processes:
        yield _processes(results.processes)
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


def _figures(figures: Sequence[Figure]) -> str:
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
    heads = ("sends", "per second", "p50 ms", "p99 ms", "CPU us", "server busy", "others", "note")
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
