"""What a flood costs us: no argon2 without a code, nobody else's places, no slow reading."""

import asyncio
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from threading import Event

import pytest

from tests.surfaces.huawei.calling import (
    CREATE,
    DEADLINE_S,
    PASSWORD,
    VENDORS_WARNINGS,
    customer,
    partner,
    raw,
    sent,
    wrong,
)
from watchword.directory import passwords
from watchword.surfaces.huawei import signing
from watchword.surfaces.huawei.signing import SignatureInvalid

pytestmark = [pytest.mark.filterwarnings(one) for one in VENDORS_WARNINGS]
GONE, WRONG = (400, "CBC.99004008"), (400, "CBC.99004010")
BUSY = (429, "APIGW.0308")


# Registrations


@pytest.fixture
def hashed(monkeypatch):
    """Every password that argon2 was asked to hash."""
    seen, hash_it = [], passwords.hash

    async def kept(password):
        seen.append(password)
        return await hash_it(password)

    monkeypatch.setattr(passwords, "hash", kept)
    return seen


def test_without_a_code_no_password_is_hashed(shop, hashed, ann):
    """That there is none is told before anything is worked out."""
    given = {"email": ann, "password": PASSWORD}
    for _ in range(3):
        body = customer(**given, verification_code="123456")
        assert shop.ask(path=CREATE, body=body).refusal == GONE
    assert hashed == []
    code = sent(shop, ann)
    body = customer(**given, verification_code=wrong(code))
    assert shop.ask(path=CREATE, body=body).refusal == WRONG
    assert shop.register(**given, verification_code=code).domain_id
    assert len(hashed) == 2
    for again in (code, wrong(code)):
        body = customer(**given, verification_code=again)
        assert shop.ask(path=CREATE, body=body).refusal == GONE
    assert len(hashed) == 2


def test_an_expired_code_hashes_no_password(delivering, shop, hashed, ann):
    code = sent(shop, ann)
    delivering.clock.pass_by(passwords._WAIT * 600)
    body = customer(email=ann, password=PASSWORD, verification_code=code)
    assert shop.ask(path=CREATE, body=body).refusal == GONE
    assert hashed == []


def test_a_partner_has_so_many_passwords_hashed_at_a_time(still, monkeypatch):
    """Who comes while all its places are taken hears when to come back; another partner waits its
    turn, and all of those are made."""
    places, go, hash_it, other = 3, Event(), passwords.hash, partner(still.server)

    async def slowly(password):
        await asyncio.to_thread(go.wait, DEADLINE_S)
        return await hash_it(password)

    monkeypatch.setattr(passwords, "hash", slowly)
    monkeypatch.setattr(passwords, "_MOST_OF_ONE", places)
    with ThreadPoolExecutor(9) as pool:
        asking = [
            pool.submit(still.ask, path=CREATE, body=customer(password=PASSWORD)) for _ in range(8)
        ]
        waiting = set(asking)
        try:
            while len(waiting) > places:
                done, waiting = wait(waiting, DEADLINE_S / 4, return_when=FIRST_COMPLETED)
                assert done, "all of them are hashed"
            waits = pool.submit(other.ask, path=CREATE, body=customer(password=PASSWORD))
        finally:
            go.set()
    replies = [one.result() for one in asking]
    assert sorted(reply.status for reply in replies) == [200] * places + [429] * (8 - places)
    refused = [reply for reply in replies if reply.status == 429]
    assert {reply.refusal for reply in refused} == {BUSY}
    assert {reply.headers["retry-after"] for reply in refused} == {"1"}
    assert waits.result().status == 200
    assert still.ask(path=CREATE, body=customer(password=PASSWORD)).status == 200


# Signatures


class Compared(bytes):
    """The name of a header, which counts how often it is compared with another."""

    times = 0
    __hash__ = bytes.__hash__

    def __eq__(self, other):
        Compared.times += 1
        return bytes.__eq__(self, other)


@pytest.mark.parametrize("factor", [1, 2])
def test_reading_a_signature_compares_each_header_a_few_times(factor):
    """However many names are said to be signed."""
    Compared.times = 0
    names = b";".join([b"a"] * 1000 * factor)
    claim = b"SDK-HMAC-SHA256 Access=x, SignedHeaders=%b, Signature=%b" % (names, b"0" * 64)
    headers = [(Compared(b"b%d" % n), b"") for n in range(500)]
    with pytest.raises(SignatureInvalid):
        signing.read({"headers": [*headers, (b"authorization", claim)]})
    assert 0 < Compared.times <= 5 * len(headers)


def test_the_longest_claim_is_refused_like_any_other(server):
    """15,800 signed names and 8,000 headers fit into one head."""
    names = ";".join(["a"] * 15_800)
    claim = f"authorization: SDK-HMAC-SHA256 Access=X, SignedHeaders={names}, Signature={'0' * 64}"
    lines = ["GET /v3/auth/domains HTTP/1.1", "host: x", "connection: close", claim]
    answer = raw(server, "\r\n".join([*lines, *["b:"] * 8000, "", ""]).encode())
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"verify aksk signature fail" in answer
