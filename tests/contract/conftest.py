"""The suite that every store passes unchanged. No test here is told which store it has.

A new store is a new line in `places.py`.
"""

import asyncio
from functools import partial

import pytest

from tests.contract import places
from tests.contract.acting import NOW, Acts
from tests.contract.peer import Peer


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def new_place(request, store_kind):
    """Makes places that nobody has used, each for as long as its block lasts."""
    return partial(places.empty, store_kind, request.getfixturevalue)


@pytest.fixture
def place(new_place):
    """Where an empty store is."""
    with new_place() as place:
        yield place


@pytest.fixture
async def store(place):
    store = await place.open()
    yield store
    await store.close()


@pytest.fixture
def acts(store):
    return Acts(store)


@pytest.fixture(scope="session")
def _pair():
    pair = (Peer(), Peer())
    yield pair
    for peer in pair:
        peer.end()


@pytest.fixture
def two_processes(_pair, place):
    """Let two processes, each with the store opened by itself, do the same thing at once."""

    def race(**job):
        for peer in _pair:
            peer.prepare(place=place, now=NOW, **job)
        for peer in _pair:
            peer.is_ready()
        for peer in _pair:
            peer.go()
        return [peer.answer() for peer in _pair]

    async def racing(**job):
        return await asyncio.to_thread(race, **job)

    return racing


@pytest.fixture
def doomed(place):
    """Let another process do something and be killed before it can tell."""

    def die(**job):
        peer = Peer()
        try:
            peer.prepare(place=place, now=NOW, **job)
            peer.is_ready()
            peer.go()
            return peer.died()
        finally:
            peer.end()

    async def dying(**job):
        return await asyncio.to_thread(die, **job)

    return dying
