"""Connections to the server, every one opened here, and the one place where its errors become ours.

A connection runs one statement at a time, and each act is one statement. The driver has a pool of
its own, which resets a connection in a task and with a round trip more; here is nothing to reset,
and who waits has to be served in turn, in time, and by a server that may be going away.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from contextvars import Context
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import asyncpg
import msgspec

from watchword.errors import StoreUnavailable
from watchword.ports import PATIENCE, PATIENCE_S

MOST_WAITING = 10_000
OLDEST = 16

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

    Of several hosts the one that was good last is asked first, and none has all of the patience:
    one that is silent must not keep us from the next.
    """
    hosts = _hosts(address)
    good = _GOOD.get(address, 0)
    *first, last = (*range(good, len(hosts)), *range(good))

    async def let_in_by(number: int) -> Any:
        connection = await _open(hosts[number], terms, patience_s / len(hosts))
        _GOOD[address] = number
        return connection

    for number in first:
        with suppress(*TROUBLE):
            return await let_in_by(number)
    return await let_in_by(last)


_GOOD: dict[str, int] = {}
"""Which host of an address was the last to let us in."""


def _hosts(address: str) -> list[str]:
    """An address for each host of an address."""
    parts = urlsplit(address)
    who, at, hosts = parts.netloc.rpartition("@")
    return [parts._replace(netloc=f"{who}{at}{host}").geturl() for host in hosts.split(",")]


async def _open(address: str, terms: Terms, patience_s: float) -> Any:
    return await asyncpg.connect(
        address,
        timeout=patience_s,
        statement_cache_size=0 if terms.pgbouncer else 256,
        server_settings=None if terms.pgbouncer else _SETTINGS,
    )


_SETTINGS = {
    "application_name": "watchword",
    "default_transaction_isolation": "read committed",
    # A little less than we have ourselves: what waits for a lock is then surely undone, and the
    # connection is as good as before.
    "statement_timeout": str(round((PATIENCE_S - 0.2) * 1000)),
    "jit": "off",  # no statement here is long enough to be worth compiling
}


def place(address: str) -> str:
    """Where an address points to, as people may read it: no user, no password."""
    parts = urlsplit(address)
    hosts = parts.netloc.rpartition("@")[2]
    return f"{hosts}{parts.path}" or "the default server"


def translated(error: BaseException, address: str, *, in_doubt: bool = False) -> StoreUnavailable:
    """A foreign error, in our words. `in_doubt` where it may have come after a COMMIT."""
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
    if "unsupported startup parameter" in said:
        said = f"{said.rstrip('.')}; before PgBouncer set pgbouncer = true in [postgresql]"
    doubt = " What was asked may have been done all the same." if in_doubt else ""
    sentence = f"The store at {place(address)} cannot be used: {said.rstrip('.')}."
    return StoreUnavailable(sentence + doubt)


class Connections:
    """At most so many connections, made when they are wanted. Lives on one event loop."""

    def __init__(self, address: str, terms: Terms) -> None:
        self._address, self._terms = address, terms
        self._idle: list[Any] = []
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._fires_at = 0.0
        self._closing: set[asyncio.Task[None]] = set()
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
        if within <= 0:
            raise StoreUnavailable
        try:
            return await self._fetch(statement, given, within, repeatable=repeatable)
        finally:
            if patience:
                patience.left_s -= time.monotonic() - began

    async def _fetch(
        self, statement: str, given: Sequence[object], within: float, *, repeatable: bool
    ) -> Sequence[Row]:
        deadline = time.monotonic() + within
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
                is_broken = code in _ELSEWHERE or code.startswith(_BROKEN)
                if is_broken:
                    self._let_go(connection, with_idle=True)
                else:
                    self._give_back(connection)
                if code.startswith(_OURS):
                    raise
                may_go_on = code in _ROLLED_BACK or (
                    may_look_elsewhere and (code in _NEVER_BEGUN or (repeatable and is_broken))
                )
                may_look_elsewhere = may_look_elsewhere and code in _ROLLED_BACK
                if not may_go_on or time.monotonic() >= deadline:
                    raise translated(refusal, self._address) from refusal
            except TimeoutError as trouble:
                # The server itself ends what takes so long, so it is not there, or waits for its
                # standby; unless the request had little patience left.
                self._let_go(connection, with_idle=within >= PATIENCE_S)
                raise translated(trouble, self._address, in_doubt=not repeatable) from trouble
            except TROUBLE as trouble:
                self._let_go(connection, with_idle=True)
                if not repeatable or not may_look_elsewhere:
                    raise translated(trouble, self._address, in_doubt=not repeatable) from trouble
                may_look_elsewhere = False
            except BaseException:
                self._let_go(connection)
                raise
            else:
                self._give_back(connection)
                return rows

    async def close(self) -> None:
        """Whoever waits is turned away; what runs is let go when it ends."""
        self._closed = True
        if self._timer:
            self._timer.cancel()
        while self._waiting:
            _, turn = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(StoreUnavailable())
        while self._idle:
            self._begin_to_close(self._idle.pop())
        await asyncio.gather(*self._closing)

    async def _take(self, deadline: float) -> Any:
        """An idle connection, else a new one, else the next to be given back; whoever came first is
        served first."""
        while True:
            if self._closed or len(self._waiting) >= MOST_WAITING:
                raise StoreUnavailable
            while self._idle:
                connection = self._idle.pop()
                if not connection.is_closed():
                    return connection
                self._made -= 1
            if self._made < self._terms.connections:
                self._made += 1
                return await self._make(deadline)
            connection = await self._wait(deadline)
            if connection is None:
                return await self._make(deadline)
            if not connection.is_closed():
                return connection
            self._made -= 1

    async def _make(self, deadline: float) -> Any:
        """A new connection, for whom there is room already."""
        try:
            left_s = deadline - time.monotonic()
            return await connect(self._address, self._terms, patience_s=max(0.001, left_s))
        except BaseException:
            self._pass_on(None)
            raise

    async def _wait(self, deadline: float) -> Any:
        """Until a connection is handed over, or None for room to make one."""
        turn: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append((deadline, turn))
        self._call_at(deadline)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                if turn.result() is None:
                    self._pass_on(None)
                else:
                    self._give_back(turn.result())
            raise

    def _call_at(self, deadline: float) -> None:
        """One timer for all who wait, for the first whose patience ends."""
        if self._timer is None or deadline < self._fires_at:
            if self._timer:
                self._timer.cancel()
            self._fires_at = deadline
            self._timer = self._loop.call_later(deadline - time.monotonic(), self._give_up)

    def _give_up(self) -> None:
        """Turn those away whose time is over."""
        self._timer = None
        now = time.monotonic()
        for deadline, turn in self._waiting:
            if deadline <= now and not turn.done():
                turn.set_exception(TimeoutError())
        self._waiting = deque(one for one in self._waiting if not one[1].done())
        if self._waiting:
            self._call_at(min(deadline for deadline, _ in self._waiting))

    def _give_back(self, connection: Any) -> None:
        if self._closed or connection.is_closed():
            self._let_go(connection)
        else:
            self._pass_on(connection)

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

    def _let_go(self, connection: Any, *, with_idle: bool = False) -> None:
        """It is not trusted again, nor are those that lie idle where it was the network or the
        server. There is room for another one only when it is gone: what it asked for may still run
        on the server, and a server that is slow to answer must not be asked by more and more."""
        if self._closed:  # nobody need be left to wait for it
            connection.terminate()
            return
        self._begin_to_close(connection)
        while with_idle and self._idle:
            self._idle.pop().terminate()
            self._made -= 1

    def _begin_to_close(self, connection: Any) -> None:
        closing = asyncio.create_task(self._close(connection), context=Context())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _close(self, connection: Any) -> None:
        try:
            await connection.close(timeout=PATIENCE_S)
        except (*TROUBLE, asyncio.CancelledError):  # what it waited for may be cancelled with it
            connection.terminate()
        finally:
            self._pass_on(None)
