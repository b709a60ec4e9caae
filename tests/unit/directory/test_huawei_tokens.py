"""Tokens: what they open, and what ends them."""

from datetime import timedelta
from hashlib import sha256

import pytest

from tests.contract.acting import HOUR, TICK
from tests.unit.directory.proving import RIGHT, SECOND
from watchword.errors import AccessDenied


async def test_a_token_lives_24_hours(credentials, accounts, acts, user, log_in):
    issued, expires_at = await credentials.issue_token(await log_in(), acts.now)
    assert expires_at == acts.now + timedelta(hours=24)
    acts.now = expires_at - TICK
    assert await credentials.bearer(issued, acts.now) == await accounts.caller(user.id, acts.now)
    acts.now = expires_at
    with pytest.raises(AccessDenied):
        await credentials.bearer(issued, acts.now)


async def test_several_tokens_live_at_once(credentials, acts, token):
    tokens = {await token() for _ in range(3)}
    assert len(tokens) == 3
    for one in tokens:
        assert await credentials.bearer(one, acts.now)


async def test_a_token_is_kept_nowhere(acts, token):
    """Only its digest is."""
    issued = await token()
    (record,) = await acts.store.records("huawei_token", acts.now)
    assert issued.encode() not in record.body
    assert record.key == sha256(issued.encode()).hexdigest()


async def test_whatever_is_no_token_is_refused(credentials, acts, token):
    issued = await token()
    for one in ("", "x", "\ud800", "\x00", issued[:-1], issued + "a", issued.swapcase()):
        with pytest.raises(AccessDenied):
            await credentials.bearer(one, acts.now)


@pytest.mark.parametrize(
    "change",
    [
        lambda accounts, _, user, now: accounts.set_password(user.id, "new", now),
        lambda accounts, _, user, now: accounts.disable_user(user.id, now),
        lambda _, credentials, user, now: credentials.create_key(user.id, now),
    ],
    ids=["password", "disabling", "a new key"],
)
async def test_a_change_ends_tokens_everywhere_within_a_second(
    accounts, credentials, elsewhere, acts, user, token, change
):
    issued = await token()
    for one in (credentials, elsewhere):
        await one.bearer(issued, acts.now)
    await change(accounts, credentials, user, acts.now)
    with pytest.raises(AccessDenied):
        await credentials.bearer(issued, acts.now)
    acts.later(SECOND - TICK)
    assert await elsewhere.bearer(issued, acts.now)
    acts.later(TICK)
    with pytest.raises(AccessDenied):
        await elsewhere.bearer(issued, acts.now)


async def test_a_revoked_key_ends_tokens(credentials, acts, user, key, token):
    issued = await token()
    await credentials.revoke_key(key[0], acts.now)
    with pytest.raises(AccessDenied):
        await credentials.bearer(issued, acts.now)


async def test_a_temporary_key_ends_no_token(credentials, acts, user, token):
    issued = await token()
    key, *_ = await credentials.create_key(user.id, acts.now, ttl=HOUR)
    await credentials.revoke_key(key.id, acts.now)
    assert await credentials.bearer(issued, acts.now)


async def test_who_was_disabled_and_enabled_has_no_token_any_more(
    accounts, credentials, acts, user, token
):
    issued = await token()
    await accounts.disable_user(user.id, acts.now)
    await accounts.enable_user(user.id, acts.now)
    with pytest.raises(AccessDenied):
        await credentials.bearer(issued, acts.now)


async def test_a_token_newer_than_what_is_remembered_is_good_at_once(
    accounts, credentials, elsewhere, acts, user, token
):
    """Elsewhere still remembers the user as it was before its password changed."""
    await elsewhere.bearer(await token(), acts.now)
    await accounts.set_password(user.id, RIGHT, acts.now)
    assert await elsewhere.bearer(await token(), acts.now)


async def test_a_token_proven_by_an_old_password_is_worth_nothing(
    accounts, credentials, acts, user, log_in
):
    """The password changed between log-in and token."""
    caller = await log_in()
    await accounts.set_password(user.id, "new", acts.now)
    issued, _ = await credentials.issue_token(caller, acts.now)
    with pytest.raises(AccessDenied):
        await credentials.bearer(issued, acts.now)


async def test_a_known_token_asks_the_store_once_a_second(credentials, store, acts, token):
    issued = await token()
    await credentials.bearer(issued, acts.now)
    store.asked.clear()
    for _ in range(10):
        await credentials.bearer(issued, acts.now)
    assert store.asked == {}


async def test_a_suspended_account_keeps_its_tokens(accounts, credentials, acts, partner, token):
    """What it may still do is for the surface to say."""
    issued = await token()
    await accounts.suspend(partner.id, acts.now)
    assert (await credentials.bearer(issued, acts.now)).account.suspended
