"""The load: HTTP/1.1 on raw sockets and one epoll, so little that it measures the server.

Requests come ready as bytes, and of an answer only its status and length are read.
"""

from __future__ import annotations

import re
import select
import socket
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from time import perf_counter
from types import TracebackType

import msgspec

CHUNK = 65536
PATIENCE = 15.0
_NO_CONTENT = b"204"
"""Such an answer has no length: it ends with its head."""
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)\r\n")


class Answers(msgspec.Struct):
    """What came back in one window, an entry an answer; latencies in seconds."""

    seconds: float = 0.0
    latencies: list[float] = []
    statuses: Counter[int] = msgspec.field(default_factory=Counter)
    bodies: list[bytes] = []

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    def percentile(self, share: float) -> float:
        ranked = sorted(self.latencies)
        return ranked[min(len(ranked) - 1, int(len(ranked) * share))] if ranked else 0.0


class Connection:
    """One caller: sends the next request when it has read the whole answer to the last."""

    __slots__ = ("address", "answers", "sent_at", "socket", "unread", "waits")

    def __init__(self, address: int, port: int) -> None:
        self.address = address
        self.answers = Answers()
        self.unread = b""
        self.waits = False
        self.sent_at = 0.0
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)

    def ask(self, request: bytes, sent_at: float) -> None:
        self.sent_at = sent_at
        self.waits = True
        if self.socket.send(request) != len(request):
            raise OSError("The request did not fit into the socket at once.")

    def read(self) -> bool:
        """Take what has arrived; True when that is the whole answer."""
        chunk = self.socket.recv(CHUNK)
        if not chunk:
            raise ConnectionError("The server hung up.")
        unread = self.unread + chunk if self.unread else chunk
        head = unread.find(b"\r\n\r\n") + 4
        if head < 4 or len(unread) < head + _length(unread, head):
            self.unread = unread
            return False
        self._note(int(unread[9:12]), unread[head:])
        return True

    def _note(self, status: int, body: bytes) -> None:
        self.unread = b""
        self.waits = False
        self.answers.latencies.append(perf_counter() - self.sent_at)
        self.answers.statuses[status] += 1
        self.answers.bodies.append(body)


class Client:
    """Several connections, dealt in turn to the servers at `ports`."""

    def __init__(self, ports: Sequence[int], connections: int) -> None:
        self._servers = len(ports)
        self._waiting = 0
        self._epoll = select.epoll()
        self._by_fd: dict[int, Connection] = {}
        for n in range(connections):
            connection = Connection(n % len(ports), ports[n % len(ports)])
            self._by_fd[connection.socket.fileno()] = connection
            self._epoll.register(connection.socket, select.EPOLLIN)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        for connection in self._by_fd.values():
            connection.socket.close()
        self._epoll.close()

    def closed_loop(self, requests: Iterator[bytes], seconds: float) -> list[Answers]:
        """Every connection asks as soon as it was answered. One Answers a server.

        Ends after `seconds`, or when the requests have run out and all are answered.
        """
        answers = self._fresh_answers()
        started_at = perf_counter()
        for connection in self._by_fd.values():
            self._ask_next(connection, requests)
        while self._waiting and (left := started_at + seconds - perf_counter()) > 0:
            for fd, _ in self._epoll.poll(left):
                connection = self._by_fd[fd]
                if connection.read():
                    self._waiting -= 1
                    self._ask_next(connection, requests)
        return self._timed(answers, perf_counter() - started_at)

    def open_loop(self, requests: Iterator[bytes], rate: float, seconds: float) -> Answers:
        """Ask `rate` times a second whatever comes back; to one server.

        A request that has to wait for a free connection is late from the instant it was due.
        """
        answers = self._fresh_answers()
        free = deque(self._by_fd.values())  # in turn, or some would rest too long
        started_at, sent = perf_counter(), 0
        while (now := perf_counter()) < started_at + seconds:
            while free and (due_at := started_at + sent / rate) <= now:
                free.popleft().ask(next(requests), due_at)
                self._waiting, sent = self._waiting + 1, sent + 1
            for fd, _ in self._epoll.poll(0):
                if self._by_fd[fd].read():
                    self._waiting -= 1
                    free.append(self._by_fd[fd])
        return self._timed(answers, perf_counter() - started_at)[0]

    def settle(self) -> None:
        """Wait for what is still under way, so that the next window starts from rest."""
        until = perf_counter() + PATIENCE
        while self._waiting:
            ready = self._epoll.poll(max(0.0, until - perf_counter()))
            if not ready:
                raise TimeoutError(f"{self._waiting} answers are missing.")
            self._waiting -= sum(self._by_fd[fd].read() for fd, _ in ready)

    def _fresh_answers(self) -> list[Answers]:
        self._waiting = 0
        answers = [Answers() for _ in range(self._servers)]
        for connection in self._by_fd.values():
            connection.answers = answers[connection.address]
        return answers

    def _ask_next(self, connection: Connection, requests: Iterator[bytes]) -> None:
        request = next(requests, None)
        if request is not None:
            connection.ask(request, perf_counter())
            self._waiting += 1

    def _timed(self, answers: list[Answers], seconds: float) -> list[Answers]:
        """Close the window: what is answered later counts nowhere."""
        for connection in self._by_fd.values():
            connection.answers = Answers()
        for each in answers:
            each.seconds = seconds
        return answers


def _length(answer: bytes, head: int) -> int:
    """Of the body, told by a whole head."""
    length = _LENGTH.search(answer, 0, head)
    if length is None and answer[9:12] != _NO_CONTENT:
        raise ValueError("The answer does not say how long it is.")
    return int(length[1]) if length else 0
