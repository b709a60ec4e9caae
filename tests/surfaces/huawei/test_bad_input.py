"""P7 in Huawei Cloud's dialect: bad input gets its answer, never a 5xx, and changes nothing."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.surfaces.huawei.calling import (
    CREATE,
    IDENTITY,
    JSON,
    SEND,
    TOKENS,
    VENDORS_WARNINGS,
    customer,
    partner,
    raw,
    travelled,
    wanted,
)
from watchword.surfaces import exchange

pytestmark = [
    pytest.mark.store("postgresql"),
    *(pytest.mark.filterwarnings(one) for one in VENDORS_WARNINGS),
]
PARAMETER, DENIED, TOO_LARGE = (400, "CBC.0100"), (401, "APIGW.0301"), (413, "APIGW.0201")
ANN = "ann@example.com"
GOOD = {
    SEND: wanted(ANN),
    CREATE: {**customer(), "email": ANN, "verification_code": "123456"},
    IDENTITY: {"search_type": "email", "search_value": ANN},
}
LOGGING_IN = {
    "auth": {
        "identity": {
            "methods": ["password"],
            "password": {"user": {"name": "a", "password": "b", "domain": {"name": "c"}}},
        },
        "scope": {"domain": {"name": "c"}},
    }
}
PATHS = [*GOOD, TOKENS]
EXAMPLES = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def ours(server):
    return partner(server)


@pytest.fixture
def unchanged(server):
    """The store is the same after the test as before it."""
    before = server.digest()
    yield
    assert server.digest() == before


def refusal(reply, path):
    """Status and code; Keystone's path has a shape of its own, which tells no code."""
    if path != TOKENS:
        return reply.refusal
    error = reply.json["error"]
    assert error["code"] == reply.status
    assert 1 <= len(error["message"]) <= 1024
    return reply.status, {400: "CBC.0100", 413: "APIGW.0201"}[reply.status]


def is_refused(server, ours, path, body, **headers):
    """Signed, it is refused for what it is; unsigned, for that alone."""
    assert refusal(ours.ask(path=path, body=body, **headers), path) == PARAMETER
    if path != TOKENS:
        named = {"Content-Type": JSON, **headers}
        assert travelled(server, "POST", path, body, named.items()).refusal == DENIED


WRONG_TYPES = [7.5, 7, True, [], ["x"], {}, {"a": 1}, "😀" * 400, 10**30, -1, "\0"]
OPEN = {
    (CREATE, "is_close_market_ms"), (CREATE, "indirect_partner_id"), (CREATE, "password"),
    (CREATE, "domain_name"), (CREATE, "domain_area"), (CREATE, "email"),
    (CREATE, "include_association_result"),
}  # fmt: skip
MEMBERS = [
    (path, {**GOOD[path], name: value})
    for path, names in {
        SEND: ["receiver_type", "email", "timeout", "lang", "scene", "customer_id"],
        CREATE: ["domain_area", "xaccount_id", "xaccount_type", "domain_name", "email",
                 "verification_code", "password", "is_close_market_ms", "indirect_partner_id",
                 "include_association_result"],
        IDENTITY: ["search_type", "search_value"],
    }.items()
    for name in names
    for value in WRONG_TYPES
]  # fmt: skip
REFUSALS = {
    "CBC.0100", "CBC.0101", "CBC.99004004", "CBC.99004008", "CBC.99000031", "CBC.99000036",
    "CBC.99000037",
}  # fmt: skip


@pytest.mark.parametrize("path", GOOD)
@pytest.mark.usefixtures("unchanged")
def test_a_wrong_member_is_refused(server, ours, path):
    """Of every wrong type and of any length, each member by itself."""
    for where, body in MEMBERS:
        if where == path and not _is_harmless(path, body):
            reply = ours.ask(path=path, body=body)
            assert reply.refusal in [(400, code) for code in REFUSALS], body
            content = json.dumps(body).encode()
            unsigned = travelled(server, "POST", path, content, {"Content-Type": JSON}.items())
            assert unsigned.refusal == DENIED


def _is_harmless(path, body):
    """Some of these values mean something, or nobody looks at them."""
    if path == SEND:
        kept = (body.get("timeout") == 7, body.get("customer_id") in ("\0", "😀" * 400),
                body.get("lang") == "\0", type(body.get("scene")) is int)  # fmt: skip
        return any(kept)
    return path == IDENTITY and body["search_value"] == "\0" and body["search_type"] == "name"


GOOD_TEXT = {path: json.dumps(body)[:-1] for path, body in GOOD.items()}
GOOD_TEXT[TOKENS] = json.dumps(LOGGING_IN)[:-1]
MALFORMED = {
    "nothing": b"",
    "blank": b" ",
    "null": b"null",
    "an array": b"[]",
    "a text": b'"email"',
    "a number": b"1",
    "cut short": b"%b",
    "trailing comma": b"%b,}",
    "trailing words": b"%b} x",
    "two bodies": b"%b}%b}",
    "a comment": b"%b /* */}",
    "NaN": b'%b, "timeout": NaN}',
    "Infinity": b'%b, "timeout": -Infinity}',
    "NaN in an unknown member": b'%b, "x": NaN}',
    "a member twice": b'%b, "email": "a@b.cn", "email": "b@b.cn"}',
    "a member twice, escaped": b'%b, "emai\\u006c": "a@b.cn", "email": "b@b.cn"}',
    "an unknown member twice": b'%b, "x": 1, "x": 2}',
    "an inner member twice": b'%b, "x": {"a": 1, "a": 2}}',
    "lone surrogate": b'%b, "lang": "\\ud800"}',
    "lone surrogate in an unknown member": b'%b, "x": "\\udc00"}',
    "raw surrogate": b'%b, "lang": "\xed\xa0\x80"}',
    "latin-1": b'%b, "lang": "\xe9"}',
    "latin-1 in an unknown member": b'%b, "x": "\xe9"}',
    "overlong": b'%b, "lang": "\xc0\x80"}',
    "control character": b'%b, "lang": "\x00"}',
    "UTF-16": "{}".encode("utf-16"),
    "UTF-32": "{}".encode("utf-32-be"),
    "byte order mark": b"\xef\xbb\xbf%b}",
    "binary": bytes(range(256)).replace(b"%", b""),
    "deep arrays": b"[" * 60_000,
    "deep objects": b'{"email":' * 6_000,
    "deep and closed": b'%b, "x": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "huge exponent": b'%b, "timeout": 1e' + b"9" * 5000 + b"}",
    "huge number": b'%b, "timeout": ' + b"9" * 5000 + b"}",
    "a leading zero": b'%b, "timeout": 060}',
    "one quote": b"%b, 'lang': 'en-us'}",
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
@pytest.mark.usefixtures("unchanged")
def test_a_malformed_body_is_refused(server, ours, path, body):
    """What two readers could read differently is not read at all."""
    if path != SEND and b"timeout" in body and b"NaN" not in body and b"Inf" not in body:
        body = body.replace(b'"timeout": 1e', b'"a": 0').replace(b'"timeout": 9', b'"a": 09')
    is_refused(server, ours, path, body.replace(b"%b", GOOD_TEXT[path].encode()))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonp",
     "multipart/form-data; boundary=x", "application/json; charset=utf-16", "application/xml",
     "application/json; charset=latin-1", "application/json; charset", "application/json;",
     "application/json, application/json", "é"],
)  # fmt: skip
@pytest.mark.usefixtures("unchanged")
def test_another_media_type_is_refused(server, ours, path, content_type):
    """400, as the vendor has it; its signer leaves such bodies unsigned, and we read none."""
    body = GOOD_TEXT[path].encode() + b"}"
    is_refused(server, ours, path, body, Content_Type=content_type)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.usefixtures("unchanged")
def test_no_media_type_is_refused(ours, path):
    body = GOOD_TEXT[path].encode() + b"}"
    assert refusal(ours.ask(path=path, body=body, Content_Type=None), path) == PARAMETER


@pytest.mark.parametrize("path", GOOD)
@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json;charset=utf-8", "application/json;charset=UTF-8",
     'application/json ; Charset="utf-8"', "application/json; charset=utf8"],
)  # fmt: skip
def test_json_may_be_spelled_as_the_clients_do(ours, path, content_type):
    """It goes as far as it would with any other spelling."""
    reply = ours.ask(path=path, body={"receiver_type": 0}, Content_Type=content_type)
    assert reply.refusal == PARAMETER
    assert not {"application/json", "UTF-8"} & set(reply.json["error_msg"].split())


@pytest.mark.parametrize("path", GOOD)
@pytest.mark.parametrize("content_type", ["text/json", "Application/JSON", "x/json+x"])
def test_what_may_be_json_is_not_taken_unsigned(server, ours, path, content_type):
    """The vendor's signer leaves such a body unsigned; then the signature is not enough."""
    before = server.digest()
    body = GOOD_TEXT[path].encode() + b"}"
    assert ours.ask(path=path, body=body, Content_Type=content_type).refusal == DENIED
    assert ours.domains().status == 200
    assert server.digest() == before


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.usefixtures("unchanged")
def test_ten_mebibytes_are_refused_and_the_server_lives(server, ours, path):
    """Signed or not, chunked or not: they are never kept."""
    body = b"x" * 10 * 1024 * 1024
    assert refusal(ours.ask(path=path, body=body), path) == TOO_LARGE
    lines = head(path, "transfer-encoding: chunked", "connection: close")
    chunk = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
    answer = raw(server, lines, *[chunk] * 3)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert ours.domains().status == 200


def head(path, *lines):
    return "\r\n".join(
        [f"POST {path} HTTP/1.1", "host: x", f"content-type: {JSON}", *lines, "", ""]
    ).encode()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.usefixtures("unchanged")
def test_a_slow_body_is_not_waited_for(server, path, monkeypatch):
    """408 in the dialect's shape, and the connection ends."""
    monkeypatch.setattr(exchange, "SLOWEST_BODY_S", 0.2)
    answer = raw(server, head(path, "content-length: 50") + b'{"to"')
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in answer
    told = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert told.get("error_code") == ("CBC.0100" if path != TOKENS else None)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.usefixtures("unchanged")
def test_whoever_leaves_early_leaves_nothing_behind(server, ours, path):
    whole = GOOD_TEXT[path].encode() + b"}"
    lines = [f"{name}: {value}" for name, value in ours.signed(path=path, body=whole).items()]
    sent = head(path, *lines, f"content-length: {len(whole)}").replace(b"host: x\r\n", b"")
    assert raw(server, sent, whole[:-1], leaves=True) == b""


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "pieces", [(b"zz\r\n",), (b'5\r\n{"to"\r\n', b"garbage"), (b"-1\r\n\r\n",)]
)
@pytest.mark.usefixtures("unchanged")
def test_garbled_chunks_are_no_failure_of_ours(server, path, pieces):
    answer = raw(server, head(path, "transfer-encoding: chunked"), *pieces, leaves=True)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("length", [None, "0"])
@pytest.mark.usefixtures("unchanged")
def test_no_body_is_an_empty_one(server, ours, path, length):
    """The vendor's client sends Content-Length 0 and the type of JSON."""
    pairs = [*ours.signed(path=path).items(), *([("content-length", length)] if length else [])]
    assert refusal(travelled(server, "POST", path, b"", pairs), path) == PARAMETER


@pytest.mark.parametrize("path", GOOD)
@pytest.mark.parametrize("name", ["Authorization", "X-Sdk-Date", "X-Auth-Token", "Content-Type"])
@pytest.mark.usefixtures("unchanged")
def test_a_header_that_decides_comes_once(server, ours, path, name):
    """Two proxies could each believe another one of two."""
    body = GOOD_TEXT[path].encode() + b"}"
    more = [(name, "x")] * (2 if name == "X-Auth-Token" else 1)
    headers = [*ours.signed(path=path, body=body).items(), *more]
    expected = PARAMETER if name == "X-Auth-Token" else DENIED
    assert travelled(server, "POST", path, body, headers).refusal == expected


@pytest.mark.parametrize("path", GOOD)
@pytest.mark.parametrize("value", ["é", "例子", "\x80\xff", "😀", "a\tb", " padded "])
@pytest.mark.usefixtures("unchanged")
def test_a_header_may_hold_anything(ours, path, value):
    """Signed as UTF-8 by the vendor's signer, and verified over the same bytes."""
    reply = ours.ask(path=path, body=b"{}", X_Domain_Id=value)
    assert reply.refusal == (400, "CBC.0100")


@pytest.mark.parametrize(
    "name", ["authorization", "x-sdk-date", "x-auth-token", "x-security-token", "content-type"]
)
@pytest.mark.usefixtures("unchanged")
def test_a_header_of_bytes_is_no_failure_of_ours(server, name):
    for value in (b"\xff\xfe", b"\xc3\xa9", b"", b" ", b"x" * 30_000):
        headers = [("content-type", JSON), (name, value)][name == "content-type" :]
        status, code = travelled(server, "POST", SEND, b"{}", headers).refusal
        assert (status, code) in [DENIED, (401, "CBC.0154")]


# Any JSON at all


texts = st.text(max_size=20) | st.sampled_from(
    ["", "2", "true", "en-us", ANN, "13800138000", "+8613800138000", "SG", "email", "name",
     "mobile", "0086-13800138000", "123456", "password", "hw_ak_sk", "Tr0ub4dor&3", "x" * 65]
)  # fmt: skip
scalars = st.none() | st.booleans() | st.integers(-5, 3005) | st.integers() | st.floats() | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
known = st.sampled_from(
    [*GOOD[SEND], *GOOD[CREATE], *GOOD[IDENTITY], "mobile_phone", "timeout", "lang", "scene",
     "customer_id", "domain_name", "password", "is_close_market_ms", "indirect_partner_id",
     "include_association_result", "auth"]
)  # fmt: skip
bodies = st.dictionaries(known | texts, values, max_size=6)


@pytest.fixture(scope="module")
def shop(delivering):
    return partner(delivering)


@EXAMPLES
@given(
    path=st.sampled_from(PATHS),
    is_good=st.booleans(),
    body=bodies,
    document=values,
    is_document=st.integers(0, 9).map(lambda n: n == 0),
)
def test_no_json_makes_the_server_fail(shop, path, is_good, body, document, is_document):
    """Members known and unknown, alone or bent from a good request: never a 5xx."""
    good = {**GOOD, TOKENS: LOGGING_IN}[path] if is_good else {}
    asked = document if is_document else {**good, **body}
    reply = shop.ask(path=path, body=json.dumps(asked).encode())
    assert reply.status < 500
    if reply.status == 204:
        assert reply.body == b""
    elif reply.status >= 400 and path != TOKENS:
        assert reply.refusal
    assert len(reply.headers["x-request-id"]) == 32
