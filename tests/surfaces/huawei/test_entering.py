"""Who gets in: signatures that are right, all the ways to be refused, and the lock behind them."""

import json
from base64 import b64encode
from datetime import timedelta
from hashlib import sha256

import pytest
from huaweicloudsdkbssintl.v2 import (
    BssintlClient,
    CheckSubcustomerUserReq,
    CheckUserIdentityRequest,
)
from huaweicloudsdkcore.auth.credentials import GlobalCredentials

from tests.surfaces.conftest import Server, up
from tests.surfaces.huawei.calling import (
    DOMAINS,
    IDENTITY,
    SEND,
    THERE,
    VENDORS_WARNINGS,
    Caller,
    by_key,
    customer,
    dated,
    log_in,
    partner,
    raised,
    travelled,
    wanted,
)
from tests.surfaces.travel import HERE
from watchword import log
from watchword.directory.huawei.credentials import Credentials

pytestmark = [pytest.mark.filterwarnings(one) for one in VENDORS_WARNINGS]
DENIED = (401, "APIGW.0301")
NOWHERE = (404, "APIGW.0101")
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
LOCKED = "AK access failed to reach the limit,forbidden"
WRONG = "verify aksk signature fail"


@pytest.fixture
def unchanged(server):
    """The store is the same after the test as before it."""
    before = server.digest()
    yield
    assert server.digest() == before


def stranger(shop, ak=None, sk=None):
    """The vendor's client with another key."""
    credentials = GlobalCredentials(ak or shop.ak, sk or shop.sk, shop.account.id)
    return shop.at_its_time(shop.client(BssintlClient, credentials))


def looked_up(client):
    """A call that needs nothing but a right signature of a partner."""
    asked = CheckSubcustomerUserReq(search_type="name", search_value="nobody")
    return client.check_user_identity(CheckUserIdentityRequest(body=asked))


def denied(reply):
    """What a caller who is not let in is told."""
    assert reply.refusal == DENIED
    return reply.json["error_msg"]


def forged(shop, **how):
    """A request whose body is not the one that was signed."""
    return travelled(shop.server, "POST", SEND, b"{ }", shop.signed(body=b"{}").items(), **how)


def test_the_official_client_says_why_it_was_refused(still):
    """Its error has code, message and request id; nothing of the signature is told."""
    for client, why in [
        (stranger(still, ak="NOSUCHKEY"), "ak not exist"),
        (stranger(still, sk="wrong"), WRONG),
    ]:
        error = raised(looked_up, client)
        assert (error.status_code, error.error_code) == DENIED
        assert error.error_msg == f"Incorrect IAM authentication information: {why}"


@pytest.mark.parametrize("path", [SEND, IDENTITY, "/v2/partners/sub-customers"])
@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer x", "SDK-HMAC-SHA256", "SDK-HMAC-SM3 Access=a, SignedHeaders=b, Signature=c",
     "V11-HMAC-SHA256 Credential=a/b, SignedHeaders=c, Signature=d", "é", "x" * 8000],
    ids=lambda value: str(value)[:16],
)  # fmt: skip
@pytest.mark.usefixtures("unchanged")
def test_without_a_signature_nobody_gets_in(server, path, authorization):
    """No credentials, other schemes and other algorithms."""
    headers = {"Content-Type": "application/json"}
    if authorization is not None:
        headers["Authorization"] = authorization
    reply = travelled(server, "POST", path, b"{}", headers.items())
    why = "no credentials" if authorization is None else WRONG
    assert denied(reply).endswith(why)


def test_a_date_may_be_off_by_a_quarter_of_an_hour(still):
    """Both ways; beyond it the answer tells both times."""
    for off in (15 * MINUTE - 5 * SECOND, -(15 * MINUTE - 5 * SECOND)):
        assert still.ask("GET", DOMAINS, off=off).status == 200
    for off in (15 * MINUTE + 5 * SECOND, -(15 * MINUTE + 5 * SECOND)):
        told = denied(still.ask("GET", DOMAINS, off=off))
        assert "signature expired" in told
        assert "signature time:" in told
        assert "server time:" in told


def test_a_client_whose_clock_is_wrong_is_told_so(still):
    client = still.intl
    client.preset_headers["X-Sdk-Date"] = dated(still.server.clock() - 16 * MINUTE)
    assert "signature expired" in raised(looked_up, client).error_msg


def test_a_stale_request_does_not_lock(still):
    """A wrong clock is no guess."""
    for _ in range(8):
        assert "expired" in denied(still.ask("GET", DOMAINS, off=20 * MINUTE))
    assert still.domains().status == 200


def test_six_wrong_signatures_lock_for_five_minutes(still):
    """Then a right one is refused too, until the first is five minutes old."""
    for _ in range(6):
        assert denied(forged(still)).endswith(WRONG)
        still.server.clock.pass_by(SECOND)
    reply = still.domains()
    assert denied(reply).endswith(LOCKED)
    assert 290 <= int(reply.headers["retry-after"]) <= 300
    assert raised(looked_up, still.intl).error_msg.endswith(LOCKED)
    assert denied(forged(still)).endswith(LOCKED)
    still.server.clock.pass_by(4 * MINUTE + 40 * SECOND)
    assert denied(still.domains()).endswith(LOCKED)
    still.server.clock.pass_by(20 * SECOND)
    assert still.domains().status == 200


def test_only_failures_in_a_row_lock(still):
    """A right signature forgets the wrong ones."""
    for _ in range(3):
        for _ in range(4):
            assert denied(forged(still)).endswith(WRONG)
        assert still.domains().status == 200


def test_a_lock_is_for_the_network_that_guessed(still):
    """Who knows an access key cannot lock its owner out."""
    for _ in range(6):
        forged(still, source=THERE)
    assert denied(still.domains(source=THERE)).endswith(LOCKED)
    assert still.domains(source=HERE).status == 200
    assert denied(still.domains(source=THERE)).endswith(LOCKED)


def test_what_another_process_locked_is_locked_here(still):
    """A right signature does not wipe away guesses that this process has not seen."""
    assert denied(forged(still)).endswith(WRONG)
    huawei, now = still.server.service.huawei, still.server.clock()
    elsewhere = Credentials(huawei.accounts, huawei.house)
    for _ in range(5):
        still.server.do(elsewhere.failed(still.ak, HERE, now))
    assert denied(still.domains()).endswith(LOCKED)


def test_a_lock_is_for_one_key(still):
    other = Caller(still.server, still.account, "other")
    for _ in range(6):
        forged(still)
    assert denied(still.domains()).endswith(LOCKED)
    assert other.domains().status == 200


def test_unknown_keys_lock_nothing(server):
    """And leave nothing behind, however many there are."""
    shop = partner(server)
    headers, before = shop.signed("GET", DOMAINS), server.digest()
    for ak in ["NOSUCHKEY"] * 8 + ["../../x", "~" * 128]:
        claim = headers["Authorization"].replace(shop.ak, ak)
        named = {**headers, "Authorization": claim}.items()
        assert denied(travelled(server, "GET", DOMAINS, b"", named)).endswith("ak not exist")
    assert server.digest() == before


def test_a_revoked_key_is_an_unknown_one(still):
    directory = still.server.service.huawei
    still.server.do(directory.credentials.revoke_key(still.ak, still.server.clock()))
    assert denied(still.domains()).endswith("ak not exist")


def test_a_temporary_key_comes_with_its_token_and_ends(still):
    """Signed by the vendor's client; without the token, or another, it is wrong."""
    server, directory = still.server, still.server.service.huawei
    making = directory.credentials.create_key(still.user.id, server.clock(), ttl=10 * MINUTE)
    key, sk, token = server.do(making)

    def client(ak=key.id, with_token=None):
        credentials = GlobalCredentials(ak, sk, still.account.id)
        if with_token:
            credentials.with_security_token(with_token)
        return still.at_its_time(still.client(BssintlClient, credentials))

    assert looked_up(client(with_token=token)).status_code == 200
    for bad in (None, token + "x"):
        assert raised(looked_up, client(with_token=bad)).error_msg.endswith(WRONG)
    server.clock.pass_by(10 * MINUTE)
    assert raised(looked_up, client(with_token=token)).error_msg.endswith("ak not exist")


def test_a_secret_that_nobody_can_open_is_a_fault_of_ours(tmp_path, place, written):
    """500 and an error in the log, where a key ring was lost; no code is spoken of."""
    with up(Server(tmp_path, place)) as running:
        shop = partner(running)
        assert shop.domains().status == 200
    path = tmp_path / "keyring.json"
    ring = json.loads(path.read_text())
    ring["seal"] = [{"id": 2, "secret": b64encode(bytes(range(32))).decode()}]
    ring["active"]["seal"] = 2
    path.write_text(json.dumps(ring))
    log.configure("json", stream=written)
    with up(Server(tmp_path, place)) as shop.server:
        reply = shop.domains()
        assert reply.refusal == (500, "CBC.0999")
        told = [json.loads(line) for line in written.getvalue().splitlines()]
        (event,) = [one for one in told if one["event"] == "request_refused"]
        assert (event["level"], event["error"]) == ("error", "ConfigInvalid")
        assert event["request_id"] == reply.headers["x-request-id"]
        assert log_in(shop.server, by_key(shop)).status == 500


def test_a_lasting_key_has_no_token(still):
    credentials = GlobalCredentials(still.ak, still.sk).with_security_token("t")
    client = still.at_its_time(still.client(BssintlClient, credentials))
    assert raised(looked_up, client).error_msg.endswith(WRONG)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", SEND), ("PUT", SEND), ("DELETE", SEND), ("PATCH", SEND), ("OPTIONS", SEND),
        ("POST", DOMAINS), ("GET", "/v3/auth/tokens"), ("GET", IDENTITY),
        ("POST", SEND + "/x"), ("POST", SEND + "//"), ("POST", "/v2/bases"), ("POST", "/v2/bases/"),
        ("POST", "/v2/partners/sub-customers/query"), ("POST", "/v3"), ("POST", "/v3/"),
        ("POST", SEND.upper().replace("/V2/BASES", "/v2/bases")), ("POST", SEND + "%"),
        ("POST", SEND + "%zz"), ("POST", SEND + "%00"), ("POST", SEND + "%ff%fe"),
        ("POST", SEND + "/.."), ("POST", "/v2/bases/../bases/verificationcode/send"),
        ("POST", "/v3/" + "x" * 20_000), ("POST", SEND + ";a=b"),
    ],
    ids=lambda value: value[:50],
)  # fmt: skip
@pytest.mark.usefixtures("unchanged")
def test_what_is_not_there_is_not_published(server, method, path):
    """404 for a wrong path and for a wrong method, before anything else is asked."""
    assert travelled(server, method, path, b"", {}).refusal == NOWHERE


def test_a_body_has_an_end(still):
    """64 KiB are read, and a byte more is too large; nothing is asked of its signature."""
    largest = b" " * (65536 - 2) + b"{}"
    assert still.ask(body=largest).refusal == (400, "CBC.0100")
    too_large = (413, "APIGW.0201")
    assert still.ask(body=largest + b" ").refusal == too_large
    assert travelled(still.server, "POST", SEND, largest + b" ", {}).refusal == too_large


# What differs from what was signed


BODY = b'{"search_type": "name", "search_value": "nobody"}'


def altered(shop):
    """Every way to bend a signed request; each is headers, path and body as they travel."""

    def bent(headers=None, path=IDENTITY, body=BODY, more=(), without=""):
        kept = {**shop.signed(path=IDENTITY, body=BODY, X_Domain_Id="d"), **(headers or {})}
        pairs = [(name, value) for name, value in kept.items() if name != without]
        return path, body, [*pairs, *more]

    authorization = shop.signed(path=IDENTITY, body=BODY, X_Domain_Id="d")["Authorization"]
    last = "1" if authorization.endswith("0") else "0"
    yield "a byte more", bent(body=BODY + b" ")
    yield "another value", bent(body=BODY.replace(b"nobody", b"somebody"))
    yield "no body", bent(body=b"")
    yield "another path", bent(path=SEND)
    yield "a query", bent(path=IDENTITY + "?a=b")
    yield "an ambiguous query", bent(path=IDENTITY + "?a")
    yield "another domain", bent({"X-Domain-Id": "e"})
    yield "another type", bent({"Content-Type": "application/json; charset=utf-8"})
    yield "another host", bent({"Host": "example.com"})
    yield "another date", bent({"X-Sdk-Date": dated(shop.server.clock() - 3 * SECOND)})
    yield "no date at all", bent({"X-Sdk-Date": ""})
    yield "a date in words", bent({"X-Sdk-Date": "yesterday"})
    yield "a 13th month", bent({"X-Sdk-Date": "20261301T000000Z"})
    yield "a token", bent(more=[("X-Security-Token", "t")])
    yield "another signature", bent({"Authorization": authorization[:-1] + last})
    yield "capitals", bent({"Authorization": authorization[:-64] + authorization[-64:].upper()})
    yield "two blanks", bent({"Authorization": authorization.replace(", ", ",  ")})
    yield "fewer headers", bent({"Authorization": authorization.replace("content-type;", "")})
    yield "unsigned payload", bent(body=b"{}", more=[("X-Sdk-Content-Sha256", "UNSIGNED-PAYLOAD")])
    yield "another hash", bent(more=[("X-Sdk-Content-Sha256", sha256(b"").hexdigest())])
    yield "no domain", bent(without="X-Domain-Id")
    yield "two domains", bent(more=[("X-Domain-Id", "e")])
    yield "two signatures", bent(more=[("Authorization", authorization)])


def tables(server):
    """The rows of the store: those that count in trailing windows, and all others."""
    others = server.place.contents()
    return others.pop("trails" if "trails" in others else "spent"), others


def test_a_request_that_was_altered_counts_and_records_nothing(still):
    """But for the lock's one counter, which a right signature takes away."""
    server = still.server
    assert still.ask(path=IDENTITY, body=BODY, X_Domain_Id="d").status == 200
    for name, (path, body, headers) in altered(still):
        counting, others = tables(server)
        before = server.digest()
        reply = travelled(server, "POST", path, body, headers)
        assert (name, reply.refusal) == (name, DENIED)
        assert denied(reply).endswith(WRONG), name
        after_counting, after_others = tables(server)
        assert (name, after_others) == (name, others)
        assert len(after_counting ^ counting) <= 1, name
        assert still.domains().status == 200
        assert (name, server.digest()) == (name, before)


def test_a_signed_send_with_another_hash_is_not_sent(delivering, shop, ann):
    """A body that is not JSON may go unsigned, but nothing is done with it."""
    reply = shop.ask(body=wanted(ann), Content_Type="text/plain")
    assert reply.refusal == (400, "CBC.0100")
    assert shop.ask(path="/v2/partners/sub-customers", body=customer()).status == 200


# The domain of a caller


def test_a_caller_finds_its_own_domain(still):
    """One, in Keystone's shape, under the host by which it was asked."""
    told = still.domains().json
    (domain,) = told["domains"]
    assert set(domain) == {"id", "name", "enabled", "description", "links"}
    assert (domain["id"], domain["enabled"]) == (still.account.id, True)
    assert told["links"]["self"] == f"{still.server.url}{DOMAINS}"
