"""What a measurement needs and no caller can have: a key, the codes, rows from long ago.

All of it goes through the service's own house, store and keys, in this process.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import msgspec

from bench.signing import CloudAccount, Partner
from bench.traffic import Known, network, phone
from watchword.bootstrap import Service, bootstrap
from watchword.cli import accounts_aliyun, accounts_huawei
from watchword.config import Address, Aliyun, Limit, Limits, Postgresql, Settings
from watchword.domain.app import App
from watchword.domain.app import Scope as KeyScope
from watchword.domain.destination import phone as read_phone
from watchword.domain.purpose import Purpose
from watchword.ports import Once
from watchword.service.house import Client
from watchword.service.issue import Send, issue

APP = "bench"
AT_ONCE = 200
CONNECTIONS = 10
EVERYTHING = (Limit(10_000, 1), Limit(10**9, span="day", zone="Asia/Shanghai"))
"""Limits that every send of a fleet shares, and that no load of ours reaches."""
_T = TypeVar("_T")


class Home(msgspec.Struct, frozen=True):
    """Where a service lives: its data folder, and the address of a store that is not in it, with
    how many connections. One that is `limited` counts all that it sends together, too."""

    data: Path
    store: str = ""
    connections: int = CONNECTIONS
    limited: bool = False

    def options(self) -> list[str]:
        """As our server's command line takes them; `from_options` reads them."""
        words = ["--data", str(self.data), "--connections", str(self.connections)]
        words += ["--limited"] * self.limited
        return words + (["--store", self.store] if self.store else [])

    @staticmethod
    def declare(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--data", type=Path, required=True)
        parser.add_argument("--store", default="")
        parser.add_argument("--connections", type=int, default=CONNECTIONS)
        parser.add_argument("--limited", action="store_true")

    @classmethod
    def from_options(cls, options: argparse.Namespace) -> Home:
        return cls(options.data, options.store, options.connections, options.limited)


class _Verification(msgspec.Struct):
    id: str


_read_verification = msgspec.json.Decoder(_Verification).decode


def made_by(answer: bytes) -> str:
    """The id in the answer to a send."""
    return _read_verification(answer).id


def inside(home: Home, work: Callable[[Service], Awaitable[_T]]) -> _T:
    """Do something with the service of a home; servers on the same one go on."""

    async def run() -> _T:
        async with bootstrap(settings(home), deliver=False) as service:
            return await work(service)

    return asyncio.run(run())


def settings(home: Home) -> Settings:
    """As they come, but that one cloud account may send without end, and to our phones, and that
    our load says whose network each request comes from."""
    endless = Limit(10**12, span="day", zone="Asia/Shanghai")
    aliyun = Aliyun(site="china", account=(endless,))
    return Settings(
        data=str(home.data),
        store=Address(home.store) if home.store else Settings().store,
        limits=Limits(everything=EVERYTHING if home.limited else ()),
        postgresql=Postgresql(connections=home.connections),
        aliyun=aliyun,
        trusted_proxies=("127.0.0.1",),
    )


async def bearer_token(service: Service) -> str:
    """A new key of our app, that may send and check."""
    app = await _app(service)
    scopes = (KeyScope.SEND, KeyScope.CHECK)
    _, token = await service.apps.create_key(app.id, scopes, now=datetime.now(UTC))
    return token


async def partner(service: Service) -> Partner:
    """A new partner of the Huawei dialect, with an access key."""
    return msgspec.convert(await accounts_huawei.create(service, APP), Partner)


async def cloud_account(service: Service) -> CloudAccount:
    """A new account of the Alibaba Cloud dialect, with an access key."""
    return msgspec.convert(await accounts_aliyun.create(service, APP), CloudAccount)


def known(answers: Sequence[bytes]) -> Callable[[Service], Awaitable[list[Known]]]:
    """The codes of what was sent, given the answers to it."""

    async def read(service: Service) -> list[Known]:
        app = await _app(service)
        ids = [made_by(answer) for answer in answers]
        found: list[Known] = []
        for start in range(0, len(ids), AT_ONCE):
            some = (_known(service, app, each) for each in ids[start : start + AT_ONCE])
            found += await asyncio.gather(*some)
        return found

    return read


def fill(
    many: int, *, first: int, now: datetime, ttl: timedelta
) -> Callable[[Service], Awaitable[None]]:
    """Issue so many codes to as many phones, as if it were `now`, many acts a commit.

    Each is a microsecond later than the one before: no two rows of life share an instant.
    """

    async def issue_all(service: Service) -> None:
        app = await _app(service)
        for start in range(first, first + many, AT_ONCE):
            serials = range(start, min(start + AT_ONCE, first + many))
            await asyncio.gather(
                *(
                    issue(
                        _send(app, serial, ttl),
                        service.house,
                        now=now + timedelta(microseconds=serial - first),
                    )
                    for serial in serials
                )
            )

    return issue_all


async def _app(service: Service) -> App:
    now = datetime.now(UTC)
    ours = [app for app in await service.apps.apps(now) if app.name == APP]
    return ours[0] if ours else await service.apps.create(name=APP, now=now)


async def _known(service: Service, app: App, challenge_id: str) -> Known:
    challenge = await service.store.challenge(app.id, challenge_id)
    sealed = challenge.draws[-1].sealed
    assert sealed is not None, "the policy keeps no code to read"
    return Known(challenge_id, service.keys.unseal(sealed, challenge_id.encode()).decode())


def _send(app: App, serial: int, ttl: timedelta) -> Send:
    key = serial.to_bytes(16, "big")
    return Send(
        app=app,
        purpose=Purpose.SIGN_IN,
        destination=read_phone(phone(serial).decode()),
        channel="sms",
        ttl=ttl,
        client=Client(network=network(serial).decode(), fingerprint=f"{serial:032x}"),
        once=Once(key=key, request=key),
    )
