"""Databases of PostgreSQL for those who test its store from within."""

import pytest

from tests.contract.acting import Acts
from watchword.stores.postgres import PostgresStore


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def address(postgres_stock):
    with postgres_stock.lent() as address:
        yield address


@pytest.fixture
async def store(address):
    store = await PostgresStore.open(address)
    yield store
    await store.close()


@pytest.fixture
async def acts(store):
    return Acts(store)
