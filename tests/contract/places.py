"""Where stores are kept: what is told apart here, and nowhere else in the contract."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import apsw
import msgspec

from tests import postgres_server
from tests.postgres_server import Rows
from watchword.ports import Store
from watchword.stores.postgres import PostgresStore, Terms
from watchword.stores.sqlite import SqliteStore

Asked = Callable[[str], Any]
"""Gives the fixture of this name."""


class Place(msgspec.Struct, frozen=True):
    """A kind of store, and the address of one as the settings name it; any process may open it."""

    kind: str
    address: str

    async def open(self) -> Store:
        return await _KINDS[self.kind].open(self.address)

    def rows(self, statement: str) -> Rows:
        """What the store holds, read by somebody else."""
        return self._answers([statement])[0]

    def is_left(self) -> bool:
        """Whether nobody has it open: a server first finishes what a killed client asked."""
        return not self.rows(_KINDS[self.kind].visitors)

    def contents(self) -> dict[str, set[str]]:
        """Every row of every table, as a text."""
        tables = [name for (name,) in self.rows(_KINDS[self.kind].tables)]
        answers = self._answers([f"SELECT * FROM {table}" for table in tables])  # noqa: S608
        return dict(zip(tables, [set(map(repr, rows)) for rows in answers], strict=True))

    def digest(self) -> str:
        """All of it as one value: two equal ones mean that nothing changed."""
        kept = sorted((table, sorted(rows)) for table, rows in self.contents().items())
        return sha256(repr(kept).encode()).hexdigest()

    def _answers(self, statements: Sequence[str]) -> list[Rows]:
        return _KINDS[self.kind].answers(self.address, statements)


@contextmanager
def empty(kind: str, asked: Asked) -> Iterator[Place]:
    """A place of this kind that nobody has used, for as long as the block lasts."""
    with _KINDS[kind].made(asked) as address:
        yield Place(kind, address)


def in_folder(folder: Path) -> Place:
    """The place of a data folder whose settings name none."""
    return Place("sqlite", f"{_FILE}{folder / 'watchword.db'}")


class _Kind(Protocol):
    tables: str
    """The statement that names them."""
    visitors: str
    """The statement that names those who have the store open and might still change it."""

    def made(self, asked: Asked) -> AbstractContextManager[str]: ...

    async def open(self, address: str) -> Store: ...

    def answers(self, address: str, statements: Sequence[str]) -> list[Rows]: ...


class _Sqlite:
    tables = (
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY 1"
    )
    visitors = "SELECT 1 WHERE 0"  # a file is done with whoever is killed

    @contextmanager
    def made(self, asked: Asked) -> Iterator[str]:
        with TemporaryDirectory() as folder:
            yield f"{_FILE}{folder}/watchword.db"

    async def open(self, address: str) -> Store:
        return await SqliteStore.open(Path(address.removeprefix(_FILE)))

    def answers(self, address: str, statements: Sequence[str]) -> list[Rows]:
        file = address.removeprefix(_FILE)
        with closing(apsw.Connection(file, apsw.SQLITE_OPEN_READONLY)) as connection:
            return [connection.execute(statement).fetchall() for statement in statements]


class _Postgresql:
    tables = postgres_server.TABLES
    visitors = f"SELECT pid {postgres_server.VISITORS}"

    def made(self, asked: Asked) -> AbstractContextManager[str]:
        stock: postgres_server.Stock = asked("postgres_stock")
        return stock.lent()

    async def open(self, address: str) -> Store:
        return await PostgresStore.open(address, Terms())

    def answers(self, address: str, statements: Sequence[str]) -> list[Rows]:
        return postgres_server.onlooker().answers(address, statements)


_FILE = "sqlite:///"
_KINDS: dict[str, _Kind] = {"sqlite": _Sqlite(), "postgresql": _Postgresql()}
KINDS = tuple(_KINDS)
"""Every kind there is."""
