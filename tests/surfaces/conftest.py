"""A real server on a real socket, in a thread of this process, with a clock that tests may set."""

import asyncio
import itertools
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn

from tests.contract import places
from tests.contract.places import Place
from tests.plain import PLAIN
from tests.postgres_server import Rows
from watchword import web
from watchword.bootstrap import Service, bootstrap
from watchword.cli.connection import Connection
from watchword.config import Settings
from watchword.domain.app import Scope

DEADLINE_S = 20
NewPlace = Callable[[], AbstractContextManager[Place]]
Serving = Callable[..., AbstractContextManager["Server"]]
_numbers = itertools.count(13_000_000_000)


class Clock:
    """Real time, plus whatever a test put on top."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def pass_by(self, span: timedelta) -> None:
        self.ahead += span


class Server:
    """What a test needs of a running server: where it is, its service, its clock, its store.

    The store is at `place`, or in the folder where none is given. `terms` are settings; with
    `deliver` it also delivers and sweeps.
    """

    def __init__(
        self,
        folder: Path,
        place: Place | None = None,
        *,
        deliver: bool = False,
        clock: Clock | None = None,
        **terms: Any,
    ) -> None:
        self.folder, self.place = folder, place or places.in_folder(folder)
        self.settings = Settings(data=str(folder), store=self.place.address, **terms)
        self._deliver = deliver
        self.clock = clock or Clock()
        self.service: Service
        self.port = 0
        self.admin_port = 0
        self._loop = asyncio.new_event_loop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine on the server's own loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(DEADLINE_S)

    def key(self, *scopes: Scope) -> str:
        """A bearer token of an app of its own."""
        app = self.do(self.service.apps.create(name="Shop", now=self.clock()))
        return self.key_of(app.id, *scopes)

    def key_of(self, app_id: str, *scopes: Scope) -> str:
        made = self.service.apps.create_key(app_id, scopes or tuple(Scope), now=self.clock())
        return str(self.do(made)[1])

    def client(self, token: str) -> httpx2.Client:
        headers = {"authorization": f"Bearer {token}"}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=DEADLINE_S, verify=PLAIN)

    def rows(self, statement: str) -> Rows:
        return self.place.rows(statement)

    def digest(self) -> str:
        return self.place.digest()

    def run(self, is_up: threading.Event) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve(is_up))

    async def _serve(self, is_up: threading.Event) -> None:
        self._stop = asyncio.Event()
        async with (
            bootstrap(self.settings, clock=self.clock, deliver=self._deliver) as self.service,
            _answering(web.application(self.service)) as self.port,
            _answering(web.admin_application(self.service)) as self.admin_port,
        ):
            is_up.set()
            await self._stop.wait()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)


class _Quiet(uvicorn.Server):
    """uvicorn without its hands on the signals."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _answering:  # noqa: N801  reads as the sentence it makes
    """An application on a port of its own, for as long as the block lasts."""

    def __init__(self, application: Any) -> None:
        config = uvicorn.Config(
            application, http=Connection, ws="none", lifespan="on", access_log=False,
            log_config=None, proxy_headers=False, server_header=False,
        )  # fmt: skip
        self._server = _Quiet(config)
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        # asyncio sees to this only for sockets that name their protocol, as `serve` opens them.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def __aenter__(self) -> int:
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        return int(self._socket.getsockname()[1])

    async def __aexit__(self, *_: object) -> None:
        self._server.should_exit = True
        await self._task


@contextmanager
def up(server: Server) -> Iterator[Server]:
    """A server that answers, for as long as the block lasts."""
    is_up = threading.Event()
    thread = threading.Thread(target=server.run, args=(is_up,))
    thread.start()
    assert is_up.wait(DEADLINE_S), "the server did not come up"
    try:
        yield server
    finally:
        server.stop()
        thread.join(DEADLINE_S)


@pytest.fixture(scope="module")
def new_place(request: pytest.FixtureRequest, store_kind: str) -> NewPlace:
    """Makes places that nobody has used, each for as long as its block lasts."""
    return partial(places.empty, store_kind, request.getfixturevalue)


@pytest.fixture
def place(new_place: NewPlace) -> Iterator[Place]:
    """Where an empty store is."""
    with new_place() as place:
        yield place


@pytest.fixture(scope="module")
def serving(new_place: NewPlace, tmp_path_factory: pytest.TempPathFactory) -> Serving:
    """Starts servers on these terms, each on a folder and a store of its own, for as long as a
    block lasts."""

    @contextmanager
    def begun(**terms: Any) -> Iterator[Server]:
        folder = tmp_path_factory.mktemp("watchword")
        with new_place() as place, up(Server(folder, place, **terms)) as running:
            yield running

    return begun


@pytest.fixture(scope="module")
def server(serving: Serving) -> Iterator[Server]:
    """One server a module. Its worker is off, so that only requests change its store."""
    with serving() as running:
        yield running


@pytest.fixture(scope="module")
def delivering(serving: Serving) -> Iterator[Server]:
    """One server a module that also delivers, for dialects that wait for the outcome."""
    with serving(deliver=True) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[httpx2.Client]:
    """Calls with every scope, as an app that nobody else is."""
    with server.client(server.key()) as calls:
        yield calls


@pytest.fixture
def number() -> str:
    """A phone number that no other test uses."""
    return f"+86{next(_numbers)}"
