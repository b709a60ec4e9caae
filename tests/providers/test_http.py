"""The shared HTTP client against servers on real sockets, well-behaved and otherwise."""

import asyncio
import gzip
import json
import socket
import ssl
import threading
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.doors import rounds, shut
from watchword.errors import OutcomeUnknown, ProviderUnavailable
from watchword.providers._http import (
    LONGEST_REPLY,
    Http,
    Place,
    _Guarded,
    is_public,
    place_of,
    segment,
)

DEADLINE_S = 10
SHORT_S = 1.0  # though long enough to connect on a busy machine
PAUSE_S = 0.01
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Answers every request with the same bytes, in as many pieces as there are, and keeps what it
    was asked. None in between is a wait for the client to go away; with `hangs_up` it goes first.
    """

    def __init__(self, *pieces, hangs_up=False):
        self.pieces = pieces
        self.hangs_up = hangs_up
        self.asked = []
        self.connections = 0
        self.came = asyncio.Event()
        self.left = asyncio.Event()
        self.port = 0

    async def attend(self, reader, writer):
        self.connections += 1
        try:
            while (request := await self.read(reader)) is not None:
                self.asked.append(request)
                self.came.set()
                await self.answer(reader, writer)
        except ConnectionError:
            pass
        finally:
            self.left.set()
            writer.close()

    async def read(self, reader):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
        length = next(
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        )
        return head.decode(), await reader.readexactly(length)

    async def answer(self, reader, writer):
        for piece in self.pieces:
            if piece is None:
                await reader.read()
            else:
                writer.write(piece)
                await writer.drain()
        if self.hangs_up:
            writer.close()

    def place(self, host="127.0.0.1", scheme="http"):
        return Place(scheme=scheme, host=host, port=self.port)

    async def has_left(self):
        async with asyncio.timeout(DEADLINE_S):
            await self.left.wait()


class Trickle(Server):
    """Sends a byte now and then, for ever."""

    async def answer(self, reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(PAUSE_S)


@asynccontextmanager
async def serving(server, *, host="127.0.0.1", tls=None):
    listening = await asyncio.start_server(server.attend, host, 0, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        await shut(listening)
        await rounds()


@asynccontextmanager
async def speaking(place, **terms):
    usual = {"name": "acme", "timeout": timedelta(seconds=DEADLINE_S), "allow_private": True}
    http = Http(place, **{**usual, **terms})
    try:
        yield http
    finally:
        await http.close()


async def test_a_form_goes_out_encoded():
    async with serving(Server(OK)) as server, speaking(server.place()) as http:
        reply = await http.post("/sms", form={"to": "+8615200000000", "text": "a&b=c\r\né"})
    assert (reply.status, reply.body) == (200, b"ok")
    ((head, body),) = server.asked
    assert head.startswith("POST /sms HTTP/1.1\r\n")
    assert "Content-Type: application/x-www-form-urlencoded\r\n" in head
    assert body == b"to=%2B8615200000000&text=a%26b%3Dc%0D%0A%C3%A9"


async def test_a_value_goes_out_as_json():
    async with serving(Server(OK)) as server, speaking(server.place()) as http:
        await http.post(json={"to": ["é"]}, headers={"Authorization": "Bearer k"})
    ((head, body),) = server.asked
    assert head.startswith("POST / HTTP/1.1\r\n")
    assert "Content-Type: application/json\r\n" in head
    assert "Authorization: Bearer k\r\n" in head
    assert json.loads(body) == {"to": ["é"]}


async def test_the_server_is_called_by_its_name_and_asked_for_plain_bytes():
    async with serving(Server(OK)) as server, speaking(server.place("localhost")) as http:
        await http.post(form={})
    ((head, _),) = server.asked
    assert f"Host: localhost:{server.port}\r\n" in head
    assert "Accept-Encoding: identity\r\n" in head


@pytest.mark.parametrize(
    ("address", "called"),
    [
        ("https://a.example:443/", "a.example"),
        ("https://a.example:80/", "a.example:80"),
        ("https://[2606::1]/", "[2606::1]"),
        ("https://[2606::1]:8443/", "[2606::1]:8443"),
    ],
)
def test_a_server_is_called_by_its_port_where_that_is_not_the_usual_one(address, called):
    assert place_of(address).authority == called


async def test_a_connection_is_kept_and_a_cookie_is_not():
    cookie = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"
    async with serving(Server(cookie)) as server:
        async with speaking(server.place()) as http:
            await http.post(form={})
            await http.post(form={})
        await server.has_left()
    assert server.connections == 1
    assert not any("cookie" in head.lower() for head, _ in server.asked)


async def test_no_proxy_is_taken_from_the_environment(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with serving(Server(OK)) as server, speaking(server.place()) as http:
        assert (await http.post(form={})).status == 200


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_and_not_an_order(status):
    async with serving(Server(OK)) as elsewhere:
        there = f"http://127.0.0.1:{elsewhere.port}/".encode()
        redirect = b"HTTP/1.1 %d Go\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % (status, there)
        async with serving(Server(redirect)) as server, speaking(server.place()) as http:
            assert (await http.post(form={"secret": "s"})).status == status
    assert elsewhere.connections == 0


def sized(length, extra=b""):
    return b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n" % (extra, length)


async def test_an_answer_of_64_kib_is_read():
    long = Server(sized(LONGEST_REPLY), b"x" * LONGEST_REPLY)
    async with serving(long) as server, speaking(server.place()) as http:
        assert len((await http.post(form={})).body) == 64 * 1024


PACKED = gzip.compress(b"x" * 1_000_000)
CHUNK = b"1000\r\n" + b"x" * 0x1000 + b"\r\n"
UNREADABLE = {
    "longer than 64 KiB": (sized(LONGEST_REPLY + 1), b"x" * (LONGEST_REPLY + 1)),
    "a gigabyte": (sized(2**30), b"x" * (LONGEST_REPLY + 1), None),
    "without an end": (b"HTTP/1.1 200 OK\r\n\r\n", *[CHUNK] * 20, None),
    "in chunks without an end": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        *[CHUNK] * 20,
        None,
    ),
    "packed": (sized(len(PACKED), b"content-encoding: gzip\r\n"), PACKED),
    "endless headers": (b"HTTP/1.1 200 OK\r\n", *[b"X-More: " + b"x" * 1000 + b"\r\n"] * 300, None),
    "no HTTP": (b"220 mail.example ESMTP\r\n\r\n",),
    "cut off": (sized(10), b"x"),
    "none": (),
}
HANGING_UP = (UNREADABLE["cut off"], UNREADABLE["none"])


@pytest.mark.parametrize("pieces", UNREADABLE.values(), ids=UNREADABLE)
async def test_an_answer_that_cannot_be_read_leaves_the_outcome_unknown(pieces):
    """Its connection is given up at once, however much would still come."""
    server = Server(*pieces, hangs_up=pieces in HANGING_UP)
    async with serving(server), speaking(server.place()) as http:
        with pytest.raises(OutcomeUnknown, match=r"^acme: the request went out") as unknown:
            await http.post(form={})
        await server.has_left()
    assert "ESMTP" not in str(unknown.value)


async def test_a_trickle_ends_with_the_time():
    """The time bounds the whole exchange, not the wait for the next byte."""
    async with (
        serving(Trickle()) as server,
        speaking(server.place(), timeout=timedelta(seconds=SHORT_S)) as http,
    ):
        async with asyncio.timeout(DEADLINE_S / 2):
            with pytest.raises(OutcomeUnknown, match="in time"):
                await http.post(form={})
        await server.has_left()


async def test_a_silent_server_is_given_up():
    async with (
        serving(Server(b"", None)) as server,
        speaking(server.place(), timeout=timedelta(seconds=SHORT_S)) as http,
    ):
        async with asyncio.timeout(DEADLINE_S / 2):
            with pytest.raises(OutcomeUnknown, match="in time"):
                await http.post(form={})
        await server.has_left()


async def test_whoever_waits_for_a_free_connection_in_vain_has_sent_nothing():
    async with (
        serving(Server(sized(1), None)) as server,
        speaking(server.place(), timeout=timedelta(seconds=10 * PAUSE_S), connections=1) as http,
        http._pool.stream("POST", http._url(""), content=b""),
    ):
        with pytest.raises(ProviderUnavailable, match="in time"):
            await http.post(form={})
    assert len(server.asked) == 1


async def test_an_exchange_that_is_broken_off_leaves_no_connection():
    async with serving(Server(b"HTTP/1.1 ", None)) as server, speaking(server.place()) as http:
        posting = asyncio.create_task(http.post(form={}))
        async with asyncio.timeout(DEADLINE_S):
            await server.came.wait()
        posting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await posting
        await server.has_left()


async def test_where_nobody_listens_nothing_was_sent():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with speaking(Place(scheme="http", host="127.0.0.1", port=port)) as http:
        with pytest.raises(ProviderUnavailable, match="cannot be reached"):
            await http.post(form={})


@pytest.mark.parametrize("host", ["nobody.invalid", "a" * 64 + ".example", "a..b", "[", "x\\y"])
async def test_a_name_that_gives_nothing_is_trouble_and_nothing_worse(host):
    async with speaking(Place(scheme="http", host=host, port=80)) as http:
        with pytest.raises(ProviderUnavailable):
            await http.post(form={})


async def test_a_header_that_cannot_be_sent_was_not_sent():
    async with serving(Server(OK)) as server, speaking(server.place()) as http:
        with pytest.raises(ProviderUnavailable):
            await http.post(form={}, headers={"Authorization": "a\r\nX-More: b"})
    assert server.asked == []


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "0", "::1", "::ffff:127.0.0.1"],
)
async def test_a_private_address_needs_leave_whatever_it_is_called(host):
    """Nobody is connected to: it is not the answer that is refused."""
    async with (
        serving(Server(OK)) as server,
        speaking(server.place(host), allow_private=False) as http,
    ):
        with pytest.raises(ProviderUnavailable, match="allow_private is not set"):
            await http.post(form={})
    assert server.connections == 0


def resolving(monkeypatch, *answers):
    """A name server that says each of these once, in turn; how often it was asked."""
    left = list(answers)

    def getaddrinfo(host, port, **_):
        return [(0, 0, 0, "", (address, port)) for address in left.pop(0)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return left


async def test_a_name_is_asked_for_once_and_what_it_gave_is_connected_to(monkeypatch):
    """So there is no second answer, after ours was looked at, that could lead elsewhere."""
    async with serving(Server(OK)) as server, speaking(server.place("shop.example")) as http:
        left = resolving(monkeypatch, ["127.0.0.1"], ["127.0.0.9"])
        assert (await http.post(form={})).status == 200
    assert left == [["127.0.0.9"]]


async def test_a_silent_name_server_holds_up_nobody_else(monkeypatch):
    """Whoever speaks to that service is told in time, and shares one question; names of others are
    looked up meanwhile, by the event loop's own few threads."""
    asked, answering, system = [], threading.Event(), socket.getaddrinfo

    def getaddrinfo(host, *at, **more):
        if host != "silent.example":
            return system(host, *at, **more)
        asked.append(host)
        answering.wait(DEADLINE_S)
        raise socket.gaierror(socket.EAI_AGAIN, "silent")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    place = Place(scheme="http", host="silent.example", port=80)
    terms = {"timeout": timedelta(seconds=0.05), "connections": 40}
    try:
        async with speaking(place, **terms) as http, asyncio.timeout(DEADLINE_S / 2):
            asking = [http.post(form={}) for _ in range(40)]
            failures = await asyncio.gather(*asking, return_exceptions=True)
            assert {str(each) for each in failures} == {"acme: it cannot be reached in time."}
            assert await asyncio.get_running_loop().getaddrinfo("localhost", 80)
            assert asked == ["silent.example"]
    finally:
        answering.set()


async def test_the_next_address_is_tried_where_one_is_dead(monkeypatch):
    async with serving(Server(OK)) as server, speaking(server.place("shop.example")) as http:
        resolving(monkeypatch, ["127.0.0.2", "127.0.0.1"])
        assert (await http.post(form={})).status == 200


async def test_of_mixed_addresses_only_the_public_ones_are_tried(monkeypatch):
    resolving(monkeypatch, ["10.0.0.1", "93.184.215.14", "::1", "2606:2800:21f::1"], ["10.0.0.1"])
    guarded = _Guarded(allow_private=False)
    assert await guarded._addresses("shop.example", 443) == ["93.184.215.14", "2606:2800:21f::1"]
    with pytest.raises(OSError):  # noqa: PT011  (it is one of ours, without a text)
        await guarded._addresses("shop.example", 443)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """One that nobody trusts yet, for localhost."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    today = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


def shown(certificate):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


async def test_a_certificate_is_held_against_the_name_and_not_the_address(certificate):
    trust = ssl.create_default_context(cafile=str(certificate))
    async with serving(Server(OK), tls=shown(certificate)) as server:
        async with speaking(server.place("localhost", "https"), tls=trust) as http:
            assert (await http.post(form={})).body == b"ok"
        async with speaking(server.place("127.0.0.1", "https"), tls=trust) as http:
            with pytest.raises(ProviderUnavailable, match="certificate"):
                await http.post(form={})


async def test_a_stranger_with_a_certificate_of_his_own_is_told_nothing(certificate):
    async with (
        serving(Server(OK), tls=shown(certificate)) as server,
        speaking(server.place("localhost", "https")) as http,
    ):
        with pytest.raises(ProviderUnavailable, match="certificate"):
            await http.post(form={"secret": "s"})
    assert server.asked == []


PRIVATE = [
    "0.0.0.0",  # noqa: S104
    "0.1.2.3",
    "10.1.2.3",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.0.1",
    "168.63.129.16",
    "169.254.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "3fff::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]
PUBLIC = [
    "1.1.1.1",
    "93.184.215.14",
    "100.63.255.255",
    "100.128.0.1",
    "172.32.0.1",
    "::ffff:1.1.1.1",
    "64:ff9b::1.1.1.1",
    "2606:4700:4700::1111",
    "2002:101:101::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_somebodys_own_is_private(address):
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_what_anybody_may_reach_is_public(address):
    assert is_public(ip_address(address))


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
@settings(deadline=None)
def test_an_ipv4_address_in_ipv6_clothes_is_what_it_was(address):
    for clothes in ("::ffff:0:0", "64:ff9b::"):
        assert is_public(IPv6Address(int(IPv6Address(clothes)) + int(address))) is is_public(
            address
        )


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("https://a.example", Place(scheme="https", host="a.example", port=443)),
        (
            "https://A.example:8443/v2",
            Place(scheme="https", host="a.example", port=8443, path="/v2"),
        ),
        ("http://[::1]:80/", Place(scheme="http", host="::1", port=80, path="/")),
    ],
)
def test_an_address_says_where_a_service_is(address, place):
    assert place_of(address, allow_private=True) == place


@pytest.mark.parametrize(
    "address",
    [
        "",
        "a.example",
        "//a.example",
        "ftp://a.example",
        "https://",
        "https://:443",
        "https://user@a.example",
        "https://user:password@a.example/",
        "https://a.example/?to=b",
        "https://a.example/#b",
        "https://a.example:port/",
        "https://a.example:99999/",
        "https://[::1/",
        "https://a.example/ b",
        "https://a.example/\r\nHost: b",
        "https://例え.example",
    ],
)
def test_what_is_no_address_of_a_service_is_refused(address):
    with pytest.raises(ValueError, match=r"."):
        place_of(address, allow_private=True)


def test_only_within_our_own_network_may_a_secret_go_readable():
    with pytest.raises(ValueError, match="allow_private"):
        place_of("http://a.example")


@given(st.text() | st.text().map("https://{}".format))
@settings(deadline=None)
def test_an_address_is_read_or_refused(address):
    try:
        place_of(address)
    except ValueError:
        return
    assert address.startswith("https://")


@given(st.text(st.characters(exclude_categories=["Cs"])))
@settings(deadline=None)
def test_a_value_stays_within_its_segment_of_a_path(value):
    try:
        written = segment(value)
    except ValueError:
        assert value in ("", ".", "..")
        return
    assert written.isascii()
    assert not set(written) & set("/?#% ") - {"%"}
