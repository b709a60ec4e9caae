"""What every surface is given: the service as it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from watchword.directory.aliyun import Aliyun
from watchword.directory.apps import Apps
from watchword.directory.ciam import Ciam
from watchword.directory.huawei import Huawei
from watchword.domain.keys import KeyRing
from watchword.ports import Clock, Inbox, Store
from watchword.service.await_outcome import Outcomes
from watchword.service.deliver import Lane
from watchword.service.house import House
from watchword.service.notify import Notifier
from watchword.surfaces.addresses import Network


class Running(Protocol):
    """`inbox` is there while a virtual carrier is; `virtual` also tells of demo credentials.
    `proxies` are those whose X-Forwarded-For is believed."""

    @property
    def clock(self) -> Clock: ...
    @property
    def house(self) -> House: ...
    @property
    def apps(self) -> Apps: ...
    @property
    def store(self) -> Store: ...
    @property
    def keys(self) -> KeyRing: ...
    @property
    def inbox(self) -> Inbox | None: ...
    @property
    def lanes(self) -> Sequence[Lane]: ...
    @property
    def outcomes(self) -> Outcomes: ...
    @property
    def notifier(self) -> Notifier: ...
    @property
    def proxies(self) -> Sequence[Network]: ...
    @property
    def huawei(self) -> Huawei: ...
    @property
    def aliyun(self) -> Aliyun: ...
    @property
    def ciam(self) -> Ciam: ...
    @property
    def virtual(self) -> bool: ...
