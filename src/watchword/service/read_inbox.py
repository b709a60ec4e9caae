"""Read the inbox: what the virtual carrier's phones and mailboxes received."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress

from watchword.domain import destination
from watchword.domain.destination import Destination
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
    for one in meant(to):
        if received := await inbox.received(one.identity):
            return received
    return ()


def meant(to: str) -> Sequence[Destination]:
    """Whom a person may mean who types this, the likeliest first. Raises RequestInvalid."""
    to = to.strip()
    if "@" in to:
        return [destination.mailbox(to)]
    if not _NATIONAL.fullmatch(to):
        raise RequestInvalid("This is neither a phone number nor a mailbox.", field="to")
    if to.startswith(("+", "00")):
        return [destination.phone(to)]
    if not _CHINESE.fullmatch(to):
        return [destination.phone("+" + to)]
    chinese = destination.phone("+86" + to)
    with suppress(RequestInvalid):
        return [destination.phone("+" + to), chinese]
    return [chinese]
