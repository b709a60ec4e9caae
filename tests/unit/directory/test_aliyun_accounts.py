"""Cloud accounts: whose a name is, how soon a change is seen, and a phone that nobody reads."""

import asyncio
import base64
import re
from urllib.parse import quote

import pytest
from msgspec.structs import replace

from tests.contract.acting import TICK, OpenRing
from tests.unit.directory.clouds import PHONE, SPELLED, became, refusal, world_on
from tests.unit.directory.proving import SECOND
from watchword.directory.apps import Apps
from watchword.domain.keys import KeyRing
from watchword.errors import AccessDenied, KeyUnknown, RequestInvalid


@pytest.fixture
def accounts(world):
    return world.accounts


@pytest.fixture
def apps(acts):
    return Apps(acts.store, acts.ring)


async def test_an_account_has_an_app_of_its_name_and_is_in_no_directory(accounts, apps, acts):
    made = await accounts.create(name="Acme", now=acts.now, brand="A", language="en-US", demo=True)
    (app,) = await apps.apps(acts.now)
    assert (app.id, app.name, app.brand, app.language) == (made.app_id, "Acme", "A", "en-us")
    assert (made.demo, made.is_resource, made.directory_id, made.manages) == (
        True,
        False,
        "",
        False,
    )
    assert await accounts.account(made.id, acts.now) == made


async def test_several_accounts_may_share_an_app(accounts, apps, acts):
    app = await apps.create(name="Shop", now=acts.now)
    for name in ("Acme", "Bolt"):
        made = await accounts.create(name=name, now=acts.now, app_id=app.id)
        assert made.app_id == app.id
    assert await apps.apps(acts.now) == [app]
    for nothing in ("nothing", "\ud800"):
        with pytest.raises(AccessDenied):
            await accounts.create(name="Cog", now=acts.now, app_id=nothing)


async def test_an_id_is_16_digits_and_begins_with_no_zero(accounts, acts):
    made = [await accounts.create(name=f"Acme {n}", now=acts.now) for n in range(20)]
    assert all(re.fullmatch(r"[1-9][0-9]{15}", account.id) for account in made)


async def test_a_name_is_one_accounts_in_whatever_case(accounts, apps, acts, cloud):
    """And who is refused leaves nothing behind."""
    with pytest.raises(RequestInvalid) as refused:
        await accounts.create(name="ACME", now=acts.now)
    assert (refused.value.field, str(refused.value)) == ("/name", "Another has this name already.")
    assert len(await apps.apps(acts.now)) == 1
    assert await accounts.by_name("aCmE", acts.now) == cloud
    for name in ("Other", "\ud800"):
        assert await accounts.by_name(name, acts.now) is None


async def test_of_30_accounts_of_one_name_at_once_one_is_made(accounts, apps, acts):
    made = await became(accounts.create(name="Acme", now=acts.now) for _ in range(30))
    assert made == {"done": 1, RequestInvalid: 29}
    assert len(await apps.apps(acts.now)) == 1


@pytest.mark.parametrize(
    "name", ["", " ", "x" * 65, "two\nlines", "a\u202eb", "a\ud800b"], ids=ascii
)
async def test_a_name_is_one_line_that_shows(accounts, acts, name):
    with pytest.raises(RequestInvalid) as refused:
        await accounts.create(name=name, now=acts.now)
    assert refused.value.field == "/name"
    assert await accounts.accounts(acts.now) == []


async def test_accounts_are_listed_oldest_first(accounts, acts):
    made = []
    for name in ("C", "A", "B"):
        made.append(await accounts.create(name=name, now=acts.now))
        acts.later(TICK)
    assert await accounts.accounts(acts.now) == made


async def test_who_is_not_there_is_refused(accounts, acts):
    for verb in (accounts.account, accounts.suspend, accounts.resume, accounts.caller):
        for nobody in ("", "1234567890123456", "\ud800"):
            assert await refusal(verb(nobody, acts.now)) is AccessDenied


async def test_a_caller_comes_with_its_app(accounts, apps, acts, cloud):
    caller = await accounts.caller(cloud.id, acts.now)
    assert (caller.account, caller.app) == (cloud, await apps.app(cloud.app_id, acts.now))


async def test_a_caller_is_looked_up_once_a_second(accounts, acts, store, cloud):
    await accounts.caller(cloud.id, acts.now)
    store.asked.clear()
    acts.later(SECOND - TICK)
    await accounts.caller(cloud.id, acts.now)
    assert store.asked == {}


async def test_a_change_is_seen_at_once_here_and_within_a_second_elsewhere(
    accounts, far_world, acts, cloud
):
    for one in (accounts, far_world.accounts):
        assert not (await one.caller(cloud.id, acts.now)).account.suspended
    await accounts.suspend(cloud.id, acts.now)
    assert (await accounts.caller(cloud.id, acts.now)).account.suspended
    acts.later(SECOND - TICK)
    assert not (await far_world.accounts.caller(cloud.id, acts.now)).account.suspended
    acts.later(TICK)
    assert (await far_world.accounts.caller(cloud.id, acts.now)).account.suspended


async def test_a_suspended_account_may_be_resumed(accounts, acts, cloud):
    assert (await accounts.suspend(cloud.id, acts.now)).suspended
    assert await accounts.resume(cloud.id, acts.now) == cloud


# Its phone


@pytest.fixture
def create_with_phone(accounts, acts):
    def ask(name="Phoned"):
        return accounts.create(name=name, now=acts.now, phone=PHONE, spelled=SPELLED)

    return ask


async def test_a_phone_is_told_in_the_wires_spelling(accounts, acts, create_with_phone, cloud):
    phoned = await accounts.account((await create_with_phone()).id, acts.now)
    assert (phoned.has_phone, accounts.phone(phoned)) == (True, SPELLED)
    assert phoned.masked == PHONE.masked
    assert (cloud.has_phone, accounts.phone(cloud), cloud.masked) == (False, "", "")


async def test_a_phone_is_readable_nowhere_on_the_disk(acts, create_with_phone, tmp_path):
    """Raw, percent-encoded, in base64 or UTF-16: neither the number nor the spelling."""
    phoned = await create_with_phone("Planted-2025550199")
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("watchword.db*"))
    assert b"Planted-2025550199" in kept
    assert "2025550100" not in repr(phoned)
    for text in (PHONE.identity, SPELLED, "2025550100"):
        for form in (text, quote(text), base64.b64encode(text.encode()).decode().rstrip("=")):
            assert form.encode() not in kept
            assert form.encode("utf-16-le") not in kept


async def test_a_phone_is_its_accounts_alone(accounts, acts, create_with_phone, cloud):
    """What is sealed for one account does not open for another, nor under another ring."""
    phoned = await create_with_phone()
    with pytest.raises(KeyUnknown):
        accounts.phone(replace(cloud, private=phoned.private))
    kinds = {kind: {1: kind.encode().ljust(32, b"!")} for kind in ("code", "seal", "journal")}
    ring = KeyRing(**kinds, index=b"index".ljust(32), active=dict.fromkeys(kinds, 1))
    with pytest.raises(KeyUnknown):
        world_on(acts.store, acts, ring=ring).accounts.phone(phoned)
    assert world_on(acts.store, acts, ring=OpenRing()).accounts.phone(phoned) == SPELLED


async def test_changes_at_once_are_all_kept(world, far_world, acts, cloud):
    """Whoever comes second changes what the first one left."""
    await asyncio.gather(
        world.accounts.suspend(cloud.id, acts.now),
        far_world.directories.enable(cloud.id, acts.now),
    )
    account = await world.accounts.account(cloud.id, acts.now)
    assert (account.suspended, account.manages) == (True, True)
