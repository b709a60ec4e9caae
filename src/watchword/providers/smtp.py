"""E-mail by SMTP: hands each mail to one relay, over a few connections that are kept open.

What a failure means hangs on when it comes. Until the text of the mail goes out, nothing was handed
over and another try is safe; once it went out, only the relay's answer says whether it was taken,
and without one the outcome is unknown. A reason holds our own words and the relay's status code,
never the relay's words: those may repeat an address.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import datetime, timedelta
from ipaddress import ip_address
from types import TracebackType
from typing import Annotated, Any, Literal

import msgspec
from aiosmtplib import SMTP, SMTPException, SMTPResponseException
from aiosmtplib.errors import SMTPAuthenticationError
from aiosmtplib.response import SMTPResponse

from watchword.domain.delivery import Receipt
from watchword.domain.message import Message, one_line
from watchword.errors import (
    ConfigInvalid,
    DeliveryFailed,
    OutcomeUnknown,
    ProviderRefused,
    ProviderUnavailable,
    RequestInvalid,
)
from watchword.ports import Clock
from watchword.providers._mail import Mail, Sender, compose, with_ascii_domain

_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_START_INPUT = 354
_CLOSING = 421
_NO_SUCH_NAME = 553
_MAILBOX_BUSY = 450
_ENHANCED = re.compile(r"4\.\d{1,3}\.\d{1,3}(?!\S)")
_OF_THE_SENDER = re.compile(r"5\.1\.[78](?!\S)")
_OF_THE_RECIPIENT = re.compile(r"4\.(?:[12]\.\d+|7\.1)")
_LOGIN_WANTED = frozenset({530, 534, 535, 538})
_DOT = re.compile(rb"(?m)^\.")
_QUIT_S = 1.0

Positive = Annotated[float, msgspec.Meta(gt=0, le=300)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`port` 0 is 587, 465 or 25, as `security` has it. `sender` is the From address; its name
    is `sender_name`, else the brand of the app. `helo` "" is the name of this machine. A
    connection that has been idle for `idle_s` is closed. `ca_file` holds the certificates to trust
    instead of the system's. It prints without its password.
    """

    host: str
    sender: str
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str = ""
    password: str = ""
    sender_name: str = ""
    timeout_s: Positive = 10.0
    connections: Annotated[int, msgspec.Meta(ge=1, le=100)] = 4
    idle_s: Positive = 30.0
    helo: str = ""
    verify: bool = True
    ca_file: str = ""

    def __post_init__(self) -> None:
        """Raises ValueError for what could never work, or would give the password away."""
        if not self.host or self.host != one_line(self.host):
            raise ValueError("host is the name or address of a relay")
        if self.sender_name != one_line(self.sender_name):
            raise ValueError("sender_name is one line, without control characters")
        if not re.fullmatch(r"[!-~]*", self.helo):
            raise ValueError("helo is a host name")
        if self.username and self.security == "none" and not _is_here(self.host):
            raise ValueError("security 'none' would send the password readable to another machine")
        if not _is_ascii_mailbox(self.sender):
            raise ValueError("sender is a mailbox, with an ASCII local part")

    def __repr__(self) -> str:
        return f"Settings(host={self.host!r}, port={self.port}, security={self.security!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("host", self.host), ("port", self.port), ("security", self.security)]


class _Reply(msgspec.Struct, frozen=True):
    """A relay's code, whether others may expect the same, and whether it is our sender that is
    refused: the same for every mail, so no fault of this one."""

    code: int
    for_all: bool = True
    of_sender: bool = False


class Smtp:
    """A Provider for e-mail. Use it on one event loop, and close it."""

    name = "smtp"
    repeats_harmlessly = False

    def __init__(self, settings: Settings, *, clock: Clock) -> None:
        """Raises ConfigInvalid when the certificates cannot be read."""
        self._settings = settings
        self._clock = clock
        self._sender = Sender(address=settings.sender, name=settings.sender_name)
        self._tls = _tls(settings)
        self._places = asyncio.Semaphore(settings.connections)
        self.most_at_once = settings.connections
        self._kept: list[tuple[SMTP, asyncio.TimerHandle]] = []
        self._goodbyes: set[asyncio.Task[None]] = set()
        # Whoever ends a hand-over from outside has to leave us time to say how far it came.
        self.timeout = timedelta(seconds=settings.timeout_s + 1)

    async def __aenter__(self) -> Smtp:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def send(self, message: Message) -> Receipt:
        """Hand over one mail, within the time-out. The receipt's reference is its Message-ID.

        Raises ProviderRefused (5xx), ProviderUnavailable (4xx, no connection, no log-in, no time)
        or OutcomeUnknown (the mail went out, and no answer came).
        """
        mail = compose(message, self._sender, self._clock())
        ends_at = asyncio.get_running_loop().time() + self._settings.timeout_s
        begins_by = (
            ends_at if message.expires_at is None else self._before(message.expires_at, ends_at)
        )
        async with self._place(begins_by):
            line = await self._ready(mail, begins_by)
            try:
                code = await _hand_over(line, mail, ends_at)
            except BaseException:
                line.close()
                raise
            self._keep(line)
        if code // 100 != 2:
            raise _failure(_Reply(code))
        return Receipt(mail.id)

    async def ready(self) -> None:
        """Connect, greet and log in, without a mail. Raises ProviderUnavailable."""
        with _in_our_words():
            async with asyncio.timeout(self._settings.timeout_s):
                self._keep(await self._connected())

    async def close(self) -> None:
        """Take leave of the relay on every kept connection."""
        while self._kept:
            line, timer = self._kept.pop()
            timer.cancel()
            self._say_goodbye(line)
        await asyncio.gather(*self._goodbyes)

    def _before(self, expires_at: datetime, ends_at: float) -> float:
        """The text of a mail begins while its code lives, or not at all."""
        left: float = (expires_at - self._clock()).total_seconds()
        return min(ends_at, asyncio.get_running_loop().time() + left)

    @asynccontextmanager
    async def _place(self, ends_at: float) -> AsyncIterator[None]:
        """No more hand-overs at once than connections."""
        with _in_our_words():
            async with asyncio.timeout_at(ends_at):
                await self._places.acquire()
        try:
            yield
        finally:
            self._places.release()

    async def _ready(self, mail: Mail, ends_at: float) -> SMTP:
        """A connection on which the relay waits for the text of this mail."""
        with _in_our_words():
            async with asyncio.timeout_at(ends_at):
                line, reply = await self._introduce(mail)
                if reply.code == _START_INPUT:
                    return line
                await self._reset(line)
        raise _failure(reply)

    async def _introduce(self, mail: Mail) -> tuple[SMTP, _Reply]:
        """Announce the mail. A kept connection may have died unnoticed; then a fresh one tries."""
        line = self._take()
        if line is not None:
            with suppress(ConnectionError):
                reply = await _announce(line, mail)
                if reply.code != _CLOSING:
                    return line, reply
        line = await self._connected()
        return line, await _announce(line, mail)

    async def _connected(self) -> SMTP:
        wanted = self._settings
        line = SMTP(
            hostname=wanted.host,
            port=wanted.port or _PORTS[wanted.security],
            username=wanted.username or None,
            password=wanted.password if wanted.username else None,
            local_hostname=wanted.helo or _own_name(),
            use_tls=wanted.security == "tls",
            start_tls=wanted.security == "starttls",
            tls_context=self._tls,
            timeout=None,
        )
        await line.connect()
        with _closed_on_failure(line):
            if line.is_ehlo_or_helo_needed:
                await line.ehlo()
        return line

    async def _reset(self, line: SMTP) -> None:
        """Make a connection usable again after a refusal, or close it."""
        with _closed_on_failure(line):
            try:
                await line.rset()
            except (SMTPException, OSError):
                line.close()
        self._keep(line)

    def _take(self) -> SMTP | None:
        """The kept connection that was used last, if one is still up."""
        while self._kept:
            line, timer = self._kept.pop()
            timer.cancel()
            if line.is_connected:
                return line
        return None

    def _keep(self, line: SMTP) -> None:
        if line.is_connected:
            loop = asyncio.get_running_loop()
            timer = loop.call_later(self._settings.idle_s, self._let_go, line)
            self._kept.append((line, timer))

    def _let_go(self, line: SMTP) -> None:
        self._kept = [kept for kept in self._kept if kept[0] is not line]
        self._say_goodbye(line)

    def _say_goodbye(self, line: SMTP) -> None:
        goodbye = asyncio.create_task(_quit(line))
        self._goodbyes.add(goodbye)
        goodbye.add_done_callback(self._goodbyes.discard)


async def _announce(line: SMTP, mail: Mail) -> _Reply:
    """Name sender and recipient and ask to go on: 354, or the code of what was refused."""
    if mail.needs_utf8 and not line.supports_extension("smtputf8"):
        return _Reply(_NO_SUCH_NAME)
    options = (b"SMTPUTF8",) if mail.needs_utf8 else ()
    with _closed_on_failure(line):
        sender = await line.execute_command(b"MAIL", b"FROM:<%b>" % mail.sender.encode(), *options)
        if sender.code // 100 != 2:
            return _Reply(sender.code, of_sender=not options)
        recipient = await line.execute_command(b"RCPT", b"TO:<%b>" % mail.recipient.encode())
        if recipient.code // 100 != 2:
            return _Reply(
                recipient.code,
                for_all=not _is_about_the_recipient(recipient),
                of_sender=_is_about_the_sender(recipient) and not options,
            )
        return _Reply((await line.execute_command(b"DATA")).code)


def _is_about_the_recipient(reply: SMTPResponse) -> bool:
    """Whether a relay that puts off a recipient is well itself: a mailbox that is full or away, or
    grey-listing (RFC 5321 4.2.3 for 450; RFC 3463 3.2, 3.3 and 3.8 where it says more)."""
    if said := _ENHANCED.match(reply.message):
        return bool(_OF_THE_RECIPIENT.fullmatch(said[0]))
    return reply.code == _MAILBOX_BUSY


def _is_about_the_sender(reply: SMTPResponse) -> bool:
    """Whether a relay that waited for a recipient refuses our sender (RFC 3463 3.2: X.1.7, X.1.8).
    X.7.1 tells nothing: it is said of recipients that it does not relay to, too."""
    return bool(_OF_THE_SENDER.match(reply.message))


async def _hand_over(line: SMTP, mail: Mail, ends_at: float) -> int:
    """Send the text. From its first byte on, only an answer tells whether the relay took it."""
    protocol = line.protocol
    if protocol is None or not protocol.is_connected:
        raise ProviderUnavailable("smtp: the relay hung up.")
    protocol.write(_DOT.sub(b"..", mail.content) + b".\r\n")
    try:
        async with asyncio.timeout_at(ends_at):
            code = (await protocol.read_response()).code
    except (SMTPException, OSError):
        raise OutcomeUnknown("smtp: the mail went out and no answer came.") from None
    if code // 100 not in (2, 4, 5):
        raise OutcomeUnknown(f"smtp {code}: the mail went out and the answer says nothing.")
    return code


async def _quit(line: SMTP) -> None:
    try:
        with suppress(SMTPException, OSError):
            await line.quit(timeout=_QUIT_S)
    finally:
        line.close()


@contextmanager
def _closed_on_failure(line: SMTP) -> Iterator[None]:
    """Of a connection that broke off in the middle of a dialogue nothing is known: close it."""
    try:
        yield
    except BaseException:
        line.close()
        raise


@contextmanager
def _in_our_words() -> Iterator[None]:
    """Whatever goes wrong before the text of a mail goes out is no fault of that mail."""
    try:
        yield
    except TimeoutError:
        raise ProviderUnavailable("smtp: the relay did not answer in time.") from None
    except SMTPAuthenticationError as error:
        raise ProviderUnavailable(f"smtp {error.code}: the relay refuses our log-in.") from None
    except SMTPResponseException as error:
        spoken = f"smtp {error.code}" if error.code > 0 else "smtp"
        raise ProviderUnavailable(f"{spoken}: the relay does not let us in.") from None
    except (SMTPException, OSError, UnicodeError) as error:
        raise ProviderUnavailable(f"smtp: {_trouble(error)}.") from None


def _trouble(error: BaseException) -> str:
    for cause in (error, error.__cause__):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "the relay's certificate is not to be trusted"
        if isinstance(cause, ssl.SSLError):
            return "the relay and we find no common TLS"
    if isinstance(error, OSError | UnicodeError):
        return "the relay cannot be reached"
    return "the relay does not offer the STARTTLS or the log-in that the settings ask for"


def _failure(reply: _Reply) -> DeliveryFailed:
    """What a refusal means: 5xx is final, unless it is the log-in that is missing, or the sender
    that is not welcome."""
    code = reply.code
    if code in _LOGIN_WANTED:
        return ProviderUnavailable(f"smtp {code}: the relay wants another log-in.")
    if code // 100 == 5 and reply.of_sender:
        return ProviderUnavailable(f"smtp {code}: the relay refuses our sender.")
    if code // 100 == 5:
        return ProviderRefused(f"smtp {code}: the relay refuses this mail.")
    return ProviderUnavailable(
        f"smtp {code}: the relay cannot take this mail now.", for_all=reply.for_all
    )


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.security == "none":
        return None
    try:
        context = ssl.create_default_context(cafile=settings.ca_file or None)
    except OSError:
        raise ConfigInvalid(
            ["providers.smtp.ca_file: no certificates can be read there."]
        ) from None
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _own_name() -> str:
    name = socket.gethostname()
    return name if re.fullmatch(r"[!-~]+", name) else "localhost"


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_ascii_mailbox(address: str) -> bool:
    try:
        return with_ascii_domain(address).isascii()
    except RequestInvalid:
        return False
