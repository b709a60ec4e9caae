"""One call of the dialect: what it is given, and how it is refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import msgspec

from watchword.directory.huawei import Huawei as Directory
from watchword.directory.huawei.accounts import Caller
from watchword.errors import AccessDenied, WatchwordError
from watchword.surfaces.addresses import caller_network
from watchword.surfaces.exchange import Answer, Exchange
from watchword.surfaces.huawei import replies
from watchword.surfaces.huawei.replies import Reply, Shape
from watchword.surfaces.running import Running


class Refusal(Exception):
    """A refusal whose answer depends on where it was met."""

    def __init__(self, reply: Reply, cause: WatchwordError | None = None) -> None:
        super().__init__(reply.code)
        self.reply, self.cause = reply, cause


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call. `asked` is what its body said; `caller` is there where the route wants one."""

    service: Running
    exchange: Exchange
    caller: Caller | None
    asked: Any
    now: datetime

    @property
    def directory(self) -> Directory:
        return self.service.huawei

    @property
    def known(self) -> Caller:
        if self.caller is None:
            raise AccessDenied
        return self.caller

    @property
    def network(self) -> str:
        return caller_network(self.exchange.scope, self.service.proxies)


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A call of the dialect: what it asks, what does it, and how it says no."""

    name: str
    method: str
    path: str
    does: Callable[[Call], Awaitable[Answer]]
    asks: msgspec.json.Decoder[Any] | None = None
    is_open: bool = False
    shape: Shape = replies.service_error
