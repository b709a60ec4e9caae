"""Apps and keys: who may speak, how soon a change is seen, what a test number may be."""

import asyncio
from datetime import timedelta
from functools import partial
from typing import Any

import msgspec
import pytest

from tests.contract.acting import ANN, BOB, DAY, TICK
from watchword.directory.apps import TEST_NUMBER_TTL, Apps
from watchword.domain.app import Scope, Terms
from watchword.domain.challenge import Verdict
from watchword.domain.destination import mailbox
from watchword.errors import AccessDenied, RequestInvalid

SECOND = timedelta(seconds=1)


@pytest.fixture
def apps(acts):
    return Apps(acts.store, acts.ring)


@pytest.fixture
def elsewhere(acts):
    """The same directory as another process sees it."""
    return Apps(acts.store, acts.ring)


@pytest.fixture
async def shop(apps, acts):
    return await apps.create(name="Shop", now=acts.now)


@pytest.fixture
async def token(apps, acts, shop):
    _, token = await apps.create_key(shop.id, (Scope.SEND, Scope.CHECK), now=acts.now)
    return token


async def test_a_token_names_its_key_and_proves_it(apps, acts, shop, token):
    key, again = await apps.create_key(shop.id, (Scope.READ,), now=acts.now, note="ci", demo=True)
    assert again.startswith(f"ww_{key.id}_")
    assert again != token
    credential = await apps.authenticate(again, acts.now)
    assert (credential.key, credential.app) == (key, shop)
    assert (key.scopes, key.note, key.demo) == ((Scope.READ,), "ci", True)


async def test_a_token_is_kept_nowhere(apps, acts, token):
    """Only its digest is."""
    secret = token.rpartition("_")[2].encode()
    records = await acts.store.records("api_key", acts.now)
    assert records
    assert not any(secret in record.body for record in records)


async def test_whatever_is_no_token_is_refused(apps, acts, token):
    """Cut, lengthened, changed, in another case, in another's name, or nothing like one."""
    prefix, key_id, secret = token.split("_")
    forged = [
        *("", "_", "__", "ww__", "x" * 5000, "ww_\x00_\x00", "\ud800", "ключ"),
        *(token[:-1], token + "a", token.upper(), f" {token}", f"{token}_"),
        *(f"{prefix}_{key_id}_", f"{prefix}__{secret}", f"xx_{key_id}_{secret}"),
        f"{prefix}_{'0' * 10}_{secret}",
    ]
    for one in forged:
        with pytest.raises(AccessDenied):
            await apps.authenticate(one, acts.now)
    assert await apps.authenticate(token, acts.now)


async def test_a_revoked_key_is_refused_everywhere_within_a_second(apps, elsewhere, acts, token):
    """At once where it was revoked."""
    credential = await elsewhere.authenticate(token, acts.now)
    await apps.authenticate(token, acts.now)
    await apps.revoke_key(credential.key.id, acts.now)
    with pytest.raises(AccessDenied):
        await apps.authenticate(token, acts.now)
    acts.later(SECOND)
    with pytest.raises(AccessDenied):
        await elsewhere.authenticate(token, acts.now)


async def test_a_known_key_is_not_looked_up_within_its_second(apps, elsewhere, acts, token):
    credential = await elsewhere.authenticate(token, acts.now)
    await apps.revoke_key(credential.key.id, acts.now)
    acts.later(SECOND - TICK)
    assert await elsewhere.authenticate(token, acts.now) == credential


async def test_a_clock_that_steps_back_prolongs_nothing(apps, elsewhere, acts, token):
    credential = await elsewhere.authenticate(token, acts.now)
    await apps.revoke_key(credential.key.id, acts.now)
    acts.later(-TICK)
    with pytest.raises(AccessDenied):
        await elsewhere.authenticate(token, acts.now)


async def test_a_new_key_works_at_once_elsewhere(apps, elsewhere, acts, shop):
    """A refusal is not remembered, so the unknown is looked up each time."""
    with pytest.raises(AccessDenied):
        await elsewhere.authenticate("ww_unknown_key", acts.now)
    _, token = await apps.create_key(shop.id, (Scope.SEND,), now=acts.now)
    assert (await elsewhere.authenticate(token, acts.now)).app == shop


async def test_a_change_of_an_app_is_seen_within_a_second(apps, elsewhere, acts, shop, token):
    await elsewhere.authenticate(token, acts.now)
    changed = await apps.set_terms(shop.id, "*", lambda _: Terms(length=8), acts.now)
    assert (await apps.authenticate(token, acts.now)).app == changed
    acts.later(SECOND)
    assert (await elsewhere.authenticate(token, acts.now)).app == changed


async def test_changes_at_once_are_all_kept(apps, elsewhere, acts, shop):
    """Whoever comes second changes what the first one left."""
    both = (apps, elsewhere)
    await asyncio.gather(
        *(
            both[n % 2].set_terms(shop.id, f"p{n}", lambda _, n=n: Terms(length=4 + n), acts.now)
            for n in range(8)
        )
    )
    terms = (await apps.app(shop.id, acts.now)).terms
    assert {name: one.length for name, one in terms.items()} == {f"p{n}": 4 + n for n in range(8)}


async def test_apps_and_keys_are_listed(apps, acts, shop, token):
    other = await apps.create(name="Bank", now=acts.now, brand="B", origin="example.com")
    assert {app.id for app in await apps.apps(acts.now)} == {shop.id, other.id}
    assert [key.app_id for key in await apps.keys(acts.now)] == [shop.id]


async def test_what_is_not_there_is_refused(apps, acts):
    for ask in (
        apps.app("nobody", acts.now),
        apps.create_key("nobody", (Scope.SEND,), now=acts.now),
        apps.revoke_key("nothing", acts.now),
        apps.set_terms("nobody", "*", lambda terms: terms, acts.now),
    ):
        with pytest.raises(AccessDenied):
            await ask


@pytest.mark.parametrize(
    ("field", "wish"),
    [
        ("/name", {"name": ""}),
        ("/name", {"name": "  "}),
        ("/name", {"name": "x" * 65}),
        ("/name", {"name": "two\nlines"}),
        ("/brand", {"name": "Shop", "brand": "a\u202eb"}),
        ("/origin", {"name": "Shop", "origin": "https://example.com"}),
        ("/origin", {"name": "Shop", "origin": "example.com\n@evil.example"}),
        ("/origin", {"name": "Shop", "origin": "-example.com"}),
    ],
)
async def test_an_app_that_cannot_be_is_refused_at_its_field(apps, acts, field, wish):
    """What is said in every message must not break one."""
    with pytest.raises(RequestInvalid) as refusal:
        await apps.create(now=acts.now, **wish)
    assert refusal.value.field == field
    assert await apps.apps(acts.now) == []


async def test_a_test_number_works_until_its_end(apps, acts, shop):
    ends_at = acts.now + TEST_NUMBER_TTL
    app = await apps.add_test_number(shop.id, ANN, "424242", ends_at, acts.now)
    issued = await acts.send(app)
    assert await acts.verdict(issued.challenge_id, "424242", app=app) is Verdict.MATCH
    acts.now = ends_at
    assert (await acts.send(app)).delivery is not None


async def test_a_test_number_shows_neither_address_nor_code(apps, acts, shop):
    await apps.add_test_number(shop.id, ANN, "424242", acts.now + DAY, acts.now)
    (record,) = await acts.store.records("app", acts.now)
    assert ANN.address.encode() not in record.body
    assert b"424242" not in record.body


@pytest.mark.parametrize("span", [TEST_NUMBER_TTL + TICK, timedelta(), -DAY])
async def test_a_test_number_ends_within_90_days(apps, acts, shop, span):
    with pytest.raises(RequestInvalid) as refusal:
        await apps.add_test_number(shop.id, ANN, "424242", acts.now + span, acts.now)
    assert refusal.value.field == "/ends_at"


@pytest.mark.parametrize("code", ["", "123", "1" * 17, "12 45", "12-45", "密码密码"])
async def test_a_fixed_code_is_one_that_can_be_typed(apps, acts, shop, code):
    with pytest.raises(RequestInvalid) as refusal:
        await apps.add_test_number(shop.id, ANN, code, acts.now + DAY, acts.now)
    assert refusal.value.field == "/code"


async def test_a_test_number_may_be_changed_and_removed(apps, acts, shop):
    """It is one number, whatever its code was."""
    ends_at = acts.now + DAY
    for code in ("111111", "222222"):
        app = await apps.add_test_number(shop.id, ANN, code, ends_at, acts.now)
    await apps.add_test_number(shop.id, BOB, "333333", ends_at, acts.now)
    assert len(app.test_numbers) == 1
    left = await apps.remove_test_number(shop.id, ANN, acts.now)
    assert [number.masked for number in left.test_numbers] == [BOB.masked]


async def test_changes_of_one_policy_at_once_are_all_kept(apps, elsewhere, acts, shop):
    """Each changes its part of what the others left."""
    parts: dict[str, Any] = {"length": 8, "ttl_s": 300, "max_attempts": 3}
    await asyncio.gather(
        *(
            where.set_terms(shop.id, "*", partial(msgspec.structs.replace, **part), acts.now)
            for where, part in zip(
                (apps, elsewhere, apps), ({k: v} for k, v in parts.items()), strict=True
            )
        )
    )
    assert (await apps.app(shop.id, acts.now)).terms == {"*": Terms(**parts)}


@pytest.mark.parametrize(
    "spelled", ["ann+review@example.com", '"ann lee+review"@example.com', "straße@example.com"]
)
async def test_a_test_number_shares_its_limits_with_nobody(apps, acts, shop, spelled):
    """Its known code would clear the failures of a real mailbox."""
    with pytest.raises(RequestInvalid) as refusal:
        await apps.add_test_number(shop.id, mailbox(spelled), "424242", acts.now + DAY, acts.now)
    assert refusal.value.field == "/to"
