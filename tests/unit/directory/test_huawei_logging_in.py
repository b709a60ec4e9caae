"""Logging in by password or by key: who is proven, and how many guesses may fail."""

import pytest

from tests.contract.acting import HOUR, MINUTE
from tests.unit.directory.proving import HERE, RIGHT, SECOND, THERE, all_told, fail, is_locked, told
from watchword.directory import passwords
from watchword.errors import AccessDenied


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


WAYS = {
    "account id": lambda partner, n: {"account_id": partner.id},
    "account name": lambda partner, n: {"account_name": "Acme"},
    "account name in capitals": lambda partner, n: {"account_name": "ACME"},
    "account id and any name": lambda partner, n: {
        "account_id": partner.id, "account_name": f"any{n}"
    },
}  # fmt: skip


@pytest.mark.parametrize("name", ["ann", "nobody"])
@pytest.mark.parametrize("way", WAYS)
async def test_somebody_has_one_count_however_named(log_in, user, partner, name, way):
    """Nobody gets more guesses by another spelling, nor learns whether there is such a user."""

    def named(spelling, n):
        return {"user_name": name.upper() if n % 2 else name, **WAYS[spelling](partner, n)}

    for n in range(9):
        assert await told(log_in("wrong", **named(way, n))) == "AccessDenied"
    by_id = {"user_id": user.id} if name == "ann" else named("account name", 9)
    assert await told(log_in("wrong", **by_id)) == "AccessDenied"
    assert await told(log_in("wrong", **by_id)) == "QuotaExceeded"
    for spelling in WAYS:
        assert await told(log_in("wrong", **named(spelling, 11))) == "QuotaExceeded"


async def test_namesakes_are_counted_apart(log_in, accounts, acts, user):
    """Nobody is locked out by guesses at another account's user."""
    other = await accounts.create_other(name="Other", now=acts.now)
    await accounts.create_user(other.id, "ann", acts.now)
    for _ in range(11):
        await told(log_in("wrong", user_name="ann", account_id=other.id))
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


async def token_of(credentials, acts, key):
    """What a log-in by this key gives."""
    caller = await credentials.log_in_by_key(*key, HERE, acts.now)
    return (await credentials.issue_token(caller, acts.now))[0]


async def test_a_key_that_was_revoked_elsewhere_gives_no_token(credentials, elsewhere, acts, user):
    """Not even within the second in which a signature with it may still be taken."""
    other, *_ = await credentials.create_key(user.id, acts.now)
    key, secret, _ = await credentials.create_key(user.id, acts.now)
    await credentials.signing(other.id, acts.now)
    acts.later(SECOND * 0.9)
    await token_of(credentials, acts, (key.id, secret))
    acts.later(SECOND * 0.05)
    await elsewhere.revoke_key(key.id, acts.now)
    for _ in range(3):
        acts.later(SECOND * 0.3)
        with pytest.raises(AccessDenied):
            await token_of(credentials, acts, (key.id, secret))


@pytest.mark.parametrize("is_before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("nth", range(4))
async def test_a_key_that_is_revoked_during_a_log_in_gives_no_lasting_token(
    credentials, elsewhere, acts, key, monkeypatch, nth, is_before
):
    """Whichever look at the store the revocation comes before or after."""
    looks, look, revoked = 0, acts.store.record, False

    async def revoking(kind, of, now):
        nonlocal looks, revoked
        looks += 1
        if looks != nth + 1:
            return await look(kind, of, now)
        found = None if is_before else await look(kind, of, now)
        await elsewhere.revoke_key(key[0], now)
        revoked = True
        return await look(kind, of, now) if is_before else found

    monkeypatch.setattr(acts.store, "record", revoking)
    try:
        issued = await token_of(credentials, acts, key)
    except AccessDenied:
        issued = ""
    monkeypatch.setattr(acts.store, "record", look)
    assert revoked
    acts.later(SECOND)
    with pytest.raises(AccessDenied):
        await credentials.bearer(issued, acts.now)


async def test_a_key_logs_in_at_once_after_its_user_changed_elsewhere(
    credentials, elsewhere, acts, user, key
):
    """Its token is as good as any, here and there."""
    await credentials.signing(key[0], acts.now)
    acts.later(SECOND * 0.1)
    await elsewhere.create_key(user.id, acts.now)
    acts.later(SECOND * 0.4)
    issued = await token_of(credentials, acts, key)
    for _ in range(3):
        for one in (credentials, elsewhere):
            assert await one.bearer(issued, acts.now)
        acts.later(SECOND * 0.5)
