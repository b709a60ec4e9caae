"""Settings in, a running service out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_network

import msgspec

from watchword import log
from watchword.bootstrap import carriers, dialects, rotation, wording
from watchword.bootstrap.carriers import CARRIES
from watchword.bootstrap.stores import Stage, disciplined, migrate, now, opened, ring, stage
from watchword.channels.texts import ours
from watchword.config import Settings
from watchword.directory.aliyun import Aliyun
from watchword.directory.apps import Apps
from watchword.directory.ciam import Ciam
from watchword.directory.huawei import Huawei
from watchword.directory.webhooks import Webhooks
from watchword.domain.delivery import DeliveryState, Handover, Leased
from watchword.domain.keys import KeyRing
from watchword.domain.webhook import Webhook
from watchword.errors import StoreUnavailable
from watchword.keyring import Watched
from watchword.ports import Captcha, Clock, Inbox, Provider, Store
from watchword.providers import virtual
from watchword.service.await_outcome import Outcomes
from watchword.service.count_refusals import tell_refusals
from watchword.service.deliver import Lane
from watchword.service.house import House
from watchword.service.keep_journal import Scribe
from watchword.service.notify import Notifier
from watchword.service.pause import Pause
from watchword.service.sweep import sweep
from watchword.webhooks import Poster

__all__ = ["CARRIES", "Service", "Stage", "bootstrap", "migrate", "now", "opened", "stage"]

_REST_S = 1.0
_QUIET_S = 60.0
_LOOK_EVERY_S = 5.0
_LOOK_AT_RING_EVERY_S = 1.0


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
    ciam: Ciam
    webhooks: Webhooks
    notifier: Notifier
    demo: bool

    @property
    def virtual(self) -> bool:
        return self.inbox is not None or self.demo

    def stir(self, channel: str) -> None:
        """Something was queued for this channel."""
        for lane in self.lanes:
            if lane.channel == channel:
                lane.stir()

    async def hold_ring(self) -> None:
        """Tell whoever rotates keys which ones this process knows, until cancelled."""
        await rotation.hold(self.store, self.keys, self.settings.keyring_path, self.clock)

    async def deliver(self) -> None:
        """Deliver and sweep until cancelled. A defect in one lane is told, and the lane goes on."""
        async with asyncio.TaskGroup() as group:
            for lane in self.lanes:
                group.create_task(_for_ever(lane.channel, lane.run))
            group.create_task(_for_ever("webhooks", self.notifier.run))
            group.create_task(_for_ever("sweep", lambda: sweep(self.store, self.clock)))
            group.create_task(_for_ever("journal", self._scribe().run))

    def _scribe(self) -> Scribe:
        keep_days = self.settings.journal.keep_days
        return Scribe(
            self.store,
            self.keys,
            self.clock,
            keep=timedelta(days=keep_days) or None,
            webhooks=self.webhooks.all,
        )


@asynccontextmanager
async def bootstrap(
    settings: Settings, *, clock: Clock | None = None, deliver: bool = True, upgrades: bool = True
) -> AsyncIterator[Service]:
    """Open everything, and close it again; `deliver` also delivers and sweeps meanwhile. Unless it
    `upgrades`, a store of an older watchword is left as it is, and not opened. Without a `clock`,
    this machine's is held to the store's.

    Raises ConfigInvalid and StoreUnavailable.
    """
    carriers.check(settings)
    chosen, captchas = carriers.chosen(settings), carriers.captcha_settings(settings)
    async with AsyncExitStack() as closing:
        store = await closing.enter_async_context(opened(settings, upgrades=upgrades))
        clock = clock or disciplined(store)
        keys = await ring(settings, store, clock())
        watching = asyncio.create_task(
            _for_ever("keyring", partial(_follow, rotation.watched(settings.keyring_path, keys)))
        )
        closing.push_async_callback(_end, watching)
        providers = carriers.providers(settings, chosen, keys, clock)
        for provider in set(providers.values()):
            closing.push_async_callback(provider.close)
        kinds = carriers.captchas(captchas, keys)
        for kind in kinds.values():
            closing.push_async_callback(kind.close)
        poster = Poster(
            timeout=timedelta(seconds=settings.webhooks.timeout_s),
            allow_private=settings.webhooks.allow_private,
        )
        closing.push_async_callback(poster.close)
        service = await _service(
            settings, keys, store, providers, kinds, poster, clock, speaks=deliver
        )
        if deliver or not settings.address.is_embedded:
            watching = asyncio.create_task(_for_ever("store", lambda: _watch_over(store)))
            closing.push_async_callback(_end, watching)
        counting = asyncio.create_task(_for_ever("refusals", lambda: tell_refusals(store, clock)))
        closing.push_async_callback(_end, counting)
        if deliver:
            store.watch(service.stir)
            task = asyncio.create_task(service.deliver())
            closing.push_async_callback(_end, task)
        yield service


async def _service(
    settings: Settings,
    keys: KeyRing,
    store: Store,
    providers: Mapping[str, Provider],
    captchas: Mapping[str, Captcha],
    poster: Poster,
    clock: Clock,
    *,
    speaks: bool,
) -> Service:
    apps = Apps(store, keys)
    # Who delivers nothing says nothing: a wrong text stops no command that may mend it.
    texts = wording.texts(settings, await apps.apps(clock())) if speaks else ours()
    inbox = next((p for p in providers.values() if isinstance(p, virtual.Virtual)), None)
    lanes: dict[str, Lane] = {}
    house = dialects.house(settings, keys, store, providers, lambda channel: lanes[channel].stir())
    for channel, provider in providers.items():
        pace = dialects.pace(getattr(settings.lanes, channel))
        lanes[channel] = Lane(channel, provider, texts, house, clock, pace)
    outcomes = Outcomes()
    for channel, lane in lanes.items():
        settled = _Settled(channel, lane.provider.name)
        lane.watchers += [outcomes.tell, _Weather(channel).tell, settled.tell]
        lane.pause_watchers.append(partial(_tell_paused, channel))
    huawei = dialects.huawei(settings, house, apps)
    aliyun = dialects.aliyun(settings, house, apps)
    ciam = dialects.ciam(settings, house, apps, captchas)
    webhooks = Webhooks(store, keys, apps, poster.refuse_address)
    notifier = Notifier(store, webhooks, poster, clock)
    notifier.watchers.append(_tell_of_webhook)
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
        ciam=ciam,
        webhooks=webhooks,
        notifier=notifier,
        demo=await _has_demo(apps, huawei, aliyun, ciam, clock()),
    )


async def _has_demo(apps: Apps, huawei: Huawei, aliyun: Aliyun, ciam: Ciam, now: datetime) -> bool:
    return (
        any(key.demo for key in await apps.keys(now))
        or any(one.demo and not one.suspended for one in await huawei.accounts.accounts(now))
        or any(one.demo and not one.suspended for one in await aliyun.accounts.accounts(now))
        or any(one.demo and not one.suspended for one in await ciam.clients.clients(now))
    )


async def _for_ever(task: str, run: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await run()
        except Exception as defect:
            log.events().error("task_failed", task=task, error=type(defect).__name__)
            await asyncio.sleep(_REST_S)


async def _follow(file: Watched) -> None:
    """The file is looked at in passing, too; this is for whoever is asked nothing."""
    while True:
        await asyncio.sleep(_LOOK_AT_RING_EVERY_S)
        file.look()


async def _watch_over(store: Store) -> None:
    """Tell when the store takes no writes, and when it does again."""
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


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def _tell_paused(channel: str, pause: Pause | None) -> None:
    if pause:
        log.events().warning("channel_paused", channel=channel, reason=pause.reason)
    else:
        log.events().info("channel_resumed", channel=channel)


class _Settled:
    """Tells how each message of a lane ended; one that is put off has not."""

    def __init__(self, channel: str, provider: str) -> None:
        self._named = {"channel": channel, "provider": provider}

    def tell(self, leased: Leased, handover: Handover) -> None:
        if handover.state is DeliveryState.QUEUED:
            return
        log.events().info(
            "delivery_settled",
            app=leased.app_id,
            **self._named,
            challenge=leased.challenge_id,
            state=handover.state.value,
            tries=leased.tries + 1,
            **({"reason": handover.reason} if handover.reason else {}),
        )


def _tell_of_webhook(webhook: Webhook, trouble: str, again_at: datetime | None) -> None:
    """What was not taken. Its words are ours, never the receiver's."""
    event = "webhook_put_off" if again_at else "webhook_given_up"
    log.events().warning(event, webhook=webhook.id, app=webhook.app_id, reason=trouble)


class _Weather:
    """Tells when a provider turns unavailable, when for another reason, and when it is back, once a
    minute at the most."""

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._told = ""
        self._quiet_until = 0.0

    def tell(self, leased: Leased, handover: Handover) -> None:
        if handover.state is DeliveryState.CANCELLED:  # it was handed to no provider
            return
        trouble = handover.reason if handover.is_trouble else ""
        if trouble == self._told or time.monotonic() < self._quiet_until:
            return
        self._told, self._quiet_until = trouble, time.monotonic() + _QUIET_S
        if trouble:
            log.events().warning("provider_unavailable", channel=self._channel, reason=trouble)
        else:
            log.events().info("provider_available", channel=self._channel)
