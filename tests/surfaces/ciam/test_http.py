"""What any HTTP client meets: no such path or method, media types, sizes, pages of other hosts."""

import json

import pytest

from tests.surfaces.ciam.calling import (
    CAPTCHA,
    COUNTRIES,
    EMAIL,
    EMAIL_JUDGE,
    EMAIL_LOGIN,
    EMAIL_PASSWORD,
    EMAIL_SEND,
    JSON,
    JUDGE,
    JWKS,
    LOGIN,
    MOBILE,
    OWN_PASSWORD,
    PASSWORD,
    REGISTER,
    SDK,
    SEND,
    TERMS,
    VERIFY,
    Reply,
    device,
    raw,
)
from tests.surfaces.travel import travel
from watchword.config import Ciam
from watchword.surfaces import exchange

pytestmark = pytest.mark.store("sqlite")

POSTED = (
    VERIFY, SEND, EMAIL_SEND, JUDGE, EMAIL_JUDGE, REGISTER, LOGIN, EMAIL_LOGIN, PASSWORD,
    EMAIL_PASSWORD, OWN_PASSWORD, MOBILE, EMAIL,
)  # fmt: skip
GOT = (CAPTCHA, COUNTRIES, JWKS)
MALFORMED = "PARAM.0000"
THERE = "https://shop.example"


@pytest.fixture
def caller(still):
    return device(still)


@pytest.mark.parametrize(
    "path", ["/api/v2", SDK, f"{SDK}/", f"{SEND}/", f"{SEND}/x", f"{SDK}/sms/Send",
             f"{SDK}//sms/send", f"{SDK}/social/bind", f"{SDK}/%73ms/send/..", "/api/v2/sdkx"],
)  # fmt: skip
def test_a_path_that_is_none_is_not_found(caller, path):
    """In the shape of the dialect's errors, and its languages, whoever asks."""
    for method in ("GET", "POST", "DELETE"):
        assert caller.ask(method, path, X_client_id=None).refusal == (404, "SYSTEM.0404")
    reply = caller.post(path, X_L="zh")
    assert reply.json["error_msg"] == "接口不存在"


@pytest.mark.parametrize(("paths", "allowed"), [(POSTED, "POST"), (GOT, "GET")])
def test_another_method_is_told_which_is_allowed(caller, paths, allowed):
    """Before anything else is looked at."""
    for path in paths:
        for method in {"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"} - {allowed}:
            reply = caller.ask(method, path, b"{", X_client_id=None)
            assert (method, path, reply.refusal) == (method, path, (405, "SYSTEM.0405"))
            assert reply.headers["allow"] == allowed
        assert caller.ask("HEAD", path).status == 405


@pytest.mark.parametrize(
    "content_type",
    [None, JSON, "application/json;charset=utf8", "application/json; charset=UTF-8",
     "Application/JSON ; Charset=UTF8", 'application/json;charset="utf-8"'],
)  # fmt: skip
def test_json_may_be_called_what_clients_call_it_or_nothing(caller, content_type):
    """charset=utf8, without its dash, is what one of the pages shows."""
    for path in POSTED:
        status, code = caller.post(path, {}, Content_Type=content_type).refusal
        assert (path, status, code != MALFORMED) == (path, 400, True)


@pytest.mark.parametrize(
    ("content_type", "status"),
    [("text/plain", 415), ("application/x-www-form-urlencoded", 415), ("", 415),
     ("multipart/form-data; boundary=x", 415), ("application/jsonp", 415), ("é", 415),
     ("application/json;charset=gbk", 400), ("application/json;x=y", 400)],
)  # fmt: skip
def test_another_media_type_is_refused(caller, content_type, status):
    """After the headers that say who asks, and before the body is read."""
    for path in POSTED:
        reply = caller.post(path, b"{", Content_Type=content_type)
        assert (path, reply.refusal) == (path, (status, MALFORMED))
        for headers, code in (({"X_agent": ""}, "PARAM.0001"), ({"X_client_id": ""}, "PARAM.0002"),
                              ({"X_client_id": "x"}, "PARAM.0003")):  # fmt: skip
            assert caller.post(path, b"{", Content_Type=content_type, **headers).code == code


def test_a_get_has_no_media_type(caller):
    for path in GOT:
        assert caller.ask("GET", path, Content_Type="text/plain").status == 200


def test_what_is_open_asks_for_no_headers(caller):
    """The keys and the countries; whoever says who calls gets his own country first."""
    for path in (JWKS, COUNTRIES):
        reply = travel(caller.server, "GET", path, [], b"", shape=Reply)
        assert reply.status == 200
        assert reply.headers["content-type"] == "application/json;charset=UTF-8"
    for client_id in (None, "", "x", "é" * 32, caller.client_id):
        reply = caller.ask("GET", COUNTRIES, X_client_id=client_id)
        assert reply.json["preferredAreaCode"] == "CN"
    taiwan = device(caller.server, region="TW")
    assert taiwan.ask("GET", COUNTRIES).json["preferredAreaCode"] == "TW"


def test_every_answer_has_an_id_of_its_own(caller):
    replies = [caller.post(SEND, {}), caller.ask("GET", CAPTCHA), caller.ask("GET", SDK)]
    ids = [reply.headers["x-request-id"] for reply in replies]
    assert len(set(ids)) == 3
    assert all(len(bytes.fromhex(one)) == 16 for one in ids)


# Bodies


@pytest.mark.parametrize("path", [SEND, REGISTER])
def test_a_body_has_at_most_64_kibibytes(caller, path):
    """Chunked or not; the server lives."""
    fits = json.dumps({"x": "y" * (65536 - 9)}).encode()
    assert len(fits) == 65536
    assert caller.post(path, fits).code == "USER.0004"
    assert caller.post(path, fits + b" ").refusal == (413, MALFORMED)
    assert caller.post(path, b"x" * 5_000_000).refusal == (413, MALFORMED)
    chunk = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
    lines = head(caller, path, "transfer-encoding: chunked", "connection: close")
    answer = raw(caller.server, lines, *[chunk] * 3)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert caller.post(path, {}).code == "USER.0004"


@pytest.mark.parametrize("path", [SEND, JWKS])
def test_a_slow_body_is_not_waited_for(caller, path, monkeypatch):
    """408 in the dialect's shape, and the connection ends."""
    monkeypatch.setattr(exchange, "SLOWEST_BODY_S", 0.2)
    method = "GET" if path == JWKS else "POST"
    answer = raw(caller.server, head(caller, path, "content-length: 50", method=method) + b'{"to"')
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error_code"] == "IDAAS.SDK.PARAM.0000"


def test_whoever_leaves_early_leaves_nothing_behind(caller):
    before = caller.server.digest()
    sent = head(caller, SEND, "content-length: 50") + b'{"mobile"'
    assert raw(caller.server, sent, leaves=True) == b""
    for pieces in ((b"zz\r\n",), (b'5\r\n{"to"\r\n', b"garbage"), (b"-1\r\n\r\n",)):
        lines = head(caller, SEND, "transfer-encoding: chunked")
        answer = raw(caller.server, lines, *pieces, leaves=True)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
    assert caller.server.digest() == before


def head(caller, path, *lines, method="POST"):
    headers = [f"{name}: {value}" for name, value in caller.headers().items()]
    first = f"{method} {path} HTTP/1.1"
    return "\r\n".join([first, "host: x", *headers, *lines, "", ""]).encode()


@pytest.mark.parametrize(
    "name",
    ["X-operating-sys-version", "X-device-fingerprint", "X-agent", "X-client-id", "Content-Type",
     "Authorization"],
)  # fmt: skip
def test_a_header_that_decides_comes_once(caller, name):
    """Two proxies could each believe another one of two."""
    bank, path = device(caller.server, "here"), MOBILE
    body = json.dumps({"mobile": "15200000000", "verify_code": "1"}).encode()
    headers = [*bank.headers(Authorization="Bearer x").items(), (name, "x")]
    reply = travel(bank.server, "POST", path, headers, body, shape=Reply)
    assert reply.refusal == (400, MALFORMED)


def test_a_header_may_be_long_but_not_boundless(caller):
    """A kibibyte; what is longer is no device's."""
    for name in ("X_operating_sys_version", "X_device_fingerprint", "X_agent"):
        assert caller.post(SEND, {}, **{name: "x" * 1024}).code == "USER.0004"
        assert caller.post(SEND, {}, **{name: "x" * 1025}).code == MALFORMED
    assert caller.post(SEND, {}, X_client_id="x" * 1025).code == MALFORMED
    assert caller.post(SEND, {}, X_device_ip="x" * 5000, X_tenant_id="x" * 5000).code == "USER.0004"


@pytest.mark.parametrize("value", ["é", "例子".encode(), b"\x80\xff", "😀".encode(), "a\tb", "%00"])
def test_a_header_may_hold_anything(caller, value):
    for name in ("X_operating_sys_version", "X_device_fingerprint", "X_agent", "X_L", "X_device_ip",
                 "X_tenant_id", "X_Forwarded_For", "Authorization"):  # fmt: skip
        assert (name, caller.post(SEND, {}, **{name: value}).code) == (name, "USER.0004")
    assert caller.beside(fingerprint=value).captcha()


# Pages of other hosts


@pytest.fixture(scope="module")
def shared(serving):
    with serving(**TERMS, ciam=Ciam(origins=(THERE,))) as running:
        yield running


ALLOWING = {"access-control-allow-origin", "access-control-expose-headers"}


def test_a_page_of_a_named_host_may_call(shared):
    """It may read refusals, too, and when to come back."""
    caller = device(shared)
    for reply in (caller.post(SEND, {}, Origin=THERE), caller.ask("GET", JWKS, Origin=THERE),
                  caller.ask("GET", CAPTCHA, Origin=THERE)):  # fmt: skip
        assert reply.headers["access-control-allow-origin"] == THERE
        assert "origin" in reply.headers["vary"].lower()
        exposed = reply.headers["access-control-expose-headers"]
        assert {"retry-after", "x-resend-after"} <= set(exposed.split(", "))
        assert "access-control-allow-credentials" not in reply.headers


def test_a_page_asks_first(shared):
    """The browser does: every header of the contract may be sent, for ten minutes."""
    asked = {"Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "x-l"}
    reply = device(shared).ask("OPTIONS", SEND, Origin=THERE, **asked)
    assert (reply.status, reply.body) == (204, b"")
    assert reply.headers["access-control-allow-origin"] == THERE
    assert reply.headers["access-control-allow-methods"] == "GET, POST"
    allowed = set(reply.headers["access-control-allow-headers"].split(", "))
    assert {"authorization", "content-type", "x-agent", "x-client-id", "x-device-fingerprint",
            "x-device-ip", "x-l", "x-operating-sys-version", "x-tenant-id"} <= allowed  # fmt: skip
    assert reply.headers["access-control-max-age"] == "600"


@pytest.mark.parametrize(
    "origin", ["https://shop.example.evil", "http://shop.example", "null", "", "*", THERE.upper()]
)
def test_a_page_of_another_host_may_not(shared, origin):
    """It gets its answer, which its browser keeps from it."""
    caller = device(shared)
    for reply in (caller.post(SEND, {}, Origin=origin), caller.ask("OPTIONS", SEND, Origin=origin)):
        assert not ALLOWING & set(reply.headers)
        assert reply.status in (400, 405)


def test_nobody_may_unless_named(caller):
    reply = caller.ask("OPTIONS", SEND, Origin=THERE)
    assert reply.refusal == (405, "SYSTEM.0405")
    assert not ALLOWING & set(reply.headers)
    assert not ALLOWING & set(caller.post(SEND, {}, Origin=THERE).headers)


def test_everybody_may_be_named(serving):
    with serving(**TERMS, ciam=Ciam(origins=("*",))) as running:
        caller = device(running)
        for origin in (THERE, "null"):
            reply = caller.post(SEND, {}, Origin=origin)
            assert reply.headers["access-control-allow-origin"] == origin
        assert not ALLOWING & set(caller.post(SEND, {}).headers)
