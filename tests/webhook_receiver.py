"""A webhook's receiver on a real socket: what it takes has the signature that Standard Webhooks'
own library asks for."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError


@dataclass
class Receiver:
    """`taken` is what was signed as it should be, in the order it came: the id and the body;
    `answers` are the statuses it gives next, then 204; while `hangs` is clear it gives none."""

    url: str = ""
    secret: str = ""
    taken: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    asked: int = 0
    forged: int = 0
    answers: list[int] = field(default_factory=list)
    hangs: threading.Event = field(default_factory=threading.Event)
    body: bytes = b""

    def answer(self, headers: Any, body: bytes) -> int:
        self.asked += 1
        self.hangs.wait()
        try:
            said = Webhook(self.secret).verify(body, dict(headers))
        except WebhookVerificationError:
            self.forged += 1
            return 401
        if self.answers:
            return self.answers.pop(0)
        self.taken.append((headers["webhook-id"], said))
        return 204

    def told(self) -> list[str]:
        return [said["type"] for _, said in self.taken]


@contextmanager
def receiving(path: str = "/hooks?tenant=1", beside: str = "") -> Iterator[Receiver]:
    """What is posted to the path `beside` gets no answer while the block lasts."""
    receiver, may_end = Receiver(), threading.Event()
    receiver.hangs.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path == beside:
                may_end.wait()
            status = receiver.answer(self.headers, body) if self.path == path else 404
            self.send_response(status)
            self.send_header("content-length", str(len(receiver.body)))
            self.end_headers()
            with suppress(ConnectionError):  # nobody has to hear all of it
                self.wfile.write(receiver.body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_port}{path}"
    try:
        yield receiver
    finally:
        receiver.hangs.set()
        may_end.set()
        server.shutdown()
        thread.join()
        server.server_close()
