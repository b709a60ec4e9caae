import pytest

from tests.contract.acting import Acts
from watchword.stores.sqlite import SqliteStore


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def acts(tmp_path):
    store = await SqliteStore.open(tmp_path / "watchword.db")
    yield Acts(store)
    await store.close()
