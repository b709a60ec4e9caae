"""A house on a real store, and lanes that run while a test needs them."""

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest

from tests.contract.acting import Acts
from watchword.channels.texts import ours
from watchword.domain.delivery import Handover
from watchword.service.deliver import Lane
from watchword.stores.sqlite import SqliteStore

DEADLINE_S = 20


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def store(tmp_path):
    store = await SqliteStore.open(tmp_path / "watchword.db")
    yield store
    await store.close()


@pytest.fixture
def acts(store):
    return Acts(store)


class Working:
    """A lane at work, and each hand-over that it recorded, in that order."""

    def __init__(self, lane):
        self.lane = lane
        self._ended: asyncio.Queue[Handover] = asyncio.Queue()
        lane.watchers.append(lambda leased, handover: self._ended.put_nowait(handover))

    async def ended(self):
        """The next hand-over that was recorded."""
        return await asyncio.wait_for(self._ended.get(), DEADLINE_S)


@pytest.fixture
def working(acts):
    """Deliver through this provider for as long as the block lasts."""

    @asynccontextmanager
    async def lane_of(provider, house=None, watcher=None):
        lane = Lane("sms", provider, ours(), house or acts.house, lambda: acts.now)
        if watcher:
            lane.watchers.append(watcher)
        task = asyncio.create_task(lane.run())
        try:
            yield Working(lane)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    return lane_of


@pytest.fixture
def eventually():
    """The first true answer of an asynchronous look, within the deadline."""

    async def first(look):
        async with asyncio.timeout(DEADLINE_S):
            while not (found := await look()):  # noqa: ASYNC110 (nobody tells of an expiry)
                await asyncio.sleep(0.01)
        return found

    return first
