"""What the tests of every folder may ask for."""

import io
import logging
from collections.abc import Iterator

import pytest
import structlog

from tests import node_clients
from tests.node_clients import Node


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    """The vendors' own Node clients, one process for the session; skips where Node is absent."""
    if reason := node_clients.absent():
        pytest.skip(reason)
    with node_clients.running() as running:
        yield running


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """Where events may go for one test; afterwards everything is as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in ("uvicorn.error", "uvicorn.access")}
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    structlog.reset_defaults()
