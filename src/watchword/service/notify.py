"""Notify: tell apps what became of their codes, each webhook in its own time.

A notice is queued in the act that seals its event, and is posted until the app takes it: at least
once, always under the same id. What hangs or fails at one webhook keeps no other waiting.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Protocol

import msgspec

from watchword.domain.event import Event, Kind
from watchword.domain.webhook import Notice, Webhook, body, next_try_in, signed
from watchword.errors import AccessDenied, DeliveryFailed, KeyUnknown, StoreUnavailable
from watchword.ports import Clock, LeasedNotice, NewNotice, NoticeEnd, NoticeStore

GRACE = timedelta(seconds=5)
"""How much longer than a post may take its lease lasts."""
PER_WEBHOOK = 4
"""How many posts at once a webhook gets."""
MOST_AT_ONCE = 64
"""How many posts at once in all, but for the first of each webhook."""
KEPT = timedelta(days=7)
"""How long a notice waits, at the longest: for a webhook that is stopped, or takes fewer than
come."""
_FORGET_EVERY = timedelta(minutes=10)
_LOOK_EVERY_S = 0.25
_REST_S = 1.0
_GONE = 410
_MESSAGE = "message_"

NOTICES: Mapping[str, Notice] = {
    Kind.CREATED: Notice.CREATED,
    Kind.APPROVED: Notice.APPROVED,
    Kind.EXHAUSTED: Notice.FAILED,
    Kind.EXPIRED: Notice.EXPIRED,
    Kind.MESSAGE_ACCEPTED: Notice.DELIVERED,
    Kind.MESSAGE_DELIVERED: Notice.DELIVERED,
    Kind.MESSAGE_REFUSED: Notice.REFUSED,
}
"""What an app hears of each kind of event; of the others nothing."""

Watcher = Callable[[Webhook, str, datetime | None], None]


def notices(events: Iterable[Event], webhooks: Sequence[Webhook]) -> list[NewNotice]:
    """Who is to be told what of these events. Each has a key of its own, by which a receiver knows
    it when it comes again."""
    return [
        NewNotice(
            webhook=webhook.id,
            key=f"msg_{secrets.token_hex(12)}",
            notice=notice,
            at=event.at,
            subject=event.subject,
            told=msgspec.json.encode(_told(event)),
        )
        for event in events
        if (notice := NOTICES.get(event.kind))
        for webhook in webhooks
        if webhook.app_id == event.app_id
        and notice in webhook.notices
        and webhook.created_at <= event.at
    ]


def _told(event: Event) -> dict[str, Any]:
    """Without code or whole address. `state` tells what became of a message where two kinds of
    event share a notice, and `delivery` which of a verification's it was."""
    told: dict[str, Any] = {
        "id": event.challenge_id,
        "channel": event.channel,
        "purpose": event.purpose,
        "to": event.masked,
    }
    if event.kind.startswith(_MESSAGE):
        told["state"] = event.kind.removeprefix(_MESSAGE)
        told.update(msgspec.json.decode(event.details, type=dict[str, Any]))
    return told


class Directory(Protocol):
    """The webhooks there are."""

    async def known(self, now: datetime) -> Sequence[Webhook]: ...
    async def find(self, webhook_id: str, now: datetime) -> Webhook | None: ...
    async def stop(self, webhook_id: str, reason: str, now: datetime) -> None: ...
    def secrets(self, webhook: Webhook) -> Sequence[bytes]: ...


class Poster(Protocol):
    """Posts a body, and says with what status it was answered. Raises DeliveryFailed where no
    whole answer came, ValueError for an address that nothing is sent to."""

    timeout: timedelta

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int: ...


class Notifier:
    """The lane of all webhooks."""

    def __init__(
        self, store: NoticeStore, webhooks: Directory, poster: Poster, clock: Clock
    ) -> None:
        self._store, self._webhooks = store, webhooks
        self._poster, self._clock = poster, clock
        self._lease = poster.timeout + GRACE
        self._posting: dict[asyncio.Task[None], str] = {}
        self._forgets_at: datetime | None = None
        self.watchers: list[Watcher] = []
        """Called with each post that was not taken: why, and when it is tried again, if ever."""
        self.ended_as: Counter[str] = Counter(dict.fromkeys(("taken", "put_off", "given_up"), 0))
        """How posts of this process ended: taken, put_off, given_up."""

    async def run(self) -> None:
        """Post until cancelled; then let go of what is under way. It is posted again."""
        try:
            while True:
                with suppress(StoreUnavailable):
                    await self._post_due()
                    await self._forget_old()
                await asyncio.sleep(_LOOK_EVERY_S)
        finally:
            for task in self._posting:
                task.cancel()
            await asyncio.gather(*self._posting, return_exceptions=True)

    async def _post_due(self) -> None:
        """Begin as many posts as there is room for, at each webhook that has any due."""
        now = self._clock()
        due = {name: due_at for name, due_at in await self._store.due_notices() if due_at <= now}
        if not due:
            return
        known = {webhook.id: webhook for webhook in await self._webhooks.known(now)}
        busy = Counter(self._posting.values())
        for webhook_id in sorted(due, key=lambda one: (busy[one], due[one])):
            webhook = known.get(webhook_id) or await self._webhooks.find(webhook_id, now)
            if webhook is None or webhook.stopped:
                await self._forget(webhook, webhook_id, due[webhook_id])
                continue
            room = min(PER_WEBHOOK - busy[webhook_id], MOST_AT_ONCE - len(self._posting))
            if room <= 0 and busy[webhook_id]:
                continue
            # However many of the others hang, whoever has none under way may have one.
            room = max(1, room)
            for leased in await self._store.lease_notices(
                webhook_id, now, most=room, ttl=self._lease
            ):
                self._begin(webhook, leased)

    async def _forget_old(self) -> None:
        """What waited for too long, a little at a time: a receiver that hangs takes fewer than
        come, and they must not wait for ever."""
        now = self._clock()
        if self._forgets_at is not None and now < self._forgets_at:
            return
        self._forgets_at = now + _FORGET_EVERY
        until = now - KEPT
        for webhook_id, unheard in (await self._store.waiting_notices()).items():
            if unheard.oldest_at <= until:
                await self._store.drop_notices(webhook_id, until)
                self._forgets_at = now + timedelta(seconds=_REST_S)

    async def _forget(self, webhook: Webhook | None, webhook_id: str, due_at: datetime) -> None:
        """What waits for one that is gone; for one that is stopped, what waited for too long."""
        until = self._clock() - (KEPT if webhook else timedelta())
        if due_at <= until:
            await self._store.drop_notices(webhook_id, until)

    def _begin(self, webhook: Webhook, leased: LeasedNotice) -> None:
        task = asyncio.create_task(self._post(webhook, leased))
        self._posting[task] = webhook.id
        task.add_done_callback(self._posting.pop)

    async def _post(self, webhook: Webhook, leased: LeasedNotice) -> None:
        trouble = await self._trouble(webhook, leased)
        now, wait = self._clock(), next_try_in(leased.token)
        if not trouble or wait is None:
            end = NoticeEnd(id=leased.id, token=leased.token, due_at=None)
        else:
            end = NoticeEnd(id=leased.id, token=leased.token, due_at=now + wait)
        await self._patiently(end)
        self.ended_as["put_off" if end.due_at else "given_up" if trouble else "taken"] += 1
        for watcher in self.watchers if trouble else ():
            watcher(webhook, trouble, end.due_at)

    async def _trouble(self, webhook: Webhook, leased: LeasedNotice) -> str:
        """Post it; why it was not taken, "" when it was. One that is gone hears nothing more
        (Standard Webhooks: 410)."""
        now = self._clock()
        try:
            said = body(leased.notice, leased.at, leased.told)
            headers = signed(leased.key, said, self._webhooks.secrets(webhook), now)
            status = await self._poster.post(webhook.url, headers, said)
        except (DeliveryFailed, KeyUnknown, ValueError) as failure:
            return str(failure) or type(failure).__name__
        except Exception as defect:  # whatever is wrong with this one, the others go on
            return type(defect).__name__
        if status == _GONE:
            with suppress(AccessDenied, StoreUnavailable):
                await self._webhooks.stop(webhook.id, "it answered 410 Gone", now)
        return "" if 200 <= status < 300 else f"it answered {status}"

    async def _patiently(self, end: NoticeEnd) -> None:
        """Write down how a post ended, once the store answers."""
        while True:
            try:
                return await self._store.record_notice(end)
            except StoreUnavailable:
                await asyncio.sleep(_REST_S)
