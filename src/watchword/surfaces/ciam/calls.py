"""One call of the dialect: what it is given, and how it is refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import msgspec

from watchword.directory.ciam import Ciam as Directory
from watchword.directory.ciam.clients import Client
from watchword.domain.app import App
from watchword.errors import AccessDenied, WatchwordError
from watchword.service import house
from watchword.service.gate import Asker
from watchword.surfaces.ciam.replies import Language, Reply
from watchword.surfaces.exchange import Answer, Exchange
from watchword.surfaces.running import Running


class Refusal(Exception):
    """A refusal whose answer depends on where it was met."""

    def __init__(self, reply: Reply, cause: WatchwordError | None = None) -> None:
        super().__init__(reply.code)
        self.reply, self.cause = reply, cause


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """The application that a call is made for, and the device that it says it is made on."""

    client: Client
    app: App
    fingerprint: str


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call. `asked` is what its `body` said; `caller` is there where the route wants one.
    `language` is the one asked for, if any; `network` the client's, "" where nobody knows it."""

    service: Running
    exchange: Exchange
    caller: Caller | None
    body: bytes
    asked: Any
    language: Language | None
    network: str
    now: datetime

    @property
    def directory(self) -> Directory:
        return self.service.ciam

    @property
    def known(self) -> Caller:
        if self.caller is None:
            raise AccessDenied
        return self.caller

    @property
    def asker(self) -> Asker:
        return Asker(
            client_id=self.known.client.id,
            fingerprint=self.known.fingerprint,
            network=self.network,
        )

    @property
    def end_user(self) -> house.Client:
        return house.Client(network=self.network, fingerprint=self.known.fingerprint)


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A call of the dialect: what it asks and what does it. Whoever comes may call an open one.
    `refuses` is how it says no to what is wrong with the exchange, where that is in a way of its
    own."""

    name: str
    method: str
    path: str
    does: Callable[[Call], Awaitable[Answer]]
    asks: msgspec.json.Decoder[Any] | None = None
    is_open: bool = False
    refuses: Callable[[WatchwordError, str, Language], Answer] | None = None
