"""A siteverify on a real socket: it knows its secret, and each answer once, for five minutes.

After Cloudflare's page "Validate the token" of the Turnstile documentation: form or JSON in, JSON
out, 200 for a refusal too, and the same idempotency key gives the same answer again.
"""

import json
import secrets
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

PATH = "/turnstile/v0/siteverify"
LIFE = timedelta(seconds=300)


@dataclass
class Solved:
    """What a visitor did, as the widget wrote it down."""

    at: datetime
    said: dict[str, Any]
    used_under: str | None = None

    def is_free_for(self, key: str | None) -> bool:
        return self.used_under is None or bool(key and key == self.used_under)


@dataclass
class Siteverify:
    """`asked` is every request it understood; `instead` is said in place of what is true."""

    secret: str = "0x4AAAAAAAtheSecret"
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    instead: tuple[int, bytes] | None = None
    asked: list[dict[str, str]] = field(default_factory=list)
    endpoint: str = ""
    _solved: dict[str, Solved] = field(default_factory=dict)
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    def solve(
        self, *, cdata: str, action: str = "watchword", hostname: str = "shop.example"
    ) -> str:
        """Pass the widget; what it gives the page."""
        now = self.clock()
        answer = f"0.{secrets.token_urlsafe(300)}.{secrets.token_hex(32)}"
        self._solved[answer] = Solved(
            now,
            {
                "challenge_ts": now.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
                "hostname": hostname,
                "action": action,
                "cdata": cdata,
                "metadata": {"interactive": False},
            },
        )
        return answer

    def judge(self, asked: dict[str, str]) -> dict[str, Any]:
        with self._one_at_a_time:
            self.asked.append(asked)
            refusal = self._refusal(asked)
            if refusal:
                return {"success": False, "error-codes": [refusal], "messages": []}
            solved = self._solved[asked["response"]]
            solved.used_under = asked.get("idempotency_key", "")
            return {"success": True, "error-codes": [], **solved.said}

    def _refusal(self, asked: dict[str, str]) -> str:
        for name in ("secret", "response"):
            if not asked.get(name):
                return f"missing-input-{name}"
        if asked["secret"] != self.secret:
            return "invalid-input-secret"
        key = asked.get("idempotency_key")
        if key is not None and not is_uuid(key):
            return "bad-request"
        solved = self._solved.get(asked["response"])
        if solved is None or len(asked["response"]) > 2048:
            return "invalid-input-response"
        if self.clock() - solved.at > LIFE or not solved.is_free_for(key):
            return "timeout-or-duplicate"
        return ""


@contextmanager
def running(**terms: Any) -> Iterator[Siteverify]:
    """One that listens on this machine until the end; `terms` are fields of Siteverify."""
    siteverify = Siteverify(**terms)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if siteverify.instead is not None:
                self.answer(*siteverify.instead)
            elif self.path != PATH:
                self.answer(404, b"")
            else:
                said = siteverify.judge(self.read(body.decode()))
                self.answer(200, json.dumps(said).encode())

        def read(self, body: str) -> dict[str, str]:
            if self.headers["Content-Type"] == "application/json":
                return dict(json.loads(body))
            fields = parse_qs(body, keep_blank_values=True, strict_parsing=True)
            return {name: value for name, (value,) in fields.items()}

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """It has nobody to tell."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        siteverify.endpoint = f"http://127.0.0.1:{server.server_port}{PATH}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield siteverify
        finally:
            server.shutdown()
            thread.join()


def is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
