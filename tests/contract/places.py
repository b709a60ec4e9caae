"""Where stores are kept: what is told apart here, and nowhere else in the contract."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from watchword.ports import Store
from watchword.stores.sqlite import SqliteStore

Opener = Callable[[str], Awaitable[Store]]


class Place(msgspec.Struct, frozen=True):
    """A kind of store, and the address of an empty one; any process may open it."""

    kind: str
    address: str

    async def open(self) -> Store:
        return await _OPENERS[self.kind](self.address)


async def _sqlite(address: str) -> Store:
    return await SqliteStore.open(Path(address))


def empty(kind: str, folder: Path) -> Place:
    """A place of this kind that nobody has used."""
    return Place(kind, str(folder / "watchword.db"))


_OPENERS: dict[str, Opener] = {"sqlite": _sqlite}
KINDS = tuple(_OPENERS)
