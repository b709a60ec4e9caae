"""One call of the dialect: what it is given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import msgspec

from watchword.directory.aliyun import Aliyun as Directory
from watchword.directory.aliyun.accounts import Caller
from watchword.domain.app import App
from watchword.errors import RequestInvalid
from watchword.surfaces.aliyun import wire
from watchword.surfaces.aliyun.wire import Parameters
from watchword.surfaces.running import Running


class ActionUnknown(RequestInvalid):
    """Specified api is not found, please check your url and method."""


class VersionUnknown(RequestInvalid):
    """Specified parameter Version is not valid."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One authenticated call. `caller` is as of the last second: whoever acts on an account reads
    it anew."""

    service: Running
    caller: Caller
    asked: Parameters
    version: str
    now: datetime

    @property
    def directory(self) -> Directory:
        return self.service.aliyun

    @property
    def account_id(self) -> str:
        return self.caller.account.id

    @property
    def app(self) -> App:
        return self.caller.app

    @property
    def is_newer(self) -> bool:
        """What the older edition does not have, it does not look at."""
        return self.version == wire.NEWER

    @property
    def is_dry_run(self) -> bool:
        return self.is_newer and self.asked.truth("DryRun")


Does = Callable[[Call], Awaitable[dict[str, Any]]]
"""What a call tells beside its RequestId."""
