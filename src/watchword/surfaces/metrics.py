"""What happened, as numbers. One tally a process, turned into Prometheus text when asked.

Counting is a dictionary and an addition: all of it happens on the event loop's one thread, and a
scrape is rarer than a request by far. Tallies add up, so that those of several processes are told
as one (counting.py).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector, CollectorRegistry

from watchword.service.count_refusals import REFUSALS

MOST_APPS = 100
OTHER = "other"
_APP = "app"

_Key = tuple[str | int, ...]
_Counts = dict[_Key, float]
_Spread = dict[_Key, list[float]]
"""Per key how many fell below each bound, and below none; last, their sum."""


class _Family(msgspec.Struct, frozen=True):
    """Numbers of one name: what they say, by which labels, and a histogram's bounds."""

    help: str
    labels: tuple[str, ...]
    bounds: tuple[float, ...] = ()


_COUNTERS = {
    "requests": _Family("Requests answered.", ("route", "status")),
    "sends": _Family("Sends taken on.", (_APP, "channel")),
    "verdicts": _Family("Checks judged.", (_APP, "verdict")),
    "refusals": _Family("Limits met.", (_APP, "scope")),
    "deliveries": _Family("Hand-overs by how they ended.", ("channel", "provider", "state")),
    "webhook_posts": _Family("Posts to apps' webhooks by how they ended.", ("outcome",)),
}
_HISTOGRAMS = {
    "request_seconds": _Family(
        "Time to answer.",
        ("route",),
        (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
    ),
    "handover_seconds": _Family(
        "From queued to accepted by the provider.",
        ("channel", "provider"),
        (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0),
    ),
    "approval_seconds": _Family(
        "From the first send of a challenge to its approval.",
        (),
        (5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0),
    ),
    "commit_acts": _Family(
        "Acts that shared one COMMIT of the embedded store.",
        (),
        (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0),
    ),
}
_STATES = {
    "provider_unavailable": _Family(
        "1 while the last hand-over was put off by the provider, or in doubt.",
        ("channel", "provider"),
    ),
    "channel_paused": _Family("1 while an operator has paused the channel.", ("channel",)),
}


class _Told(msgspec.Struct, frozen=True):
    """A tally as another process reads it."""

    counts: dict[str, _Counts]
    spreads: dict[str, _Spread]
    states: dict[str, _Counts]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Told).decode


class Tally(Collector):
    """Requests, outcomes and refusals since the start; of one process, or of several."""

    def __init__(self) -> None:
        self._counts: dict[str, _Counts] = {name: {} for name in _COUNTERS}
        self._spreads: dict[str, _Spread] = {name: {} for name in _HISTOGRAMS}
        self._states: dict[str, _Counts] = {name: {} for name in _STATES}
        self._apps: set[str | int] = set()

    def request(self, route: str, status: int, seconds: float) -> None:
        _count(self._counts["requests"], (route, status))
        self._observe("request_seconds", (route,), seconds)

    def sent(self, app_id: str, channel: str) -> None:
        _count(self._counts["sends"], (self._label(app_id), channel))

    def judged(self, app_id: str, verdict: str) -> None:
        _count(self._counts["verdicts"], (self._label(app_id), verdict))

    def approved(self, seconds: float) -> None:
        self._observe("approval_seconds", (), max(0.0, seconds))

    def refused(self, app_id: str, scope: str) -> None:
        REFUSALS.count(app_id, scope)
        _count(self._counts["refusals"], (self._label(app_id), scope))

    def handed_over(self, channel: str, provider: str, state: str, times: int = 1) -> None:
        """`times` 0 makes the number known before it ever happens: a rate needs a beginning."""
        _count(self._counts["deliveries"], (channel, provider, state), times)

    def posted(self, outcome: str, times: int) -> None:
        """`times` may be 0, too."""
        _count(self._counts["webhook_posts"], (outcome,), times)

    def accepted(self, channel: str, provider: str, seconds: float) -> None:
        self._observe("handover_seconds", (channel, provider), max(0.0, seconds))

    def committed(self, acts: int, times: int) -> None:
        self._observe("commit_acts", (), acts, times)

    def unavailable(self, channel: str, provider: str, *, is_so: bool) -> None:
        self._states["provider_unavailable"][channel, provider] = int(is_so)

    def paused(self, channel: str, *, is_so: bool) -> None:
        self._states["channel_paused"][channel,] = int(is_so)

    def told(self) -> bytes:
        """All of it, for `add`."""
        return _encode(_Told(self._counts, self._spreads, self._states))

    def add(self, told: bytes) -> None:
        """Add what a tally told. It names no more apps than one process may."""
        other = _decode(told)
        for name in _COUNTERS:
            for key, count in other.counts.get(name, {}).items():
                _count(self._counts[name], self._bounded(name, key), count)
        for name in _HISTOGRAMS:
            for key, row in other.spreads.get(name, {}).items():
                known = self._spreads[name].get(key, [0.0] * len(row))
                self._spreads[name][key] = [a + b for a, b in zip(known, row, strict=True)]
        for name in _STATES:
            for key, is_so in other.states.get(name, {}).items():
                states = self._states[name]
                states[key] = max(is_so, states.get(key, 0))

    def collect(self) -> Iterable[Metric]:
        for name, family in _COUNTERS.items():
            yield _counter(f"watchword_{name}", family, self._counts[name])
        for name, family in _HISTOGRAMS.items():
            yield _histogram(f"watchword_{name}", family, self._spreads[name])
        for name, family in _STATES.items():
            yield _gauge(f"watchword_{name}", family.help, family.labels, self._states[name])

    def _observe(self, name: str, key: _Key, value: float, times: int = 1) -> None:
        bounds = _HISTOGRAMS[name].bounds
        row = self._spreads[name].get(key)
        if row is None:
            row = self._spreads[name][key] = [0.0] * (len(bounds) + 2)
        row[bisect_left(bounds, value)] += times
        row[-1] += value * times

    def _bounded(self, name: str, key: _Key) -> _Key:
        if _COUNTERS[name].labels[0] != _APP:
            return key
        return (self._label(key[0]), *key[1:])

    def _label(self, app_id: str | int) -> str | int:
        """The first hundred apps have names of their own; a scrape stays small whoever comes."""
        if app_id in self._apps or app_id == OTHER:
            return app_id
        if len(self._apps) >= MOST_APPS:
            return OTHER
        self._apps.add(app_id)
        return app_id


class Number(msgspec.Struct, frozen=True):
    """A gauge that is looked up when asked: its values by their labels' values."""

    name: str
    help: str
    labels: tuple[str, ...]
    values: Mapping[_Key, float]


def render(tally: Tally, numbers: Iterable[Number]) -> bytes:
    """Everything in the Prometheus text format."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    registry.register(tally)
    registry.register(_Looked(numbers))
    return generate_latest(registry)


class _Looked(Collector):
    def __init__(self, numbers: Iterable[Number]) -> None:
        self._numbers = tuple(numbers)

    def collect(self) -> Iterable[Metric]:
        for one in self._numbers:
            yield _gauge(f"watchword_{one.name}", one.help, one.labels, one.values)


def _count(counts: _Counts, key: _Key, times: float = 1) -> None:
    counts[key] = counts.get(key, 0) + times


def _counter(name: str, family: _Family, counts: Mapping[_Key, float]) -> Metric:
    metric = CounterMetricFamily(name, family.help, labels=family.labels)
    for key, count in counts.items():
        metric.add_metric(_texts(key), count)
    return metric


def _histogram(name: str, family: _Family, spread: _Spread) -> Metric:
    metric = HistogramMetricFamily(name, family.help, labels=family.labels)
    for key, (*buckets, total) in spread.items():
        metric.add_metric(_texts(key), list(_cumulative(family.bounds, buckets)), total)
    return metric


def _cumulative(bounds: Sequence[float], buckets: Sequence[float]) -> Iterator[tuple[str, float]]:
    return zip((*map(str, bounds), "+Inf"), accumulate(buckets), strict=True)


def _gauge(
    name: str, documentation: str, labels: Sequence[str], values: Mapping[_Key, float]
) -> Metric:
    metric = GaugeMetricFamily(name, documentation, labels=labels)
    for key, value in values.items():
        metric.add_metric(_texts(key), value)
    return metric


def _texts(key: _Key) -> list[str]:
    return [str(value) for value in key]


TALLY = Tally()
"""The tally of this process."""
