"""A server on a data folder of its own, and an endless supply of requests for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import msgspec

from bench import inside
from bench.inside import Home
from bench.load import Answers, Client
from bench.measure import CROWD, Delivered, Window, loaded
from bench.process import ServerProcess
from bench.signing import Signed
from bench.traffic import Traffic

CREATED = 201
_SPARE = 1.3
_CHECKS_TO_SENDS = 2.2
_CHECKS_A_SECOND = 5000.0
_FOR_EVER = 3600.0
_WARM_UP = 300


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Where, how often and how long to measure. The server has its core, the client the other."""

    folder: Path
    server_core: int
    client_core: int
    seconds: float
    rounds: int
    clients: tuple[int, ...]
    mailboxes: float
    rows: int
    """How many live challenges, and how many expired rows."""
    database_cores: tuple[int, ...] = ()
    """Of a store that is a server: those left over, or that of the client."""


class Rig:
    """One server, asked by one app."""

    def __init__(self, plan: Plan, home: Home, server: ServerProcess, traffic: Traffic) -> None:
        self.plan = plan
        self.home = home
        self.server = server
        self.traffic = traffic
        self._sent: list[bytes] = []
        self._check_rates: dict[int, float] = {}

    def client(self, clients: int) -> Client:
        """Connections for one window: the server hangs up on those that rest long in between."""
        return Client([self.server.port], clients)

    def warm_up(self) -> None:
        """Every route has run a few hundred times before the first window opens."""
        requests = self.checks(_WARM_UP)
        with self.client(CROWD) as client:
            for constants in (self.traffic.constants(), self.traffic.plain_constants()):
                client.closed_loop(islice(constants, _WARM_UP), _FOR_EVER)
            client.closed_loop(requests, _FOR_EVER)

    def warm_up_signed(self, traffic: Signed) -> None:
        """The same for sends of a vendor's dialect."""
        with self.client(CROWD) as client:
            client.closed_loop(islice(traffic.sends(), _WARM_UP), _FOR_EVER)
        self.server.do("wait until delivered")

    def constant(self, clients: int) -> Window:
        return self.load(self.traffic.constants(), clients)[0]

    def plain_constant(self, clients: int) -> Window:
        return self.load(self.traffic.plain_constants(), clients)[0]

    def send(self, clients: int) -> Window:
        window, answers = self.load(self.traffic.sends(), clients)
        if set(answers.statuses) == {CREATED}:
            self._sent += answers.bodies
        self._check_rates.setdefault(clients, window.rate * _CHECKS_TO_SENDS)
        return window

    def check(self, clients: int, checks: Iterator[bytes]) -> Window:
        window, _ = self.load(checks, clients)
        self._check_rates[clients] = window.rate
        return window

    def load(self, requests: Iterator[bytes], clients: int) -> tuple[Window, Answers]:
        with self.client(clients) as client:
            return loaded(
                self.server, client, lambda: client.closed_loop(requests, self.plan.seconds)[0]
            )

    def until_delivered(self, send: Callable[[], Window]) -> tuple[Window, Delivered]:
        """A window of sends, and what they took until all were delivered."""
        started_at, spent = perf_counter(), self.server.cpu_seconds()
        window = send()
        self.server.do("wait until delivered")
        sent = sum(window.statuses.values())
        cpu_us = (self.server.cpu_seconds() - spent) / max(1, sent) * 1e6
        return window, Delivered(sent / (perf_counter() - started_at), cpu_us)

    def steady(self, client: Client, rate: float, seconds: float) -> Window:
        """Sends that come at a rate of their own."""
        sends = self.traffic.sends()
        return loaded(self.server, client, lambda: client.open_loop(sends, rate, seconds))[0]

    def checks_for_a_window(self, clients: int) -> Iterator[bytes]:
        """More than so many clients get through in a window: half right, half wrong, each for a
        challenge that was sent beforehand."""
        rate = self._check_rates.get(clients, _CHECKS_A_SECOND)
        return self.checks(int(rate * self.plan.seconds * _SPARE) + clients)

    def checks(self, many: int) -> Iterator[bytes]:
        """So many checks, their challenges sent and their codes read already."""
        self._stock(many)
        self._sent, answers = self._sent[:-many], self._sent[-many:]
        return self.traffic.checks(inside.inside(self.home, inside.known(answers)))

    def _stock(self, many: int) -> None:
        """Have that many challenges sent that no check has named yet."""
        missing = many - len(self._sent)
        if missing > 0:
            with self.client(CROWD) as client:
                sends = islice(self.traffic.sends(), missing)
                (answers,) = client.closed_loop(sends, _FOR_EVER)
            if set(answers.statuses) != {CREATED}:
                raise RuntimeError(f"Sends were refused: {dict(answers.statuses)}")
            self._sent += answers.bodies
            self.server.do("wait until delivered")


@contextmanager
def rigged(plan: Plan, *, deliver: bool = False, profile: bool = False) -> Iterator[Rig]:
    """One server on an empty store."""
    with new_data(plan) as data, rig_on(plan, Home(data), deliver=deliver, profile=profile) as rig:
        rig.warm_up()
        yield rig


@contextmanager
def new_data(plan: Plan) -> Iterator[Path]:
    """A data folder on the disk that is measured, gone afterwards."""
    with TemporaryDirectory(prefix="watchword-bench-", dir=plan.folder) as name:
        yield Path(name)


@contextmanager
def rig_on(
    plan: Plan, home: Home, *, deliver: bool = False, profile: bool = False, first: int = 0
) -> Iterator[Rig]:
    """One server on what is in `home`; the phones of its load are numbered from `first` on."""
    token = inside.inside(home, inside.bearer_token)
    with ServerProcess(home, cores={plan.server_core}, deliver=deliver, profile=profile) as server:
        yield Rig(plan, home, server, Traffic(token, first=first, mailboxes=plan.mailboxes))


@contextmanager
def several(
    plan: Plan, many: int, cores: set[int]
) -> Iterator[tuple[list[ServerProcess], Traffic]]:
    """So many servers on one data folder."""
    with new_data(plan) as data, ExitStack() as stack:
        token = inside.inside(Home(data), inside.bearer_token)
        servers = [stack.enter_context(ServerProcess(Home(data), cores=cores)) for _ in range(many)]
        yield servers, Traffic(token, mailboxes=plan.mailboxes)
