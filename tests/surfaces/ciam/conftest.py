"""Servers whose captchas take no time, and devices that nobody else has."""

import pytest

from tests.surfaces.ciam.calling import TERMS, device, mailbox, mobile


@pytest.fixture(scope="module")
def front(serving):
    """A server that delivers."""
    with serving(deliver=True, **TERMS) as running:
        yield running


@pytest.fixture(scope="module")
def still(serving):
    """A server where nothing happens but what is asked for."""
    with serving(**TERMS) as running:
        yield running


@pytest.fixture
def shop(front):
    """A device of an application that keeps its users elsewhere."""
    return device(front)


@pytest.fixture
def bank(front):
    """A device of an application that keeps its users here."""
    return device(front, "here")


@pytest.fixture
def ann():
    """A mobile number that no other test uses."""
    return mobile()


@pytest.fixture
def box():
    """A mailbox that no other test uses."""
    return mailbox()
