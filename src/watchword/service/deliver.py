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
from time import monotonic, perf_counter
from typing import TypeVar

import msgspec

from watchword.domain.delivery import DeliveryState, Handover, Leased, Turns, back_off
from watchword.domain.language import choose
from watchword.domain.message import Message, Words, one_line
from watchword.domain.purpose import Purpose
from watchword.domain.quota import Meter, Quota, demand, meters
from watchword.errors import (
    DeliveryFailed,
    KeyUnknown,
    ProviderRefused,
    ProviderUnavailable,
    QuotaExceeded,
    StoreUnavailable,
)
from watchword.ports import Clock, Provider, Texts
from watchword.service.house import House
from watchword.service.issue import Recipient
from watchword.service.pause import Pause, paused

GRACE = timedelta(seconds=5)
"""How much longer than the provider's time-out a lease lasts."""
_LOOK_EVERY_S = 0.1
_PAUSE_FRESH_S = 0.25
_SHORTEST_WAIT_S = 0.005
_KEPT_FREE = 8
"""One place of so many, and one at least, is for apps that do not hold all the others."""
_REST_S = 0.25
_LONGEST_REASON = 200
_NOBODY = "nobody is there"

T = TypeVar("T")
Watcher = Callable[[Leased, Handover], None]


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How much a lane may do: hand-overs at once, 0 being as many as its provider makes, and how
    many are begun in which time, by all processes together."""

    at_once: int = 0
    rates: Sequence[Quota] = ()


class Lane:
    """All deliveries of one channel, through one provider."""

    def __init__(
        self,
        channel: str,
        provider: Provider,
        texts: Texts,
        house: House,
        clock: Clock,
        pace: Pace = Pace(),  # noqa: B008 (frozen)
    ) -> None:
        self.channel, self.provider, self._texts = channel, provider, texts
        self._house, self._clock = house, clock
        self.lease = provider.timeout + GRACE
        """How long a hand-over is one worker's: a stop waits for it no longer."""
        self._stirred = asyncio.Event()
        self._ended = asyncio.Event()
        self._closing = asyncio.Event()
        self._free = min(provider.most_at_once, pace.at_once or provider.most_at_once)
        # A hand-over that hangs keeps its place: whatever becomes of one app's, another finds one.
        self._share = max(1, self._free - max(1, self._free // _KEPT_FREE))
        self._held: Counter[str] = Counter()
        self._last_served = ""
        self._in_vain = False
        self._meters = meters(pace.rates)
        self._room_at: datetime | None = None
        self.paused: Pause | None = None
        """How the channel is paused, as of a moment ago."""
        self.pause_watchers: list[Callable[[Pause | None], None]] = []
        """Called when the channel is found paused, and when it is found resumed."""
        self._pause_known_at = float("-inf")
        self._took_s = 0.0
        self._unrecorded: list[tuple[Leased, Handover]] = []
        self._is_behind = False
        self._handing: set[asyncio.Task[None]] = set()
        self.watchers: list[Watcher] = []
        """Called with each hand-over once its end is recorded."""
        self.ended_as: Counter[DeliveryState] = Counter()
        """How hand-overs of this process ended; QUEUED is a try that will be repeated."""

    def stir(self) -> None:
        """Something was queued here, by this process."""
        self._stirred.set()

    async def run(self) -> None:
        """Deliver until cancelled; then hand back what is not begun, finish what is, and write
        that down. After a defect it may be run again."""
        self._closing.clear()
        self._is_behind = False
        recorder = asyncio.create_task(self._record_for_ever())
        begun: asyncio.Task[None] | None = None
        try:
            while True:
                # Shielded: what is committed as begun has to be handed over, cancelled or not.
                begun = asyncio.create_task(self._patiently(self._deliver_due))
                await asyncio.shield(begun)
                await self._until_stirred(recorder)
        finally:
            await self._finish(begun, recorder)

    async def _finish(self, begun: asyncio.Task[None] | None, recorder: asyncio.Task[None]) -> None:
        """See through what is begun, for at most a lease: after that it is not ours any more."""
        self._closing.set()
        try:
            async with asyncio.timeout(self.lease.total_seconds()):
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

    async def _until_stirred(self, recorder: asyncio.Task[None]) -> None:
        """Other processes queue too, so look every now and then; a look takes no lock. What was
        due and could not be had will not be had at once. Raises what ended the recorder: without
        it nothing is to be begun."""
        while self._in_vain or not await self._patiently(self._is_worth_a_lease):
            if recorder.done():
                break
            self._in_vain = False
            try:
                # Not wait_for: before Python 3.12 it may swallow the cancellation that ends a lane.
                async with asyncio.timeout(self._until_a_look_s()):
                    await self._stirred.wait()
            except TimeoutError:
                continue
            self._stirred.clear()
            break
        if recorder.done():
            recorder.result()

    def _until_a_look_s(self) -> float:
        """There may be room before it is time to look anyway."""
        if self._room_at is None:
            return _LOOK_EVERY_S
        left_s = (self._room_at - self._clock()).total_seconds()
        return max(_SHORTEST_WAIT_S, min(_LOOK_EVERY_S, left_s))

    async def _is_worth_a_lease(self) -> bool:
        return await self._may_begin() and await self._is_due()

    async def _may_begin(self) -> bool:
        # An end that could not be written down is to be before its lease is found lapsed.
        if self._free == 0 or self._is_behind or await self._is_paused():
            return False
        return self._room_at is None or self._room_at <= self._clock()

    async def _is_paused(self) -> bool:
        if monotonic() - self._pause_known_at >= _PAUSE_FRESH_S:
            found = await paused(self._house.store, self.channel, self._clock())
            self._pause_known_at = monotonic()
            if found != self.paused:
                self.paused = found
                for tell in self.pause_watchers:
                    tell(found)
        return self.paused is not None

    async def _is_due(self) -> bool:
        due_at = await self._house.store.next_due(self.channel)
        return due_at is not None and due_at <= self._clock()

    async def _deliver_due(self) -> None:
        """Begin as many hand-overs as there is room for."""
        if self._closing.is_set() or not await self._may_begin():
            return
        leased = await self._house.store.lease(
            self.channel,
            self._clock(),
            most=self._free,
            ttl=self.lease,
            repeats=self.provider.repeats_harmlessly,
            turns=Turns(held=self._held, after=self._last_served, share=self._share),
        )
        self._in_vain = not leased
        if granted := await self._granted(leased):
            self._last_served = granted[-1].app_id
            for one in await self._begun(granted):
                self._free -= 1
                self._held[one.app_id] += 1
                task = asyncio.create_task(self._hand_over(one))
                self._handing.add(task)
                task.add_done_callback(self._handing.discard)

    async def _granted(self, leased: Sequence[Leased]) -> Sequence[Leased]:
        """Those that the rate leaves room for. The others are queued again, and so is everything
        where the lane is being closed: nobody is to wait for a lease of ours to lapse."""
        count = 0
        while count < len(leased) and not self._closing.is_set():
            if not await self._patiently(self._has_room):
                break
            count += 1
        if self._closing.is_set():
            count = 0
        if back := leased[count:]:
            await self._patiently(lambda: self._house.store.hand_back(back))
        return leased[:count]

    async def _has_room(self) -> bool:
        """Whether one more may be begun now; it is counted."""
        if not self._meters:
            return True
        now = self._clock()
        try:
            await self._house.store.spend(
                [demand(meter, self._counter(meter), now) for meter in self._meters], now
            )
        except QuotaExceeded as full:
            self._room_at = now + full.retry_in
            return False
        self._room_at = None
        return True

    def _counter(self, meter: Meter) -> bytes:
        return self._house.keys.index("rate", self.channel, meter.calendar)

    async def _begun(self, leased: Sequence[Leased]) -> Sequence[Leased]:
        """Those that may go. An answer that was lost may have been a yes."""
        again = False
        while True:
            try:
                return await self._house.store.begin_sending(
                    leased, self._clock(), ttl=self.lease, again=again
                )
            except StoreUnavailable:
                again = True
                await asyncio.sleep(_REST_S)

    async def _hand_over(self, leased: Leased) -> None:
        handover = await self._outcome(leased)
        self._free += 1
        self._held -= Counter([leased.app_id])
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
            return self._later(leased, _reason(trouble, message), for_all=trouble.for_all)
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

    def _later(self, leased: Leased, reason: str, *, for_all: bool = True) -> Handover:
        again_at = self._clock() + back_off(leased.tries + 1)
        return _ended(
            leased, DeliveryState.QUEUED, reason=reason, not_before=again_at, for_all=for_all
        )

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
            await self._patiently(self._record_or_fall_behind)
            self._stirred.set()

    async def _record_or_fall_behind(self) -> None:
        try:
            await self._record()
        except StoreUnavailable:
            self._is_behind = True
            raise
        self._is_behind = False

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
    for_all: bool = True,
) -> Handover:
    return Handover(
        id=leased.id,
        token=leased.token,
        state=state,
        reference=reference,
        reason=reason,
        not_before=not_before,
        for_all=for_all,
    )
