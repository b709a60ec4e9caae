"""What the tests of every folder may ask for."""

import io
import logging
from collections.abc import Iterator

import pytest
import structlog

from tests import node_clients, postgres_server
from tests.contract.places import KINDS
from tests.node_clients import Node
from watchword import log
from watchword.stores.postgres import migrate


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Whoever asks for a `store_kind`, and be it for a server, runs on each; where one is enough to
    show what a test claims, its mark `store` names it."""
    if "store_kind" in metafunc.fixturenames:
        enough = metafunc.definition.get_closest_marker("store")
        metafunc.parametrize("store_kind", enough.args if enough else KINDS, scope="module")


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    """The vendors' own Node clients, one process for the session; skips where Node is absent."""
    if reason := node_clients.absent():
        pytest.skip(reason)
    with node_clients.running() as running:
        yield running


@pytest.fixture(scope="session")
def postgres() -> Iterator[postgres_server.Server]:
    """A PostgreSQL server, started when the first test asks; skips where there is none."""
    if reason := postgres_server.absent():
        pytest.skip(reason)
    with postgres_server.shared() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_stock(postgres: postgres_server.Server) -> Iterator[postgres_server.Stock]:
    """Databases there with empty stores, for whoever wants many."""
    address = postgres.create_database()
    postgres_server.wait_for(migrate(address))
    stock = postgres_server.Stock(postgres, address)
    yield stock
    stock.end()
    postgres.drop_database(address)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Where events may go for one test; afterwards everything is as it was."""
    monkeypatch.setattr(log, "_events", log._events)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in ("uvicorn.error", "uvicorn.access")}
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    structlog.reset_defaults()
