"""What the doctor sees of what is kept: the store, its key ring, its journal."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from watchword.cli.doctor.finding import Finding, broken, note, ok, remarked

if TYPE_CHECKING:
    from watchword.bootstrap import Service

LATE = timedelta(minutes=1)
"""A scribe seals what is new within a second or two."""


class Examined(Protocol):
    """A store, as far as it is looked at here."""

    async def ready(self) -> None: ...
    async def examine(self) -> Sequence[Any]: ...


async def store(service: Service) -> AsyncIterator[Finding]:
    for finding in await examined(service.store):
        yield finding


async def examined(store: Examined) -> list[Finding]:
    await store.ready()
    takes = ok("store", "The store opens, and takes a write.")
    return [takes, *remarked("store", await store.examine())]


async def ring(service: Service) -> AsyncIterator[Finding]:
    from watchword.bootstrap import rotation

    path = service.settings.keyring_path
    for finding in remarked("keys", rotation.remarks(path, service.clock())):
        yield finding
    if not service.keys.can_draw:
        yield broken(
            "keys",
            f"{path} names no active code key, so no code can be drawn: watchword keys rotate "
            "makes a new one.",
        )


async def journal(service: Service) -> AsyncIterator[Finding]:
    waiting = await service.store.to_seal()
    if waiting.since is None or service.clock() - waiting.since <= LATE:
        yield ok("journal", "The journal is sealed up to the last minute.")
        return
    waited_s = round((service.clock() - waiting.since).total_seconds())
    yield note(
        "journal",
        f"{waiting.events} events of the journal wait to be sealed, the oldest for {waited_s} s, "
        "and can be changed unnoticed until then: start watchword serve or worker.",
    )
