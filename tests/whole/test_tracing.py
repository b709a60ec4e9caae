"""Traces, as a collector hears them: OTLP over HTTP, read by OpenTelemetry's own messages."""

import socket
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.whole.conftest import WATCHWORD, eventually
from watchword.bootstrap import bootstrap
from watchword.client import Client
from watchword.domain.destination import phone
from watchword.domain.purpose import Purpose
from watchword.service.issue import Send, issue

pytestmark = pytest.mark.store("sqlite")

PHONE = "+8613800138000"
MANY = 2500
"""More than a queue of spans holds."""
TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector(ThreadingHTTPServer):
    """Keeps what it is sent."""

    def __init__(self):
        self.bodies = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"

    def spans(self):
        return [
            (resource.resource, span)
            for body in tuple(self.bodies)
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def named(self, name):
        return [span for _, span in self.spans() if span.name == name]


class Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/v1/traces":
            self.server.bodies.append(body)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        """It says nothing."""


@contextmanager
def collecting():
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever)
        thread.start()
        try:
            yield collector
        finally:
            collector.shutdown()
            thread.join()


def tracing(endpoint):
    return {"WATCHWORD_TRACING__ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "200"}


@contextmanager
def working(house):
    words = [WATCHWORD, "worker", "--data", house.folder]
    with subprocess.Popen(words, env=house.environment(OTEL_BSP_SCHEDULE_DELAY="200")) as worker:
        try:
            yield
        finally:
            worker.terminate()


def attributes(said):
    return {
        one.key: one.value.string_value or one.value.int_value or one.value.bool_value
        for one in said.attributes
    }


@pytest.mark.parametrize("workers", ["1", "2"])
def test_requests_and_hand_overs_are_spans_that_tell_no_secret(house, workers):
    """A request is the child of what its caller names; neither code, address nor key go along, not
    even those of a query string."""
    with collecting() as collector:
        with house.serving("--workers", workers, **tracing(collector.address)) as serving:
            app = house.run("app", "create", "shop").stdout.strip()
            key = house.run("key", "create", app).stdout.strip()
            with httpx2.Client(base_url=serving["base_url"]) as api:
                headers = {
                    "authorization": f"Bearer {key}",
                    "traceparent": f"00-{TRACE}-{CALLER}-01",
                    "tracestate": f"told={PHONE[1:]}, not a member",
                }
                body = {"to": PHONE, "channel": "sms", "purpose": "sign_in"}
                sent = api.post("/v1/verifications", json=body, headers=headers).json()
                api.get("/", params={"Action": "Any", "Phone": PHONE[1:]})
            code = house.inbox("--to", PHONE, "--code")
            eventually(lambda: collector.named("deliver sms"), "a hand-over")
            eventually(lambda: collector.named("none"), "the strange request")
        spans = collector.spans()
    (request,) = [span for _, span in spans if span.trace_id.hex() == TRACE]
    assert request.parent_span_id.hex() == CALLER
    assert attributes(request)["http.response.status_code"] == 201
    assert 0 < request.end_time_unix_nano - request.start_time_unix_nano < 60e9
    (handover,) = [span for _, span in spans if span.name == "deliver sms"]
    told = attributes(handover)
    assert (told["watchword.app"], told["watchword.challenge"]) == (app, sent["id"])
    assert (told["watchword.provider"], told["watchword.state"]) == ("virtual", "delivered")
    assert told["watchword.tries"] == 1
    assert {attributes(resource)["service.name"] for resource, _ in spans} == {"watchword"}
    whole = b"".join(collector.bodies)
    assert not [secret for secret in (code, PHONE[1:], key) if secret.encode() in whole]
    assert "not a member" not in house.said()


@pytest.mark.anyio
async def test_a_worker_traces_what_it_hands_over(house):
    with collecting() as collector:
        house.settings(f'[tracing]\nendpoint = "{collector.address}"\n')
        async with bootstrap(house.loaded(), deliver=False) as service:
            app = await service.apps.create(name="shop", now=service.clock())
            asked = Send(app=app, purpose=Purpose.SIGN_IN, destination=phone(PHONE), channel="sms")
            issued = await issue(asked, service.house, now=service.clock())
        with working(house):
            (span,) = eventually(lambda: collector.named("deliver sms"), "a hand-over")
    assert attributes(span)["watchword.challenge"] == issued.challenge_id


def test_a_collector_that_is_away_costs_spans_and_nothing_else(house):
    """They are told to be lost, and a stop waits for none of them."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with house.serving("--workers", "2", **tracing(endpoint)) as serving:
            app = house.run("app", "create", "shop").stdout.strip()
            with Client(serving["base_url"], house.run("key", "create", app).stdout.strip()) as api:
                sent = api.send(PHONE, channel="sms", purpose="sign_in")
                code = house.inbox("--to", PHONE, "--code")
                assert api.check(sent.id, code).status == "approved"
            with httpx2.Client(base_url=serving["base_url"]) as stranger:
                for _ in range(MANY):
                    stranger.get("/v1/verifications/none")
            eventually(lambda: "traces_lost" in house.said(), "word of what was lost")


def test_without_opentelemetry_a_start_says_what_to_install(house, tmp_path):
    """A module of that name which is none of theirs hides it."""
    (tmp_path / "opentelemetry.py").touch()
    hidden = {**tracing("http://127.0.0.1:4318"), "PYTHONPATH": str(tmp_path)}
    refused = house.run("doctor", check=False, **hidden)
    assert refused.returncode == 1
    assert "requirements-opentelemetry.txt" in refused.stdout + refused.stderr
    assert house.run("doctor", PYTHONPATH=str(tmp_path)).returncode == 0
