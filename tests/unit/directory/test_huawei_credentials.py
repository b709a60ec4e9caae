"""Access keys, passwords and tokens: what they prove, what ends them, how many guesses may fail."""

import asyncio
from collections import Counter
from datetime import timedelta
from hashlib import sha256

import msgspec
import pytest

from tests.contract.acting import HOUR, MINUTE, TICK
from watchword.directory import passwords
from watchword.directory.apps import Apps
from watchword.directory.huawei.accounts import Accounts
from watchword.directory.huawei.credentials import Credentials
from watchword.errors import AccessDenied, QuotaExceeded

SECOND = timedelta(seconds=1)
HERE, THERE = "192.0.2.1", "192.0.2.2"
RIGHT = "Tr0ub4dor&3"
LOCKED = timedelta(minutes=5)


class Counting:
    """A store that counts how often each of its verbs is asked."""

    def __init__(self, store):
        self._store = store
        self.asked: Counter[str] = Counter()

    def __getattr__(self, verb):
        self.asked[verb] += 1
        return getattr(self._store, verb)


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


async def told(act):
    try:
        await act
    except (AccessDenied, QuotaExceeded) as refusal:
        return type(refusal).__name__
    return "right"


async def all_told(acts):
    return Counter(await asyncio.gather(*map(told, acts)))


# Access keys


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


async def fail(credentials, acts, ak, times=6, network=HERE):
    for _ in range(times):
        await credentials.failed(ak, network, acts.now)


async def is_locked(credentials, acts, ak, network=HERE):
    return await told(credentials.refuse_if_locked(ak, network, acts.now)) == "QuotaExceeded"


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


# Passwords


async def test_a_user_logs_in_by_id_or_by_name(log_in, accounts, acts, partner, user):
    caller = await accounts.caller(user.id, acts.now)
    for who in (
        {"user_id": user.id},
        {"user_name": "Ann", "account_name": "ACME"},
        {"user_name": "ann", "account_id": partner.id},
    ):
        assert await log_in(**who) == caller


async def test_who_is_unknown_or_disabled_reads_the_same_as_a_wrong_password(
    log_in, accounts, acts, partner, user
):
    bare = await accounts.create_user(partner.id, "bare", acts.now)
    off = await accounts.create_user(partner.id, "off", acts.now)
    await accounts.set_password(off.id, RIGHT, acts.now)
    await accounts.disable_user(off.id, acts.now)
    said = set()
    for password, who in (
        ("wrong", {}),
        ("", {}),
        (RIGHT, {"user_name": "nobody", "account_name": "Acme"}),
        (RIGHT, {"user_name": "ann", "account_name": "Nowhere"}),
        (RIGHT, {"user_name": "ann", "account_id": "0" * 32}),
        (RIGHT, {"user_id": "0" * 32}),
        (RIGHT, {"user_name": "\ud800", "account_name": "\x00"}),
        (RIGHT, {"user_id": off.id}),
        ("", {"user_id": bare.id}),
        (RIGHT, {"user_name": "ann"}),
    ):
        with pytest.raises(AccessDenied) as refusal:
            await log_in(password, **who)
        said.add(str(refusal.value))
    assert len(said) == 1


async def test_who_is_unknown_costs_as_much(log_in, user, monkeypatch):
    judged, judge = [], passwords.is_right

    async def is_right(kept, password):
        judged.append(kept)
        return await judge(kept, password)

    monkeypatch.setattr(passwords, "is_right", is_right)
    await told(log_in("wrong"))
    await told(log_in(RIGHT, user_id="0" * 32))
    assert judged == [user.password, None]


@pytest.mark.parametrize("who", [{}, {"user_name": "nobody", "account_name": "Acme"}])
async def test_the_11th_wrong_password_is_refused(log_in, acts, user, who):
    """Of nobody's too, and then the right one as well, until the window has passed."""
    for _ in range(10):
        assert await told(log_in("wrong", **who)) == "AccessDenied"
    for password in ("wrong", RIGHT):
        assert await told(log_in(password, **who)) == "QuotaExceeded"
    assert await told(log_in(RIGHT, network=THERE)) == "right"
    acts.later(15 * MINUTE)
    assert await told(log_in("wrong", **who)) == "AccessDenied"


async def test_of_40_wrong_passwords_at_once_10_are_judged(log_in, user):
    assert await all_told(log_in("wrong") for _ in range(40)) == {
        "AccessDenied": 10,
        "QuotaExceeded": 30,
    }


async def test_a_burst_of_40_right_passwords_is_never_refused(log_in, user):
    assert await all_told(log_in() for _ in range(40)) == {"right": 40}


async def test_a_right_password_forgets_the_wrong_ones(log_in, user):
    for _ in range(3):
        for _ in range(9):
            await told(log_in("wrong"))
        assert await told(log_in()) == "right"


async def test_a_lasting_key_logs_in_with_its_secret(credentials, accounts, acts, user, key):
    caller = await credentials.log_in_by_key(*key, HERE, acts.now)
    assert caller == await accounts.caller(user.id, acts.now)
    for ak, secret in (("A" * 20, key[1]), (key[0], ""), (key[0], "\ud800"), (key[0], key[0])):
        with pytest.raises(AccessDenied):
            await credentials.log_in_by_key(ak, secret, HERE, acts.now)
    await accounts.disable_user(user.id, acts.now)
    with pytest.raises(AccessDenied):
        await credentials.log_in_by_key(*key, HERE, acts.now)


async def test_a_temporary_key_does_not_log_in_without_its_token(credentials, acts, user):
    key, secret, _ = await credentials.create_key(user.id, acts.now, ttl=HOUR)
    with pytest.raises(AccessDenied):
        await credentials.log_in_by_key(key.id, secret, HERE, acts.now)


async def test_wrong_secrets_and_wrong_signatures_share_one_lock(credentials, acts, key):
    ak, secret = key
    await fail(credentials, acts, ak, 4)
    for _ in range(2):
        assert await told(credentials.log_in_by_key(ak, "no", HERE, acts.now)) == "AccessDenied"
    assert await told(credentials.log_in_by_key(ak, secret, HERE, acts.now)) == "QuotaExceeded"
    assert await is_locked(credentials, acts, ak)


# Tokens


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
