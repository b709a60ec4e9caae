"""Deliver: take what is queued for a channel to its provider, each message once.

Every step is committed before the next: leased, sending, then what became of it. Whatever a crash
leaves behind says how far it came, and only what cannot have been handed over is sent again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from time import perf_counter
from typing import TypeVar

import msgspec

from watchword.domain.delivery import DeliveryState, Handover, Leased, back_off
from watchword.domain.language import choose
from watchword.domain.message import Message, Words, one_line
from watchword.domain.purpose import Purpose
from watchword.errors import (
    DeliveryFailed,
    KeyUnknown,
    ProviderRefused,
    ProviderUnavailable,
    StoreUnavailable,
)
from watchword.ports import Clock, Provider, Texts
from watchword.service.house import House
from watchword.service.issue import Recipient

GRACE = timedelta(seconds=5)
"""How much longer than the provider's time-out a lease lasts."""
_LOOK_EVERY_S = 0.1
_REST_S = 0.25
_LONGEST_REASON = 200
_NOBODY = "nobody is there"

T = TypeVar("T")
Watcher = Callable[[Leased, Handover], None]


class Lane:
    """All deliveries of one channel, through one provider."""

    def __init__(
        self, channel: str, provider: Provider, texts: Texts, house: House, clock: Clock
    ) -> None:
        self.channel, self.provider, self._texts = channel, provider, texts
        self._house, self._clock = house, clock
        self._lease = provider.timeout + GRACE
        self._stirred = asyncio.Event()
        self._ended = asyncio.Event()
        self._closing = asyncio.Event()
        self._free = provider.most_at_once
        self._took_s = 0.0
        self._unrecorded: list[tuple[Leased, Handover]] = []
        self._handing: set[asyncio.Task[None]] = set()
        self.watchers: list[Watcher] = []
        """Called with each hand-over once its end is recorded."""
        self.ended_as: Counter[DeliveryState] = Counter()
        """How hand-overs of this process ended; QUEUED is a try that will be repeated."""

    def stir(self) -> None:
        """Something was queued here, by this process."""
        self._stirred.set()

    async def run(self) -> None:
        """Deliver until cancelled; then finish what is under way and write it down."""
        recorder = asyncio.create_task(self._record_for_ever())
        begun: asyncio.Task[bool] | None = None
        try:
            while True:
                # Shielded: what is committed as begun has to be handed over, cancelled or not.
                begun = asyncio.create_task(self._patiently(self._deliver_due))
                await asyncio.shield(begun)
                await self._until_stirred()
        finally:
            await self._finish(begun, recorder)

    async def _finish(self, begun: asyncio.Task[bool] | None, recorder: asyncio.Task[None]) -> None:
        """See through what is begun, for at most a lease: after that it is not ours any more."""
        self._closing.set()
        try:
            async with asyncio.timeout(self._lease.total_seconds()):
                if begun is not None:
                    await asyncio.wait([begun])
                await asyncio.gather(*self._handing, return_exceptions=True)
                recorder.cancel()
                await asyncio.wait([recorder])
                await self._patiently(self._record)
        except TimeoutError:
            recorder.cancel()
            if begun is not None:
                begun.cancel()

    async def _until_stirred(self) -> None:
        """Other processes queue too, so look every now and then; a look takes no lock."""
        while self._free == 0 or not await self._patiently(self._is_due):
            try:
                # Not wait_for: before Python 3.12 it may swallow the cancellation that ends a lane.
                async with asyncio.timeout(_LOOK_EVERY_S):
                    await self._stirred.wait()
            except TimeoutError:
                continue
            self._stirred.clear()
            return

    async def _is_due(self) -> bool:
        due_at = await self._house.store.next_due(self.channel)
        return due_at is not None and due_at <= self._clock()

    async def _deliver_due(self) -> bool:
        """Begin as many hand-overs as there is room for."""
        if not self._free:
            return False
        store, now = self._house.store, self._clock()
        leased = await store.lease(
            self.channel,
            now,
            most=self._free,
            ttl=self._lease,
            repeats=self.provider.repeats_harmlessly,
        )
        if leased:
            going = await self._begun(leased)
            self._free -= len(going)
            for one in going:
                task = asyncio.create_task(self._hand_over(one))
                self._handing.add(task)
                task.add_done_callback(self._handing.discard)
        return bool(leased)

    async def _begun(self, leased: Sequence[Leased]) -> Sequence[Leased]:
        """Those that may go. An answer that was lost may have been a yes."""
        again = False
        while True:
            try:
                return await self._house.store.begin_sending(
                    leased, self._clock(), ttl=self._lease, again=again
                )
            except StoreUnavailable:
                again = True
                await asyncio.sleep(_REST_S)

    async def _hand_over(self, leased: Leased) -> None:
        handover = await self._outcome(leased)
        self._free += 1
        if handover.state is DeliveryState.CANCELLED:
            self._stirred.set()
            await self._or_the_end(self._took_s)
        self._unrecorded.append((leased, handover))
        self._ended.set()

    async def _or_the_end(self, span_s: float) -> None:
        """Wait so long, unless the lane ends before."""
        with suppress(TimeoutError):
            async with asyncio.timeout(span_s):
                await self._closing.wait()

    async def _outcome(self, leased: Leased) -> Handover:
        """Take it to the provider, and say how that ended."""
        try:
            message = self._message(leased)
        except KeyUnknown as unknown:  # a ring that is put right can still send it
            return self._later(leased, str(unknown))
        except Exception as error:  # whatever is wrong with this one, the others are not to wait
            return _ended(leased, DeliveryState.FAILED, reason=type(error).__name__)
        if not message.code:
            return _to_nobody(leased)
        started = perf_counter()
        try:
            async with asyncio.timeout(self.provider.timeout.total_seconds()):
                receipt = await self.provider.send(message)
        except ProviderRefused as refusal:
            return _ended(leased, DeliveryState.FAILED, reason=_reason(refusal, message))
        except ProviderUnavailable as trouble:
            return self._later(leased, _reason(trouble, message))
        except (DeliveryFailed, TimeoutError) as doubt:
            return self._in_doubt(leased, _reason(doubt, message) or "timed out")
        except Exception as defect:
            return self._in_doubt(leased, type(defect).__name__)
        self._took_s = perf_counter() - started
        return _ended(leased, receipt.state, reference=_plain(receipt.reference))

    def _in_doubt(self, leased: Leased, reason: str) -> Handover:
        """It may have arrived. Only a provider that repeats harmlessly is asked again."""
        if not self.provider.repeats_harmlessly:
            return _ended(leased, DeliveryState.UNKNOWN, reason=reason)
        return self._later(leased, reason)

    def _later(self, leased: Leased, reason: str) -> Handover:
        again_at = self._clock() + back_off(leased.tries + 1)
        return _ended(leased, DeliveryState.QUEUED, reason=reason, not_before=again_at)

    def _message(self, leased: Leased) -> Message:
        keys = self._house.keys
        recipient = msgspec.msgpack.decode(
            keys.unseal(leased.recipient, leased.slot), type=Recipient
        )
        words = Words(
            code=keys.unseal(leased.code, leased.challenge_id.encode()).decode(),
            minutes=leased.minutes,
            brand=recipient.brand,
            origin=recipient.origin,
            brands=recipient.brands,
        )
        offered = self._house.policy.languages
        return self._texts.render(
            Purpose(leased.purpose),
            leased.channel,
            choose(recipient.language, recipient.app_language, offered),
            words,
            key=f"{leased.challenge_id}-{leased.id}",
            to=recipient.to.address,
            expires_at=leased.expires_at,
            app=leased.app_id,
        )

    async def _record_for_ever(self) -> None:
        while True:
            if not self._unrecorded:
                self._ended.clear()
                await self._ended.wait()
            await self._patiently(self._record)
            self._stirred.set()

    async def _record(self) -> bool:
        """Write down every end so far, in one act. What cannot be written down stays to be."""
        ended = tuple(self._unrecorded)
        if not ended:
            return False
        await self._house.store.record_handovers(
            [handover for _, handover in ended], provider=self.provider.name, now=self._clock()
        )
        del self._unrecorded[: len(ended)]
        for leased, handover in ended:
            self.ended_as[handover.state] += 1
            for watcher in self.watchers:
                watcher(leased, handover)
        return True

    async def _patiently(self, step: Callable[[], Awaitable[T]]) -> T:
        """Repeat a step until the store answers."""
        while True:
            try:
                return await step()
            except StoreUnavailable:
                await asyncio.sleep(_REST_S)


def _to_nobody(leased: Leased) -> Handover:
    """What says nothing is handed to no provider. It is written down no sooner than the last that
    was, so that what is done meanwhile does not tell, by its own time, that nobody is there; and
    it holds up no other."""
    return _ended(leased, DeliveryState.CANCELLED, reason=_NOBODY)


def _reason(error: Exception, message: Message) -> str:
    """What the provider says, unless it repeats what we told it in confidence."""
    said = str(error)
    if message.code in said or message.to.removeprefix("+") in said:
        return type(error).__name__
    return _plain(said)


def _plain(said: str) -> str:
    """A provider's words as a store can keep them."""
    return one_line(said)[:_LONGEST_REASON]


def _ended(
    leased: Leased,
    state: DeliveryState,
    *,
    reference: str = "",
    reason: str = "",
    not_before: datetime | None = None,
) -> Handover:
    return Handover(
        id=leased.id,
        token=leased.token,
        state=state,
        reference=reference,
        reason=reason,
        not_before=not_before,
    )
