"""Who gets in: signatures of both schemes that are right, now and for the first time; what each of
all the others is told; and that nobody else changes anything."""

from datetime import timedelta
from hashlib import sha256
from urllib.parse import parse_qsl, quote, urlencode
from uuid import uuid4

import pytest
from rich.pretty import pretty_repr

from tests.surfaces.aliyun.bending import (
    Still,
    bent,
    canonical,
    kept,
    signed_acs3,
    signed_v1,
    v1_text,
)
from tests.surfaces.aliyun.calling import (
    FORM,
    NEWER,
    SEND_BIND,
    SEND_RD,
    Caller,
    dated,
    manager,
    newcomer,
    phone,
    travelled,
)
from tests.surfaces.conftest import Server, up
from watchword.config import Aliyun, Limit
from watchword.directory.aliyun import phones
from watchword.errors import StoreUnavailable
from watchword.surfaces.aliyun import auth
from watchword.surfaces.aliyun.wire import Parameters

LOOK = "GetResourceDirectory"
"""A call that needs nothing but a right signature."""
SCHEMES = ("ACS3", "V1")
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
QUARTER = 15 * MINUTE
MISMATCH = (400, "SignatureDoesNotMatch")
INCOMPLETE = (400, "IncompleteSignature")
USED = (400, "SignatureNonceUsed")
EXPIRED, MALFORMED = (400, "InvalidTimeStamp.Expired"), (400, "InvalidTimeStamp.Format")
UNKNOWN, INACTIVE = (404, "InvalidAccessKeyId.NotFound"), (400, "InvalidAccessKeyId.Inactive")
NO_KEY, OTHER_METHOD = (400, "MissingAccessKeyId"), (400, "InvalidSignatureMethod")
THROTTLED = (400, "Throttling.User")


@pytest.fixture(scope="module")
def server(serving):
    """Its worker is off, so that only requests change its store, and its clock stands still."""
    with serving(clock=Still()) as running:
        yield running


@pytest.fixture(scope="module")
def ann(server):
    """A manager, for tests that leave her and her key as they are."""
    return manager(server)


@pytest.fixture
def unchanged(server, ann):
    """The store is the same after the test as before it."""
    before = server.digest()
    yield
    assert server.digest() == before


def signed(caller, scheme, action=LOOK, *, off=timedelta(), nonce="", **parameters):
    """A request in either scheme, by the vendor's own signers."""
    if scheme == "ACS3":
        return caller.signed(action, NEWER, parameters, off=off, nonce=nonce)
    more = {"SignatureNonce": nonce} if nonce else {}
    return in_query(caller.signed_v1(action, NEWER, {**parameters, **more}, off=off))


def in_query(named, method="POST"):
    return method, f"/?{urlencode(named)}", {}, b""


def in_form(named):
    return "POST", "/", {"content-type": FORM}, urlencode(named).encode()


def at(caller, scheme, time):
    """Signed at a time that is any text."""
    if scheme == "ACS3":
        return signed_acs3(caller, LOOK, [], x_acs_date=time)
    return signed_v1(caller, LOOK, [], Timestamp=time)


def with_headers(request, **changes):
    """The same with these headers instead; one that is None is left out. Signed it is not."""
    method, target, headers, body = request
    named = {**headers, **{name.replace("_", "-"): value for name, value in changes.items()}}
    return method, target, {name: value for name, value in named.items() if value is not None}, body


# Replays


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_request_is_taken_once(server, ann, scheme):
    request = signed(ann, scheme)
    assert ann.send(request).success
    before = server.digest()
    for _ in range(2):
        assert ann.send(request).refusal == USED
    assert server.digest() == before


@pytest.mark.parametrize("first", SCHEMES)
@pytest.mark.parametrize("then", SCHEMES)
def test_a_nonce_is_one_keys_in_every_scheme_and_format(ann, first, then):
    """Another call, format or scheme does not make it new; another key does, its own or
    another's."""
    nonce = uuid4().hex
    assert ann.send(signed(ann, first, nonce=nonce)).success
    for form in ("JSON", "XML"):
        again = signed(ann, then, "ListAccounts", nonce=nonce, Format=form)
        assert ann.send(again).refusal == USED
    for other in (Caller(ann.server, ann.account), manager(ann.server)):
        assert other.send(signed(other, then, nonce=nonce)).success


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("off", [QUARTER, timedelta(), -QUARTER], ids=str)
def test_a_replay_is_refused_as_long_as_its_time_would_be_taken(server, scheme, off):
    """However early it was signed: first for its nonce, later for its time."""
    bob = manager(server)
    request = signed(bob, scheme, off=off)
    assert bob.send(request).success
    server.clock.pass_by(QUARTER + off)
    assert bob.send(request).refusal == USED
    server.clock.pass_by(SECOND)
    assert bob.send(request).refusal == EXPIRED


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_nonce_is_kept_for_half_an_hour(server, scheme):
    """Signed anew, it is the same nonce still; afterwards it is forgotten."""
    bob, nonce = manager(server), uuid4().hex
    assert bob.send(signed(bob, scheme, nonce=nonce)).success
    server.clock.pass_by(30 * MINUTE)
    assert bob.send(signed(bob, scheme, nonce=nonce)).refusal == USED
    server.clock.pass_by(2 * SECOND)
    assert bob.send(signed(bob, scheme, nonce=nonce)).success


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_one_process_took_no_other_takes(tmp_path, place, scheme):
    """Neither one that runs beside it, nor one that starts after it."""
    with up(Server(tmp_path, place)) as running:
        bob = manager(running)
        request, other = signed(bob, scheme), signed(bob, scheme)
        with up(Server(tmp_path, place)) as beside:
            host = {"host": running.url.removeprefix("http://")} if scheme == "ACS3" else {}
            assert bob.send(request).success
            for one, expected in [(request, USED), (other, None)]:
                method, target, headers, body = with_headers(one, **host)
                reply = travelled(beside, method, target, headers.items(), body)
                assert reply.refusal == expected if expected else reply.success
            assert bob.send(other).refusal == USED
    with up(Server(tmp_path, place)) as bob.server:
        for one in (request, other):
            assert bob.send(one).refusal == USED


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_stranger_burns_no_nonce(server, ann, scheme):
    """What was signed wrong, or too early, leaves its nonce to whoever signs right."""
    nonce, before = uuid4().hex, server.digest()
    stranger = Caller(server, ann.account, (ann.ak, "wrong", ""))
    assert ann.send(signed(stranger, scheme, nonce=nonce)).refusal == MISMATCH
    assert ann.send(signed(ann, scheme, nonce=nonce, off=QUARTER + SECOND)).refusal == EXPIRED
    assert server.digest() == before
    assert ann.send(signed(ann, scheme, nonce=nonce)).success


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    ("length", "is_taken"), [(1, True), (128, True), (256, True), (257, False)]
)
def test_a_nonce_may_be_longer_than_any_clients(server, scheme, length, is_taken):
    """Clients send 32 or 64 characters."""
    bob = manager(server)
    reply = bob.send(signed(bob, scheme, nonce="~" * length))
    assert reply.success if is_taken else reply.refusal == (400, "InvalidSignatureNonce")


# Time


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("sign", [1, -1], ids=["early", "late"])
def test_a_clock_may_be_off_by_a_quarter_of_an_hour(ann, scheme, sign):
    """Both ways, to the second."""
    for off in (QUARTER - SECOND, QUARTER):
        assert ann.send(signed(ann, scheme, off=sign * off)).success
    before = ann.server.digest()
    for off in (QUARTER + SECOND, timedelta(days=1), timedelta(days=36_500)):
        assert ann.send(signed(ann, scheme, off=sign * off)).refusal == EXPIRED
    assert ann.server.digest() == before


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    "time",
    ["now", "0", "1700000000", "2026-01-31", "2026-01-31T12:00:00", "2026-01-31T12:00:00+00:00",
     "2026-01-31 12:00:00Z", "2026-01-31T12:00:00.000Z", "2026-1-31T12:00:00Z",
     "2026-13-31T12:00:00Z", "2026-02-30T12:00:00Z", "2026-01-31T25:00:00Z", "0000-01-01T00:00:00Z",
     "2026-01-31T12:00:60Z", "20260131T120000Z", "2026-01-31T12:00:00z", "-026-01-31T12:00:00Z",
     "Sat, 31 Jan 2026 12:00:00 GMT", "Z" * 5000],
    ids=lambda time: time[:30],
)  # fmt: skip
@pytest.mark.usefixtures("unchanged")
def test_a_time_is_spelled_in_one_way(ann, scheme, time):
    assert ann.send(at(ann, scheme, time)).refusal == MALFORMED


@pytest.mark.usefixtures("unchanged")
def test_digits_are_those_of_ascii(ann):
    """V1 may say anything in UTF-8; and every year up to 9999 is a time."""
    for time in ("２０２６-01-31T12:00:00Z", "2026-01-31T12:00:00Z\n", "\0"):
        assert ann.send(at(ann, "V1", time)).refusal == MALFORMED
    for time in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"):
        assert ann.send(at(ann, "V1", time)).refusal == EXPIRED


# What differs from what was signed


def altered_acs3(caller):
    """Every way to bend a request of ACS3 that was signed with a form."""

    def sign(**how):
        asked = {"AccountId": caller.id}
        form = {"IncludeTags": "false"}
        return caller.signed("GetAccount", NEWER, asked, form=form, user_agent="a", **how)

    method, target, headers, body = sign()
    claim = headers["Authorization"]
    last = "1" if claim.endswith("0") else "0"
    other = b"IncludeTags=true"

    def but(**changes):
        return with_headers((method, target, headers, body), **changes)

    digit = "1" if target.endswith("0") else "0"
    yield "another value", (method, target[:-1] + digit, headers, body)
    yield "another name", (method, target.replace("AccountId", "accountId"), headers, body)
    yield "a parameter more", (method, f"{target}&DryRun=true", headers, body)
    yield "an empty one more", (method, f"{target}&a", headers, body)
    yield "the same twice", (method, f"{target}&{target[2:]}", headers, body)
    yield "no parameter", (method, "/", headers, body)
    yield "another method", ("GET", target, headers, body)
    yield "another body", (method, target, headers, other)
    yield "no body", (method, target, headers, b"")
    hashed = sha256(other).hexdigest()
    yield (
        "another body and hash",
        (method, target, {**headers, "x-acs-content-sha256": hashed}, other),
    )
    yield "another hash", but(x_acs_content_sha256=hashed)
    yield "no hash", but(x_acs_content_sha256=None)
    yield "another action", but(x_acs_action="DestroyResourceDirectory")
    yield "another version", but(x_acs_version="2020-03-31")
    yield "another time", but(x_acs_date=dated(caller.server.clock() + SECOND))
    yield "another nonce", but(x_acs_signature_nonce=uuid4().hex)
    yield "another host", but(host="example.com")
    yield "another client", but(user_agent="b")
    yield "no client", but(user_agent=None)
    yield "another type", but(content_type=f"{FORM};charset=utf-8")
    yield "two hosts", but(**{"HOST": "example.com"})
    yield "another signature", but(Authorization=claim[:-1] + last)
    for name in claim.partition("SignedHeaders=")[2].partition(",")[0].split(";"):
        listed = claim.replace(f"{name};", "").replace(f";{name},", ",")
        yield f"{name} not listed", but(Authorization=listed)
    listed = claim.replace("SignedHeaders=", "SignedHeaders=x-more;")
    yield "one listed that did not come", but(Authorization=listed)


def altered_v1(caller):
    """Every way to bend a request of V1."""
    named = caller.signed_v1("GetAccount", NEWER, {"AccountId": caller.id, "a": ""})
    for name in ("AccountId", "Action", "Version", "SignatureNonce", "Timestamp", "Signature"):
        yield f"another {name}", in_query({**named, name: f"1{named[name]}"})
    yield "another Format", in_query({**named, "Format": "XML"})
    yield "a type", in_query({**named, "SignatureType": ""})
    yield "a parameter more", in_query({**named, "DryRun": "true"})
    yield "a blank one less", in_query({name: named[name] for name in named if name != "a"})
    yield "another spelling", in_query({**named, "a": " "})
    yield "another method", in_query(named, "GET")
    yield "a form more", (*in_query(named)[:2], *in_form({"b": "c"})[2:])
    yield "a long signature", in_query({**named, "Signature": "x" * 5000})
    yield "no ASCII", in_query({**named, "Signature": "签名"})
    yield "in hex", in_query({**named, "Signature": "0" * 40})
    yield "one more in its form", in_form({**named, "b": "c"})


@pytest.mark.parametrize("altering", [altered_acs3, altered_v1])
def test_a_request_that_was_altered_is_refused_and_changes_nothing(server, ann, altering):
    before = server.digest()
    for name, request in altering(ann):
        assert (name, ann.send(request).refusal) == (name, MISMATCH)
    assert server.digest() == before


def test_a_parameter_may_travel_in_either_place_of_v1(ann):
    """Its signature does not say where."""
    named = ann.signed_v1("GetAccount", NEWER, {"AccountId": ann.id})
    assert ann.send(in_form(named)).success
    named = ann.signed_v1("GetAccount", NEWER, {"AccountId": ann.id})
    (_, target, _, _), (method, _, headers, body) = (
        in_query({name: named[name] for name in list(named)[:5]}),
        in_form({name: named[name] for name in list(named)[5:]}),
    )
    assert ann.send((method, target, headers, body)).success


@pytest.mark.parametrize(
    "name",
    ["host", "x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce",
     "x-acs-content-sha256", "content-type"],
)  # fmt: skip
@pytest.mark.usefixtures("unchanged")
def test_what_counts_has_to_be_signed(ann, name):
    """A right signature that leaves it out is incomplete."""
    form = {"IncludeTags": "true"}
    asked = {"AccountId": ann.id}
    whole = ann.signed("GetAccount", NEWER, asked, form=form)[2]
    request = ann.signed("GetAccount", NEWER, asked, form=form, **{name.replace("-", "_"): None})
    missing = {} if name in request[2] else {name: whole[name]}
    if name == "x-acs-signature-nonce":
        missing = {name: uuid4().hex}
    assert f"{name};" not in request[2]["Authorization"]
    assert ann.send(with_headers(request, **missing)).refusal == INCOMPLETE


def test_what_does_not_count_may_go_unsigned(ann):
    """A proxy may add what it likes, and Node's client leaves its own out."""
    request = ann.signed(LOOK, accept=None)
    more = {"user-agent": "x", "accept": "*/*", "x-sdk-client": "y", "content-type": "text/plain"}
    assert ann.send(with_headers(request, **more)).success


def test_a_form_is_not_made_of_a_body_that_was_none(server, ann):
    """Where the type of a body came unsigned, or says that it is no form, nothing in it is read."""
    before = server.digest()
    form = {"AccountId": ann.id}
    request = ann.signed("GetAccount", form=form, content_type=None)
    assert ann.send(with_headers(request, content_type=FORM)).refusal == INCOMPLETE
    no_type = (400, "InvalidContentType")
    assert ann.send(request).refusal == no_type
    assert ann.send(with_headers(request, content_type="text/plain")).refusal == no_type
    assert server.digest() == before
    assert ann.send(ann.signed("GetAccount", form=form)).success


@pytest.mark.parametrize("scheme", SCHEMES)
def test_another_accounts_secret_is_wrong(server, scheme):
    one, other = manager(server), manager(server)
    before = server.digest()
    mixed = Caller(server, one.account, (one.ak, other.sk, ""))
    assert one.send(signed(mixed, scheme)).refusal == MISMATCH
    for sk in ("", "x" * 1000, one.sk.swapcase(), one.sk + "&"):
        mixed = Caller(server, one.account, (one.ak, sk, ""))
        assert one.send(signed(mixed, scheme)).refusal == MISMATCH
    assert server.digest() == before


# What a mismatch tells


def test_the_message_of_v1_is_what_older_clients_look_for(ann):
    """The string to sign after the first colon, without a blank: one client fails without it."""
    pairs = [("AccountId", ann.id), ("a b", "c:d*~é"), ("Äpfel", "")]
    request = signed_v1(Caller(ann.server, ann.account, (ann.ak, "x", "")), LOOK, pairs)
    reply = ann.send(request)
    assert reply.refusal == MISMATCH
    said = parse_qsl(request[1][2:], keep_blank_values=True)
    text = v1_text("POST", [pair for pair in said if pair[0] != "Signature"])
    assert reply.told["Message"] == (
        f"Specified signature is not matched with our calculation. server string to sign is:{text}"
    )
    assert reply.told["Message"].split(":")[1:] == [text]


def test_the_message_of_acs3_has_its_string_to_sign(ann):
    stranger = Caller(ann.server, ann.account, (ann.ak, "x", ""))
    pairs = [("AccountId", ann.id), ("b", "*~ é")]
    _, _, headers, _ = request = signed_acs3(stranger, LOOK, pairs)
    reply = ann.send(request)
    assert reply.refusal == MISMATCH
    signed = {name: headers[name] for name in sorted(headers) if name != "Authorization"}
    lines = "".join(f"{name}:{value}\n" for name, value in signed.items())
    whole = ["POST", "/", canonical(pairs), lines, ";".join(signed), sha256(b"").hexdigest()]
    hashed = sha256("\n".join(whole).encode()).hexdigest()
    assert reply.told["Message"] == (
        "Specified signature does not match our calculation. "
        f"server StringToSign is [ACS3-HMAC-SHA256\n{hashed}]"
    )


def test_the_message_of_a_mismatch_can_be_read_in_xml(ann):
    stranger = Caller(ann.server, ann.account, (ann.ak, "x", ""))
    request = signed_v1(stranger, LOOK, [("<a>&\0", "]]>\x1b")], Format="XML")
    reply = ann.send(request)
    assert reply.is_xml
    assert reply.refusal == MISMATCH
    assert quote(quote("<a>&\0=", safe="="), safe="") in reply.told["Message"]


# Keys


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    "ak",
    ["NOSUCHKEY", "../../x", "~" * 128, "LTAI5tExample", "'--", "STS.x"],
    ids=lambda ak: ak[:9],
)
@pytest.mark.usefixtures("unchanged")
def test_an_unknown_key_is_404(ann, scheme, ak):
    """Whatever else is wrong; and unknown keys leave nothing behind."""
    stranger = Caller(ann.server, ann.account, (ak, "x", ""))
    for off in (timedelta(), timedelta(days=1)):
        assert ann.send(signed(stranger, scheme, off=off)).refusal == UNKNOWN


@pytest.mark.usefixtures("unchanged")
def test_no_text_is_a_key_by_itself(ann):
    """V1 takes any text for a key."""
    for ak in ("é", "\0", "a\0", "😀" * 2000, "a,b", " ", f"{ann.ak} ", f" {ann.ak}"):
        stranger = Caller(ann.server, ann.account, (ak, ann.sk, ""))
        assert ann.send(signed_v1(stranger, LOOK, [])).refusal == UNKNOWN


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_key_can_be_disabled_and_enabled(server, scheme):
    bob, credentials = manager(server), server.service.aliyun.credentials
    server.do(credentials.disable_key(bob.ak, server.clock()))
    before = server.digest()
    assert bob.send(signed(bob, scheme)).refusal == INACTIVE
    assert server.digest() == before
    server.do(credentials.enable_key(bob.ak, server.clock()))
    assert bob.send(signed(bob, scheme)).success


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_suspended_accounts_keys_are_inactive(server, scheme):
    bob, accounts = manager(server), server.service.aliyun.accounts
    server.do(accounts.suspend(bob.id, server.clock()))
    before = server.digest()
    assert bob.send(signed(bob, scheme)).refusal == INACTIVE
    assert server.digest() == before
    server.do(accounts.resume(bob.id, server.clock()))
    assert bob.send(signed(bob, scheme)).success


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_revoked_key_is_an_unknown_one(server, scheme):
    bob = manager(server)
    assert bob.send(signed(bob, scheme)).success
    server.do(server.service.aliyun.credentials.revoke_key(bob.ak, server.clock()))
    before = server.digest()
    assert bob.send(signed(bob, scheme)).refusal == UNKNOWN
    assert server.digest() == before


# What has to be there


@pytest.mark.parametrize("place", [in_query, in_form])
@pytest.mark.parametrize("value", [None, ""], ids=["absent", "empty"])
@pytest.mark.parametrize(
    "name",
    ["Action", "Version", "AccessKeyId", "SignatureMethod", "SignatureVersion", "SignatureNonce",
     "Timestamp", "Signature"],
)  # fmt: skip
@pytest.mark.usefixtures("unchanged")
def test_v1_names_what_is_missing(ann, place, value, name):
    named = ann.signed_v1(LOOK, **({name: value} if name != "Signature" else {}))
    if name == "Signature":
        named = {other: its for other, its in named.items() if other != name}
        named.update({} if value is None else {name: ""})
    reply = ann.send(place(named))
    assert reply.refusal == (400, f"Missing{name}")
    assert reply.told["Message"] == f"{name} is mandatory for this action."


@pytest.mark.usefixtures("unchanged")
def test_v1_names_its_action_in_a_parameter(ann):
    """The header of the newer clients is not enough; whoever has a key is not told to bring one."""
    headers = {"x-acs-action": LOOK, "x-acs-version": NEWER}
    for name in ("Action", "Version"):
        request = with_headers(in_query(ann.signed_v1(LOOK, **{name: None})), **headers)
        assert ann.send(request).refusal == (400, f"Missing{name}")


@pytest.mark.parametrize("value", [None, ""], ids=["absent", "empty"])
@pytest.mark.parametrize(
    ("header", "name"),
    [("x-acs-action", "Action"), ("x-acs-version", "Version"), ("x-acs-date", "Timestamp"),
     ("x-acs-signature-nonce", "SignatureNonce")],
)  # fmt: skip
@pytest.mark.usefixtures("unchanged")
def test_acs3_names_what_is_missing(ann, value, header, name):
    """As the parameter that says it in V1."""
    reply = ann.send(signed_acs3(ann, LOOK, [], **{header.replace("-", "_"): value}))
    assert reply.refusal == (400, f"Missing{name}")


@pytest.mark.usefixtures("unchanged")
def test_acs3_declares_the_hash_of_its_body(ann):
    assert ann.send(signed_acs3(ann, LOOK, [], x_acs_content_sha256=None)).refusal == INCOMPLETE
    for wrong in (
        "",
        "UNSIGNED-PAYLOAD",
        sha256(b"x").hexdigest(),
        sha256(b"").hexdigest().upper(),
    ):
        reply = ann.send(signed_acs3(ann, LOOK, [], x_acs_content_sha256=wrong))
        assert reply.refusal == MISMATCH


# Other ways to come


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"SignatureMethod": "SHA256withRSA", "SignatureType": "PRIVATEKEY"}, OTHER_METHOD),
        ({"SignatureMethod": "HMAC-SHA256"}, OTHER_METHOD),
        ({"SignatureMethod": "hmac-sha1"}, OTHER_METHOD),
        ({"SignatureVersion": "2.0"}, (400, "InvalidSignatureVersion")),
        ({"SignatureType": "PRIVATEKEY"}, (400, "InvalidSignatureType")),
        ({"SignatureType": "BEARERTOKEN"}, (400, "InvalidSignatureType")),
    ],
    ids=str,
)
@pytest.mark.usefixtures("unchanged")
def test_v1_has_one_method_of_one_version(ann, changes, expected):
    assert ann.send(signed_v1(ann, LOOK, [], **changes)).refusal == expected


def test_a_blank_signature_type_is_none(ann):
    """The older Python client always sends and signs it."""
    assert ann.send(signed_v1(ann, LOOK, [], SignatureType="")).success


@pytest.mark.parametrize("algorithm", ["ACS3-HMAC-SM3", "ACS3-RSA-SHA256", "ACS3-", "ACS3-x"])
@pytest.mark.usefixtures("unchanged")
def test_acs3_has_one_method(ann, algorithm):
    request = ann.signed(LOOK)
    claim = request[2]["Authorization"].replace("ACS3-HMAC-SHA256", algorithm)
    assert ann.send(with_headers(request, Authorization=claim)).refusal == OTHER_METHOD


@pytest.mark.parametrize(
    "bend",
    [lambda claim: claim + ",", lambda claim: claim.replace(",", ", "), lambda claim: claim[:-1],
     lambda claim: claim[:-64] + claim[-64:].upper(), lambda claim: "ACS3-HMAC-SHA256",
     lambda claim: claim.replace("Credential", "credential"), lambda claim: f"{claim}, {claim}",
     lambda claim: claim.replace("Credential=", "Credential=,"),
     lambda claim: claim.replace(" ", "  "), lambda claim: claim.replace("host;", "HOST;"),
     lambda claim: claim.replace("host;", "host;host;"),
     lambda claim: f"{claim}é", lambda claim: "ACS3-HMAC-SHA256 " + "x" * 30_000],
    ids=range(13),
)  # fmt: skip
@pytest.mark.usefixtures("unchanged")
def test_a_malformed_authorization_is_incomplete(ann, bend):
    request = ann.signed(LOOK)
    bad = bend(request[2]["Authorization"])
    assert ann.send(with_headers(request, Authorization=bad)).refusal == INCOMPLETE


def without_a_key(server):
    """As the vendor's clients come with other credentials, or none."""
    common = {"x-acs-action": LOOK, "x-acs-version": NEWER, "x-acs-date": dated(server.clock()),
              "x-acs-signature-nonce": uuid4().hex, "accept": "application/json",
              "x-acs-content-sha256": sha256(b"").hexdigest()}  # fmt: skip
    said = {"Action": LOOK, "Version": NEWER, "Format": "json", "BearerToken": "t",
            "SignatureType": "BEARERTOKEN", "Timestamp": dated(server.clock()),
            "SignatureNonce": uuid4().hex}  # fmt: skip
    bearer, id_token = "x-acs-bearer-token", "x-acs-zero-trust-idtoken"
    post = "POST"
    yield "anonymous", (post, "/?Format=json", common, b"")
    yield "bearer", (post, "/?SignatureType=BEARERTOKEN", {**common, bearer: "t"}, b"")
    yield "id token", (post, "/", {**common, id_token: "t"}, b"")
    yield "bearer in V1", in_query(said)
    yield "bearer in V1, headers too", (post, in_query(said)[1], {**common, bearer: "t"}, b"")
    yield "another scheme", (post, "/", {**common, "Authorization": "Bearer t"}, b"")
    yield "small letters", (post, "/", {**common, "Authorization": "acs3-hmac-sha256 x"}, b"")
    yield "an empty one", (post, "/", {**common, "Authorization": ""}, b"")


@pytest.mark.usefixtures("unchanged")
def test_without_an_access_key_nobody_gets_in(server):
    """Bearer tokens, id tokens and no credentials at all, in JSON, which is what those read."""
    for name, (method, target, headers, body) in without_a_key(server):
        reply = travelled(server, method, target, headers.items(), body)
        assert (name, reply.refusal, reply.is_xml) == (name, NO_KEY, False)


@pytest.mark.usefixtures("unchanged")
def test_an_authorization_of_acs3_comes_once(ann):
    """Two proxies could each believe another one."""
    method, target, headers, body = ann.signed(LOOK)
    for more in ("x", headers["Authorization"]):
        pairs = [*headers.items(), ("Authorization", more)]
        assert travelled(ann.server, method, target, pairs, body).refusal == INCOMPLETE


# Temporary keys


@pytest.fixture
def short(ann):
    return ann.temporary(10 * MINUTE)


def with_token(caller, token):
    return Caller(caller.server, caller.account, (caller.ak, caller.sk, token))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_temporary_key_comes_with_its_token(ann, short, scheme):
    server = ann.server
    assert short.send(signed(short, scheme)).success
    other, before = ann.temporary(10 * MINUTE), server.digest()
    kind = "InvalidSecurityToken"
    for token, code in [
        ("", "MissingSecurityToken"),
        (other.token, f"{kind}.MismatchWithAccessKey"),
        (short.token[:-1], f"{kind}.MismatchWithAccessKey"),
        ("a b", f"{kind}.Malformed"),
        ("é", f"{kind}.Malformed"),
        ("x" * 4097, f"{kind}.Malformed"),
        ("x" * 4096, f"{kind}.MismatchWithAccessKey"),
    ]:
        caller = with_token(short, token)
        reply = caller.send(bent(caller, f"{scheme} query", LOOK, []))
        assert (token[:9], reply.refusal) == (token[:9], (400, code))
    assert server.digest() == before


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_temporary_key_ends(server, scheme):
    """It is told to have expired for a day, and is unknown afterwards."""
    bob = manager(server)
    short = bob.temporary(10 * MINUTE)
    server.clock.pass_by(10 * MINUTE - SECOND)
    assert short.send(signed(short, scheme)).success
    server.clock.pass_by(SECOND)
    before = server.digest()
    expired = (400, "InvalidSecurityToken.Expired")
    assert short.send(signed(short, scheme)).refusal == expired
    server.clock.pass_by(timedelta(days=1) + 2 * SECOND)
    assert short.send(signed(short, scheme)).refusal == UNKNOWN
    assert server.digest() == before
    assert bob.send(signed(bob, scheme)).success


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.usefixtures("unchanged")
def test_a_lasting_key_has_no_token(ann, scheme):
    caller = with_token(ann, "t")
    mismatched = (400, "InvalidSecurityToken.MismatchWithAccessKey")
    assert caller.send(signed(caller, scheme)).refusal == mismatched


def test_a_token_is_signed_in_acs3(server, short):
    """It, and the key that some clients name beside it."""
    before = server.digest()
    unsigned = with_token(short, "").signed(LOOK)
    request = with_headers(unsigned, x_acs_security_token=short.token)
    assert short.send(request).refusal == INCOMPLETE
    request = with_headers(short.signed(LOOK), x_acs_accesskey_id=short.ak)
    assert short.send(request).refusal == INCOMPLETE
    assert server.digest() == before
    assert short.send(short.signed(LOOK, x_acs_accesskey_id=short.ak)).success


def test_a_token_is_signed_in_v1(server, short):
    before = server.digest()
    named = with_token(short, "").signed_v1(LOOK)
    assert short.send(in_query({**named, "SecurityToken": short.token})).refusal == MISMATCH
    assert server.digest() == before


# What is there


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    ("action", "version", "expected"),
    [("GetresourceDirectory", NEWER, (404, "InvalidAction.NotFound")),
     ("x" * 5000, NEWER, (404, "InvalidAction.NotFound")),
     ("../GetAccount", NEWER, (404, "InvalidAction.NotFound")),
     (LOOK, "2019-01-01", (400, "InvalidVersion")), (LOOK, "x" * 5000, (400, "InvalidVersion")),
     ("No", "no", (400, "InvalidVersion"))],
    ids=lambda value: str(value)[:20],
)  # fmt: skip
def test_an_action_and_a_version_have_to_be_here(server, ann, scheme, action, version, expected):
    """What is not, is told to those who signed; it uses up the nonce, and nothing else."""
    before = kept(server)
    assert ann.send(bent(ann, f"{scheme} query", action, [], version)).refusal == expected
    assert kept(server) == before
    stranger = Caller(server, ann.account, (ann.ak, "x", ""))
    assert ann.send(bent(stranger, f"{scheme} query", action, [], version)).refusal == MISMATCH


# What is signed is what is acted upon


PADDED = ("host", "x-acs-action", "x-acs-content-sha256", "x-acs-date", "x-acs-signature-nonce",
          "x-acs-version")  # fmt: skip


def padded(request, name, padding):
    method, target, headers, body = request
    return method, target, {**headers, name: headers[name] + padding}, body


@pytest.mark.parametrize("padding", [" ", "\t", " \t \t"], ids=ascii)
def test_blanks_behind_a_nonce_make_no_other_nonce(ann, padding):
    """The parser leaves them there, and they are not signed: each would be a request of its own."""
    request = signed(ann, "ACS3")
    assert ann.send(request).success
    assert ann.send(padded(request, "x-acs-signature-nonce", padding)).refusal == USED


@pytest.mark.parametrize("name", PADDED)
def test_blanks_behind_a_header_are_no_part_of_it(ann, name):
    """RFC 9110, 5.5."""
    assert ann.send(padded(signed(ann, "ACS3"), name, " \t ")).success


def test_another_key_is_not_named_beside_the_one_that_signed(server, ann):
    """Some clients repeat theirs in a header; Credential is what counts, and both are one."""
    own = ann.signed(LOOK, x_acs_accesskey_id=ann.ak)
    assert ann.send(own).success
    other = ann.signed(LOOK, x_acs_accesskey_id=manager(server).ak)
    assert ann.send(other).refusal == INCOMPLETE


@pytest.mark.parametrize("way", ["query", "form", "both"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_flood_of_parameters_is_not_looked_at(ann, scheme, way):
    """All would be sorted and escaped before it is known who calls."""
    many = "&".join(f"p{number}=" for number in range(257))
    method, target, headers, body = signed(ann, scheme)
    if way != "form":
        target += ("&" if "?" in target else "?") + many
    if way != "query":
        headers, body = {**headers, "content-type": FORM}, body or many.encode()
    assert ann.send((method, target, headers, body)).refusal == (400, "TooManyParameters")


def test_what_a_request_says_is_nobodys_to_read():
    """Neither in a log line nor in a traceback."""
    asked = Parameters([(b"VerificationCode", b"123456")])
    shown = auth.Shown(
        access_key="AK",
        signature="sig-1",
        signed_at="",
        nonce="",
        security_token="tok-1",
        claim=None,
    )
    whole = phones.phone("1-2025550188")
    for told in (asked, shown, whole, [shown], {"phone": whole}):
        for text in (repr(told), pretty_repr(told)):
            assert not any(secret in text for secret in ("123456", "sig-1", "tok-1", "5550188"))


# Rates


@pytest.fixture(scope="module")
def bounded(serving):
    """Five requests a second with one key."""
    terms = Aliyun(rate=(Limit(5, 1),))
    with serving(clock=Still(), aliyun=terms) as running:
        yield running


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_key_has_a_rate(bounded, scheme):
    """The sixth request within a second hears when to come back; another key does not."""
    bob = newcomer(bounded)
    other = Caller(bounded, bob.account)
    not_in_use = (404, "ResourceDirectoryNotInUse")
    for _ in range(5):
        assert bob.send(signed(bob, scheme)).refusal == not_in_use
    bounded.clock.pass_by(timedelta(milliseconds=750))
    before = kept(bounded)
    reply = bob.send(signed(bob, scheme))
    assert reply.refusal == THROTTLED
    assert reply.told["Message"] == "Request was denied due to user flow control."
    assert (reply.headers["x-acs-retry-after"], reply.headers["retry-after"]) == ("250", "1")
    assert kept(bounded) == before
    assert other.send(signed(other, scheme)).refusal == not_in_use
    bounded.clock.pass_by(timedelta(milliseconds=250))
    assert bob.send(signed(bob, scheme)).refusal == not_in_use


@pytest.mark.parametrize("scheme", SCHEMES)
def test_nobody_else_spends_a_keys_rate(bounded, scheme):
    """Neither copies of its requests, nor what was signed wrong or at another time."""
    bob = newcomer(bounded)
    stranger = Caller(bounded, bob.account, (bob.ak, "x", ""))
    request = signed(bob, scheme)
    assert bob.send(request).status == 404
    for _ in range(6):
        assert bob.send(request).refusal == USED
        assert bob.send(signed(stranger, scheme)).refusal == MISMATCH
        assert bob.send(signed(bob, scheme, off=-QUARTER - SECOND)).refusal == EXPIRED
    for _ in range(4):
        assert bob.send(signed(bob, scheme)).status == 404
    assert bob.send(signed(bob, scheme)).refusal == THROTTLED


@pytest.mark.parametrize("scheme", SCHEMES)
def test_without_a_setting_there_is_no_rate(ann, scheme):
    """The clock stands still all the while."""
    for _ in range(60):
        assert ann.send(signed(ann, scheme)).success


# A store that is away


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("verb", ["record", "write"])
def test_a_store_that_is_away_did_nothing(server, ann, monkeypatch, scheme, verb):
    """503 and when to come back; the same request is good afterwards."""
    bob = manager(server)
    request, before = signed(bob, scheme), server.digest()

    async def away(*_):
        raise StoreUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(type(server.service.store), verb, away)
        reply = bob.send(request)
    assert reply.refusal == (503, "ServiceUnavailable")
    assert reply.headers["retry-after"] == "1"
    assert "x-acs-retry-after" not in reply.headers
    assert server.digest() == before
    assert bob.send(request).success


# The order of the checks (contract, section 8)


def test_the_checks_have_an_order(server, ann):
    """Of two mistakes the caller hears of the first: method, format, what is there, key,
    signature, time, nonce, action and version, parameters, state."""
    off, nonce = dated(server.clock() - QUARTER - SECOND), uuid4().hex
    assert ann.send(signed_v1(ann, LOOK, [], SignatureNonce=nonce)).success
    stranger = Caller(server, ann.account, (ann.ak, "x", ""))
    nobody = Caller(server, ann.account, ("NOSUCHKEY", "x", ""))
    bad_format, no_action = (400, "InvalidParameter.Format"), (400, "MissingAction")
    unknown_action = (404, "InvalidAction.NotFound")
    bad_phone = (400, "InvalidParameter.SecureMobilePhone")
    pairs = [("SecureMobilePhone", "no"), ("AccountId", ann.id)]
    put = ("PUT", *signed_v1(ann, LOOK, [], Format="no")[1:])
    before = kept(server)
    for request, expected in [
        (put, (400, "UnsupportedHTTPMethod")),
        (signed_v1(ann, "", [], Format="no"), bad_format),
        (signed_v1(nobody, "", []), no_action),
        (signed_v1(nobody, LOOK, [], ""), (400, "MissingVersion")),
        (signed_v1(ann, LOOK, [], AccessKeyId=None, SignatureMethod="no"), NO_KEY),
        (signed_v1(nobody, LOOK, [], SignatureMethod="no"), OTHER_METHOD),
        (signed_v1(nobody, "no", []), UNKNOWN),
        (signed_v1(stranger, "no", [], Timestamp="no"), MISMATCH),
        (signed_v1(stranger, LOOK, [], SignatureNonce=nonce), MISMATCH),
        (signed_v1(ann, LOOK, [], SignatureNonce=nonce, Timestamp="no"), MALFORMED),
        (signed_v1(ann, LOOK, [], SignatureNonce=nonce, Timestamp=off), EXPIRED),
        (signed_v1(ann, "no", [], SignatureNonce=nonce), USED),
        (signed_v1(ann, "no", pairs), unknown_action),
        (signed_v1(ann, SEND_BIND, pairs, "no"), (400, "InvalidVersion")),
        (signed_v1(ann, SEND_BIND, pairs), bad_phone),
        (signed_v1(ann, SEND_RD, pairs), bad_phone),
        (signed_acs3(nobody, "", []), no_action),
        (signed_acs3(ann, "no", [("Format", "no")]), bad_format),
        (signed_acs3(nobody, "no", []), UNKNOWN),
        (signed_acs3(stranger, "no", [], x_acs_date="no"), MISMATCH),
        (signed_acs3(ann, "no", [], x_acs_signature_nonce=nonce, x_acs_date="no"), MALFORMED),
        (signed_acs3(ann, "no", [], x_acs_signature_nonce=nonce, x_acs_date=off), EXPIRED),
        (signed_acs3(ann, "no", [], x_acs_signature_nonce=nonce), USED),
        (signed_acs3(ann, "no", pairs), unknown_action),
        (signed_acs3(ann, SEND_BIND, pairs), bad_phone),
    ]:
        assert ann.send(request).refusal == expected
    assert kept(server) == before
    assert ann.ask(SEND_RD, SecureMobilePhone=phone()).refusal[0] == 409
