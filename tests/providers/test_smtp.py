"""Mail handed to a real SMTP server over a socket, and every way in which that can fail."""

import asyncio
import contextlib
import email
import email.policy
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import cast

import msgspec
import pytest
from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.smtp_server import SmtpServer
from watchword.domain.delivery import DeliveryState
from watchword.domain.message import Message
from watchword.errors import ConfigInvalid, OutcomeUnknown, ProviderRefused, ProviderUnavailable
from watchword.providers.smtp import Settings, Smtp

SENDER = "codes@acme.example"
HANG = "hang"
HANG_UP = "hang up"


class Relay:
    """A server that keeps what it takes, and answers each verb as its script says."""

    def __init__(self, **script):
        self.script = script
        self.loop: asyncio.AbstractEventLoop
        self.envelopes = []
        self.sessions = []
        self.transports = set()

    async def handle_MAIL(self, server, session, envelope, address, options):  # noqa: N802
        self.loop = asyncio.get_running_loop()
        self.transports.add(server.transport)
        if session not in self.sessions:
            self.sessions.append(session)
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return await self.answer(server, "MAIL")

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        envelope.rcpt_tos.append(address)
        return await self.answer(server, "RCPT")

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        self.envelopes.append(envelope)
        return await self.answer(server, "END")

    async def answer(self, server, verb):
        """A list is worked off, one answer each; anything else stays."""
        script = self.script.get(verb)
        reply = script.pop(0) if isinstance(script, list) and script else script
        if reply == HANG:
            await asyncio.Event().wait()
        if reply == HANG_UP:
            server.transport.abort()
        return reply if isinstance(reply, str) else "250 OK"

    @property
    def mails(self):
        return [
            email.message_from_bytes(envelope.original_content, policy=email.policy.default)
            for envelope in self.envelopes
        ]


class Server(SMTP):
    """Its answer to DATA itself can be scripted too."""

    async def smtp_DATA(self, arg):  # noqa: N802
        reply = self.event_handler.script.get("DATA")
        if reply == HANG_UP:
            cast(asyncio.Transport, self.transport).abort()
        elif reply:
            await self.push(reply)
        else:
            await super().smtp_DATA(arg)


class Listening(SmtpServer):
    def factory(self):
        return Server(self.handler, **self.SMTP_kwargs)

    def _trigger_server(self):
        """Port 0 was any free one; its first visitor has to know which."""
        self.port = cast(asyncio.Server, self.server).sockets[0].getsockname()[1]
        super()._trigger_server()


@contextlib.asynccontextmanager
async def listening(relay, **options):
    controller = Listening(
        relay, hostname="127.0.0.1", port=0, server_hostname="relay.example", **options
    )
    # Its start waits for its own thread, so it must not hold up this loop.
    await asyncio.to_thread(controller.start)
    try:
        yield controller.port
    finally:
        await asyncio.to_thread(controller.stop)


@contextlib.asynccontextmanager
async def carried_by(relay, clock, server=None, **settings):
    """A provider that speaks to this relay."""
    async with listening(relay, **(server or {})) as port:
        wanted = {"host": "127.0.0.1", "port": port, "sender": SENDER, "security": "none"}
        async with Smtp(Settings(**(wanted | settings)), clock=clock) as provider:
            yield provider


def message(**changes):
    words = {
        "key": "d-17",
        "channel": "email",
        "to": "Ann@Example.com",
        "text": "Acme\n\n.\n..492817\nPlease — 请勿 share.\n",
        "html": "<p>码 <code>492817</code></p>",
        "subject": "【Acme】登录验证码",
        "language": "zh-cn",
        "brand": "Acme 公司",
        "code": "492817",
    }
    return Message(**(words | changes))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate that 127.0.0.1 signed for itself, and its key, in two files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "relay.example")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return folder


@pytest.fixture
def tls(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    return context


@pytest.fixture
def trusted(certificate):
    return str(certificate / "cert.pem")


def login(name, password):
    """A server's authenticator that knows one user."""

    def authenticate(server, session, envelope, mechanism, given):
        right = (given.login, given.password) == (name.encode(), password.encode())
        return AuthResult(success=right, handled=right)

    return authenticate


async def test_a_mail_arrives_whole(clock):
    """Both bodies, every header, nothing lost to encoding or to dots."""
    relay = Relay()
    async with carried_by(relay, clock) as provider:
        receipt = await provider.send(message())
    (mail,), (envelope,) = relay.mails, relay.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == (SENDER, ["Ann@example.com"])
    assert mail["From"].addresses[0].addr_spec == SENDER
    assert mail["From"].addresses[0].display_name == "Acme 公司"
    assert mail["To"] == "Ann@example.com"
    assert mail["Subject"] == "【Acme】登录验证码"
    assert mail["Date"].datetime == clock.now
    assert mail["Message-ID"] == f"<{receipt.reference}>" == "<d-17@acme.example>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Content-Language"] == "zh-cn"
    assert mail.get_content_type() == "multipart/alternative"
    plain, html = mail.iter_parts()
    assert plain.get_content_type() == "text/plain"
    assert plain.get_content().splitlines() == message().text.splitlines()
    assert html.get_content_type() == "text/html"
    assert html.get_content().strip() == message().html
    assert {part.get_content_charset() for part in (plain, html)} == {"utf-8"}
    assert receipt.state is DeliveryState.ACCEPTED


async def test_a_mail_is_plain_ascii_on_the_wire(clock):
    """Any relay can pass it on, whatever it offers."""
    relay = Relay()
    async with carried_by(relay, clock) as provider:
        await provider.send(message())
    (envelope,) = relay.envelopes
    assert envelope.original_content.isascii()
    assert max(map(len, envelope.original_content.split(b"\r\n"))) < 998
    assert b"\n" not in envelope.original_content.replace(b"\r\n", b"")
    assert "SMTPUTF8" not in envelope.mail_options


async def test_the_same_key_gives_the_same_id(clock):
    """Whoever searches the relay's log finds every try of one delivery."""
    relay = Relay()
    async with carried_by(relay, clock) as provider:
        one, same, other, odd = [
            (await provider.send(message(key=key))).reference
            for key in ("a", "a", "b", "needs <care>\r\n")
        ]
    assert one == same != other
    assert odd.endswith("@acme.example")
    assert odd.isprintable()


async def test_a_sender_name_goes_before_the_brand(clock):
    relay = Relay()
    async with carried_by(relay, clock, sender_name="Codes, Inc.") as provider:
        await provider.send(message())
    assert relay.mails[0]["From"].addresses[0].display_name == "Codes, Inc."


@pytest.mark.parametrize("poison", ["A\r\nBcc: eve@example.com", "A\nBcc: e@x.y", "A\rBcc: e@x.y"])
async def test_no_header_can_be_slipped_in(clock, poison):
    """Neither by a brand, nor by a subject or language."""
    relay = Relay()
    async with carried_by(relay, clock) as provider:
        await provider.send(message(brand=poison, subject=poison, language=poison, key=poison))
    (mail,), (envelope,) = relay.mails, relay.envelopes
    assert "Bcc" not in mail
    assert envelope.rcpt_tos == ["Ann@example.com"]
    assert mail["Subject"].startswith("A Bcc: ")


@pytest.mark.parametrize(
    "to",
    [
        "ann@example.com\r\nBcc: eve@example.com",
        "ann@example.com>\r\nRCPT TO:<eve@example.com",
        "ann@example.com> SIZE=1",
        "ann@example.com, eve@example.com",
        "ann\x00@example.com",
        "no mailbox",
        "",
    ],
)
async def test_no_command_can_be_slipped_in(clock, to):
    """What is no single mailbox never reaches the relay."""
    relay = Relay()
    async with carried_by(relay, clock) as provider:
        with pytest.raises(ProviderRefused):
            await provider.send(message(to=to))
    assert relay.sessions == []


async def test_a_domain_travels_in_punycode(clock):
    """It needs nothing of the relay."""
    relay = Relay()
    async with carried_by(relay, clock) as provider:
        await provider.send(message(to="Ann@Bücher.example"))
    (envelope,) = relay.envelopes
    assert envelope.rcpt_tos == ["Ann@xn--bcher-kva.example"]
    assert "SMTPUTF8" not in envelope.mail_options


async def test_a_local_part_outside_ascii_asks_for_smtputf8(clock):
    relay = Relay()
    async with carried_by(relay, clock) as provider:
        await provider.send(message(to="用户@bücher.example"))
    (mail,), (envelope,) = relay.mails, relay.envelopes
    assert envelope.rcpt_tos == ["用户@xn--bcher-kva.example"]
    assert "SMTPUTF8" in envelope.mail_options
    assert "用户@xn--bcher-kva.example".encode() in envelope.original_content
    assert mail["Subject"] == "【Acme】登录验证码"


async def test_a_relay_without_smtputf8_cannot_take_it(clock):
    """Final, and said before anything is sent; the connection stays useful."""
    relay = Relay()
    async with carried_by(relay, clock, {"enable_SMTPUTF8": False}) as provider:
        with pytest.raises(ProviderRefused, match="smtp 553"):
            await provider.send(message(to="用户@example.com"))
        await provider.send(message())
    assert len(relay.mails) == 1


async def test_a_quoted_local_part_is_served(clock):
    relay = Relay()
    async with carried_by(relay, clock) as provider:
        await provider.send(message(to='"ann smith"@example.com'))
    assert relay.envelopes[0].rcpt_tos == ['"ann smith"@example.com']


async def test_a_mail_goes_by_starttls(clock, tls, trusted):
    relay = Relay()
    server = {"tls_context": tls, "require_starttls": True}
    async with carried_by(relay, clock, server, security="starttls", ca_file=trusted) as provider:
        await provider.send(message())
    assert relay.sessions[0].ssl is not None


async def test_a_mail_goes_by_tls(clock, tls, trusted):
    relay = Relay()
    async with carried_by(
        relay, clock, {"ssl_context": tls}, security="tls", ca_file=trusted
    ) as provider:
        await provider.send(message())
    assert len(relay.mails) == 1


@pytest.mark.parametrize(
    ("security", "option"), [("starttls", "tls_context"), ("tls", "ssl_context")]
)
async def test_a_certificate_that_is_not_trusted_is_not_used(clock, tls, security, option):
    """Unless the settings say not to verify."""
    relay = Relay()
    async with carried_by(relay, clock, {option: tls}, security=security) as provider:
        with pytest.raises(ProviderUnavailable, match="certificate is not to be trusted"):
            await provider.send(message())
    assert relay.mails == []
    async with carried_by(relay, clock, {option: tls}, security=security, verify=False) as provider:
        await provider.send(message())
    assert len(relay.mails) == 1


async def test_a_relay_without_starttls_gets_no_mail(clock):
    """Nobody in between can talk us out of encryption."""
    relay = Relay()
    async with carried_by(relay, clock, security="starttls") as provider:
        with pytest.raises(ProviderUnavailable, match="does not offer"):
            await provider.send(message())
    assert relay.sessions == []


@pytest.mark.parametrize("password", ["right", "wrong-password"])
async def test_a_relay_lets_in_whoever_has_the_password(clock, tls, trusted, password):
    """A wrong password is our mistake, so that no message is given up for it."""
    relay = Relay()
    server = {
        "tls_context": tls,
        "auth_required": True,
        "authenticator": login("watchword", "right"),
    }
    settings = {"security": "starttls", "ca_file": trusted, "username": "watchword"}
    async with carried_by(relay, clock, server, password=password, **settings) as provider:
        if password == "right":
            await provider.send(message())
            assert len(relay.mails) == 1
        else:
            with pytest.raises(ProviderUnavailable, match=r"smtp 535: .* log-in") as refused:
                await provider.send(message())
            assert "wrong-password" not in str(refused.value)


async def test_a_relay_that_wants_a_log_in_burns_no_message(clock, tls, trusted):
    relay = Relay()
    server = {"tls_context": tls, "auth_required": True, "authenticator": login("a", "b")}
    async with carried_by(relay, clock, server, security="starttls", ca_file=trusted) as provider:
        with pytest.raises(ProviderUnavailable, match="smtp 530"):
            await provider.send(message())


@pytest.mark.parametrize("verb", ["RCPT", "DATA", "END"])
@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ("550 no <ann@example.com> here", ProviderRefused),
        ("451 later, ann@example.com", ProviderUnavailable),
        ("421 closing", ProviderUnavailable),
    ],
)
async def test_a_refusal_is_final_or_not_as_its_code_says(clock, verb, reply, error):
    """At each stage that is about one mail; the reason is the code and our own words, never the
    relay's."""
    relay = Relay(**{verb: reply})
    async with carried_by(relay, clock) as provider:
        with pytest.raises(error, match=f"^smtp {reply[:3]}: ") as refused:
            await provider.send(message())
        assert "ann@" not in str(refused.value)
        assert type(refused.value) is error
        relay.script.clear()
        await provider.send(message())
    assert len(relay.mails) == (2 if verb == "END" else 1)


@pytest.mark.parametrize(
    ("verb", "reply"),
    [
        ("MAIL", "553 5.7.1 not yours"),
        ("MAIL", "553 not yours"),
        ("RCPT", "553 5.1.8 that domain is none"),
        ("RCPT", "553 5.1.7 that is no address"),
    ],
)
async def test_a_relay_that_refuses_our_sender_burns_no_message(clock, verb, reply):
    """All mails have the same one, so it is our mistake, or the relay's. Many say so only when they
    hear the recipient."""
    async with carried_by(Relay(**{verb: reply}), clock) as provider:
        with pytest.raises(ProviderUnavailable, match=r"smtp 553: .* our sender") as refused:
            await provider.send(message())
        assert refused.value.for_all
        with pytest.raises(ProviderRefused, match="smtp 553"):
            await provider.send(message(to="用户@example.com"))


@pytest.mark.parametrize(
    ("verb", "reply", "for_all"),
    [
        ("RCPT", "450 mailbox busy", False),
        ("RCPT", "450 4.2.0 <ann@example.com>: grey-listed", False),
        ("RCPT", "451 4.7.1 grey-listed", False),
        ("RCPT", "452 4.2.2 mailbox full", False),
        ("RCPT", "450 4.1.1 unverified address", False),
        ("RCPT", "450 4.7.0 too many mails from your address", True),
        ("RCPT", "451 4.3.5 server configuration problem", True),
        ("RCPT", "452 no space", True),
        ("RCPT", "451 4.2", True),
        ("MAIL", "450 4.2.0 not you", True),
        ("DATA", "450 4.2.0 not now", True),
        ("END", "450 4.2.0 not this", True),
    ],
)
async def test_a_recipient_who_is_put_off_says_nothing_of_others(clock, verb, reply, for_all):
    async with carried_by(Relay(**{verb: reply}), clock) as provider:
        with pytest.raises(ProviderUnavailable) as put_off:
            await provider.send(message())
    assert put_off.value.for_all is for_all


async def test_a_refusal_keeps_the_connection(clock):
    relay = Relay(RCPT=["550 no", "250 OK"])
    async with carried_by(relay, clock) as provider:
        with pytest.raises(ProviderRefused):
            await provider.send(message())
        await provider.send(message())
    assert len(relay.sessions) == 1


async def test_a_connection_is_used_again(clock):
    relay = Relay()
    async with carried_by(relay, clock) as provider:
        for _ in range(5):
            await provider.send(message())
    assert len(relay.sessions) == 1
    assert len(relay.mails) == 5


async def test_connections_are_few(clock):
    """However many mails there are at once."""
    relay = Relay()
    async with carried_by(relay, clock, connections=2) as provider:
        await asyncio.gather(*(provider.send(message()) for _ in range(20)))
    assert len(relay.mails) == 20
    assert len(relay.sessions) <= 2


async def test_a_kept_connection_that_was_closed_is_replaced(clock):
    """A relay may hang up between two mails."""
    relay = Relay()
    async with carried_by(relay, clock) as provider:
        await provider.send(message())
        (line, _), *_ = provider._kept
        gone = lost(line)
        for transport in relay.transports:
            relay.loop.call_soon_threadsafe(transport.abort)
        await asyncio.wait_for(gone.wait(), 5)
        await provider.send(message())
    assert len(relay.sessions) == 2
    assert len(relay.mails) == 2


def lost(line):
    """Set once this connection is known to be closed, by whichever side."""
    gone = asyncio.Event()
    close = line.close

    def close_and_tell():
        close()
        gone.set()

    line.close = close_and_tell
    return gone


@pytest.mark.parametrize("reply", [HANG_UP, "421 idle for too long"])
async def test_a_kept_connection_that_died_unnoticed_costs_no_mail(clock, reply):
    """Found when the next mail is announced: nothing was handed over, so a fresh one tries."""
    relay = Relay(MAIL=["250 OK", reply, "250 OK"])
    async with carried_by(relay, clock) as provider:
        await provider.send(message())
        await provider.send(message())
    assert len(relay.sessions) == 2
    assert len(relay.mails) == 2


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
async def test_a_fresh_connection_that_dies_gets_no_second_try(clock, verb):
    """That is for the queue to decide, later; and so it may, as nothing was handed over."""
    relay = Relay(**{verb: HANG_UP})
    async with carried_by(relay, clock) as provider:
        with pytest.raises(ProviderUnavailable, match="cannot be reached"):
            await provider.send(message())
    assert len(relay.sessions) == 1


@pytest.mark.parametrize("reply", [HANG, HANG_UP, "gibberish", "354 more?"])
async def test_no_answer_to_a_whole_mail_is_an_unknown_outcome(clock, reply):
    """It may have been taken: another try could deliver it twice."""
    relay = Relay(END=reply)
    async with carried_by(relay, clock, timeout_s=1.5) as provider:
        with pytest.raises(OutcomeUnknown):
            await provider.send(message())
        assert provider._kept == []
        relay.script.clear()
        await provider.send(message())
    assert len(relay.mails) == 2


@pytest.mark.parametrize("verb", ["MAIL", "RCPT"])
async def test_a_relay_that_hangs_is_unavailable(clock, verb):
    relay = Relay(**{verb: HANG})
    async with carried_by(relay, clock, timeout_s=0.2) as provider:
        with pytest.raises(ProviderUnavailable, match="in time"):
            await provider.send(message())
        assert provider._kept == []


async def test_a_relay_that_never_greets_is_unavailable(clock):
    """Whoever ends hand-overs from outside comes later than our own time-out."""
    async with answering(b"") as port:
        settings = Settings(
            host="127.0.0.1", port=port, sender=SENDER, security="none", timeout_s=0.2
        )
        async with Smtp(settings, clock=clock) as provider:
            with pytest.raises(ProviderUnavailable, match="in time"):
                await provider.send(message())
            assert provider.timeout > timedelta(seconds=0.2)


@contextlib.asynccontextmanager
async def answering(greeting):
    """A server that says this to its one visitor, if anything, and then only listens."""
    visited = asyncio.get_running_loop().create_future()

    async def visit(reader, writer):
        writer.write(greeting)
        await reader.read()
        writer.close()
        await writer.wait_closed()
        visited.set_result(None)

    async with await asyncio.start_server(visit, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.wait_for(visited, 5)


async def test_waiting_for_a_connection_counts_as_time(clock):
    """A slow relay fills no queue that nobody sees."""
    relay = Relay(MAIL=HANG)
    async with carried_by(relay, clock, timeout_s=0.2, connections=1) as provider:
        outcomes = await asyncio.gather(
            *(provider.send(message()) for _ in range(3)), return_exceptions=True
        )
    assert {type(outcome) for outcome in outcomes} == {ProviderUnavailable}


@pytest.mark.parametrize("host", ["127.0.0.1", "relay.invalid", "bad..host"])
async def test_a_relay_that_is_not_there_is_unavailable(clock, host):
    settings = Settings(host=host, port=1, sender=SENDER, security="none")
    async with Smtp(settings, clock=clock) as provider:
        with pytest.raises(ProviderUnavailable, match="cannot be reached"):
            await provider.send(message())


@pytest.mark.parametrize("greeting", [b"554 go away\r\n", b"421 busy\r\n", b"HTTP/1.1 400 Bad\r\n"])
async def test_a_relay_that_does_not_let_us_in_burns_no_message(clock, greeting):
    async with answering(greeting) as port:
        settings = Settings(host="127.0.0.1", port=port, sender=SENDER, security="none")
        async with Smtp(settings, clock=clock) as provider:
            with pytest.raises(ProviderUnavailable, match=r"^smtp"):
                await provider.send(message())


async def test_an_idle_connection_is_closed(clock):
    """With a QUIT, as is polite."""
    relay = Relay()
    async with carried_by(relay, clock, idle_s=0.05) as provider:
        await provider.send(message())
        (line, _), *_ = provider._kept
        await asyncio.wait_for(lost(line).wait(), 5)
        assert provider._kept == []
        await provider.send(message())
    assert len(relay.sessions) == 2


async def test_closing_leaves_no_connection(clock):
    relay = Relay()
    async with carried_by(relay, clock) as provider:
        await asyncio.gather(*(provider.send(message()) for _ in range(4)))
        lines = [line for line, _ in provider._kept]
        await provider.close()
        assert lines
        assert not any(line.is_connected for line in lines)


async def test_who_gives_up_leaves_no_half_dialogue_behind(clock):
    """A cancelled hand-over closes its connection; the next mail starts afresh."""
    relay = Relay(RCPT=HANG)
    async with carried_by(relay, clock) as provider:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await provider.send(message())
        assert provider._kept == []
        relay.script.clear()
        await provider.send(message())
    assert len(relay.mails) == 1


def test_settings_print_no_password():
    settings = Settings(host="relay.example", sender=SENDER, username="me", password="s3cret")
    for shown in (repr(settings), f"{settings}", str(settings.__rich_repr__())):
        assert "s3cret" not in shown
        assert "relay.example" in shown


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"sender": "Codes <codes@acme.example>"}, "sender"),
        ({"sender": "codes@acme.example\r\nBcc: eve@example.com"}, "sender"),
        ({"sender": "用户@acme.example"}, "sender"),
        ({"sender_name": "Codes\r\nBcc: eve@example.com"}, "sender_name"),
        ({"host": ""}, "host"),
        ({"host": "relay\r\n"}, "host"),
        ({"helo": "me NOOP"}, "helo"),
        ({"port": 70000}, "port"),
        ({"security": "maybe"}, "security"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"connections": 0}, "connections"),
        ({"security": "none", "username": "me"}, "readable to another machine"),
        ({"colour": "blue"}, "colour"),
    ],
)
def test_settings_that_cannot_work_are_refused(wrong, complaint):
    """At the door, by name."""
    good = {"host": "relay.example", "sender": SENDER}
    assert msgspec.convert(good, Settings).security == "starttls"
    with pytest.raises(msgspec.ValidationError, match=complaint):
        msgspec.convert(good | wrong, Settings)


def test_certificates_that_cannot_be_read_are_a_mistake_in_the_settings(clock, tmp_path):
    settings = Settings(host="relay.example", sender=SENDER, ca_file=str(tmp_path / "none.pem"))
    with pytest.raises(ConfigInvalid, match="ca_file"):
        Smtp(settings, clock=clock)


@contextlib.asynccontextmanager
async def dawdling(answers):
    """A relay on this loop that takes its time with its first word; what it was told."""
    told, loop = [], asyncio.get_running_loop()

    async def attend(reader, writer):
        may_greet = asyncio.Event()
        loop.call_later(answers.total_seconds(), may_greet.set)
        await may_greet.wait()
        reply = b"220 relay.example"
        with contextlib.suppress(ConnectionError):
            while reply:
                writer.write(reply + b"\r\n")
                told.append(line := await reader.readline())
                if line == b"DATA\r\n":
                    writer.write(b"354 go on\r\n")
                    await reader.readuntil(b"\r\n.\r\n")
                reply = b"250 OK" if line else b""
        writer.close()
        ended.set()

    ended = asyncio.Event()
    server = await asyncio.start_server(attend, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], told
        await asyncio.wait_for(ended.wait(), 10)
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(("lives", "arrives"), [(0.1, False), (60, True)])
async def test_a_mail_whose_code_expired_while_the_relay_dawdled_is_not_sent(clock, lives, arrives):
    async with dawdling(timedelta(seconds=0.3)) as (port, told):
        settings = Settings(host="127.0.0.1", port=port, sender=SENDER, security="none")
        async with Smtp(settings, clock=clock) as provider:
            mail = message(expires_at=clock.now + timedelta(seconds=lives))
            if arrives:
                await provider.send(mail)
            else:
                with pytest.raises(ProviderUnavailable):
                    await provider.send(mail)
    assert (b"DATA\r\n" in told) is arrives


async def test_a_mail_whose_code_is_dead_already_is_not_sent(clock):
    """Not over a connection that is kept ready either."""
    relay = Relay()
    async with carried_by(relay, clock) as provider:
        await provider.send(message())
        with pytest.raises(ProviderUnavailable):
            await provider.send(message(expires_at=clock.now))
    assert len(relay.mails) == 1
