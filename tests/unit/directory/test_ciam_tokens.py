"""Tokens: one signing key for all processes, and an id_token that is read as it was meant."""

import asyncio
import base64
import hashlib
import hmac
import json
from contextlib import suppress
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.contract.acting import ANN, BOB, MINUTE, TICK, rotating
from tests.unit.directory.clouds import became
from watchword.directory import resealing
from watchword.directory.apps import Apps
from watchword.directory.ciam import tokens as module
from watchword.directory.ciam.clients import Clients
from watchword.directory.ciam.tokens import TTL, IdTokenInvalid, Tokens
from watchword.directory.ciam.users import Registration, Users
from watchword.errors import KeyUnknown, StoreUnavailable

ISSUER = "https://id.shop.example"
SECOND = timedelta(seconds=1)
PASSWORD = "Tr0ub4dor&3"
SIGNING_KEY = "ciam_signing_key"


@pytest.fixture
def tokens(acts):
    return Tokens(acts.store, acts.ring, ISSUER)


@pytest.fixture
def elsewhere(acts):
    """The same tokens as another process has them."""
    return Tokens(acts.store, acts.ring, ISSUER)


@pytest.fixture
def users(acts):
    return Users(acts.store, acts.ring)


@pytest.fixture
async def client(acts):
    clients = Clients(acts.store, acts.ring, Apps(acts.store, acts.ring))
    return await clients.create(name="Shop", users="here", now=acts.now)


@pytest.fixture
async def user(users, client, acts):
    prepared = await users.prepare_registration(client.app_id, Registration(mobile=ANN), acts.now)
    await acts.store.write(prepared.writes, acts.now)
    return prepared.user


@pytest.fixture
async def id_token(tokens, client, user, acts):
    return await tokens.id_token(client, user, "a session", acts.now)


@pytest.fixture
async def signed(acts, tokens):
    """Sign anything as we do: with our key, whatever it says."""
    await tokens.jwks(acts.now)
    record = await acts.store.record(SIGNING_KEY, "1", acts.now)
    key = module._loaded(acts.ring.unseal(record.body, SIGNING_KEY.encode()))

    def sign(claims, algorithm="RS256"):
        return jwt.encode(claims, key.private, algorithm, headers={"kid": key.id})

    return sign


class Hanging:
    """The store, but that its first look at records takes until it is told to fail."""

    def __init__(self, store):
        self._store, self.times = store, 0
        self.asked, self.fail = asyncio.Event(), asyncio.Event()

    async def records(self, *given):
        if self.fail.is_set():
            return await self._store.records(*given)
        self.times += 1
        self.asked.set()
        await self.fail.wait()
        raise StoreUnavailable

    def __getattr__(self, verb):
        return getattr(self._store, verb)


def claims_of(id_token):
    return jwt.decode(id_token, options={"verify_signature": False})


async def refused(act):
    with pytest.raises(IdTokenInvalid):
        await act


def coded(value):
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


async def test_an_id_token_tells_who_logged_in(tokens, client, user, id_token, acts):
    """In the words of OpenID Connect; it names the session token and does not show it."""
    said = claims_of(id_token)
    seconds = int(acts.now.timestamp())
    assert (said["iss"], said["sub"], said["aud"]) == (ISSUER, user.id, client.id)
    assert (said["iat"], said["auth_time"], said["exp"]) == (seconds, seconds, seconds + 432_000)
    assert said["sid"] == hashlib.sha256(b"a session").hexdigest()
    assert ANN.address[1:] not in json.dumps(said)


async def test_an_id_token_is_read_in_every_process(
    tokens, elsewhere, client, user, id_token, acts
):
    for each in (tokens, elsewhere):
        claims = await each.read(id_token, client.id, acts.now)
        assert (claims.sub, claims.is_of(user)) == (user.id, True)


async def test_a_store_that_hangs_keeps_each_who_waits_once(acts):
    """They share one try for the key, and its failure; the next one tries again."""
    store = Hanging(acts.store)
    tokens = Tokens(store, acts.ring, ISSUER)
    waiting = [asyncio.create_task(tokens.jwks(acts.now)) for _ in range(12)]
    await store.asked.wait()
    store.fail.set()
    failed = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(one) for one in failed} == {StoreUnavailable}
    assert store.times == 1
    assert await tokens.jwks(acts.now)


async def test_any_library_can_check_it_with_the_keys_we_publish(tokens, client, id_token, acts):
    """The key is found by its id."""
    published = jwt.PyJWKSet.from_dict(await tokens.jwks(acts.now))
    key = published[jwt.get_unverified_header(id_token)["kid"]]
    said = jwt.decode(
        id_token,
        key,
        algorithms=["RS256"],
        audience=client.id,
        issuer=ISSUER,
        options={"verify_exp": False, "verify_iat": False},
    )
    assert said == claims_of(id_token)


async def test_a_key_is_published_without_its_secret(tokens, acts):
    (key,) = (await tokens.jwks(acts.now))["keys"]
    assert set(key) == {"kty", "n", "e", "use", "alg", "kid"}
    assert (key["kty"], key["use"], key["alg"]) == ("RSA", "sig", "RS256")
    modulus = base64.urlsafe_b64decode(key["n"] + "==")
    assert len(modulus) == 2048 // 8


async def test_a_key_is_named_by_its_thumbprint(tokens, acts):
    """RFC 7638, section 3."""
    (key,) = (await tokens.jwks(acts.now))["keys"]
    text = f'{{"e":"{key["e"]}","kty":"RSA","n":"{key["n"]}"}}'
    assert key["kid"] == coded(hashlib.sha256(text.encode()).digest())


async def test_of_many_first_uses_one_key_is_made(acts):
    """In one process as in many."""
    everyone = [Tokens(acts.store, acts.ring, ISSUER) for _ in range(4)]
    published = await asyncio.gather(*(each.jwks(acts.now) for each in everyone * 3))
    assert all(one == published[0] for one in published)
    assert len(await acts.store.records(SIGNING_KEY, acts.now)) == 1


async def test_the_keys_are_looked_up_once_a_second(acts, store):
    """And kept in memory."""
    tokens = Tokens(store, acts.ring, ISSUER)
    await tokens.jwks(acts.now)
    store.asked.clear()
    acts.later(SECOND - TICK)
    await tokens.jwks(acts.now)
    assert not store.asked
    acts.later(TICK)
    await tokens.jwks(acts.now)
    assert store.asked


async def test_the_key_rests_sealed(acts, signed):
    (record,) = await acts.store.records(SIGNING_KEY, acts.now)
    with pytest.raises(ValueError, match="key data"):
        serialization.load_der_private_key(record.body, password=None)
    with pytest.raises(KeyUnknown):
        acts.ring.unseal(record.body, b"something else")


@pytest.fixture
async def rotated(acts, client, user):
    """A token of before the rotation, and the tokens of a process that signed it and of one that
    came later. They know both seal keys."""
    before, after = (Tokens(acts.store, rotating(active), ISSUER) for active in (1, 2))
    old = await before.id_token(client, user, "a session", acts.now)
    assert await resealing.reseal(acts.store, rotating(2), SIGNING_KEY, acts.now)
    return old, before, after


async def test_a_new_key_signs_after_a_rotation_and_the_old_one_is_still_believed(
    acts, client, user, rotated
):
    """In every process, the one included that has not looked since; each key by its own id."""
    old, before, after = rotated
    new = await after.id_token(client, user, "a session", acts.now)
    for tokens in (before, after):
        for one in (old, new):
            assert (await tokens.read(one, client.id, acts.now)).is_of(user)
        kids = [key["kid"] for key in (await tokens.jwks(acts.now))["keys"]]
        named = [jwt.get_unverified_header(one)["kid"] for one in (new, old)]
        assert kids == named
        assert len(set(kids)) == 2
    assert not await resealing.reseal(acts.store, rotating(2), SIGNING_KEY, acts.now)


async def test_nothing_needs_the_old_seal_key_after_a_rotation(acts, rotated):
    found = await acts.store.records(SIGNING_KEY, acts.now)
    assert [resealing.under(record) for record in found] == [2, 2]


async def test_an_old_key_stays_until_the_last_of_its_tokens_has_ended(acts, client, user, rotated):
    """A process may sign with it for another moment."""
    _, before, after = rotated
    acts.later(SECOND - TICK)
    last = await before.id_token(client, user, "a session", acts.now)
    acts.later(TTL - SECOND)
    assert await after.read(last, client.id, acts.now)
    acts.later(MINUTE + TICK)
    assert len((await after.jwks(acts.now))["keys"]) == 1


async def test_an_old_key_that_leaked_can_be_forgotten_at_once(acts, client, user, rotated):
    """Within a second in every process."""
    old, before, after = rotated
    new = await after.id_token(client, user, "a session", acts.now)
    await module.forget_older(acts.store, acts.now)
    acts.later(SECOND)
    for tokens in (before, after):
        await refused(tokens.read(old, client.id, acts.now))
        assert await tokens.read(new, client.id, acts.now)


async def test_two_who_rotate_at_once_make_one_key(acts, client, user):
    await Tokens(acts.store, rotating(1), ISSUER).jwks(acts.now)
    ring = rotating(2)
    await asyncio.gather(*(module.replace(acts.store, ring, acts.now) for _ in range(2)))
    found = await acts.store.records(SIGNING_KEY, acts.now)
    assert sorted(record.key for record in found) == ["1", "2"]


async def test_a_key_that_nobody_can_open_signs_nothing(acts):
    await Tokens(acts.store, rotating(1), ISSUER).jwks(acts.now)
    with pytest.raises(KeyUnknown):
        await Tokens(acts.store, acts.ring, ISSUER).jwks(acts.now)


async def test_an_id_token_ends_by_our_clock(tokens, client, id_token, acts):
    """Which need not be this machine's."""
    acts.later(TTL - TICK)
    assert await tokens.read(id_token, client.id, acts.now)
    acts.later(TICK)
    await refused(tokens.read(id_token, client.id, acts.now))


async def test_an_id_token_is_its_clients_only(tokens, id_token, acts):
    await refused(tokens.read(id_token, "x" * 32, acts.now))
    await refused(tokens.read(id_token, "", acts.now))


async def test_an_id_token_of_another_issuer_is_refused(acts, client, id_token):
    other = Tokens(acts.store, acts.ring, "https://id.bank.example")
    await refused(other.read(id_token, client.id, acts.now))


@pytest.mark.parametrize("passed", [TICK, timedelta(milliseconds=1), SECOND, -SECOND], ids=str)
async def test_a_new_password_ends_what_was_issued_before(
    tokens, users, client, user, id_token, acts, passed
):
    """Also within the second, where `iat` is the same; what is issued after holds."""
    acts.later(passed)
    await acts.store.write(await users.prepare_password(user, 1, PASSWORD, acts.now), acts.now)
    changed, _ = await users.by_id(client.app_id, user.id, acts.now)
    old = await tokens.read(id_token, client.id, acts.now)
    assert not old.is_of(changed)
    newer = await tokens.id_token(client, changed, "another session", acts.now)
    assert (await tokens.read(newer, client.id, acts.now)).is_of(changed)


async def test_another_mobile_ends_nothing(tokens, users, client, user, id_token, acts):
    writes = await users.prepare_mobile(user, 1, BOB, acts.now)
    await acts.store.write(writes, acts.now)
    moved, _ = await users.by_id(client.app_id, user.id, acts.now)
    assert (await tokens.read(id_token, client.id, acts.now)).is_of(moved)


async def test_an_id_token_is_nobody_elses(tokens, users, client, user, id_token, acts):
    other = replace(user, id="0" * 32)
    assert not (await tokens.read(id_token, client.id, acts.now)).is_of(other)


async def test_another_algorithm_is_refused(tokens, client, id_token, signed, acts):
    """None at all, our public key taken for a secret, or an RSA one that we do not use."""
    said = claims_of(id_token)
    (key,) = (await tokens.jwks(acts.now))["keys"]
    public = jwt.PyJWK(key).key
    forms = serialization.PublicFormat
    pem = public.public_bytes(serialization.Encoding.PEM, forms.SubjectPublicKeyInfo)
    der = public.public_bytes(serialization.Encoding.DER, forms.SubjectPublicKeyInfo)
    forged = [signed(said, "RS512"), signed(said, "PS256"), jwt.encode(said, "", "none")]
    for secret in (pem, der, pem.strip(), json.dumps(key).encode()):
        for header in ({"alg": "HS256"}, {"alg": "HS256", "kid": key["kid"]}):
            text = f"{coded(header)}.{coded(said)}"
            mac = hmac.digest(secret, text.encode(), "sha256")
            forged.append(f"{text}.{coded(mac)}")
    for alg in ("none", "None", "NONE", "", None, 5, ["RS256"]):
        forged += [f"{coded({'alg': alg})}.{coded(said)}.{end}" for end in ("", "AAAA")]
    for one in forged:
        await refused(tokens.read(one, client.id, acts.now))
    assert await tokens.read(signed(said), client.id, acts.now)


async def test_a_strangers_signature_is_refused(tokens, client, id_token, acts):
    """Also one whose key comes along."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    own = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    for headers in ({}, {"jwk": own}, {"kid": jwt.get_unverified_header(id_token)["kid"]}):
        forged = jwt.encode(claims_of(id_token), key, "RS256", headers=headers)
        await refused(tokens.read(forged, client.id, acts.now))


async def test_every_claim_has_to_be_there_as_it_should(tokens, client, id_token, signed, acts):
    """Even under our signature, as of a version that signed something else."""
    said = claims_of(id_token)
    assert set(said) == {"iss", "aud", "sub", "sid", "iat", "exp", "auth_time", "since"}
    for name in said:
        broken = [{**said, name: value} for value in BROKEN]
        for claims in ({key: said[key] for key in said if key != name}, *broken):
            forged = encoded(signed, claims)
            await refused(tokens.read(forged, client.id, acts.now))


BROKEN: list[Any] = [None, {}, [5], -1.5]


def encoded(signed, claims):
    try:
        return signed(claims)
    except TypeError:  # the library itself does not write it
        return None


async def test_whatever_is_no_token_is_refused(tokens, client, id_token, acts):
    """Cut, lengthened, changed, nested, huge, or nothing like one; never another error."""
    header, said, signature = id_token.split(".")
    deep = b"[" * 3000
    forged = [
        *(
            None,
            "",
            ".",
            "..",
            "...",
            "x" * 100_000,
            "a.b.c",
            "\ud800",
            "é",
            "\x00",
            f" {id_token}",
        ),
        *(f"{header}.{said}", f"{header}.{said}.", f".{said}.{signature}", f"{id_token}.x"),
        *(f"{header}.{signature}.{said}", f"{header}.{coded({})}.{signature}"),
        *(f"{coded(deep)}.{said}.", f"{coded(b'null')}.{said}.{signature}"),
        *(f"{coded(b'NaN')}.{said}.{signature}", f"{coded(b'{}')}.{said}.{signature}"),
        f"{coded({'alg': 'RS256', 'crit': ['b64'], 'b64': False})}..{signature}",
        f"{coded({'alg': 'RS256', 'kid': 5})}.{said}.{signature}",
        *(id_token.swapcase(), id_token[:-9], id_token.replace(".", "~")),
    ]
    for one in forged:
        await refused(tokens.read(one, client.id, acts.now))
    assert await tokens.read(id_token, client.id, acts.now)


PARTS = st.one_of(
    st.binary(max_size=60).map(coded),
    st.dictionaries(
        st.sampled_from(["alg", "typ", "kid", "crit", "b64", "jwk", "exp", "aud"]),
        st.one_of(
            st.none(), st.booleans(), st.floats(), st.integers(), st.just("RS256"), st.text()
        ),
    ).map(coded),
    st.text(max_size=60),
)


@pytest.fixture(scope="module")
def key():
    return module._loaded(module._generated())


@given(text=st.one_of(st.text(max_size=200), st.lists(PARTS, max_size=5).map(".".join)))
def test_nothing_that_is_made_up_is_read(key, text):
    """Nor does it break anything."""
    tokens = Tokens(None, None, ISSUER)  # type: ignore[arg-type]
    with suppress(IdTokenInvalid):
        assert isinstance(module._named(text), str)
    with pytest.raises(IdTokenInvalid):
        tokens._read(text, "x" * 32, key)


async def test_session_tokens_are_never_the_same(tokens):
    """And too long to guess."""
    made = {tokens.new_session_token() for _ in range(100)}
    assert len(made) == 100
    assert all(len(base64.urlsafe_b64decode(one + "==")) >= 32 for one in made)


async def test_many_read_at_once(tokens, client, id_token, acts):
    told = await became(tokens.read(id_token, client.id, acts.now) for _ in range(50))
    assert told == {"done": 50}
