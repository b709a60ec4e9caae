"""P7: bad input gets a clear answer at the right field, never a 5xx, and changes nothing."""

import http.client
import json
import socket
from contextlib import closing, suppress

import pytest

from watchword.surfaces import exchange
from watchword.surfaces.problems import TYPES

pytestmark = pytest.mark.store("postgresql")

SEND = "/v1/verifications"
GOOD = {"to": "+8613800138000", "channel": "sms", "purpose": "sign_in"}
JSON = "application/json"


@pytest.fixture(scope="module")
def token(server):
    return server.key()


@pytest.fixture(scope="module")
def made(server, token):
    """A verification that is open, with all its attempts."""
    with server.client(token) as client:
        return client.post(SEND, json={**GOOD, "to": "+8613900139000"}).json()["id"]


@pytest.fixture
def unchanged(server, made):
    """The store is the same after the test as before it."""
    before = server.digest()
    yield
    assert server.digest() == before


class Reply:
    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    @property
    def pointer(self):
        return self.problem["errors"][0]["pointer"]

    @property
    def problem(self):
        assert self.headers["content-type"] == "application/problem+json"
        problem = json.loads(self.body)
        assert problem["status"] == self.status
        return problem

    @property
    def slug(self):
        return self.problem["type"].removeprefix(TYPES)


def ask(server, token, method, path, body=b"", **headers):
    """One request, sent as it is, over a connection of its own."""
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)) as connection:
        connection.putrequest(method, path, skip_accept_encoding=True)
        named = {"authorization": f"Bearer {token}", "content-length": str(len(body)), **headers}
        for name, value in named.items():
            if value is not None:
                connection.putheader(name.replace("_", "-"), value)
        connection.endheaders(body)
        return Reply(connection.getresponse())


def post(server, token, body, path=SEND, content_type=JSON):
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    return ask(server, token, "POST", path, body, content_type=content_type)


def without(name):
    return {key: value for key, value in GOOD.items() if key != name}


MEMBERS = [
    (without("to"), "/to"),
    (without("channel"), "/channel"),
    (without("purpose"), "/purpose"),
    *(({**GOOD, name: None}, f"/{name}") for name in (
        "to", "channel", "purpose", "locale", "code_length", "ttl", "binding", "client",
    )),
    *(({**GOOD, name: 7.5}, f"/{name}") for name in (
        "to", "channel", "purpose", "locale", "code_length", "ttl", "binding", "client",
    )),
    *(({**GOOD, name: ["x"]}, f"/{name}") for name in (
        "to", "channel", "ttl", "binding", "client",
    )),
    *(({**GOOD, "to": to}, "/to") for to in (
        "", " ", "13800138000", "+", "+86", "+999123456789", "+86138001380001234567",
        "+8613800138000\x00", "\x00", "+8613800138000;ext=1", "+1800FLOWERS",
        "x" * 321, "+86 1380013800a", "😀", "+٨٦١٣٨٠٠١٣٨٠٠٠",
    )),
    *(({**GOOD, "channel": "email", "to": to}, "/to") for to in (
        "a@", "@b", "a@b@c", "a b@example.com", "a@example..com",
        "ann@example.com\r\nBcc: eve@example.com", "ann@example.com\x00", "a@" + "b" * 400,
        "a@xn--\u00e9.com", "a@[127.0.0.1]",
    )),
    ({**GOOD, "channel": "pigeon"}, "/channel"),
    ({**GOOD, "channel": "email"}, "/channel"),
    ({**GOOD, "purpose": "sign-in"}, "/purpose"),
    ({**GOOD, "purpose": "SIGN_IN"}, "/purpose"),
    ({**GOOD, "locale": "x" * 36}, "/locale"),
    ({**GOOD, "locale": "../../etc"}, "/locale"),
    ({**GOOD, "locale": ""}, "/locale"),
    ({**GOOD, "code_length": 5}, "/code_length"),
    ({**GOOD, "code_length": 17}, "/code_length"),
    ({**GOOD, "code_length": True}, "/code_length"),
    ({**GOOD, "code_length": "6"}, "/code_length"),
    ({**GOOD, "code_length": 6.0}, "/code_length"),
    ({**GOOD, "ttl": 59}, "/ttl"),
    ({**GOOD, "ttl": 601}, "/ttl"),
    ({**GOOD, "ttl": -1}, "/ttl"),
    ({**GOOD, "ttl": 10**30}, "/ttl"),
    ({**GOOD, "binding": {"a": 1}}, "/binding"),
    ({**GOOD, "binding": {"a": None}}, "/binding"),
    ({**GOOD, "binding": {"a": "x" * 512}}, "/binding"),
    ({**GOOD, "binding": {"a": "é" * 256}}, "/binding"),
    ({**GOOD, "binding": {str(n): "" for n in range(17)}}, "/binding"),
    ({**GOOD, "client": {"ip": "999.1.1.1"}}, "/client/ip"),
    ({**GOOD, "client": {"ip": "fe80::1%eth0"}}, "/client/ip"),
    ({**GOOD, "client": {"ip": "10.0.0.0/8"}}, "/client/ip"),
    ({**GOOD, "client": {"ip": ""}}, "/client/ip"),
    ({**GOOD, "client": {"ip": None}}, "/client/ip"),
    ({**GOOD, "client": {"ip": 1}}, "/client/ip"),
    ({**GOOD, "client": {"fingerprint": "x" * 129}}, "/client/fingerprint"),
    ({**GOOD, "client": {"adress": "1.2.3.4"}}, "/client/adress"),
    ({**GOOD, "tll": 60}, "/tll"),
    ({**GOOD, "a/b~c": 1}, "/a~1b~0c"),
    ([], ""),
    ("to", ""),
    (None, ""),
    (1, ""),
]  # fmt: skip


@pytest.mark.parametrize(("body", "pointer"), MEMBERS)
@pytest.mark.usefixtures("unchanged")
def test_a_wrong_member_is_named(server, token, body, pointer):
    """422 with a JSON pointer to what has to change."""
    reply = post(server, token, body)
    assert (reply.status, reply.slug) == (422, "invalid")
    assert reply.pointer == pointer


GOOD_TEXT = json.dumps(GOOD)[:-1]
MALFORMED = {
    "nothing": b"",
    "blank": b" ",
    "cut short": b'{"to": "+86138',
    "trailing comma": b'{"to": "x",}',
    "trailing words": json.dumps(GOOD).encode() + b" x",
    "two bodies": json.dumps(GOOD).encode() * 2,
    "a comment": b'{/* */"to": "x"}',
    "NaN": f'{GOOD_TEXT}, "ttl": NaN}}'.encode(),
    "Infinity": f'{GOOD_TEXT}, "ttl": -Infinity}}'.encode(),
    "NaN in an unknown member": f'{GOOD_TEXT}, "tll": NaN}}'.encode(),
    "a member twice": f'{GOOD_TEXT}, "to": "+8613800138001"}}'.encode(),
    "a member twice, escaped": f'{GOOD_TEXT}, "\\u0074o": "+8613800138001"}}'.encode(),
    "a member twice with colons": f'{GOOD_TEXT}, "locale": "a:b", "locale": "en"}}'.encode(),
    "an inner member twice": f'{GOOD_TEXT}, "client": {{"ip": "1.1.1.1", "ip": "::1"}}}}'.encode(),
    "a pair twice": f'{GOOD_TEXT}, "binding": {{"a": "1", "a": "2"}}}}'.encode(),
    "an unknown member twice": f'{GOOD_TEXT}, "x": 1, "x": 2}}'.encode(),
    "lone surrogate": f'{GOOD_TEXT}, "locale": "\\ud800"}}'.encode(),
    "lone low surrogate": f'{GOOD_TEXT}, "binding": {{"\\udc00": ""}}}}'.encode(),
    "raw surrogate": f'{GOOD_TEXT}, "locale": "'.encode() + b'\xed\xa0\x80"}',
    "latin-1": f'{GOOD_TEXT}, "locale": "'.encode() + b'\xe9"}',
    "overlong": f'{GOOD_TEXT}, "locale": "'.encode() + b'\xc0\x80"}',
    "control character": f'{GOOD_TEXT}, "locale": "'.encode() + b'\x00"}',
    "UTF-16": json.dumps(GOOD).encode("utf-16"),
    "UTF-32": json.dumps(GOOD).encode("utf-32-be"),
    "byte order mark": b"\xef\xbb\xbf" + json.dumps(GOOD).encode(),
    "binary": bytes(range(256)),
    "deep arrays": b"[" * 60_000,
    "deep objects": b'{"to":' * 10_000,
    "deep and closed": b'{"to": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "huge exponent": f'{GOOD_TEXT}, "ttl": 1e'.encode() + b"9" * 5000 + b"}",
    "a leading zero": f'{GOOD_TEXT}, "ttl": 060}}'.encode(),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
@pytest.mark.usefixtures("unchanged")
def test_a_malformed_body_is_refused(server, token, body):
    """What two readers could read differently is not read at all."""
    reply = post(server, token, body)
    if body is MALFORMED["huge exponent"]:
        assert (reply.status, reply.pointer) == (422, "/ttl")
    else:
        assert (reply.status, reply.slug) == (400, "malformed")


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        (None, 415),
        ("", 415),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/jsonp", 415),
        ("multipart/form-data; boundary=x", 415),
        ("application/json; charset=utf-16", 400),
        ("application/json; charset=latin-1", 400),
        ("application/json; charset", 400),
        ("application/json;", 400),
    ],
)
@pytest.mark.usefixtures("unchanged")
def test_another_media_type_is_refused(server, token, content_type, status):
    """415 for what is not JSON, 400 for JSON that does not say UTF-8."""
    reply = post(server, token, GOOD, content_type=content_type)
    assert reply.status == status
    assert reply.slug == ("media-type" if status == 415 else "malformed")


@pytest.mark.parametrize(
    "content_type",
    ["Application/JSON", "application/json;charset=UTF-8", 'application/json ; charset="utf-8"'],
)
def test_json_may_be_spelled_as_http_allows(server, token, number, content_type):
    reply = post(server, token, {**GOOD, "to": number}, content_type=content_type)
    assert reply.status == 201


CHECKS = [
    ({}, "/code"),
    ({"code": None}, "/code"),
    ({"code": 123456}, "/code"),
    ({"code": ""}, "/code"),
    ({"code": "1" * 65}, "/code"),
    ({"code": ["123456"]}, "/code"),
    ({"code": "123456", "binding": None}, "/binding"),
    ({"code": "123456", "client": {"ip": "x"}}, "/client/ip"),
    ({"code": "123456", "cod": "1"}, "/cod"),
]


@pytest.mark.parametrize(("body", "pointer"), CHECKS)
@pytest.mark.usefixtures("unchanged")
def test_a_bad_check_spends_no_attempt(server, token, made, body, pointer):
    reply = post(server, token, body, f"{SEND}/{made}/check")
    assert (reply.status, reply.pointer) == (422, pointer)


@pytest.mark.parametrize("body", [b"null", b"[]", b'{"channel": null}', b'{"chanel": "sms"}'])
@pytest.mark.usefixtures("unchanged")
def test_a_bad_resend_sends_nothing(server, token, made, body):
    assert post(server, token, body, f"{SEND}/{made}/resend").status == 422


@pytest.mark.usefixtures("unchanged")
def test_a_body_of_64_kib_is_read_and_one_more_byte_is_not(server, token):
    """The length alone is enough to refuse it."""
    largest = b" " * (exchange.LONGEST_BODY - 2) + b"[]"
    assert post(server, token, largest).status == 422
    assert post(server, token, largest + b" ").slug == "too-large"


@pytest.mark.usefixtures("unchanged")
def test_ten_mebibytes_are_refused_and_the_server_lives(server, token):
    """The caller may send them to the end or not; they are never kept."""
    reply = post(server, token, b"x" * 10 * 1024 * 1024)
    assert (reply.status, reply.slug) == (413, "too-large")
    assert ask(server, token, "GET", "/livez").status == 200


def raw(server, *pieces, leaves=True):
    """Send bytes as they are; give back all that comes until the server closes.

    Whoever `leaves` says so at once, and then need not be answered.
    """
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        for piece in pieces:
            connection.sendall(piece)
        with suppress(OSError):  # where the server closed first
            if leaves:
                connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def head(token, *lines, path=SEND):
    return "\r\n".join(
        [f"POST {path} HTTP/1.1", "host: x", f"authorization: Bearer {token}",
         "content-type: application/json", *lines, "", ""]
    ).encode()  # fmt: skip


@pytest.mark.usefixtures("unchanged")
def test_a_chunked_body_is_bounded_too(server, token):
    """Nobody declares its length; it is counted as it comes."""
    chunk = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
    lines = ("transfer-encoding: chunked", "connection: close")
    answer = raw(server, head(token, *lines), *[chunk] * 3, leaves=False)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"too-large" in answer


@pytest.mark.parametrize(
    "pieces",
    [
        (b"zz\r\nnonsense\r\n",),
        (b'5\r\n{"to"\r\n', b"garbage"),
        (b"ffffffffffffffffff\r\n",),
        (b"-1\r\n\r\n",),
    ],
)
@pytest.mark.usefixtures("unchanged")
def test_garbled_chunks_are_no_failure_of_ours(server, token, pieces):
    """What is no HTTP ends as HTTP says, with 400 or a closed connection."""
    answer = raw(server, head(token, "transfer-encoding: chunked"), *pieces)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
    assert ask(server, token, "GET", "/livez").status == 200


@pytest.mark.usefixtures("unchanged")
def test_whoever_leaves_early_leaves_nothing_behind(server, token):
    """A body cut short by the caller does nothing."""
    whole = json.dumps({**GOOD, "to": "+8613700137000"}).encode()
    answer = raw(server, head(token, f"content-length: {len(whole)}"), whole[:-1])
    assert answer == b""


@pytest.mark.usefixtures("unchanged")
def test_a_slow_body_is_not_waited_for(server, token, monkeypatch):
    """408 at the deadline, and the connection ends."""
    monkeypatch.setattr(exchange, "SLOWEST_BODY_S", 0.2)
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(head(token, "content-length: 50") + b'{"to"')
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"too-slow" in answer
    assert b"connection: close" in answer


@pytest.mark.parametrize("name", ["authorization", "idempotency-key", "content-type"])
@pytest.mark.usefixtures("unchanged")
def test_a_header_that_decides_comes_once(server, token, name):
    """Two proxies could each believe another one of two."""
    body = json.dumps(GOOD).encode()
    lines = [f"{name}: x", f"{name}: y", f"content-length: {len(body)}", "connection: close"]
    answer = raw(server, head(token, *lines) + body, leaves=False)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"header-invalid" in answer


METHODS = [
    (SEND, ("GET", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"), "POST"),
    (f"{SEND}/{'0' * 26}", ("POST", "PUT", "PATCH", "OPTIONS"), "GET, HEAD, DELETE"),
    (f"{SEND}/{'0' * 26}/check", ("GET", "PUT", "DELETE"), "POST"),
    (f"{SEND}/{'0' * 26}/resend", ("GET", "PUT", "DELETE"), "POST"),
    (f"{SEND}/{'0' * 26}/deliveries", ("POST", "DELETE"), "GET, HEAD"),
    ("/v1/inbox", ("POST", "DELETE"), "GET, HEAD"),
    ("/openapi.json", ("POST", "DELETE"), "GET, HEAD"),
    ("/livez", ("POST", "DELETE"), "GET, HEAD"),
    ("/readyz", ("POST", "DELETE"), "GET, HEAD"),
    ("/metrics", ("POST", "DELETE"), "GET, HEAD"),
]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [(method, path, allowed) for path, methods, allowed in METHODS for method in methods],
)
@pytest.mark.usefixtures("unchanged")
def test_another_method_is_refused(server, token, method, path, allowed):
    """405, and Allow says which would do."""
    reply = ask(server, token, method, path)
    assert (reply.status, reply.headers["allow"]) == (405, allowed)
    assert method == "HEAD" or reply.slug == "method-not-allowed"


PATHS = [
    "/v1", "/v1/", "/v2", "/v1/verifications/", "/v1//verifications", "//v1/verifications",
    "/v1/verifications/%00", "/v1/verifications/../verifications", "/v1/verifications/x/check/y",
    "/v1/verifications//check", "/v1/verifications/%ff%fe",
    "/v1/verifications/{id}", "/v1/verifications/" + "x" * 20_000, "/V1/verifications",
    "/v1/verifications/" + "0" * 26 + "/", "/v1/verifications/" + "0" * 26 + "/Check",
    "/v1/verifications/" + "%00" * 26, "/v1/verifications/" + "%F0%9F%98%80" * 26,
    "/v1/inbox/", "/v1/inbox/x", "/openapi.json/", "/livez/x", "/metrics/x",
    "/receipts/x", "/demo", "/static/a.css",
    "/nowhere", "/%", "/%zz", "/..", "/.", "/;",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.usefixtures("unchanged")
def test_an_odd_path_leads_nowhere(server, token, path):
    """Nothing is here, whatever it is spelled like."""
    reply = ask(server, token, "GET", path)
    assert (reply.status, reply.slug) == (404, "not-found")


@pytest.mark.parametrize("character", ["%00", "%ED%A0%80", "%EF%BF%BF"])
@pytest.mark.usefixtures("unchanged")
def test_an_id_with_an_odd_character_names_nothing(server, token, made, character):
    """Though the rest of it is that of an open verification, and whatever is asked of it."""
    for odd in (character + made[1:], made[:-1] + character, made + character):
        at = f"{SEND}/{odd}"
        replies = [
            ask(server, token, "GET", at),
            ask(server, token, "DELETE", at),
            ask(server, token, "GET", f"{at}/deliveries"),
            post(server, token, {"code": "123456"}, f"{at}/check"),
            post(server, token, {}, f"{at}/resend"),
        ]
        assert [(reply.status, reply.slug) for reply in replies] == [(404, "not-found")] * 5
