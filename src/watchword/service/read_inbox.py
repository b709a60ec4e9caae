"""Read the inbox: what the virtual carrier's phones and mailboxes received."""

from __future__ import annotations

import re
from collections.abc import Sequence

from watchword.domain import destination
from watchword.errors import RequestInvalid
from watchword.ports import Inbox, Received

_NATIONAL = re.compile(r"(?:\+|00)?[\d\s().-]+")


async def read_inbox(inbox: Inbox, to: str | None = None) -> Sequence[Received]:
    """Oldest first; `to` in any dialect's spelling: +8613…, 0086-13…, 86-13…, a mailbox.

    Raises RequestInvalid.
    """
    if to is None:
        return await inbox.received()
    return await inbox.received(identity(to))


def identity(to: str) -> str:
    if "@" in to:
        return destination.mailbox(to).identity
    spelled = to.strip()
    if not _NATIONAL.fullmatch(spelled):
        raise RequestInvalid("This is neither a phone number nor a mailbox.", field="to")
    if not spelled.startswith(("+", "00")):
        spelled = "+" + spelled
    return destination.phone(spelled).identity
