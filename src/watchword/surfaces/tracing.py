"""Traces, for whoever collects them: a span a request, a span a try to hand over a message.

They go to `tracing.endpoint` by OTLP over HTTP, from a thread of OpenTelemetry: a collector that
is away costs spans, never a request. A span names route, channel, provider and outcome, and the ids
of app and challenge: no address, no code, no query string. How much is sampled, and which headers
the collector wants, say OpenTelemetry's own variables (OTEL_TRACES_SAMPLER,
OTEL_EXPORTER_OTLP_HEADERS, OTEL_RESOURCE_ATTRIBUTES).
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, cast

from watchword import log
from watchword.domain.delivery import DeliveryState, Handover, Leased
from watchword.service.deliver import Lane
from watchword.surfaces import telling
from watchword.surfaces.exchange import Exchange
from watchword.surfaces.running import Running

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
    from opentelemetry.trace import Tracer

_PATH = "/v1/traces"
_PATIENCE_S = 5
_LAST_WORDS_S = 2.0
_QUIET_S = 60.0
_PARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_IN_VAIN = frozenset({DeliveryState.QUEUED, DeliveryState.UNKNOWN, DeliveryState.FAILED})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@asynccontextmanager
async def tracing(service: Running, endpoint: str) -> AsyncIterator[None]:
    """Trace what this process does until the end; with no `endpoint`, nothing."""
    if not endpoint:
        yield
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    name = os.environ.get("OTEL_SERVICE_NAME", "watchword")
    about = Resource.create({"service.name": name, "service.version": version("watchword")})
    exporter = OTLPSpanExporter(endpoint=endpoint.rstrip("/") + _PATH, timeout=_PATIENCE_S)
    # It would log what strangers sent, the collector's words, and headers that hold its secret.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    provider = TracerProvider(resource=about, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(cast("SpanExporter", _Telling(exporter))))
    spans = _Spans(provider.get_tracer("watchword", version("watchword")))
    telling.ANSWERED.append(spans.request)
    for lane in service.lanes:
        lane.watchers.append(partial(spans.handover, lane))
    try:
        yield
    finally:
        telling.ANSWERED.remove(spans.request)
        ending = threading.Thread(target=provider.shutdown, daemon=True)
        ending.start()
        await asyncio.to_thread(ending.join, _LAST_WORDS_S)


class _Telling:
    """An exporter that tells of spans that were lost, once a minute at the most."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._quiet_until = 0.0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        if not result.value:  # SUCCESS is nought
            return result
        if time.monotonic() >= self._quiet_until:
            self._quiet_until = time.monotonic() + _QUIET_S
            log.events().warning("traces_lost", spans=len(spans))
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


class _Spans:
    """Each is made when what it tells of is over."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def request(self, exchange: Exchange, status: int, seconds: float) -> None:
        """The child of what the caller names as its `traceparent` (W3C Trace Context)."""
        from opentelemetry.trace import SpanKind, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        ended = time.time_ns()
        parent = exchange.headers.get(b"traceparent", b"")
        carrier = {"traceparent": parent.decode()} if _PARENT.fullmatch(parent) else {}
        method = exchange.scope["method"]
        span = self._tracer.start_span(
            exchange.route,
            TraceContextTextMapPropagator().extract(carrier),
            SpanKind.SERVER,
            {
                "http.request.method": method if method in _METHODS else "_OTHER",
                "http.response.status_code": status,
                "watchword.route": exchange.route,
            },
            start_time=ended - round(seconds * 1e9),
        )
        if status >= 500:
            span.set_status(StatusCode.ERROR)
        span.end(ended)

    def handover(self, lane: Lane, leased: Leased, handover: Handover) -> None:
        """From when the message was queued until the end of this try."""
        from opentelemetry.trace import SpanKind, StatusCode

        span = self._tracer.start_span(
            f"deliver {lane.channel}",
            kind=SpanKind.CLIENT,
            attributes={
                "watchword.app": leased.app_id,
                "watchword.challenge": leased.challenge_id,
                "watchword.channel": lane.channel,
                "watchword.provider": lane.provider.name,
                "watchword.state": handover.state.value,
                "watchword.tries": leased.tries + 1,
            },
            start_time=_nanoseconds(leased.queued_at),
        )
        if handover.state in _IN_VAIN:
            span.set_status(StatusCode.ERROR, handover.reason)
        span.end()


def _nanoseconds(at: datetime) -> int:
    since = at - _EPOCH
    return (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000
