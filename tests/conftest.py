"""What the tests of every folder may ask for."""

from collections.abc import Iterator

import pytest

from tests import node_clients
from tests.node_clients import Node


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    """Huawei Cloud's own Node client, one process for the session; skips where Node is absent."""
    if reason := node_clients.absent():
        pytest.skip(reason)
    with node_clients.running() as running:
        yield running
