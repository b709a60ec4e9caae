"""A caller for every test: a partner that nobody else is."""

import pytest

from tests.surfaces.huawei.calling import THERE, mailbox, partner


@pytest.fixture(scope="module")
def proxied(serving):
    """A server that believes what a proxy at THERE says."""
    with serving(trusted_proxies=(THERE,)) as running:
        yield running


@pytest.fixture
def shop(delivering):
    return partner(delivering)


@pytest.fixture
def still(server):
    """A partner where nothing happens but what it asks for."""
    return partner(server)


@pytest.fixture
def ann():
    """A mailbox that no other test uses."""
    return mailbox()
