"""Connections to the server, every one opened here, and the one place where its errors become ours.

A connection runs one statement at a time, and each act is one statement. asyncpg's own pool gives a
connection back in a task of its own and resets it with another round trip, which costs an act a
third of its time; there is nothing to reset here, so idle connections simply lie on a stack.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import asyncpg
import msgspec

from watchword.errors import StoreUnavailable
from watchword.ports import PATIENCE, PATIENCE_S

MOST_WAITING = 10_000
OLDEST = 160_000
"""PostgreSQL 16, as server_version_num says it."""

_ROLLED_BACK = {"40001", "40P01"}
"""Serialization failures and deadlocks: nothing was done, and the same act may be done anew."""
_ELSEWHERE = {"25006", "57P01", "57P02", "57P03"}
"""This server takes no writes, or goes down: another connection may find one that does."""
_NEVER_BEGUN = {"25006", "57P03"}
_BROKEN = "08"
_OURS = "WW"
"""Raised by a function of ours, for its caller."""

TROUBLE = (
    OSError,
    EOFError,
    UnicodeError,  # a host that cannot be one
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # none of several hosts is what target_session_attrs asks for
)
"""What opening or using a connection may raise, besides what is cancelled."""

Row: TypeAlias = Any
"""A row by number and by name; the driver ships no types."""


class Terms(msgspec.Struct, frozen=True):
    """How many `connections` a process opens at the most, and whether a `pgbouncer` in transaction
    mode stands between: then nothing is left on a connection, neither settings nor statements."""

    connections: int = 10
    pgbouncer: bool = False


async def connect(address: str, terms: Terms, *, patience_s: float = PATIENCE_S) -> Any:
    """Open a connection as every one of ours is. Raises what `translated` knows.

    `patience_s` bounds the making of the connection, and on the server each statement; 0 is no
    bound.
    """
    return await asyncpg.connect(
        address,
        timeout=patience_s or None,
        statement_cache_size=0 if terms.pgbouncer else 256,
        server_settings=None if terms.pgbouncer else _settings(patience_s),
    )


def _settings(patience_s: float) -> dict[str, str]:
    return {
        "application_name": "watchword",
        "default_transaction_isolation": "read committed",
        "statement_timeout": str(round(patience_s * 1000)),
        "jit": "off",  # no statement here is long enough to be worth compiling
    }


def place(address: str) -> str:
    """Where an address points to, as people may read it: no user, no password."""
    parts = urlsplit(address)
    hosts = parts.netloc.rpartition("@")[2]
    return f"{hosts}{parts.path}" or "the default server"


def translated(error: BaseException, address: str) -> StoreUnavailable:
    """A foreign error, in our words."""
    if isinstance(error, asyncpg.PostgresError):
        said = str(error.args[0]) if error.args else type(error).__name__
    elif isinstance(error, TimeoutError):
        said = f"no answer within {PATIENCE_S} s"
    elif isinstance(error, OSError):
        said = error.strerror or str(error)
        said = f"{said}: {error.filename}" if error.filename else said
    elif isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError):
        said = str(error)
    else:
        said = type(error).__name__
    return StoreUnavailable(f"The store at {place(address)} cannot be used: {said.rstrip('.')}.")


class Connections:
    """At most so many connections, made when they are wanted. Lives on one event loop."""

    def __init__(self, address: str, terms: Terms) -> None:
        self._address, self._terms = address, terms
        self._idle: list[Any] = []
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[float, asyncio.Future[None]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._made = 0
        self._closed = False

    async def fetch(
        self, statement: str, *given: object, repeatable: bool = False
    ) -> Sequence[Row]:
        """Run one statement, within the patience of an act and of its request. Raises
        StoreUnavailable.

        It is run anew where it was surely undone, as after a deadlock, and where it may be
        `repeatable` also after the connection broke and nobody can tell.
        """
        began = time.monotonic()
        patience = PATIENCE.get()
        within = min(PATIENCE_S, patience.left_s) if patience else PATIENCE_S
        try:
            return await self._fetch(statement, given, began + within, repeatable=repeatable)
        finally:
            if patience:
                patience.left_s -= time.monotonic() - began

    async def _fetch(
        self, statement: str, given: Sequence[object], deadline: float, *, repeatable: bool
    ) -> Sequence[Row]:
        may_look_elsewhere = True
        while True:
            try:
                connection = await self._take(deadline)
            except TROUBLE as trouble:
                raise translated(trouble, self._address) from trouble
            try:
                rows: Sequence[Row] = await connection.fetch(
                    statement, *given, timeout=max(0.001, deadline - time.monotonic())
                )
            except asyncpg.PostgresError as refusal:
                code = str(refusal.sqlstate)
                if code.startswith(_OURS):
                    self._give_back(connection)
                    raise
                if code in _ROLLED_BACK:
                    may_go_on = True
                else:
                    may_go_on = may_look_elsewhere and (
                        code in _NEVER_BEGUN or (repeatable and _is_elsewhere(code))
                    )
                    may_look_elsewhere = False
                self._give_back(connection, trusted=not _is_elsewhere(code))
                if not may_go_on or time.monotonic() >= deadline:
                    raise translated(refusal, self._address) from refusal
            except TROUBLE as trouble:
                self._give_back(connection, trusted=False)
                may_go_on = repeatable and may_look_elsewhere
                may_look_elsewhere = False
                if not may_go_on or isinstance(trouble, TimeoutError):
                    raise translated(trouble, self._address) from trouble
            except BaseException:
                self._give_back(connection, trusted=False)
                raise
            else:
                self._give_back(connection)
                return rows

    async def close(self) -> None:
        self._closed = True
        while self._waiting:
            self._waiting.popleft()[1].set_exception(StoreUnavailable())
        if self._timer:
            self._timer.cancel()
        for connection in self._idle:
            with suppress(*TROUBLE):
                await connection.close(timeout=PATIENCE_S)
        self._idle.clear()

    async def _take(self, deadline: float) -> Any:
        """An idle connection, else a new one, else the next to be given back; whoever came first is
        served first."""
        if self._closed or len(self._waiting) >= MOST_WAITING:
            raise StoreUnavailable
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
            self._made -= 1
        if self._made >= self._terms.connections:
            connection = await self._wait(deadline)
            if connection is not None:
                return connection
        else:
            self._made += 1
        return await self._make(deadline)

    async def _make(self, deadline: float) -> Any:
        """A new connection, for whom there is room already."""
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                return await connect(self._address, self._terms)
        except BaseException:
            self._make_room()
            raise

    async def _wait(self, deadline: float) -> Any:
        """Until a connection is handed over, or None for room to make one. All have about the same
        patience, so one timer does for all, and comes for the first in the row."""
        turn: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append((deadline, turn))
        if self._timer is None:
            self._timer = self._loop.call_later(deadline - time.monotonic(), self._give_up)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._pass_on(turn.result())
            raise

    def _give_up(self) -> None:
        """Turn those away whose time is over."""
        self._timer = None
        now = time.monotonic()
        for deadline, turn in self._waiting:
            if deadline <= now and not turn.done():
                turn.set_exception(TimeoutError())
        self._waiting = deque(one for one in self._waiting if not one[1].done())
        if self._waiting:
            first = min(deadline for deadline, _ in self._waiting)
            self._timer = self._loop.call_later(first - now, self._give_up)

    def _give_back(self, connection: Any, *, trusted: bool = True) -> None:
        """One that is not trusted goes, and with it all that lie idle: what befell it may have
        befallen them."""
        if trusted and not self._closed and not connection.is_closed():
            self._pass_on(connection)
            return
        connection.terminate()
        self._drop_idle()
        self._make_room()

    def _pass_on(self, connection: Any) -> None:
        """To the first who waits; None is room for a new one."""
        while self._waiting:
            _, turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(connection)
                return
        if connection is None:
            self._made -= 1
        else:
            self._idle.append(connection)

    def _make_room(self) -> None:
        self._pass_on(None)

    def _drop_idle(self) -> None:
        for connection in self._idle:
            connection.terminate()
        self._made -= len(self._idle)
        self._idle.clear()


def _is_elsewhere(code: str) -> bool:
    """Whether this connection is of no use any more."""
    return code in _ELSEWHERE or code.startswith(_BROKEN)
