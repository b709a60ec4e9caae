"""A message written as a mail: two bodies, honest headers, and nothing that breaks out of one."""

from __future__ import annotations

import re
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from hashlib import sha256
from typing import Any

import msgspec

from watchword.domain.destination import mailbox
from watchword.domain.message import Message, one_line
from watchword.errors import ProviderRefused, RequestInvalid

_PLAIN = SMTP.clone(cte_type="7bit")
_INTERNATIONAL = _PLAIN.clone(utf8=True)
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Sender(msgspec.Struct, frozen=True, kw_only=True):
    """Who a mail comes from; without a `name` the message's brand is shown."""

    address: str
    name: str = ""


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """Envelope and content as they go over the wire. `needs_utf8` where the relay has to speak
    SMTPUTF8: a local part outside ASCII asks for it, nothing else. It prints its id alone."""

    id: str
    sender: str
    recipient: str
    content: bytes
    needs_utf8: bool

    def __repr__(self) -> str:
        return f"Mail(id={self.id!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("id", self.id)]


def compose(message: Message, sender: Sender, at: datetime) -> Mail:
    """Write the mail; the same message key always gives the same id.

    Raises ProviderRefused for an address that no mail can be written to.
    """
    try:
        recipient = with_ascii_domain(message.to)
        address = _address(recipient)
    except (RequestInvalid, ValueError):
        raise ProviderRefused("No mail can be written to this address.") from None
    own = with_ascii_domain(sender.address)
    letter = EmailMessage(policy=_PLAIN if recipient.isascii() else _INTERNATIONAL)
    letter["From"] = _address(own, one_line(sender.name or message.brand))
    letter["To"] = address
    letter["Subject"] = one_line(message.subject)
    letter["Date"] = at
    letter["Message-ID"] = f"<{_token(message.key)}@{own.rpartition('@')[2]}>"
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content(message.text)
    if message.html:
        letter.add_alternative(message.html, subtype="html")
    # Only now: what becomes multipart gives the Content headers that it has to its first part.
    letter["Content-Language"] = one_line(message.language)
    return Mail(
        id=str(letter["Message-ID"]).strip("<>"),
        sender=own,
        recipient=recipient,
        content=letter.as_bytes(),
        needs_utf8=not recipient.isascii(),
    )


def with_ascii_domain(address: str) -> str:
    """The mailbox with its local part as it is spelled and its domain in punycode.

    Raises RequestInvalid for what is no mailbox, a line break in it included.
    """
    domain = mailbox(address).identity.rpartition("@")[2]
    return f"{address.rpartition('@')[0]}@{domain}"


def _address(address: str, name: str = "") -> Address:
    if address.isascii():
        return Address(name, addr_spec=address)
    local, _, domain = address.rpartition("@")
    return Address(name, username=local, domain=domain)


def _token(key: str) -> str:
    """A key that is fit for a Message-ID stays readable; any other becomes its digest."""
    return key if _PLAIN_KEY.fullmatch(key) else sha256(key.encode()).hexdigest()[:32]
