"""Settings in, a running service out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from enum import Enum
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING, TypeVar

import msgspec

from watchword import config, keyring, log
from watchword.channels import email, sms
from watchword.channels.texts import ours
from watchword.config import Settings
from watchword.directory.aliyun import Aliyun
from watchword.directory.aliyun.accounts import Accounts as CloudAccounts
from watchword.directory.aliyun.credentials import Credentials as CloudCredentials
from watchword.directory.aliyun.resource_directories import ResourceDirectories
from watchword.directory.apps import Apps
from watchword.directory.huawei import Huawei
from watchword.directory.huawei.accounts import Accounts
from watchword.directory.huawei.credentials import Credentials
from watchword.directory.huawei.customers import Customers
from watchword.domain.delivery import DeliveryState, Handover, Leased
from watchword.domain.failures import Budget
from watchword.domain.keys import KeyRing
from watchword.domain.policy import Policy, Resend
from watchword.domain.quota import Quota, Scope, Span, meters
from watchword.errors import ConfigInvalid, RecordConflict, StoreUnavailable
from watchword.ports import Clock, Inbox, Provider, Store, Write
from watchword.providers import smtp, virtual
from watchword.service.await_outcome import Outcomes
from watchword.service.deliver import Lane
from watchword.service.house import House
from watchword.service.sweep import sweep
from watchword.stores import sqlite

if TYPE_CHECKING:
    from watchword.stores import postgres

T = TypeVar("T")

_REST_S = 1.0
_QUIET_S = 60.0
_LOOK_EVERY_S = 5.0
_KEYRING, _FINGERPRINT = "keyring", "fingerprint"
INBOX = "inbox.db"
CHANNELS = {channel.CHANNEL.name: channel.CHANNEL for channel in (sms, email)}
CARRIES = {"virtual": frozenset(CHANNELS), "smtp": frozenset({"email"})}


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """The running whole. `house` has the native dialect's terms. `providers` go by channel; `demo`
    tells of demo credentials. While there are any, or a virtual carrier, `serve` stays on loopback.
    """

    settings: Settings
    clock: Clock
    keys: KeyRing
    store: Store
    house: House
    apps: Apps
    providers: Mapping[str, Provider]
    inbox: Inbox | None
    lanes: Sequence[Lane]
    outcomes: Outcomes
    proxies: Sequence[IPv4Network | IPv6Network]
    huawei: Huawei
    aliyun: Aliyun
    demo: bool

    @property
    def virtual(self) -> bool:
        return self.inbox is not None or self.demo

    def stir(self, channel: str) -> None:
        """Something was queued for this channel."""
        for lane in self.lanes:
            if lane.channel == channel:
                lane.stir()

    async def deliver(self) -> None:
        """Deliver and sweep until cancelled. A defect in one lane is told, and the lane goes on."""
        async with asyncio.TaskGroup() as group:
            for lane in self.lanes:
                group.create_task(_for_ever(lane.channel, lane.run))
            group.create_task(_for_ever("sweep", lambda: sweep(self.store, self.clock)))


async def _for_ever(task: str, run: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await run()
        except Exception as defect:
            log.events().error("task_failed", task=task, error=type(defect).__name__)
            await asyncio.sleep(_REST_S)


def now() -> datetime:
    return datetime.now(UTC)


@asynccontextmanager
async def bootstrap(
    settings: Settings, *, clock: Clock | None = None, deliver: bool = True
) -> AsyncIterator[Service]:
    """Open everything, and close it again; `deliver` also delivers and sweeps meanwhile. Without a
    `clock`, this machine's is held to the store's.

    Raises ConfigInvalid and StoreUnavailable.
    """
    carriers = _carriers(settings)
    async with AsyncExitStack() as closing:
        store = await closing.enter_async_context(opened(settings))
        clock = clock or _disciplined(store)
        keys = await _ring(settings, store, clock())
        providers = _providers(settings, carriers, keys, clock)
        for provider in set(providers.values()):
            closing.push_async_callback(provider.close)
        service = await _service(settings, keys, store, providers, clock)
        if not settings.address.is_embedded:
            watching = asyncio.create_task(_for_ever("store", lambda: _watch_over(store)))
            closing.push_async_callback(_end, watching)
        if deliver:
            store.watch(service.stir)
            task = asyncio.create_task(service.deliver())
            closing.push_async_callback(_end, task)
        yield service


class Stage(Enum):
    """How far a store has come. From its first start on, a key ring belongs to it."""

    ABSENT = "absent"
    MADE = "made"
    STARTED = "started"


async def stage(settings: Settings) -> Stage:
    """Look at the store, and make nothing. Raises StoreUnavailable."""
    if not await _is_made(settings):
        return Stage.ABSENT
    async with opened(settings) as store:
        pinned = await _pinned(store, now() + store.offset)
    return Stage.MADE if pinned is None else Stage.STARTED


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Store]:
    """The store alone, made or brought up to date where that is needed. Raises StoreUnavailable."""
    store: Store
    if settings.address.is_embedded:
        store = await sqlite.SqliteStore.open(settings.store_path)
    else:
        from watchword.stores import postgres  # its driver is loaded only where it is used

        store = await postgres.PostgresStore.open(settings.address.whole, _terms(settings))
    try:
        yield store
    finally:
        await store.close()


async def migrate(settings: Settings) -> tuple[int, int]:
    """Make the store, or bring it up to date; from which version to which. Raises
    StoreUnavailable."""
    if settings.address.is_embedded:
        return await sqlite.migrate(settings.store_path)
    from watchword.stores import postgres

    return await postgres.migrate(settings.address.whole, _terms(settings))


async def _is_made(settings: Settings) -> bool:
    if settings.address.is_embedded:
        path = settings.store_path
        return path.is_file() and path.stat().st_size > 0
    from watchword.stores import postgres

    return await postgres.exists(settings.address.whole, _terms(settings))


def _terms(settings: Settings) -> postgres.Terms:
    from watchword.stores import postgres

    given = settings.postgresql
    return postgres.Terms(connections=given.connections, pgbouncer=given.pgbouncer)


def _disciplined(store: Store) -> Clock:
    """This machine's clock, set to the store's: processes that share one agree on the time."""
    return lambda: now() + store.offset


async def _watch_over(store: Store) -> None:
    """Tell when a store on a server is away, and when it is back."""
    is_away = False
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        try:
            await store.ready()
        except StoreUnavailable as trouble:
            if not is_away:
                log.events().warning("store_unavailable", reason=str(trouble))
            is_away = True
        else:
            if is_away:
                log.events().info("store_available")
            is_away = False


class _Weather:
    """Tells when a provider turns unavailable and when it is back, once a minute at the most."""

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._told_down = False
        self._quiet_until = 0.0

    def tell(self, leased: Leased, handover: Handover) -> None:
        is_down = handover.state is DeliveryState.QUEUED
        if is_down is self._told_down or time.monotonic() < self._quiet_until:
            return
        self._told_down, self._quiet_until = is_down, time.monotonic() + _QUIET_S
        if is_down:
            log.events().warning(
                "provider_unavailable", channel=self._channel, reason=handover.reason
            )
        else:
            log.events().info("provider_available", channel=self._channel)


async def _ring(settings: Settings, store: Store, now: datetime) -> KeyRing:
    """The ring that the store was first started under, or a new one for a new store: under another
    no code would be right, and every limit would begin anew. Raises ConfigInvalid."""
    path, pinned = settings.keyring_path, await _pinned(store, now)
    # The store was asked first: whoever pins a ring has made its file before.
    is_new = not path.exists()
    if is_new and pinned is not None:
        raise ConfigInvalid([f"keys.path: {_lost(settings)}"])
    keys = keyring.load_or_make(path)
    if (pinned or await _pin(keys, store, now)) == keys.fingerprint.encode():
        return keys
    if is_new:  # another process was first; nothing was made under this one
        path.unlink(missing_ok=True)
        raise ConfigInvalid([f"keys.path: {_lost(settings)}"])
    raise ConfigInvalid([f"keys.path: {_another(settings)}"])


def _lost(settings: Settings) -> str:
    path = settings.keyring_path
    if settings.address.is_embedded:
        return f"the store is here but its key ring is not; restore your copy to {path}."
    return (
        f"this store was made under another key ring; restore your copy to {path}, or copy "
        "keyring.json of the first machine there."
    )


def _another(settings: Settings) -> str:
    said = "this store was made under another key ring"
    if settings.address.is_embedded:
        return f"{said}."
    return (
        f"{said} than {settings.keyring_path}; put that one aside, and copy keyring.json of the "
        "first machine there."
    )


async def _pin(keys: KeyRing, store: Store, now: datetime) -> bytes | None:
    """Keep the ring's fingerprint, unless another is kept; which is it now?"""
    pinned = Write(kind=_KEYRING, key=_FINGERPRINT, version=0, body=keys.fingerprint.encode())
    with suppress(RecordConflict):
        await store.write([pinned], now)
    return await _pinned(store, now)


async def _pinned(store: Store, now: datetime) -> bytes | None:
    found = await store.record(_KEYRING, _FINGERPRINT, now)
    return found.body if found else None


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def _service(
    settings: Settings,
    keys: KeyRing,
    store: Store,
    providers: Mapping[str, Provider],
    clock: Clock,
) -> Service:
    apps = Apps(store, keys)
    inbox = next((p for p in providers.values() if isinstance(p, virtual.Virtual)), None)
    lanes: dict[str, Lane] = {}
    house = _house(settings, keys, store, providers, lambda channel: lanes[channel].stir())
    for channel, provider in providers.items():
        lanes[channel] = Lane(channel, provider, ours(), house, clock)
    outcomes = Outcomes()
    for channel, lane in lanes.items():
        lane.watchers += [outcomes.tell, _Weather(channel).tell]
    huawei, aliyun = _huawei(settings, house, apps), _aliyun(settings, house, apps)
    return Service(
        settings=settings,
        clock=clock,
        keys=keys,
        store=store,
        house=house,
        apps=apps,
        providers=providers,
        inbox=inbox,
        lanes=tuple(lanes.values()),
        outcomes=outcomes,
        proxies=[ip_network(proxy, strict=False) for proxy in settings.trusted_proxies],
        huawei=huawei,
        aliyun=aliyun,
        demo=await _has_demo(apps, huawei, aliyun, clock()),
    )


async def _has_demo(apps: Apps, huawei: Huawei, aliyun: Aliyun, now: datetime) -> bool:
    return (
        any(key.demo for key in await apps.keys(now))
        or any(one.demo and not one.suspended for one in await huawei.accounts.accounts(now))
        or any(one.demo and not one.suspended for one in await aliyun.accounts.accounts(now))
    )


def _huawei(settings: Settings, house: House, apps: Apps) -> Huawei:
    """Its terms (DESIGN, "Policy"): no resend interval, 3 attempts, any of the last three codes."""
    terms = settings.huawei
    limits = msgspec.structs.replace(settings.limits, destination=terms.destination)
    house = msgspec.structs.replace(
        house,
        policy=Policy(
            max_attempts=3,
            resend_interval=timedelta(),
            resend=Resend.ANY,
            languages=house.policy.languages,
        ),
        meters=meters(_quotas(limits)),
        dialect="huawei",
    )
    accounts = Accounts(house.store, house.keys, apps)
    return Huawei(
        house=house,
        accounts=accounts,
        credentials=Credentials(accounts, house, lock_by_network=terms.ak_lock == "network"),
        customers=Customers(accounts, house.keys, per_phone=terms.customers_per_phone),
        language=terms.language,
    )


def _aliyun(settings: Settings, house: House, apps: Apps) -> Aliyun:
    """Its terms (DESIGN, "Policy"): no resend interval, and any of the last three codes."""
    terms = settings.aliyun
    limits = msgspec.structs.replace(
        settings.limits, account=terms.account, destination=terms.destination
    )
    house = msgspec.structs.replace(
        house,
        policy=Policy(
            resend_interval=timedelta(), resend=Resend.ANY, languages=house.policy.languages
        ),
        meters=meters(_quotas(limits)),
        dialect="aliyun",
    )
    accounts = CloudAccounts(house.store, house.keys, apps)
    return Aliyun(
        house=house,
        accounts=accounts,
        credentials=CloudCredentials(accounts, house, _made(Scope.CREDENTIAL, terms.rate)),
        directories=ResourceDirectories(accounts, terms.members),
        site=terms.site,
    )


def _house(
    settings: Settings,
    keys: KeyRing,
    store: Store,
    providers: Mapping[str, Provider],
    queued: Callable[[str], None],
) -> House:
    policy = settings.policy
    return House(
        store=store,
        keys=keys,
        policy=Policy(
            length=policy.length,
            ttl=timedelta(seconds=policy.ttl_s),
            max_attempts=policy.max_attempts,
            resend_interval=timedelta(seconds=policy.resend_interval_s),
            resend=Resend(policy.resend),
            languages=tuple(policy.languages),
        ),
        meters=meters(_quotas(settings.limits)),
        budget=Budget(hard_stop=settings.budget.hard_stop),
        by_network=settings.limits.by_network,
        channels={name: CHANNELS[name].takes for name in providers},
        queued=queued,
    )


def _quotas(limits: config.Limits) -> tuple[Quota, ...]:
    return tuple(
        quota for scope in Scope for quota in _made(scope, getattr(limits, scope.value, ()))
    )


def _made(scope: Scope, limits: Sequence[config.Limit]) -> tuple[Quota, ...]:
    return tuple(
        Quota(
            scope=scope,
            amount=limit.amount,
            window=timedelta(seconds=limit.window_s),
            span=Span(limit.span) if limit.span else None,
            zone=limit.zone,
        )
        for limit in limits
    )


def _carriers(settings: Settings) -> dict[str, str]:
    """Which provider carries which channel.

    The virtual carrier is there by default only while no real one is: a forgotten setting must
    not swallow people's codes. Raises ConfigInvalid.
    """
    mistakes, carriers = [], {}
    real = {*settings.providers, settings.channels.sms, settings.channels.email} - {"", "virtual"}
    for channel in CHANNELS:
        name = getattr(settings.channels, channel) or _default(channel, real)
        if name and channel not in CARRIES.get(name, ()):
            mistakes.append(f"channels.{channel}: '{name}' carries no {channel}.")
        elif name and name != "virtual" and name not in settings.providers:
            mistakes.append(f"providers.{name}: settings are missing.")
        elif name:
            carriers[channel] = name
    if mistakes:
        raise ConfigInvalid(mistakes)
    return carriers


def _default(channel: str, real: set[str]) -> str:
    if not real:
        return "virtual"
    return next((name for name in sorted(real) if channel in CARRIES.get(name, ())), "")


def _providers(
    settings: Settings, carriers: Mapping[str, str], keys: KeyRing, clock: Clock
) -> dict[str, Provider]:
    made: dict[str, Provider] = {}
    for name in sorted(set(carriers.values())):
        given: Mapping[str, object] = settings.providers.get(name, {})
        if name == "virtual":
            made[name] = virtual.Virtual(
                settings.folder / INBOX,
                keys,
                clock=clock,
                settings=_converted(name, given, virtual.Settings),
            )
        else:
            made[name] = smtp.Smtp(_converted(name, given, smtp.Settings), clock=clock)
    return {channel: made[name] for channel, name in carriers.items()}


def _converted(name: str, given: Mapping[str, object], kind: type[T]) -> T:
    try:
        return msgspec.convert(dict(given), kind, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigInvalid([f"providers.{name}: {error}."]) from None
