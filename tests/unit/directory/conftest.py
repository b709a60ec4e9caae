"""A house on a real store; Huawei Cloud's accounts and credentials as one process has them, and
Alibaba Cloud's world as two do."""

import msgspec
import pytest

from tests.contract.acting import Acts
from tests.unit.directory.clouds import PHONE, SPELLED, world_on
from tests.unit.directory.proving import HERE, RIGHT, Counting
from watchword.directory.apps import Apps
from watchword.directory.huawei.accounts import Accounts
from watchword.directory.huawei.credentials import Credentials
from watchword.stores.sqlite import SqliteStore


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def acts(tmp_path):
    store = await SqliteStore.open(tmp_path / "watchword.db")
    yield Acts(store)
    await store.close()


@pytest.fixture
def store(acts):
    return Counting(acts.store)


@pytest.fixture
def directory(acts, store):
    """Accounts and credentials, as one process has them."""

    def made(**terms):
        accounts = Accounts(store, acts.ring, Apps(store, acts.ring))
        house = msgspec.structs.replace(acts.house, store=store)
        return accounts, Credentials(accounts, house, **terms)

    return made


@pytest.fixture
def here(directory):
    return directory()


@pytest.fixture
def accounts(here):
    return here[0]


@pytest.fixture
def credentials(here):
    return here[1]


@pytest.fixture
def elsewhere(directory):
    """The same credentials as another process sees them."""
    return directory()[1]


@pytest.fixture
async def partner(accounts, acts):
    return await accounts.create_partner(name="Acme", now=acts.now)


@pytest.fixture
async def user(accounts, acts, partner):
    user = await accounts.create_user(partner.id, "ann", acts.now)
    return await accounts.set_password(user.id, RIGHT, acts.now)


@pytest.fixture
async def key(credentials, acts, user):
    """A lasting one, and its secret."""
    key, secret, _ = await credentials.create_key(user.id, acts.now)
    return key.id, secret


@pytest.fixture
def log_in(credentials, acts):
    """By name unless asked otherwise."""

    def ask(password=RIGHT, network=HERE, **who):
        who = who or {"user_name": "ann", "account_name": "Acme"}
        return credentials.log_in(password=password, network=network, now=acts.now, **who)

    return ask


@pytest.fixture
def token(credentials, acts, user, log_in):
    """A token from a fresh log-in."""

    async def issue():
        return (await credentials.issue_token(await log_in(), acts.now))[0]

    return issue


@pytest.fixture
def world(acts, store):
    return world_on(store, acts)


@pytest.fixture
async def far_world(acts, tmp_path):
    """The same world in another process: with a store of its own on the same file."""
    store = await SqliteStore.open(tmp_path / "watchword.db")
    yield world_on(store, acts)
    await store.close()


@pytest.fixture
async def cloud(world, acts):
    """A cloud account in no directory."""
    return await world.accounts.create(name="Acme", now=acts.now)


@pytest.fixture
async def manager(world, acts, cloud):
    """An account that manages a directory."""
    _, manager = await world.directories.enable(cloud.id, acts.now)
    return manager


@pytest.fixture
def add_member(world, acts, manager):
    """A resource account in the manager's directory, of a display name of its own unless asked."""
    names = (f"Member {n}" for n in range(1000))

    async def ask(display_name="", prefix="", folder="", tags=(), by=world, of=manager, **terms):
        added = await by.directories.create_member(
            of.id, display_name or next(names), prefix, folder, tags, acts.now, **terms
        )
        return added.account

    return ask


@pytest.fixture
async def member(add_member):
    return await add_member()


@pytest.fixture
async def stranger(world, acts):
    """A manager of another directory."""
    account = await world.accounts.create(name="Stranger", now=acts.now)
    _, manager = await world.directories.enable(account.id, acts.now)
    return manager


@pytest.fixture
def bind(world, acts, manager):
    """Bind a phone as a right code does."""

    async def ask(account, phone=PHONE, spelled=SPELLED, by=world):
        prepared = await by.directories.prepare_binding(
            manager.id, account.id, phone, spelled, acts.now
        )
        await acts.store.write(prepared.writes, acts.now)
        return prepared.account

    return ask
