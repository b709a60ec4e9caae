"""P7 in Alibaba Cloud's dialect: bad input gets its answer, never a 5xx, and changes nothing."""

import http.client
import random
import re
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from time import perf_counter
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.surfaces.aliyun.bending import (
    WAYS,
    bent,
    head,
    kept,
    raw,
    signed_v1,
)
from tests.surfaces.aliyun.calling import (
    BIND,
    DEADLINE_S,
    ENABLE,
    ERROR_KEYS,
    FORM,
    JSON,
    NEWER,
    OLDER,
    SEND_BIND,
    SEND_RD,
    XML,
    Caller,
    Reply,
    manager,
    member_of,
    newcomer,
    travelled,
)
from tests.surfaces.travel import HERE
from watchword.surfaces import exchange

pytestmark = pytest.mark.store("postgresql")

CREATE, GET, LIST, UPDATE = "CreateResourceAccount", "GetAccount", "ListAccounts", "UpdateAccount"
LOOK, DESTROY = "GetResourceDirectory", "DestroyResourceDirectory"
PHONE, NAME = "1-2025550123", "ann@rdadmin.aliyunid.com"
OTHERS = "NewManagementAccount"
MISMATCH = (400, "SignatureDoesNotMatch")
TOO_LARGE, TOO_SLOW = (413, "RequestEntityTooLarge"), (408, "RequestTimeout")
NO_FORM = (400, "InvalidContentType")
EXAMPLES = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


class Someone(Caller):
    """A caller, and who is a member of its directory."""

    member = ""


def managing(server):
    """A manager, with a member that has no phone."""
    someone = Someone(server, manager(server).account)
    someone.member = member_of(someone)
    return someone


@pytest.fixture(scope="module")
def boss(server):
    return managing(server)


@pytest.fixture(scope="module")
def ann(server):
    """In no directory, and without a phone."""
    return Someone(server, newcomer(server).account)


@pytest.fixture
def unchanged(server, boss, ann):
    """The store is the same after the test as before it, but for nonces."""
    before = kept(server)
    yield
    assert kept(server) == before


# Every parameter of every action


ABSENT, EMPTY = "absent", "empty"
BAD = {
    "blank": b" ",
    "ten kilobytes": b"x" * 10_240,
    "control characters": b"\x01\x1b[31m",
    "NUL": b"\0",
    "a line more": b"%b\n",
    "a blank more": b"%b ",
    "full width": "１２３".encode(),
    "emoji": "😀".encode(),
    "seventeen digits": b"12345678901234567",
    "a fraction": b"7.5",
    "below zero": b"-1",
    "an array": b"[]",
    "an object": b'{"a": 1}',
    "a quote": b"' OR 1=1 --",
    "a template": b"{{ 7 * 7 }}${x}%s",
}
NO_TEXT = (b"\xff\xfe", b"\xed\xa0\x80", b"\xc0\x80", b"%b\xff", "é".encode("latin-1"))


@dataclass(frozen=True)
class Expected:
    """A good value, which "%m" makes the member's id, and what a request ends in where it is absent
    or empty, or bad; None is a success. Of the bad ones those in `fits` are good here, and those
    that are not `sized` end otherwise."""

    good: str | None
    absent: tuple[int, str] | None
    bad: tuple[int, str] | None
    fits: tuple[str, ...] = ()
    sized: range = range(10**6)
    unsized: tuple[int, str] | None = None


def invalid(name):
    return 400, f"Invalid{name}"


def missing(name):
    return 400, f"Missing{name}"


NO_PHONE, NO_ACCOUNT_ID = invalid("Parameter.SecureMobilePhone"), invalid("Parameter.AccountId")
NO_CODE, NO_SECURITY = (409, "Invalid.VerificationCode"), (409, "MissingSecurityInfo")
NO_MANAGER = (409, "InvalidParameter.ManagementAccountName")
NO_MANAGERS_PHONE = (409, "InvalidParameter.ManagementAccountSecurityInfo")
NO_DISPLAY_NAME = (400, "InvalidParameter.Account.DisplayName")
NO_PREFIX = (400, "InvalidParameter.Account.AccountNamePrefix")
DISPLAY_NAME_SIZE, PREFIX_SIZE = (
    (400, "InvalidParameter.Account.DisplayName.Length"),
    (400, "InvalidParameter.Account.AccountNamePrefix.Length"),
)
NO_FOLDER = (400, "InvalidParameter.ParentFolderId")
NOTHING_TO_UPDATE, NO_PHONE_AT_ALL = (
    (409, "MissingDisplayNameOrAccountType"),
    (409, "MissingSecureMobilePhone"),
)
MEMBERS_EXIST = (409, "DeleteConflict.ResourceDirectory.Account")
ACCOUNT_ID = Expected("%m", missing("AccountId"), NO_ACCOUNT_ID)
CODE = Expected("123456", missing("VerificationCode"), NO_CODE)
ANYTHING = tuple(BAD)
SHORT = tuple(name for name in BAD if name != "ten kilobytes")
SHOWN = (
    "seventeen digits",
    "full width",
    "a fraction",
    "below zero",
    "an array",
    "an object",
    "a quote",
    "a template",
)


def truth(name):
    return Expected("false", None, invalid(name))


TABLE = {
    (SEND_RD, "ann", NO_PHONE_AT_ALL): {
        "SecureMobilePhone": Expected(None, NO_PHONE_AT_ALL, NO_PHONE),
    },
    (SEND_BIND, "boss", None): {
        "SecureMobilePhone": Expected(PHONE, missing("SecureMobilePhone"), NO_PHONE),
        "AccountId": ACCOUNT_ID,
    },
    (ENABLE, "ann", NO_CODE): {
        "EnableMode": Expected(OTHERS, missing("EnableMode"), invalid("EnableMode")),
        "MAName": Expected(NAME, NO_MANAGER, NO_MANAGER),
        "MASecureMobilePhone": Expected(PHONE, NO_PHONE_AT_ALL, NO_MANAGERS_PHONE),
        "VerificationCode": Expected("123456", NO_CODE, NO_CODE),
        "DryRun": Expected("false", NO_CODE, invalid("DryRun")),
    },
    (BIND, "boss", NO_CODE): {
        "AccountId": ACCOUNT_ID,
        "SecureMobilePhone": Expected(PHONE, missing("SecureMobilePhone"), NO_PHONE),
        "VerificationCode": CODE,
    },
    (LOOK, "boss", None): {"AccountId": Expected("%m", None, None)},
    (DESTROY, "boss", MEMBERS_EXIST): {"Force": Expected("x", MEMBERS_EXIST, MEMBERS_EXIST)},
    (CREATE, "boss", None): {
        "DisplayName": Expected("Ann", missing("DisplayName"), NO_DISPLAY_NAME, SHOWN,
                                range(2, 51), DISPLAY_NAME_SIZE),
        "AccountNamePrefix": Expected("ann", None, NO_PREFIX, ("seventeen digits", "a fraction"),
                                      range(2, 38), PREFIX_SIZE),
        "ParentFolderId": Expected(None, None, NO_FOLDER),
        "Tag.1.Key": Expected("k", invalid("Tag.1"), invalid("Tag.1"), fits=SHORT),
        "Tag.1.Value": Expected("v", None, invalid("Tag.1"), fits=SHORT),
        "PayerAccountId": Expected("", None, None),
    },
    (CREATE, "boss", NO_PREFIX): {"DryRun": Expected("true", NO_PREFIX, invalid("DryRun"))},
    (GET, "boss", None): {"AccountId": ACCOUNT_ID, "IncludeTags": truth("IncludeTags")},
    (LIST, "boss", None): {
        "PageNumber": Expected("1", None, invalid("PageNumber")),
        "PageSize": Expected("10", None, invalid("PageSize")),
        "QueryKeyword": Expected("x", None, None, fits=ANYTHING),
        "IncludeTags": truth("IncludeTags"),
        "Tag.1.Key": Expected("k", None, invalid("Tag.1"), fits=SHORT),
        "NextToken": Expected(None, None, invalid("NextToken")),
        "MaxResults": Expected(None, None, invalid("MaxResults")),
    },
    (UPDATE, "boss", None): {
        "AccountId": ACCOUNT_ID,
        "NewDisplayName": Expected("Bob", NOTHING_TO_UPDATE, NO_DISPLAY_NAME, SHOWN,
                                   range(2, 51), DISPLAY_NAME_SIZE),
    },
    (UPDATE, "boss", NO_SECURITY): {
        "DryRun": Expected("true", NO_SECURITY, invalid("DryRun")),
        "NewAccountType": Expected("CloudAccount", NOTHING_TO_UPDATE, invalid("NewAccountType")),
    },
}  # fmt: skip
"""Who asks, what the good request ends in, and what each of its parameters ends in when it is not
as it should be. Nothing here would change anything."""
ALWAYS = {
    (CREATE, None): {"DryRun": "true"},
    (CREATE, NO_PREFIX): {"DisplayName": "Ann", "AccountNamePrefix": "--"},
    (UPDATE, None): {"DryRun": "true"},
    (UPDATE, NO_SECURITY): {"AccountId": "%m", "DryRun": "true"},
}
"""What these requests have beside."""
SKIPPED = {(DESTROY, "Force"), (LOOK, "AccountId"), (CREATE, "PayerAccountId")}
"""Parameters that nobody looks at."""


def outcome(reply):
    """Status and code, None for a success."""
    if reply.status == 200:
        assert reply.success
        return None
    return reply.refusal


def cases():
    for (action, who, usual), parameters in TABLE.items():
        for name in parameters:
            yield pytest.param(action, who, usual, parameters, name, id=f"{action}-{name}")


@pytest.fixture
def callers(boss, ann):
    return {"boss": boss, "ann": ann}


def good(caller, action, usual, parameters):
    """As it should be, without what is usually left out."""
    given = {name: one.good for name, one in parameters.items() if one.good is not None}
    asked = {**ALWAYS.get((action, usual), {}), **given}
    return {name: value.replace("%m", caller.member).encode() for name, value in asked.items()}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("action", "who", "usual", "parameters", "name"), list(cases()))
@pytest.mark.usefixtures("unchanged")
def test_a_bad_parameter_is_named(callers, way, action, who, usual, parameters, name):
    """Absent, empty, twice, no text, or of any other kind: each by itself, signed right, in every
    way it may travel."""
    caller, expected = callers[who], parameters[name]
    asked = good(caller, action, usual, parameters)
    value = asked.pop(name, b"")
    rest = list(asked.items())

    def ends(*values):
        pairs = [*rest, *[(name, one) for one in values]]
        return outcome(caller.send(bent(caller, way, action, pairs)))

    if action != SEND_BIND:  # there it would send
        assert ends(value) == (usual if value else expected.absent)
    assert ends() == ends(b"") == expected.absent
    for kind, one in BAD.items():
        bad = one.replace(b"%b", value)
        end = expected.bad if len(bad.decode()) in expected.sized else expected.unsized
        assert (kind, ends(bad)) == (kind, usual if kind in expected.fits else end)
    if (action, name) in SKIPPED:
        return
    for one in NO_TEXT:
        assert ends(one.replace(b"%b", value)) == invalid(name)
    for two in [(value, value), (value, b"x"), (value, b""), (b"", value), (b"", b"")]:
        assert ends(*two) == invalid(name)


@pytest.mark.parametrize("way", ["ACS3 query", "V1 query"])
@pytest.mark.usefixtures("unchanged")
def test_a_parameter_in_query_and_form_is_one_too_many(boss, way):
    """Two readers could each believe another one."""
    pairs = [("AccountId", boss.member)]
    form = urlencode(pairs).encode()
    if way == "ACS3 query":
        request = boss.signed(GET, NEWER, dict(pairs), form=dict(pairs))
    else:
        method, target, _, _ = signed_v1(boss, GET, [*pairs, *pairs])
        query, _, last = target.rpartition(f"&{form.decode()}")
        request = method, f"{query}{last}", {"content-type": FORM}, form
    assert boss.send(request).refusal == invalid("AccountId")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.usefixtures("unchanged")
def test_both_or_neither_is_told_of_an_update(boss, way):
    asked = [("AccountId", boss.member), ("NewDisplayName", "x"), ("NewAccountType", "y")]
    assert boss.send(bent(boss, way, UPDATE, asked)).refusal == NOTHING_TO_UPDATE


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.usefixtures("unchanged")
def test_a_new_account_needs_security_info(ann, way):
    """Neither phone nor code came."""
    asked = [("EnableMode", "NewManagementAccount"), ("MAName", NAME)]
    assert ann.send(bent(ann, way, ENABLE, asked)).refusal == NO_SECURITY


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.usefixtures("unchanged")
def test_numbers_have_bounds(boss, way):
    """The first and the last are in."""
    for name, most in [("PageNumber", 1_000_000), ("PageSize", 100), ("MaxResults", 100)]:
        for value in ("0", "00", str(most + 1), "9" * 9, "9" * 10, "9" * 5000, "1e1", "+1", "1_0"):
            reply = boss.send(bent(boss, way, LIST, [(name, value)]))
            assert (value[:9], reply.refusal) == (value[:9], invalid(name))
        for value in ("1", "01", str(most)):
            assert boss.send(bent(boss, way, LIST, [(name, value)])).success


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.usefixtures("unchanged")
def test_twenty_tags_are_the_most(boss, way):
    """Those that would be left out are refused: a name that is none of theirs, too."""
    twenty = [(f"Tag.{n}.Key", f"k{n}") for n in range(1, 21)]
    asked = [("DisplayName", "Ann"), ("DryRun", "true"), *twenty]
    assert boss.send(bent(boss, way, CREATE, asked)).success
    for name in ("Tag.21.Key", "Tag.0.Key", "Tag.01.Value", "Tag.99999999999999999999.Key"):
        reply = boss.send(bent(boss, way, CREATE, [*asked, (name, "x")]))
        assert reply.refusal == invalid("Tag")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.usefixtures("unchanged")
def test_what_nobody_knows_is_not_looked_at(boss, way):
    """Names are case-sensitive; what is unknown is signed, and may be anything, many times."""
    more = [("accountid", "x"), ("RegionId", "cn-hangzhou"), ("", ""), ("😀", b"\xff"), ("a", "b"),
            ("a", "c"), ("__proto__", "x"), ("Tag.x.Key", "y"), ("x" * 5000, "y")]  # fmt: skip
    asked = [("AccountId", boss.member), *more]
    assert boss.send(bent(boss, way, GET, asked)).success


# What the scheme itself says


SAID = [*[one.replace(b"%b", b"x") for one in BAD.values()], *NO_TEXT]


@pytest.mark.parametrize("in_form", [False, True], ids=["query", "form"])
@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("Action", {"InvalidAction.NotFound"}),
        ("Version", {"InvalidVersion"}),
        ("AccessKeyId", {"InvalidAccessKeyId.NotFound"}),
        ("SignatureMethod", {"InvalidSignatureMethod"}),
        ("SignatureVersion", set()),
        ("SignatureType", set()),
        ("Timestamp", {"InvalidTimeStamp.Format"}),
        ("Format", {"InvalidParameter.Format"}),
        ("SecurityToken", {"InvalidSecurityToken.Malformed",
                           "InvalidSecurityToken.MismatchWithAccessKey"}),
        ("Signature", {"SignatureDoesNotMatch"}),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("unchanged")
def test_what_v1_says_of_itself_may_be_anything(boss, in_form, name, codes):
    """Refused as that; what is no text, or came twice, as its name."""
    for value in SAID:
        changes: dict[str, Any] = {} if name == "Signature" else {name: value}
        request = signed_v1(boss, LOOK, [], in_form=in_form, **changes)
        if name == "Signature":
            request = replaced(request, name, value)
        status, code = boss.send(request).refusal
        expected = {f"Invalid{name}"} if value in NO_TEXT else codes or {f"Invalid{name}"}
        assert (value[:20], status in (400, 404), code in expected) == (value[:20], True, True), (
            code
        )
    more = [(name, "x"), (name, "")] if name in ("SignatureType", "SecurityToken") else [(name, "")]
    request = signed_v1(boss, LOOK, more, in_form=in_form)
    assert boss.send(request).refusal == (400, f"Invalid{name}")


def replaced(request, name, value):
    """The last parameter, with another value."""
    method, target, headers, body = request
    last = urlencode([(name, value)])
    if body:
        return method, target, headers, body.rpartition(b"&")[0] + b"&" + last.encode()
    return method, f"{target.rpartition('&')[0]}&{last}", headers, body


@pytest.mark.parametrize(
    "name",
    ["x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce", "x-acs-content-sha256",
     "x-acs-security-token", "x-acs-accesskey-id", "authorization", "content-type", "host",
     "x-acs-bearer-token", "accept", "x-sdk-client"],
)  # fmt: skip
@pytest.mark.usefixtures("unchanged")
def test_a_header_of_bytes_is_no_failure_of_ours(boss, name):
    """Changed after it was signed, or signed by nobody at all."""
    for value in (b"\xff\xfe", b"\xc3\xa9", b"", b" ", b"x" * 30_000, b"a\tb", "😀".encode()):
        method, target, headers, body = boss.signed(LOOK)
        others = [(key, its) for key, its in headers.items() if key.lower() != name]
        for pairs in ([*others, (name, value)], [(name, value)]):
            reply = travelled(boss.server, method, target, pairs, body)
            if name not in ("x-acs-bearer-token", "content-type", "x-sdk-client", "accept"):
                assert 400 <= reply.status <= 404
            assert reply.status < 500
            assert set(reply.told) >= ({"RequestId"} if reply.status == 200 else ERROR_KEYS)


@pytest.mark.parametrize(
    "name",
    ["x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce", "authorization",
     "x-acs-security-token", "content-type", "host", "x-acs-content-sha256"],
)  # fmt: skip
@pytest.mark.usefixtures("unchanged")
def test_a_header_that_decides_comes_once(boss, name):
    """The same twice is one too many."""
    method, target, headers, body = boss.signed(GET, form={"AccountId": boss.member})
    named = {key.lower(): value for key, value in headers.items()}
    more = [(name, named.get(name, "x"))] * (1 if name in named else 2)
    reply = travelled(boss.server, method, target, [*headers.items(), *more], body)
    assert (reply.status, reply.told["Code"]) in [MISMATCH, (400, "IncompleteSignature")]


@pytest.mark.parametrize("name", ["x-more", "accept", "user-agent"])
def test_any_other_header_may_come_twice(boss, name):
    """It is signed as both, or by nobody."""
    method, target, headers, body = boss.signed(LOOK, accept=None)
    pairs = [*headers.items(), (name, "a"), (name, "b")]
    assert travelled(boss.server, method, target, pairs, body).success


@pytest.mark.usefixtures("unchanged")
def test_a_header_of_any_latin_letter_can_be_signed(boss):
    """Clients send Latin-1 and sign UTF-8."""
    for value in ("é", "a\xa0b", "ÿ" * 100):
        reply = boss.send(boss.signed("No", x_more=value))
        assert reply.refusal == (404, "InvalidAction.NotFound")


# Bodies


BODY = 64 * 1024


@pytest.mark.usefixtures("unchanged")
def test_a_body_has_an_end(boss):
    """64 KiB are read, and a byte more is too large, whoever sends it and whatever it says."""
    for filler in (BODY - 3, BODY - 2):
        request = boss.signed(LOOK, form={"a": "x" * filler})
        assert len(request[3]) == filler + 2
        reply = boss.send(request)
        assert reply.success if len(request[3]) <= BODY else reply.refusal == TOO_LARGE
    for body in (b"x" * (BODY + 1), b"x" * 1024 * 1024 * 3):
        for headers in ({}, {"content-type": FORM}, {"content-type": "application/json"}):
            reply = travelled(boss.server, "POST", "/", headers.items(), body)
            assert reply.refusal == TOO_LARGE
    for form in ("JSON", "XML"):
        request = signed_v1(boss, LOOK, [("a", "x" * BODY)], in_form=True, Format=form)
        assert boss.send(request).refusal == TOO_LARGE


@pytest.mark.usefixtures("unchanged")
def test_a_chunked_body_has_an_end_too(server):
    lines = head("transfer-encoding: chunked", f"content-type: {FORM}", "connection: close")
    chunk = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
    answer = raw(server, lines, *[chunk] * 3)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"<Code>RequestEntityTooLarge</Code>" in answer


@pytest.mark.parametrize("size", [7, 1000])
def test_a_chunked_form_is_a_form(boss, size):
    """As one of Node's clients sends it."""
    form = {"AccountId": boss.member, "IncludeTags": "true"}
    for request in (boss.signed(GET, form=form), bent(boss, "V1 form", GET, list(form.items()))):
        method, target, headers, body = request
        parts = [body[at : at + size] for at in range(0, len(body), size)]
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in [*parts, b""])
        pairs = [*headers.items(), ("Transfer-Encoding", "chunked")]
        assert travelled(boss.server, method, target, pairs, chunks).success["Account"]


@pytest.mark.parametrize("form", [True, False], ids=["form", "none"])
@pytest.mark.usefixtures("unchanged")
def test_a_slow_body_is_not_waited_for(server, form, monkeypatch):
    """408 in the dialect's shape, and the connection ends."""
    monkeypatch.setattr(exchange, "SLOWEST_BODY_S", 0.2)
    lines = [f"content-type: {FORM}"] if form else ["x-acs-action: x"]
    answer = raw(server, head("content-length: 50", *lines) + b"Action=")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in answer
    body = answer.partition(b"\r\n\r\n")[2]
    assert (b"<Code>RequestTimeout</Code>" if form else b'"Code":"RequestTimeout"') in body


@pytest.mark.usefixtures("unchanged")
def test_whoever_leaves_early_leaves_nothing_behind(boss):
    named = signed_v1(boss, CREATE, [("DisplayName", "Early")], in_form=True)[3]
    sent = head(f"content-type: {FORM}", f"content-length: {len(named)}")
    assert raw(boss.server, sent, named[:-1], leaves=True) == b""


@pytest.mark.parametrize(
    "pieces", [(b"zz\r\n",), (b"5\r\nhello\r\n", b"garbage"), (b"-1\r\n\r\n",)]
)
@pytest.mark.usefixtures("unchanged")
def test_garbled_chunks_are_no_failure_of_ours(server, pieces):
    answer = raw(server, head("transfer-encoding: chunked"), *pieces, leaves=True)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "content_type",
    [None, "", "application/json", "application/json; charset=utf-8", "text/plain",
     "multipart/form-data; boundary=x", "application/xml", "application/octet-stream",
     "application/x-www-form-urlencodedx", "x/application/x-www-form-urlencoded",
     f"{FORM}, {FORM}"],
    ids=str,
)  # fmt: skip
@pytest.mark.usefixtures("unchanged")
def test_no_body_but_a_form_is_read(boss, content_type):
    """Under ACS3 it is refused; V1 signs none of it, so nothing in it is looked at."""
    body = urlencode({"AccountId": boss.member}).encode()
    method, target, headers, _ = boss.signed(GET, form={"AccountId": boss.member})
    others = {key: value for key, value in headers.items() if key != "content-type"}
    typed = {} if content_type is None else {"content-type": content_type}
    assert boss.send((method, target, {**others, **typed}, body)).refusal == NO_FORM
    request = signed_v1(boss, GET, [])
    reply = boss.send((*request[:2], typed, body))
    assert reply.refusal == (400, "MissingAccountId")


@pytest.mark.parametrize(
    "content_type",
    [FORM, f"{FORM};charset=utf-8", f"{FORM}; charset=UTF-8", FORM.upper(), f" {FORM} ;x"],
)
def test_a_form_may_be_spelled_as_the_clients_do(boss, content_type):
    form = {"AccountId": boss.member}
    assert boss.send(boss.signed(GET, form=form, content_type=content_type)).success
    method, target, _, body = bent(boss, "V1 form", GET, list(form.items()))
    assert boss.send((method, target, {"content-type": content_type}, body)).success


@pytest.mark.parametrize(
    "body",
    [b"&", b"=", b"&&&===", b"%", b"%zz=%", b"action=%", b"\0\xff", b"a" * 60_000, b"&" * 60_000,
     b"a&" * 30_000, b"=&" * 30_000, b"%00" * 20_000, "😀=😀".encode(), b"Action[]=x",
     b"Action.1=x", b"{}", b"--x\r\n"],
    ids=lambda body: repr(body[:12]),
)  # fmt: skip
@pytest.mark.usefixtures("unchanged")
def test_any_form_and_query_gets_an_answer(server, body):
    """Unsigned, it lacks an action, if it is looked at at all."""
    told = "MissingAction" if body.count(b"&") < 256 else "TooManyParameters"
    form = travelled(server, "POST", "/", [("content-type", FORM)], body)
    assert form.refusal == (400, told)
    query = re.sub(rb"[^!-~]", b"x", body)[:30_000].decode("latin-1")
    assert travelled(server, "GET", f"/?{query}", {}).refusal == (400, told)


@pytest.mark.parametrize("place", ["query", "form"])
@pytest.mark.usefixtures("unchanged")
def test_hundreds_of_parameters_are_signed_like_a_few(boss, place):
    pairs = [(f"p{n}", "") for n in range(240)]
    for scheme in ("ACS3", "V1"):
        reply = boss.send(bent(boss, f"{scheme} {place}", "No", pairs))
        assert reply.refusal == (404, "InvalidAction.NotFound")


@pytest.mark.usefixtures("unchanged")
def test_a_long_mismatch_is_told_whole(boss):
    """However long the string to sign is, it can be read."""
    request = signed_v1(boss, LOOK, [("a", "/" * 20_000)], in_form=True, Format="XML")
    reply = boss.send(replaced(request, "Signature", "x"))
    assert reply.refusal == MISMATCH
    assert reply.told["Message"].count("%25252F") == 0
    assert reply.told["Message"].count("%252F") == 20_000


# Any request at all


ACTIONS = [action for action, _, _ in TABLE]
NAMES = sorted(
    {name for parameters in TABLE.values() for name in parameters}
    | {"Action", "Version", "Format", "AccessKeyId", "Signature", "SignatureMethod", "Timestamp",
       "SignatureVersion", "SignatureNonce", "SignatureType", "SecurityToken", "BearerToken",
       "Tag.2.Key", "Tag.2.Value", "NewAccountType"}
)  # fmt: skip
VALUES = [
    "", "x", "true", "True", "false", "1", "100", "0", "-1", NEWER, OLDER, "JSON", "XML", "None",
    "HMAC-SHA1", "1.0", "CurrentAccount", "NewManagementAccount", "CloudAccount", "123456", NAME,
    "86-13800138000", "1000000000000000", "2026-01-31T12:00:00Z", "😀", "\0", "%", "a" * 300,
    *ACTIONS,
]  # fmt: skip
HEADERS = ["x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce", "authorization",
           "x-acs-content-sha256", "x-acs-security-token", "x-acs-bearer-token", "content-type",
           "accept", "host", "x-acs-accesskey-id", "expect", "cookie"]  # fmt: skip
HEADER_VALUES = ["", "x", LOOK, NEWER, FORM, "application/json", "text/html", "\xe9", "Bearer x",
                 "ACS3-HMAC-SHA256", "ACS3-", "ACS3-HMAC-SM3 a", "x" * 2000,
                 f"ACS3-HMAC-SHA256 Credential=a,SignedHeaders=host,Signature={'0' * 64}",
                 ]  # fmt: skip
METHODS = ["GET", "POST"] * 4 + ["PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"]


def is_an_answer(reply):
    """Of the dialect: a success, or an error with all of its fields."""
    assert reply.status < 500, reply.body
    if reply.status == 200 and reply.headers["content-type"].startswith("text/html"):
        return "index"
    assert reply.headers["content-type"] in (JSON, XML)
    assert re.fullmatch(r"[0-9A-F-]{36}", reply.headers["x-acs-request-id"])
    if not reply.body:
        return "HEAD"
    told = reply.told
    assert told["RequestId"] == reply.headers["x-acs-request-id"]
    if reply.status == 200:
        assert "Code" not in told
        return "success"
    assert set(told) == ERROR_KEYS
    assert told["Message"]
    assert told["Code"] in told["Recommend"]
    assert re.fullmatch(r"[A-Z][A-Za-z0-9.]+", told["Code"])
    return told["Code"]


names = st.sampled_from(NAMES) | st.text(max_size=8)
texts = st.sampled_from(VALUES) | st.text(max_size=20)
values = (texts.map(lambda text: text.encode("utf-8", "surrogatepass"))) | st.binary(max_size=12)
valid_names = names.filter(lambda name: name.isprintable())
pairs_of = st.lists(st.tuples(valid_names, values), max_size=8)
headers_of = st.lists(
    st.tuples(st.sampled_from(HEADERS), st.sampled_from(HEADER_VALUES)), max_size=5
)


@EXAMPLES
@pytest.mark.usefixtures("unchanged")
@given(
    method=st.sampled_from(METHODS),
    query=pairs_of,
    headers=headers_of,
    form=pairs_of,
    body=st.binary(max_size=50) | st.none(),
)
def test_no_request_makes_the_server_fail(server, method, query, headers, form, body):
    """Whatever is in query, headers and body: an answer of the dialect, and no change."""
    content = urlencode(form).encode() if body is None else body
    target = f"/?{urlencode(query)}" if query else "/"
    is_an_answer(travelled(server, method, target, headers, content))


@pytest.fixture(scope="module")
def fuzzed(server):
    """A manager whose directory may become anything."""
    return managing(server)


@EXAMPLES
@given(
    action=st.sampled_from(ACTIONS),
    version=st.sampled_from([NEWER, NEWER, OLDER, "x"]),
    way=st.sampled_from(WAYS),
    pairs=pairs_of,
    is_good=st.booleans(),
)
def test_no_signed_request_makes_the_server_fail(fuzzed, action, version, way, pairs, is_good):
    """Parameters known and unknown, alone or beside good ones: an answer of the dialect."""
    good_ones = [("AccountId", fuzzed.member), ("SecureMobilePhone", PHONE)] if is_good else []
    is_an_answer(fuzzed.send(bent(fuzzed, way, action, [*good_ones, *pairs], version)))


# A hundred thousand of them


class Dice:
    """Requests of any kind, drawn from a seed: out of nothing, or bent from good ones."""

    def __init__(self, seed, caller):
        self.dice, self.caller = random.Random(seed), caller

    def request(self):
        draw = self.dice.random()
        if draw < 0.3:
            return self._out_of_nothing()
        action = self.dice.choice(ACTIONS)
        version = self.dice.choice([NEWER] * 8 + [OLDER, "x"])
        pairs = [*self._good(), *self._pairs(self.dice.randrange(4))]
        request = bent(self.caller, self.dice.choice(WAYS), action, pairs, version)
        return request if draw < 0.65 else self._bent(request)

    def _good(self):
        if self.dice.random() < 0.4:
            return []
        more = [("AccountId", self.caller.member), ("SecureMobilePhone", PHONE),
                ("EnableMode", "CurrentAccount"), ("DisplayName", self._text()),
                ("VerificationCode", "123456"), ("DryRun", "true")]  # fmt: skip
        return self.dice.sample(more, self.dice.randrange(len(more) + 1))

    def _out_of_nothing(self):
        query = urlencode(self._pairs(self.dice.randrange(6)))
        body = self._bytes() if self.dice.random() < 0.5 else urlencode(self._pairs(4)).encode()
        drawn = self.dice.sample(HEADERS, self.dice.randrange(5))
        headers = {name: self.dice.choice(HEADER_VALUES) for name in drawn}
        return self.dice.choice(METHODS), f"/?{query}", headers, body

    def _bent(self, request):
        """One or two things of a good request, otherwise."""
        method, target, headers, body = request
        for _ in range(self.dice.randrange(1, 3)):
            bend = self.dice.randrange(6)
            if bend == 0:
                method = self.dice.choice(METHODS)
            elif bend == 1 and len(target) > 2:
                at = self.dice.randrange(2, len(target))
                target = target[:at] + self.dice.choice("&=%+x0/?") + target[at + 1 :]
            elif bend == 2:
                at = self.dice.randrange(len(body) + 1)
                body = body[:at] + self._bytes() + body[at + 3 :]
            elif bend == 3:
                headers = {**headers, self.dice.choice(HEADERS): self.dice.choice(HEADER_VALUES)}
            elif bend == 4 and headers:
                gone = self.dice.choice(sorted(headers))
                headers = {name: value for name, value in headers.items() if name != gone}
            else:
                more = urlencode(self._pairs(1))
                target = f"{target}{'&' if '?' in target else '?'}{more}"
        return method, target, headers, body

    def _pairs(self, most):
        return [(self._name(), self._value()) for _ in range(most)]

    def _name(self):
        return self.dice.choice(NAMES) if self.dice.random() < 0.9 else self._text()

    def _value(self):
        draw = self.dice.random()
        return self._bytes() if draw < 0.1 else self.dice.choice(VALUES)

    def _text(self):
        letters = "abc<>&'\"%+ ./\\;é😀\u202e０\n"
        return "".join(self.dice.choices(letters, k=self.dice.randrange(12)))

    def _bytes(self):
        return self.dice.randbytes(self.dice.randrange(20))


def soaked(dice, times):
    """So many requests over a connection that lives as long as the server lets it; how many ended
    in what."""
    counted: Counter[str] = Counter()
    server = dice.caller.server
    with closing(http.client.HTTPConnection(HERE, server.port, timeout=DEADLINE_S)) as connection:
        for _ in range(times):
            method, target, headers, body = dice.request()
            named = {name.lower() for name in headers}
            connection.putrequest(
                method, target, skip_host="host" in named, skip_accept_encoding=True
            )
            for name, value in headers.items():
                connection.putheader(name, value.encode("latin-1"))
            connection.putheader("content-length", str(len(body)))
            connection.endheaders(body)
            counted[is_an_answer(Reply(connection.getresponse()))] += 1
    return counted


@pytest.mark.parametrize(
    "times", [pytest.param(1000, id="1000"),
              pytest.param(100_000, id="100000", marks=pytest.mark.soak)]
)  # fmt: skip
def test_however_many_odd_requests_come_each_is_answered(server, fuzzed, times):
    """By the dialect, over connections that live; and the server serves on."""
    began = perf_counter()
    counted = soaked(Dice(20_260, fuzzed), times)
    told = {
        "requests": times,
        "seconds": round(perf_counter() - began),
        **dict(counted.most_common()),
    }
    print(told)
    assert counted.total() == times
    assert len(counted) > 10
    assert fuzzed.ask(LOOK).success
