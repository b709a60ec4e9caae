"""Partners, other accounts and their users: whose a name is, and how soon a change is seen."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from tests.contract.acting import TICK
from watchword.directory.apps import Apps
from watchword.directory.huawei.accounts import Accounts
from watchword.errors import AccessDenied, RequestInvalid

SECOND = timedelta(seconds=1)


@pytest.fixture
def apps(acts):
    return Apps(acts.store, acts.ring)


@pytest.fixture
def accounts(acts, apps):
    return Accounts(acts.store, acts.ring, apps)


@pytest.fixture
def elsewhere(acts, apps):
    """The same accounts as another process sees them."""
    return Accounts(acts.store, acts.ring, apps)


@pytest.fixture
async def partner(accounts, acts):
    return await accounts.create_partner(name="Acme", now=acts.now)


@pytest.fixture
async def user(accounts, acts, partner):
    return await accounts.create_user(partner.id, "ann", acts.now)


async def taken(act, field):
    """What is said of it."""
    with pytest.raises(RequestInvalid) as refusal:
        await act
    assert refusal.value.field == field
    return str(refusal.value)


async def test_a_partner_has_an_app_of_its_name(accounts, apps, acts):
    partner = await accounts.create_partner(
        name="Acme", now=acts.now, brand="A", language="en-US", demo=True
    )
    (app,) = await apps.apps(acts.now)
    assert (app.id, app.name, app.brand, app.language) == (partner.app_id, "Acme", "A", "en-us")
    assert partner.is_partner
    assert partner.demo
    assert await accounts.account(partner.id, acts.now) == partner


async def test_a_partner_may_have_an_app_that_is_there_and_no_other_partners(accounts, apps, acts):
    app = await apps.create(name="Shop", now=acts.now)
    partner = await accounts.create_partner(name="Acme", now=acts.now, app_id=app.id)
    assert partner.app_id == app.id
    await taken(accounts.create_partner(name="Bolt", now=acts.now, app_id=app.id), "/app_id")
    with pytest.raises(AccessDenied):
        await accounts.create_partner(name="Bolt", now=acts.now, app_id="nothing")
    assert await accounts.accounts(acts.now) == [partner]


async def test_a_name_is_one_accounts_in_whatever_case(accounts, apps, acts, partner):
    """And who is refused leaves nothing behind."""
    await taken(accounts.create_partner(name="ACME", now=acts.now), "/name")
    await taken(accounts.create_other(name="acme", now=acts.now), "/name")
    assert len(await apps.apps(acts.now)) == 1
    assert await accounts.by_name("aCmE", acts.now) == partner


async def test_of_30_partners_of_one_name_at_once_one_is_made(accounts, apps, acts):
    made = await asyncio.gather(
        *(accounts.create_partner(name="Acme", now=acts.now) for _ in range(30)),
        return_exceptions=True,
    )
    assert Counter(type(one).__name__ for one in made) == {"Account": 1, "RequestInvalid": 29}
    assert len(await apps.apps(acts.now)) == 1


async def test_another_account_is_nobodys_partner(accounts, acts, partner):
    acts.later(SECOND)
    other = await accounts.create_other(name="Other", now=acts.now)
    assert not other.is_partner
    assert await accounts.accounts(acts.now) == [partner, other]


@pytest.mark.parametrize("name", ["", " ", "x" * 65, "two\nlines"])
async def test_a_name_is_one_line(accounts, acts, partner, name):
    await taken(accounts.create_partner(name=name, now=acts.now), "/name")
    await taken(accounts.create_other(name=name, now=acts.now), "/name")
    await taken(accounts.create_user(partner.id, name, acts.now), "/name")


@pytest.mark.parametrize(
    "name",
    ["\u200bacme", "ac\u200cme", "ac\u200dme", "acme\ufeff", "a\x1b[31mb", "a\u202eb", "a\u00a0b",
     "a\tb", "a\x7fb", "a\ud800b", "a\ue000b", "a\u2028b"],
    ids=ascii,
)  # fmt: skip
async def test_a_name_has_no_characters_that_do_not_show(accounts, acts, partner, name):
    """Whoever reads two names can tell them apart, and whoever logs in can type them."""
    await taken(accounts.create_partner(name=name, now=acts.now), "/name")
    said = "A name has no characters that do not show."
    assert await taken(accounts.create_other(name=name, now=acts.now), "/name") == said
    assert await taken(accounts.create_user(partner.id, name, acts.now), "/name") == said
    assert await accounts.accounts(acts.now) == [partner]
    assert await accounts.users(partner.id, acts.now) == []


@pytest.mark.parametrize("name", ["شركة", "例子 公司", "Änne & Søn", "x" * 64])
async def test_a_name_in_any_script_is_found_again(accounts, acts, name):
    made = await accounts.create_partner(name=name, now=acts.now)
    assert await accounts.by_name(name, acts.now) == made


async def test_a_refusal_says_what_another_has(accounts, apps, acts, partner, user):
    """The name, or the app."""
    name = "Another has this name already."
    assert await taken(accounts.create_partner(name="ACME", now=acts.now), "/name") == name
    assert await taken(accounts.create_other(name="acme", now=acts.now), "/name") == name
    assert await taken(accounts.create_user(partner.id, "Ann", acts.now), "/name") == name
    again = accounts.create_partner(name="Bolt", now=acts.now, app_id=partner.app_id)
    assert await taken(again, "/app_id") == "This app is another partner's."


async def test_a_user_is_found_by_its_name_and_its_accounts(accounts, acts, partner, user):
    assert await accounts.by_name("acme", acts.now) == partner
    assert await accounts.user_of(partner.id, "ANN", acts.now) == user
    assert await accounts.user(user.id, acts.now) == user
    for account_name in ("Other", "\ud800"):
        assert await accounts.by_name(account_name, acts.now) is None
    for account_id, user_name in ((partner.id, "bob"), ("nobody", "ann"), ("\ud800", "\x00")):
        assert await accounts.user_of(account_id, user_name, acts.now) is None


async def test_a_users_name_is_unique_in_its_account(accounts, acts, partner, user):
    await taken(accounts.create_user(partner.id, "Ann", acts.now), "/name")
    other = await accounts.create_other(name="Other", now=acts.now)
    namesake = await accounts.create_user(other.id, "ann", acts.now)
    assert await accounts.users(partner.id, acts.now) == [user]
    assert await accounts.users(other.id, acts.now) == [namesake]


async def test_who_is_not_there_is_refused(accounts, acts):
    for ask in (
        accounts.account("nobody", acts.now),
        accounts.account("\ud800", acts.now),
        accounts.user("nobody", acts.now),
        accounts.suspend("nobody", acts.now),
        accounts.disable_user("nobody", acts.now),
        accounts.set_password("nobody", "secret", acts.now),
        accounts.create_user("nobody", "ann", acts.now),
        accounts.caller("nobody", acts.now),
    ):
        with pytest.raises(AccessDenied):
            await ask


async def test_a_change_is_seen_at_once_here_and_within_a_second_elsewhere(
    accounts, elsewhere, acts, partner, user
):
    for one in (accounts, elsewhere):
        assert not (await one.caller(user.id, acts.now)).account.suspended
    await accounts.suspend(partner.id, acts.now)
    await accounts.disable_user(user.id, acts.now)
    assert (await accounts.caller(user.id, acts.now)).account.suspended
    acts.later(SECOND - TICK)
    assert not (await elsewhere.caller(user.id, acts.now)).user.disabled
    acts.later(TICK)
    caller = await elsewhere.caller(user.id, acts.now)
    assert (caller.account.suspended, caller.user.disabled) == (True, True)


async def test_a_suspended_account_may_be_resumed_and_a_disabled_user_enabled(
    accounts, acts, partner, user
):
    await accounts.suspend(partner.id, acts.now)
    await accounts.disable_user(user.id, acts.now)
    assert await accounts.resume(partner.id, acts.now) == partner
    assert not (await accounts.enable_user(user.id, acts.now)).disabled


async def test_a_caller_comes_with_the_app_of_a_partner(accounts, apps, acts, partner, user):
    caller = await accounts.caller(user.id, acts.now)
    assert (caller.account, caller.user) == (partner, user)
    assert caller.app == await apps.app(partner.app_id, acts.now)
    other = await accounts.create_other(name="Other", now=acts.now)
    user = await accounts.create_user(other.id, "ann", acts.now)
    assert (await accounts.caller(user.id, acts.now)).app is None


async def test_changes_at_once_are_all_kept(accounts, elsewhere, acts, user):
    """Whoever comes second changes what the first one left."""
    both = (accounts, elsewhere)
    await asyncio.gather(*(both[n % 2].end_tokens(user.id, acts.now) for n in range(10)))
    assert (await accounts.user(user.id, acts.now)).epoch == 10


async def test_a_password_is_kept_hashed_and_printed_nowhere(accounts, acts, user):
    changed = await accounts.set_password(user.id, "Tr0ub4dor&3", acts.now)
    assert changed.password.startswith("$argon2id$")
    assert changed.password not in repr(await accounts.caller(user.id, acts.now))
    (record,) = await acts.store.records("huawei_user", acts.now)
    assert b"Tr0ub4dor&3" not in record.body
    await taken(accounts.set_password(user.id, "", acts.now), "/password")
