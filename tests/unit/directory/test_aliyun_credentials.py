"""Alibaba Cloud's access keys: what they prove, what ends them, and what may not come twice."""

import asyncio
import re
from datetime import timedelta
from hashlib import sha256

import pytest

from tests.contract.acting import DAY, HOUR, MINUTE, TICK
from tests.unit.directory.clouds import became, refusal, world_on
from tests.unit.directory.proving import SECOND
from watchword.directory.aliyun.credentials import NonceUsed
from watchword.domain.keys import KeyRing
from watchword.domain.quota import Quota, Scope, Span
from watchword.errors import AccessDenied, ConfigInvalid, QuotaExceeded, RequestInvalid

PAIR = ("LTAI5tExample", "example-Secret/1+2=")


@pytest.fixture
def credentials(world):
    return world.credentials


@pytest.fixture
def far_credentials(far_world):
    return far_world.credentials


@pytest.fixture
async def key(credentials, acts, cloud):
    return (await credentials.create_key(cloud.id, acts.now))[0]


async def test_a_key_signs_for_its_account(world, credentials, acts, cloud):
    key, secret, security_token = await credentials.create_key(cloud.id, acts.now, note="ci")
    signing = await credentials.signing(key.id, acts.now)
    assert (signing.key, signing.secret) == (key, secret.encode())
    assert signing.caller == await world.accounts.caller(cloud.id, acts.now)
    assert (key.account_id, key.note, security_token) == (cloud.id, "ci", "")
    assert (key.disabled, key.is_temporary) == (False, False)
    assert await credentials.keys(acts.now) == [key]


async def test_a_key_looks_as_the_vendors(credentials, acts, cloud):
    lasting, secret, _ = await credentials.create_key(cloud.id, acts.now)
    short, other, security_token = await credentials.create_key(cloud.id, acts.now, ttl=HOUR)
    assert re.fullmatch(r"LTAI[A-Za-z0-9]{20}", lasting.id)
    assert re.fullmatch(r"STS\.[A-Za-z0-9]{20}", short.id)
    assert all(re.fullmatch(r"[A-Za-z0-9]{30}", one) for one in (secret, other))
    assert short.security_token == sha256(security_token.encode()).digest()


async def test_a_pair_that_programs_have_already_is_taken_on(credentials, acts, cloud):
    key, secret, _ = await credentials.create_key(cloud.id, acts.now, pair=PAIR)
    assert (key.id, secret) == PAIR
    assert (await credentials.signing(key.id, acts.now)).secret == PAIR[1].encode()


async def test_a_pair_is_one_accounts(world, credentials, acts, cloud):
    other = await world.accounts.create(name="Other", now=acts.now)
    made = await became(
        credentials.create_key(account.id, acts.now, pair=PAIR) for account in [cloud, other] * 10
    )
    assert made == {"done": 1, RequestInvalid: 19}


@pytest.mark.parametrize("pair", [("", "sk"), ("ak", ""), ("a,k", "sk"), ("a k", "s"), ("ä", "s")])
async def test_a_pair_that_cannot_be_signed_with_is_refused(credentials, acts, cloud, pair):
    with pytest.raises(RequestInvalid) as refused:
        await credentials.create_key(cloud.id, acts.now, pair=pair)
    assert refused.value.field == "/ak"


async def test_a_secret_is_kept_and_printed_nowhere(credentials, acts, cloud, tmp_path):
    key, secret, security_token = await credentials.create_key(cloud.id, acts.now, ttl=HOUR)
    signing = await credentials.signing(key.id, acts.now)
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("watchword.db*"))
    assert key.id.encode() in kept
    for shown in (repr(signing), str(signing.__rich_repr__()), kept.decode("latin-1")):
        assert secret not in shown
        assert security_token not in shown


async def test_a_key_of_another_ring_is_told_to_the_operator(credentials, acts, key):
    kinds = {kind: {1: kind.encode().ljust(32, b"!")} for kind in ("code", "seal", "journal")}
    ring = KeyRing(**kinds, index=b"index".ljust(32), active=dict.fromkeys(kinds, 1))
    strange = world_on(acts.store, acts, ring=ring).credentials
    with pytest.raises(ConfigInvalid, match=key.id):
        await strange.signing(key.id, acts.now)


async def test_a_key_that_is_not_there_is_refused(credentials, acts):
    for verb in (
        credentials.signing,
        credentials.revoke_key,
        credentials.disable_key,
        credentials.enable_key,
        credentials.create_key,
    ):
        for nothing in ("", "LTAI", "\x00", "\ud800"):
            assert await refusal(verb(nothing, acts.now)) is AccessDenied


async def test_a_new_key_signs_at_once_elsewhere(far_credentials, acts, key):
    assert await far_credentials.signing(key.id, acts.now)


async def test_a_revoked_key_is_unknown_everywhere_within_a_second(
    credentials, far_credentials, acts, key
):
    for one in (credentials, far_credentials):
        await one.signing(key.id, acts.now)
    await credentials.revoke_key(key.id, acts.now)
    assert await refusal(credentials.signing(key.id, acts.now)) is AccessDenied
    acts.later(SECOND - TICK)
    assert await far_credentials.signing(key.id, acts.now)
    acts.later(TICK)
    assert await refusal(far_credentials.signing(key.id, acts.now)) is AccessDenied


async def test_a_disabled_key_says_so_everywhere_within_a_second(
    credentials, far_credentials, acts, key
):
    """What it signs is still judged, so that its owner is told what is the matter."""
    for one in (credentials, far_credentials):
        await one.signing(key.id, acts.now)
    assert (await credentials.disable_key(key.id, acts.now)).disabled
    assert (await credentials.signing(key.id, acts.now)).key.disabled
    acts.later(SECOND)
    assert (await far_credentials.signing(key.id, acts.now)).key.disabled
    assert await credentials.enable_key(key.id, acts.now) == key
    acts.later(SECOND)
    assert not (await far_credentials.signing(key.id, acts.now)).key.disabled


async def test_a_temporary_key_is_known_for_a_day_after_its_end(credentials, acts, cloud):
    key, _, _ = await credentials.create_key(cloud.id, acts.now, ttl=HOUR)
    acts.later(HOUR - TICK)
    assert not (await credentials.signing(key.id, acts.now)).key.has_expired(acts.now)
    acts.later(TICK)
    assert (await credentials.signing(key.id, acts.now)).key.has_expired(acts.now)
    acts.later(DAY - TICK)
    assert await credentials.signing(key.id, acts.now)
    acts.later(SECOND)
    assert await refusal(credentials.signing(key.id, acts.now)) is AccessDenied
    await acts.sweep()
    assert await credentials.keys(acts.now) == []


async def test_disabling_prolongs_no_temporary_key(credentials, acts, cloud):
    key, _, _ = await credentials.create_key(cloud.id, acts.now, ttl=HOUR)
    await credentials.disable_key(key.id, acts.now)
    await credentials.enable_key(key.id, acts.now)
    acts.later(HOUR + DAY)
    assert await refusal(credentials.signing(key.id, acts.now)) is AccessDenied


async def test_of_many_revocations_at_once_one_revokes(credentials, acts, key):
    told = await became(credentials.revoke_key(key.id, acts.now) for _ in range(10))
    assert told == {"done": 1, AccessDenied: 9}


async def test_a_revocation_gives_way_to_no_other_change(credentials, far_credentials, acts, key):
    """A key that is disabled or enabled in the same moment is revoked all the same."""
    changes = [far_credentials.disable_key(key.id, acts.now) for _ in range(10)]
    told = await asyncio.gather(
        credentials.revoke_key(key.id, acts.now), *changes, return_exceptions=True
    )
    assert told[0] is None
    assert await credentials.keys(acts.now) == []


async def test_a_good_signature_asks_the_store_once_a_second(credentials, store, acts, key):
    await credentials.signing(key.id, acts.now)
    store.asked.clear()
    acts.later(SECOND - TICK)
    for _ in range(10):
        await credentials.signing(key.id, acts.now)
        await credentials.spend_rate(key.id, acts.now)
    assert store.asked == {}


# Nonces


async def test_a_nonce_counts_once_until_its_end(credentials, acts):
    until = acts.now + 30 * MINUTE
    await credentials.claim_nonce("ak", "n", acts.now, until)
    acts.later(30 * MINUTE - TICK)
    assert await refusal(credentials.claim_nonce("ak", "n", acts.now, acts.now + HOUR)) is NonceUsed
    acts.later(TICK)
    await credentials.claim_nonce("ak", "n", acts.now, acts.now + HOUR)


async def test_a_nonce_is_its_keys(credentials, acts):
    """No key and nonce read like another two."""
    for ak, nonce in (("ab", "c"), ("a", "bc"), ("abc", ""), ("1", ":abc"), ("ab", "\ud800")):
        await credentials.claim_nonce(ak, nonce, acts.now, acts.now + HOUR)


async def test_of_one_nonce_at_once_in_two_processes_one_counts(credentials, far_credentials, acts):
    both, until = (credentials, far_credentials), acts.now + HOUR
    claims = (both[n % 2].claim_nonce("ak", "nonce", acts.now, until) for n in range(40))
    assert await became(claims) == {"done": 1, NonceUsed: 39}


async def test_a_used_nonce_says_so_in_the_vendors_words():
    assert str(NonceUsed()) == "Specified signature nonce was used already."


# Their rate


async def test_a_key_may_come_so_often(acts):
    rate = [Quota(Scope.CREDENTIAL, 3, SECOND), Quota(Scope.CREDENTIAL, 4, span=Span.DAY)]
    here, there = (world_on(acts.store, acts, rate=rate).credentials for _ in range(2))
    for one in (here, there, here):
        await one.spend_rate("ak", acts.now)
    with pytest.raises(QuotaExceeded) as refused:
        await there.spend_rate("ak", acts.now)
    assert (refused.value.scope, refused.value.retry_in) == ("credential", SECOND)
    await here.spend_rate("other", acts.now)
    acts.later(SECOND)
    await here.spend_rate("ak", acts.now)
    with pytest.raises(QuotaExceeded) as refused:
        await here.spend_rate("ak", acts.now)
    assert refused.value.retry_in > timedelta(hours=1)
