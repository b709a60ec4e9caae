"""Read the inbox: what the virtual carrier's phones and mailboxes received."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress

from watchword.domain import destination
from watchword.errors import RequestInvalid
from watchword.ports import Inbox, Received

_NATIONAL = re.compile(r"(?:\+|00)?[\d\s().-]+")
_CHINESE = re.compile(r"1[3-9]\d{9}", re.ASCII)


async def read_inbox(inbox: Inbox, to: str | None = None) -> Sequence[Received]:
    """Oldest first; `to` in any dialect's spelling: +8613…, 0086-13…, 86-13…, a mailbox. 13… alone
    may be North American or, as the China edition of Huawei Cloud's API has it, Chinese: then
    whoever received something is meant.

    Raises RequestInvalid.
    """
    if to is None:
        return await inbox.received()
    for identity in _identities(to.strip()):
        if received := await inbox.received(identity):
            return received
    return ()


def _identities(to: str) -> Sequence[str]:
    if "@" in to:
        return [destination.mailbox(to).identity]
    if not _NATIONAL.fullmatch(to):
        raise RequestInvalid("This is neither a phone number nor a mailbox.", field="to")
    if to.startswith(("+", "00")):
        return [destination.phone(to).identity]
    if not _CHINESE.fullmatch(to):
        return [destination.phone("+" + to).identity]
    chinese = destination.phone("+86" + to).identity
    with suppress(RequestInvalid):
        return [destination.phone("+" + to).identity, chinese]
    return [chinese]
