"""Access keys: what they prove, what ends them, and the lock behind wrong signatures."""

import asyncio
from base64 import b64encode
from datetime import timedelta
from hashlib import sha256

import pytest

from tests.contract.acting import HOUR, TICK
from tests.unit.directory.proving import HERE, SECOND, THERE, all_told, fail, is_locked
from watchword.errors import AccessDenied, QuotaExceeded
from watchword.ports import Write

LOCKED = timedelta(minutes=5)


async def test_a_key_signs_for_its_user(accounts, credentials, acts, partner, user):
    key, secret, security_token = await credentials.create_key(user.id, acts.now, note="ci")
    signing = await credentials.signing(key.id, acts.now)
    assert (signing.key, signing.secret) == (key, secret.encode())
    assert signing.caller == await accounts.caller(user.id, acts.now)
    assert (key.account_id, key.note, security_token) == (partner.id, "ci", "")
    assert await credentials.keys(acts.now) == [key]


async def test_a_key_looks_as_the_vendors(key):
    ak, secret = key
    assert (len(ak), len(secret)) == (20, 40)
    assert ak.isalnum()
    assert ak == ak.upper()
    assert secret.isalnum()


async def test_a_key_of_the_first_release_still_signs(accounts, credentials, acts, user):
    """As it was written then, its fields in their order."""
    secret = b64encode(acts.ring.seal(b"first-secret", b"FIRST")).decode()
    body = (
        f'{{"id":"FIRST","user_id":"{user.id}","account_id":"{user.account_id}",'
        f'"secret":"{secret}","created_at":"2026-03-02T09:30:00Z","note":"ci"}}'
    )
    write = Write(kind="huawei_key", key="FIRST", version=0, body=body.encode())
    await acts.store.write([write], acts.now)
    signing = await credentials.signing("FIRST", acts.now)
    assert (signing.secret, signing.key.note) == (b"first-secret", "ci")
    assert signing.caller == await accounts.caller(user.id, acts.now)
    await credentials.revoke_key("FIRST", acts.now)


async def test_a_secret_is_kept_and_printed_nowhere(credentials, acts, key):
    ak, secret = key
    (record,) = await acts.store.records("huawei_key", acts.now)
    signing = await credentials.signing(ak, acts.now)
    assert secret.encode() not in record.body
    assert secret not in repr(signing)
    assert all(secret.encode() != shown for _, shown in signing.__rich_repr__())


async def test_a_key_that_is_not_there_is_refused(credentials, acts, user):
    for ak in ("", "A" * 20, "\x00", "\ud800"):
        with pytest.raises(AccessDenied):
            await credentials.signing(ak, acts.now)
        with pytest.raises(AccessDenied):
            await credentials.revoke_key(ak, acts.now)
    with pytest.raises(AccessDenied):
        await credentials.create_key("nobody", acts.now)


async def test_a_new_key_signs_at_once_elsewhere(elsewhere, acts, key):
    assert await elsewhere.signing(key[0], acts.now)


async def test_a_revoked_key_is_refused_everywhere_within_a_second(
    credentials, elsewhere, acts, key
):
    ak, _ = key
    for one in (credentials, elsewhere):
        await one.signing(ak, acts.now)
    await credentials.revoke_key(ak, acts.now)
    with pytest.raises(AccessDenied):
        await credentials.signing(ak, acts.now)
    acts.later(SECOND - TICK)
    assert await elsewhere.signing(ak, acts.now)
    acts.later(TICK)
    with pytest.raises(AccessDenied):
        await elsewhere.signing(ak, acts.now)


async def test_of_many_revocations_at_once_one_revokes(credentials, acts, user, key):
    assert await all_told(credentials.revoke_key(key[0], acts.now) for _ in range(10)) == {
        "right": 1,
        "AccessDenied": 9,
    }


async def test_a_temporary_key_ends_to_the_instant(credentials, acts, user):
    """Also where it was seen alive a moment ago."""
    key, _, security_token = await credentials.create_key(user.id, acts.now, ttl=HOUR)
    assert key.security_token == sha256(security_token.encode()).digest()
    acts.later(HOUR - TICK)
    assert await credentials.signing(key.id, acts.now)
    acts.later(TICK)
    with pytest.raises(AccessDenied):
        await credentials.signing(key.id, acts.now)
    assert await credentials.keys(acts.now) == []


async def test_a_disabled_users_key_says_so(accounts, credentials, acts, user, key):
    """Whose it is stays known: the vendor denies access, not the signature."""
    await accounts.disable_user(user.id, acts.now)
    assert (await credentials.signing(key[0], acts.now)).caller.user.disabled


async def test_a_good_signature_asks_the_store_once_a_second(credentials, store, acts, key):
    async def sign():
        await credentials.signing(key[0], acts.now)
        await credentials.refuse_if_locked(key[0], HERE, acts.now)
        await credentials.succeeded(key[0], HERE, acts.now)

    await sign()
    store.asked.clear()
    acts.later(SECOND - TICK)
    for _ in range(10):
        await sign()
    assert store.asked == {}
    acts.later(TICK)
    await sign()
    assert store.asked["write"] == store.asked["spend"] == store.asked["forget"] == 0
    assert store.asked["spent"] == 1


# Their lock


async def test_6_wrong_signatures_lock_a_key_for_5_minutes(credentials, acts, key):
    """At once in this process, though it had just seen that nothing had failed."""
    ak, _ = key
    assert not await is_locked(credentials, acts, ak)
    await fail(credentials, acts, ak, 5)
    assert not await is_locked(credentials, acts, ak)
    await fail(credentials, acts, ak, 1)
    for ask in (credentials.refuse_if_locked, credentials.failed):
        with pytest.raises(QuotaExceeded) as refusal:
            await ask(ak, HERE, acts.now)
        assert (refusal.value.scope, refusal.value.retry_in) == ("credential", LOCKED)
    acts.later(LOCKED - TICK)
    assert await is_locked(credentials, acts, ak)
    acts.later(TICK)
    assert not await is_locked(credentials, acts, ak)


async def test_a_lock_is_seen_elsewhere_within_a_second(credentials, elsewhere, acts, key):
    assert not await is_locked(elsewhere, acts, key[0])
    await fail(credentials, acts, key[0])
    acts.later(SECOND)
    assert await is_locked(elsewhere, acts, key[0])


async def test_of_40_wrong_signatures_at_once_6_are_let_through(credentials, acts, key):
    failing = (credentials.failed(key[0], HERE, acts.now) for _ in range(40))
    assert await all_told(failing) == {"right": 6, "QuotaExceeded": 34}


async def test_only_failures_in_a_row_lock(credentials, acts, key):
    for _ in range(4):
        await fail(credentials, acts, key[0], 5)
        await credentials.refuse_if_locked(key[0], HERE, acts.now)
        await credentials.succeeded(key[0], HERE, acts.now)
    assert not await is_locked(credentials, acts, key[0])


async def test_a_lock_holds_for_the_network_that_failed(credentials, acts, key):
    """An access key is no secret: nobody locks its owner out."""
    await fail(credentials, acts, key[0])
    assert await is_locked(credentials, acts, key[0], HERE)
    assert not await is_locked(credentials, acts, key[0], THERE)


async def test_a_lock_as_the_vendors_holds_for_everyone(directory, acts, key):
    _, credentials = directory(lock_by_network=False)
    await fail(credentials, acts, key[0], 3, HERE)
    await fail(credentials, acts, key[0], 3, THERE)
    assert await is_locked(credentials, acts, key[0], "198.51.100.1")


async def test_a_lock_is_looked_at_once_a_second(credentials, store, acts, key):
    await fail(credentials, acts, key[0])
    store.asked.clear()
    for _ in range(10):
        assert await is_locked(credentials, acts, key[0])
    assert store.asked == {}


async def test_a_look_under_way_forgets_no_failure(credentials, acts, store, key, monkeypatch):
    """Of a look and a failure at once, the failure is believed."""
    looked, go = asyncio.Event(), asyncio.Event()
    look = acts.store.spent

    async def slowly(demands, now):
        found = await look(demands, now)
        looked.set()
        await go.wait()
        return found

    monkeypatch.setattr(acts.store, "spent", slowly)
    looking = asyncio.ensure_future(credentials.refuse_if_locked(key[0], HERE, acts.now))
    await looked.wait()
    monkeypatch.setattr(acts.store, "spent", look)
    await fail(credentials, acts, key[0], 1)
    go.set()
    await looking
    store.asked.clear()
    await credentials.succeeded(key[0], HERE, acts.now)
    assert store.asked["forget"] == 1


async def test_a_lock_from_elsewhere_is_not_forgotten(credentials, elsewhere, acts, key):
    """A right signature that comes within the second is refused, and takes nothing away."""
    ak, _ = key
    await fail(credentials, acts, ak, 1)
    await credentials.refuse_if_locked(ak, HERE, acts.now)
    await fail(elsewhere, acts, ak, 5)
    with pytest.raises(QuotaExceeded):
        await credentials.succeeded(ak, HERE, acts.now)
    acts.later(SECOND)
    for one in (credentials, elsewhere):
        assert await is_locked(one, acts, ak)
