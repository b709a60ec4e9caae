"""A command's short visit to the service: open it, ask, close it. It delivers nothing. Who changes
something there says what, and the journal keeps it."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

import msgspec

from watchword.config import Settings

if TYPE_CHECKING:
    from watchword.bootstrap import Service
    from watchword.domain.event import Event

Found = TypeVar("Found")


class Deed(msgspec.Struct, frozen=True):
    """What an operator did, as its command is called, and on which id. Never a secret; an address
    as its subject and mask alone."""

    what: str
    on: str = ""
    app_id: str = ""
    subject: bytes = b""
    masked: str = ""


def ask(
    settings: Settings,
    question: Callable[[Service], Awaitable[Found]],
    *,
    doing: Callable[[Found], Sequence[Deed]] | None = None,
) -> Found:
    """The answer to a question put to the service; what was done by it is journalled. What could
    not be journalled is done all the same, and its answer may hold what is never shown again. Where
    nothing is done, a store of an older watchword is not migrated either."""
    from watchword.bootstrap import bootstrap

    async def visit() -> Found:
        async with bootstrap(settings, deliver=False, upgrades=doing is not None) as service:
            found = await question(service)
            if doing and (deeds := doing(found)):
                await _note(service, deeds)
            return found

    return asyncio.run(visit())


async def _note(service: Service, deeds: Sequence[Deed]) -> None:
    from watchword.errors import StoreUnavailable

    now = service.clock()
    try:
        await service.store.note([_event(deed, now) for deed in deeds])
    except StoreUnavailable as trouble:
        print(f"This was done, but not journalled: {trouble}", file=sys.stderr)


def _event(deed: Deed, now: datetime) -> Event:
    from watchword.domain.event import Event, Kind

    details = {"what": deed.what, "on": deed.on, **operator()}
    return Event(
        at=now,
        kind=Kind.OPERATOR,
        app_id=deed.app_id,
        subject=deed.subject,
        masked=deed.masked,
        details=msgspec.json.encode({k: v for k, v in details.items() if v}).decode(),
    )


def operator() -> dict[str, str]:
    """Who runs this command, and where, as the journal tells it."""
    who = {"by": _user(), "host": socket.gethostname()}
    if sudoer := os.environ.get("SUDO_USER"):
        who["sudo"] = sudoer[:64]
    return who


def _user() -> str:
    """Whom the system knows us as; an environment says what it likes. A container's user may have
    no name."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"
