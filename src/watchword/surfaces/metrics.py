"""What happened, as numbers. One tally a process, turned into Prometheus text when asked.

Counting is a dictionary and an addition: all of it happens on the event loop's one thread, and a
scrape is rarer than a request by far.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector, CollectorRegistry

from watchword.service.count_refusals import REFUSALS
from watchword.service.deliver import Lane

MOST_APPS = 100
OTHER = "other"
BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

_Counts = dict[tuple[str, ...], int]


class _Latency:
    """How long the requests of one route took."""

    __slots__ = ("buckets", "seconds")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BOUNDS_S) + 1)
        self.seconds = 0.0

    def cumulative(self) -> Iterator[tuple[str, float]]:
        total = 0
        for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), self.buckets, strict=True):
            total += count
            yield bound, total


class Tally(Collector):
    """Requests, outcomes and refusals of this process since it started."""

    def __init__(self) -> None:
        self._requests: dict[tuple[str, int], int] = defaultdict(int)
        self._latencies: dict[str, _Latency] = defaultdict(_Latency)
        self._sends: _Counts = defaultdict(int)
        self._verdicts: _Counts = defaultdict(int)
        self._refusals: _Counts = defaultdict(int)
        self._apps: set[str] = set()

    def request(self, route: str, status: int, seconds: float) -> None:
        self._requests[route, status] += 1
        latency = self._latencies[route]
        latency.buckets[bisect_left(BOUNDS_S, seconds)] += 1
        latency.seconds += seconds

    def sent(self, app_id: str, channel: str) -> None:
        self._sends[self._label(app_id), channel] += 1

    def judged(self, app_id: str, verdict: str) -> None:
        self._verdicts[self._label(app_id), verdict] += 1

    def refused(self, app_id: str, scope: str) -> None:
        REFUSALS.count(app_id, scope)
        self._refusals[self._label(app_id), scope] += 1

    def collect(self) -> Iterable[Metric]:
        yield _counter("requests", "Requests answered", ("route", "status"), self._requests.items())
        yield self._latency()
        yield _counter("sends", "Sends taken on", ("app", "channel"), self._sends.items())
        yield _counter("verdicts", "Checks judged", ("app", "verdict"), self._verdicts.items())
        yield _counter("refusals", "Limits met", ("app", "scope"), self._refusals.items())

    def _label(self, app_id: str) -> str:
        """The first hundred apps have names of their own; a scrape stays small whoever comes."""
        if app_id in self._apps:
            return app_id
        if len(self._apps) >= MOST_APPS:
            return OTHER
        self._apps.add(app_id)
        return app_id

    def _latency(self) -> Metric:
        family = HistogramMetricFamily(
            "watchword_request_seconds", "Time to answer", labels=("route",)
        )
        for route, latency in self._latencies.items():
            family.add_metric((route,), list(latency.cumulative()), latency.seconds)
        return family


def render(tally: Tally, lanes: Sequence[Lane], *, sandbox: bool, virtual: bool) -> bytes:
    """Everything in the Prometheus text format."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    registry.register(tally)
    registry.register(_Deliveries(lanes))
    registry.register(_Modes(sandbox=sandbox, virtual=virtual))
    return generate_latest(registry)


class _Deliveries(Collector):
    """How the hand-overs of this process ended."""

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self._lanes = lanes

    def collect(self) -> Iterable[Metric]:
        counts = {
            (lane.channel, lane.provider.name, state.value): count
            for lane in self._lanes
            for state, count in lane.ended_as.items()
        }
        labels = ("channel", "provider", "state")
        yield _counter("deliveries", "Hand-overs by how they ended", labels, counts.items())


class _Modes(Collector):
    """What must not be overlooked on a server meant for real people."""

    def __init__(self, **modes: bool) -> None:
        self._modes = modes

    def collect(self) -> Iterable[Metric]:
        for name, is_on in self._modes.items():
            yield GaugeMetricFamily(f"watchword_{name}", f"1 while {name} is on", value=int(is_on))


def _counter(
    name: str,
    documentation: str,
    labels: tuple[str, ...],
    counts: Iterable[tuple[tuple[object, ...], int]],
) -> Metric:
    family = CounterMetricFamily(f"watchword_{name}", documentation, labels=labels)
    for values, count in counts:
        family.add_metric([str(value) for value in values], count)
    return family


TALLY = Tally()
"""The tally of this process."""
