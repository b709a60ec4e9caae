"""The SDK against a server that answers as it is told, over a socket."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import repeat

import httpx2
import pytest

from watchword.client import AsyncClient, Client, Unreachable, WatchwordProblem
from watchword.client.calls import LONGEST_PAUSE_S, MOST_TRIES, pause

ID = "0123456789abcdefghjkmnpqrs"
SENT = {
    "id": ID,
    "status": "pending",
    "to": "+86*********00",
    "channel": "sms",
    "expires_at": "2026-01-02T03:14:05Z",
    "resend_at": "2026-01-02T03:05:05Z",
    "attempts_left": 5,
}
HANG_UP = object()
DAMAGED = b"<html>a proxy's own page</html>"


class Scripted(ThreadingHTTPServer):
    """Gives the answers of a script, in order, and remembers what was asked."""

    daemon_threads = True

    def __init__(self, script):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script = iter(script)
        self.asked = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Scripted
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.asked.append(
            (self.command, self.path, dict(self.headers), json.loads(body) if body else None)
        )
        script = next(self.server.script)
        if script is HANG_UP:
            self.close_connection = True
            return
        status, content, headers = (*script, {})[:3]
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"content-length": str(len(raw)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    do_GET = do_POST = do_DELETE = answer  # noqa: N815  http.server's names

    def log_message(self, *_):
        """The test says what went wrong."""


@contextmanager
def scripted(*script) -> Iterator[Scripted]:
    server = Scripted(script)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(params=["plain", "async"])
def act(request):
    """Does `call` with a client of each kind: one promise, two ways to wait."""

    async def do(url, call):
        if request.param == "plain":
            with Client(url, "ww_key") as client:
                return call(client)
        async with AsyncClient(url, "ww_key") as client:
            return await call(client)

    return do


async def test_a_send_says_all_it_was_told(act):
    """What the caller leaves out, the request leaves out."""
    with scripted((201, SENT)) as server:
        sent = await act(
            server.url,
            lambda client: client.send(
                "+8613800138000",
                purpose="reset",
                locale="zh-CN",
                code_length=8,
                ttl=timedelta(minutes=5),
                binding={"session": "x"},
                client_ip="203.0.113.7",
                fingerprint="device",
                idempotency_key="mine",
            ),
        )
    ((method, path, headers, body),) = server.asked
    assert (method, path) == ("POST", "/v1/verifications")
    assert headers["authorization"] == "Bearer ww_key"
    assert headers["idempotency-key"] == "mine"
    assert body == {
        "to": "+8613800138000",
        "channel": "sms",
        "purpose": "reset",
        "locale": "zh-CN",
        "code_length": 8,
        "ttl": 300,
        "binding": {"session": "x"},
        "client": {"ip": "203.0.113.7", "fingerprint": "device"},
    }
    assert (sent.id, sent.attempts_left, sent.approved) == (ID, 5, False)
    assert sent.expires_at.utcoffset() == timedelta()


async def test_a_send_needs_only_an_address(act):
    """A mailbox goes by email, anything else by SMS; the purpose is to sign in."""
    with scripted((201, SENT)) as server:
        await act(server.url, lambda client: client.send("ann@example.com"))
    body = server.asked[0][3]
    assert body == {"to": "ann@example.com", "channel": "email", "purpose": "sign_in"}


@pytest.mark.parametrize(
    ("call", "method", "path", "answer"),
    [
        (lambda c: c.check(ID, "123456"), "POST", f"/{ID}/check", SENT),
        (lambda c: c.resend(ID), "POST", f"/{ID}/resend", SENT),
        (lambda c: c.get(ID), "GET", f"/{ID}", SENT),
        (lambda c: c.cancel(ID), "DELETE", f"/{ID}", SENT),
        (lambda c: c.deliveries(ID), "GET", f"/{ID}/deliveries", {"deliveries": []}),
        (lambda c: c.get("../x"), "GET", "/..%2Fx", SENT),
    ],
)
async def test_each_call_has_its_path(act, call, method, path, answer):
    with scripted((200, answer)) as server:
        await act(server.url, call)
    assert server.asked[0][:2] == (method, f"/v1/verifications{path}")


async def test_an_approval_says_so(act):
    answer = {"id": ID, "status": "approved", "attempts_left": 4}
    with scripted((200, answer)) as server:
        checked = await act(server.url, lambda client: client.check(ID, "123456"))
    assert checked.approved


async def test_the_inbox_is_a_list(act):
    item = {"to": "+86", "channel": "sms", "text": "x", "code": "1", "at": "2026-01-02T03:04:05Z"}
    with scripted((200, {"items": [item]})) as server:
        (received,) = await act(server.url, lambda client: client.inbox("+8613800138000"))
    assert server.asked[0][1] == "/v1/inbox?to=%2B8613800138000"
    assert received.code == "1"


async def test_a_refusal_is_a_problem_that_knows_all(act):
    """Type, field and when to come back: what a program needs to go on."""
    said = {
        "type": "urn:watchword:problem:limit-reached",
        "title": "A limit is reached",
        "status": 429,
        "detail": "The limit per destination is reached.",
        "errors": [{"pointer": "/to", "detail": "x"}],
    }
    refusal = (429, said, {"retry-after": "90"})
    with scripted(refusal) as server, pytest.raises(WatchwordProblem) as caught:
        await act(server.url, lambda client: client.send("+8613800138000"))
    problem = caught.value
    assert (problem.status, problem.type) == (429, said["type"])
    assert (problem.title, problem.field) == (said["title"], "/to")
    assert problem.retry_in == timedelta(seconds=90)
    assert str(problem) == said["detail"]
    assert len(server.asked) == 1


async def test_a_refusal_in_another_form_is_a_problem_too(act):
    """Proxies answer in HTML."""
    with scripted((502, DAMAGED)) as server, pytest.raises(WatchwordProblem) as caught:
        await act(server.url, lambda client: client.get(ID))
    assert caught.value.status == 502


async def test_an_answer_that_is_not_ours_is_a_problem(act):
    with scripted((200, DAMAGED)) as server, pytest.raises(Unreachable):
        await act(server.url, lambda client: client.get(ID))


async def test_what_broke_is_tried_again_under_the_same_key(act):
    """Never a second message, never a second attempt spent."""
    again = {"retry-after": "0"}
    with scripted(HANG_UP, (503, SENT, again), (409, SENT, again), (201, SENT)) as server:
        sent = await act(server.url, lambda client: client.send("+8613800138000"))
    assert sent.id == ID
    assert len(server.asked) == MOST_TRIES
    assert len({headers["idempotency-key"] for _, _, headers, _ in server.asked}) == 1


@pytest.mark.parametrize(
    "final", [(500, {}), (409, {}), (429, {}, {"retry-after": "1"}), (401, {}), (422, {})]
)
async def test_what_is_final_is_not_tried_again(act, final):
    """Insisting helps nobody."""
    with scripted(final) as server, pytest.raises(WatchwordProblem):
        await act(server.url, lambda client: client.check(ID, "123456"))
    assert len(server.asked) == 1


async def test_a_server_that_stays_away_ends_the_tries(act):
    with scripted(*repeat(HANG_UP, MOST_TRIES)) as server, pytest.raises(Unreachable):
        await act(server.url, lambda client: client.send("+8613800138000"))
    assert len(server.asked) == MOST_TRIES


async def test_two_sends_have_two_keys(act):
    """Each send is an act of its own, unless the caller says otherwise."""
    with scripted((201, SENT), (201, SENT)) as server:
        for _ in range(2):
            await act(server.url, lambda client: client.send("+8613800138000"))
    assert len({headers["idempotency-key"] for _, _, headers, _ in server.asked}) == 2


@pytest.mark.parametrize(
    ("tries", "asked", "waits"),
    [(1, "3", True), (1, str(LONGEST_PAUSE_S + 1), False), (MOST_TRIES, "1", False)],
)
def test_a_wait_is_what_the_server_asks_and_bounded(tries, asked, waits):
    """A client never sleeps for an hour because a header says so."""
    seconds = pause(tries, httpx2.Response(503, headers={"retry-after": asked}))
    assert (seconds is not None) == waits
    assert seconds is None or seconds >= int(asked)


def test_a_pause_grows_and_is_spread():
    """Many clients do not come back in step."""
    failed = httpx2.ConnectError("gone")
    first, third = ({pause(tries, failed) or 0 for _ in range(20)} for tries in (1, 3))
    assert max(first) <= 0.2 < 0.4 <= min(third) <= max(third) <= 0.8
    assert len(first) > 1
