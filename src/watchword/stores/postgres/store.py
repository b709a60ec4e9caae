"""The store of a fleet: each verb of ports.Store is one statement, in a transaction of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import asyncpg
import msgspec

from watchword.domain.challenge import Challenge, State, Verdict, serial
from watchword.domain.delivery import (
    Delivery,
    DeliveryState,
    Handover,
    Leased,
    Listed,
    Turns,
)
from watchword.domain.event import Chain, Entry, Event
from watchword.domain.failures import Budget, Failures
from watchword.domain.quota import Demand
from watchword.domain.webhook import Unheard
from watchword.errors import (
    ChallengeClosed,
    ChallengeNotFound,
    FailureBudgetSpent,
    IdempotencyKeyReused,
    RecordConflict,
    ResendTooSoon,
    StoreUnavailable,
)
from watchword.ports import (
    ONCE_KEPT,
    Attempt,
    Condition,
    Erasure,
    Issued,
    Judged,
    LeasedNotice,
    NewNotice,
    NoticeEnd,
    Once,
    Order,
    Record,
    RedrawNeeded,
    Remark,
    Sealed,
    Swept,
    Troubles,
    Unsealed,
    Waiting,
    Write,
)
from watchword.stores._condition import MOST_COUNTED, troubles_asked, unswept_since
from watchword.stores._instants import instant, maybe_instant, maybe_micros, micros, span
from watchword.stores._rows import (
    KEPT,
    PAGE,
    PAST_ALL,
    delivery_from,
    listed_from,
    naming,
    notice_from,
    record_from,
    sealed_challenge,
    sealed_delivery_from,
    unheard_from,
)
from watchword.stores._text import is_text
from watchword.stores.postgres import _journal, _migrating
from watchword.stores.postgres._connections import Connections, Row, Terms
from watchword.stores.postgres._examining import examine
from watchword.stores.postgres._limits import Rings
from watchword.stores.postgres._listening import Listener, Notifier
from watchword.stores.postgres._literals import octets
from watchword.stores.postgres._queries import SQL
from watchword.stores.postgres._rows import (
    budget_array,
    challenge_from,
    leased_from,
    write_arrays,
)
from watchword.stores.postgres._sweeping import Sweeper

_MEASURE_EVERY_S = 30.0
_SAMPLES = 3
_SLOW = timedelta(milliseconds=100)
"""An answer that took longer, if only to its turn, does not say when it was given."""
_ONCE_KEPT = span(ONCE_KEPT)
_SAME_SERIAL = "WW002"

_answer = msgspec.json.Decoder(list[Any]).decode


class PostgresStore:
    """One database, any number of processes. Implements ports.Store."""

    def __init__(self, address: str, terms: Terms) -> None:
        """Use `open`, which prepares the database first."""
        self._address, self._terms = address, terms
        self._connections = Connections(address, terms)
        self._sweeper = Sweeper(self._connections)
        self._notifier = Notifier(self._connections)
        self._listener: Listener | None = None
        self._offset, self._is_measured = timedelta(), False
        self._measuring: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls,
        address: str,
        terms: Terms = Terms(),  # noqa: B008 (frozen)
        *,
        upgrades: bool = True,
    ) -> PostgresStore:
        """Make or migrate the schema. Raises StoreUnavailable; where it is of an older watchword,
        too, unless it `upgrades`."""
        await _migrating.migrate(address, terms, upgrades=upgrades)
        store = cls(address, terms)
        try:
            await store._measure()
        except StoreUnavailable:
            await store.close()
            raise
        store._measuring = asyncio.create_task(store._measure_for_ever())
        return store

    async def close(self) -> None:
        if self._measuring:
            self._measuring.cancel()
        await self._notifier.close()
        if self._listener:
            await self._listener.close()
        await self._connections.close()

    @property
    def offset(self) -> timedelta:
        return self._offset

    def watch(self, tell: Callable[[str], None]) -> None:
        if not self._terms.pgbouncer:
            self._listener = Listener(self._address, self._terms, tell)

    async def issue(self, order: Order, now: datetime) -> Issued | RedrawNeeded:
        at, asked, parcel = micros(now), order.challenge, order.parcel
        rings = Rings(order.demands)
        draw = asked.draws[-1]
        try:
            told = await self._act(
                "issue",
                at,
                *_once(order.once, at),
                serial(asked.id),
                asked.id,
                asked.app_id,
                str(asked.purpose),
                asked.channel,
                asked.slot,
                asked.destination,
                asked.subject,
                asked.masked,
                asked.recipient,
                asked.code_length,
                asked.max_attempts,
                draw.digest,
                micros(draw.expires_at),
                draw.sealed,
                str(order.resend),
                span(order.resend_interval),
                order.redraw_for,
                order.only,
                naming(order.only or "", "")[0],
                order.network,
                budget_array(order.budget),
                parcel.channel if parcel else None,
                parcel.code if parcel else None,
                bool(parcel and parcel.cancel_if_refused),
                *rings.arrays(),
                repeatable=order.once is not None,
            )
        except asyncpg.PostgresError as refusal:
            if refusal.sqlstate != _SAME_SERIAL:
                raise
            return RedrawNeeded(None, asked.code_length, after=asked.id)
        match told:
            case ["issued", *issued]:
                return self._issued(issued)
            case ["again", ["issued", *issued]]:
                return msgspec.structs.replace(_issued(issued), replayed=True)
            case ["redraw", challenge_id, code_length, after]:
                return RedrawNeeded(challenge_id, code_length, after=after)
            case ["spent", waits]:
                raise rings.refusal(waits) or StoreUnavailable()
            case ["too soon", wait]:
                raise ResendTooSoon(
                    scope="resend",
                    retry_in=timedelta(microseconds=wait),
                    amount=1,
                    window=order.resend_interval,
                )
            case ["closed", state]:
                raise ChallengeClosed(State(state))
        raise _refused(told, order.budget.window)

    def _issued(self, told: Sequence[Any]) -> Issued:
        issued = _issued(told)
        if issued.delivery is not None:
            self._notifier.queued(issued.channel)
        return issued

    async def attempt(self, attempt: Attempt, now: datetime) -> Judged:
        at = micros(now)
        told = await self._act(
            "attempt_with_effect" if attempt.effect else "attempt",
            at,
            *_once(attempt.once, at),
            *naming(attempt.challenge_id, attempt.app_id),
            octets(attempt.given.digests),
            attempt.given.subject,
            attempt.network,
            budget_array(attempt.budget),
            *(write_arrays(attempt.effect) if attempt.effect else ()),
            repeatable=attempt.once is not None,
        )
        match told:
            case ["judged", verdict, left]:
                return Judged(verdict=Verdict(verdict), attempts_left=left)
            case ["again", ["judged", verdict, left]]:
                return Judged(verdict=Verdict(verdict), attempts_left=left, replayed=True)
            case ["conflict", kind, key]:
                raise RecordConflict(kind, key)
        raise _refused(told, attempt.budget.window)

    async def cancel(self, app_id: str, challenge_id: str, now: datetime) -> Challenge:
        named = naming(challenge_id, app_id)
        return _the_challenge(
            await self._connections.fetch(SQL["cancel"], micros(now), *named, repeatable=True)
        )

    async def challenge(self, app_id: str, challenge_id: str) -> Challenge:
        return _the_challenge(await self._look("challenge", *naming(challenge_id, app_id)))

    async def latest(self, app_id: str, slot: bytes) -> Challenge:
        return _the_challenge(await self._look("latest", slot, app_id))

    async def lease(
        self,
        channel: str,
        now: datetime,
        *,
        most: int,
        ttl: timedelta,
        repeats: bool,
        turns: Turns = Turns(),  # noqa: B008 (frozen)
    ) -> Sequence[Leased]:
        rows = await self._connections.fetch(
            SQL["lease"],
            channel,
            micros(now),
            micros(now + ttl),
            most,
            repeats,
            turns.after,
            list(turns.held),
            list(turns.held.values()),
            turns.share,
        )
        return [leased_from(row, channel) for row in rows]

    async def begin_sending(
        self, leased: Sequence[Leased], now: datetime, *, ttl: timedelta, again: bool = False
    ) -> Sequence[Leased]:
        ids, tokens = [one.id for one in leased], [one.token for one in leased]
        rows = await self._connections.fetch(
            SQL["begin_sending"], ids, tokens, micros(now), micros(now + ttl), again
        )
        going = {(row[0], row[1]) for row in rows}
        return [one for one in leased if (one.id, one.token) in going]

    async def hand_back(self, leased: Sequence[Leased]) -> None:
        ids, tokens = [one.id for one in leased], [one.token for one in leased]
        await self._connections.fetch(SQL["hand_back"], ids, tokens, repeatable=True)

    async def record_handovers(
        self, handovers: Sequence[Handover], *, provider: str, now: datetime
    ) -> None:
        await self._connections.fetch(
            SQL["record_handovers"],
            micros(now),
            provider,
            [one.id for one in handovers],
            [one.token for one in handovers],
            [one.state.value for one in handovers],
            [one.reference for one in handovers],
            [one.reason for one in handovers],
            [maybe_micros(one.not_before) or micros(now) for one in handovers],
            repeatable=True,
        )

    async def next_due(self, channel: str) -> datetime | None:
        ((due_at,),) = await self._look("next_due", channel)
        return maybe_instant(due_at)

    async def deliveries(self, app_id: str, challenge_id: str) -> Sequence[Delivery]:
        rows = await self._look("deliveries", *naming(challenge_id, app_id))
        if not rows:
            raise ChallengeNotFound
        return [delivery_from(row) for row in rows if row[0] is not None]

    async def delivery_state(self, delivery: int) -> DeliveryState:
        rows = await self._look("delivery_state", delivery)
        if not rows:
            raise ChallengeNotFound
        return DeliveryState(rows[0][0])

    async def settle(
        self, delivery: int, state: DeliveryState, now: datetime, *, reason: str, by_receipt: bool
    ) -> bool:
        return bool(
            await self._connections.fetch(
                SQL["settle"], delivery, state.value, reason, micros(now), by_receipt
            )
        )

    async def waiting_before(self, delivery: Delivery) -> int:
        asked = (delivery.channel, delivery.id, MOST_COUNTED)
        ((count,),) = await self._look("waiting_before", *asked)
        return int(count)

    async def listed(self, state: DeliveryState, *, most: int) -> Sequence[Listed]:
        return [listed_from(row) for row in await self._look("listed", state.value, most)]

    async def due_notices(self) -> Sequence[tuple[str, datetime]]:
        rows = await self._look("due_notices")
        return [(webhook, instant(due_at)) for webhook, due_at in rows]

    async def lease_notices(
        self, webhook: str, now: datetime, *, most: int, ttl: timedelta
    ) -> Sequence[LeasedNotice]:
        rows = await self._connections.fetch(
            SQL["lease_notices"], webhook, micros(now), micros(now + ttl), most
        )
        return [notice_from(row) for row in rows]

    async def record_notice(self, end: NoticeEnd) -> None:
        name, asked = "end_notice", [end.id, end.token]
        if end.due_at is not None:
            name, asked = "put_off_notice", [*asked, micros(end.due_at)]
        await self._connections.fetch(SQL[name], *asked, repeatable=True)

    async def drop_notices(self, webhook: str, until: datetime) -> None:
        await self._connections.fetch(SQL["drop_notices"], webhook, micros(until), repeatable=True)

    async def waiting_notices(self) -> Mapping[str, Unheard]:
        return unheard_from(await self._look("waiting_notices"))

    async def record(self, kind: str, key: str, now: datetime) -> Record | None:
        rows = await self._look("record", kind, key, micros(now)) if is_text(key) else ()
        return record_from(rows[0]) if rows else None

    async def records(self, kind: str, now: datetime) -> Sequence[Record]:
        return [record_from(row) for row in await self._look("records", kind, micros(now))]

    async def page(self, kind: str, after: str, now: datetime, *, most: int) -> Sequence[Record]:
        rows = await self._look("page_of_records", kind, after, micros(now), most)
        return [record_from(row) for row in rows]

    async def sealed(
        self, what: Literal["challenges", "deliveries"], after: int, *, most: int
    ) -> Sequence[Sealed]:
        if what == "deliveries":
            rows = await self._look("sealed_deliveries", after, most)
            return [sealed_delivery_from(row) for row in rows]
        rows = await self._look("sealed_challenges", after, most)
        return [sealed_challenge(row[0], [row[1], *row[2]], row[3]) for row in rows]

    async def open_until(self, opened_by: datetime, now: datetime) -> datetime | None:
        ((until,),) = await self._look("open_until", micros(now), micros(opened_by))
        return maybe_instant(until)

    async def write(self, writes: Sequence[Write], now: datetime) -> None:
        ((misfit,),) = await self._connections.fetch(
            SQL["write"], micros(now), *write_arrays(writes)
        )
        if misfit is not None:
            raise RecordConflict(writes[misfit - 1].kind, writes[misfit - 1].key)

    async def spend(self, demands: Sequence[Demand], now: datetime) -> None:
        rings = Rings(demands)
        ((waits,),) = await self._connections.fetch(SQL["spend"], micros(now), *rings.arrays())
        if waits and (refusal := rings.refusal(waits)):
            raise refusal

    async def spent(self, demands: Sequence[Demand], now: datetime) -> bool:
        rings = Rings(demands)
        ((waits, is_begun),) = await self._look("look", micros(now), *rings.arrays())
        if waits and (refusal := rings.refusal(waits)):
            raise refusal
        return bool(is_begun)

    async def forget(self, counters: Sequence[bytes]) -> None:
        await self._connections.fetch(SQL["forget"], list(counters), repeatable=True)

    async def history(self, destinations: Sequence[bytes]) -> Sequence[Challenge]:
        named = list(destinations)
        found: list[Challenge] = []
        before = PAST_ALL
        while True:
            ((first,),) = await self._look("history_page", before, PAGE)
            if first is None:
                return found
            found += map(challenge_from, await self._look("history", first, before, named))
            before = first

    async def failures(self, destination: bytes) -> Failures:
        rows = await self._look("failures", destination)
        return Failures(tuple(map(instant, rows[0][0])), rows[0][1]) if rows else Failures()

    async def unlock(self, destination: bytes) -> bool:
        ((had_any,),) = await self._connections.fetch(SQL["unlock"], destination)
        return bool(had_any)

    @property
    def sweeping_shares(self) -> tuple[float, float]:
        """Less than the embedded store takes: a row costs more here, and every worker sweeps. For
        more there are more workers."""
        return 0.1, 0.1

    async def sweep(self, now: datetime, *, most: int) -> Swept:
        return Swept(*await self._sweeper.sweep(micros(now), most))

    async def note(self, events: Sequence[Event]) -> None:
        await self._connections.fetch(SQL["note"], *_journal.event_arrays(events))

    async def unsealed(self, most: int) -> Sequence[tuple[int, Event]]:
        return [_journal.event_from(row) for row in await self._look("unsealed", most)]

    async def to_seal(self) -> Unsealed:
        ((count, since),) = await self._look("to_seal")
        return Unsealed(count, maybe_instant(since))

    async def chains(self) -> Sequence[Chain]:
        return [_journal.chain_from(row) for row in await self._look("chains")]

    async def begin_chain(self, chain: Chain, roll: Chain) -> bool:
        given = (chain.number, chain.day, chain.mac, roll.entries, roll.mac)
        ((is_begun,),) = await self._connections.fetch(SQL["begin_chain"], *given)
        return bool(is_begun)

    async def seal(
        self,
        chain: Chain,
        entries: Sequence[Entry],
        events: Sequence[int],
        notices: Sequence[NewNotice] = (),
    ) -> bool:
        ((is_done,),) = await self._connections.fetch(
            SQL["seal"],
            chain.number,
            chain.entries,
            chain.last,
            str(chain.standing),
            chain.mac,
            list(events),
            *_journal.entry_arrays(entries),
            *_journal.notice_arrays(notices),
        )
        return bool(is_done)

    async def entries(self, chain: int, since: int, most: int) -> Sequence[Entry]:
        rows = await self._look("entries", chain, since, most)
        return [_journal.entry_from(row) for row in rows]

    async def strays(self) -> int:
        ((count,),) = await self._look("strays")
        return int(count)

    async def put_chain(self, chain: Chain) -> None:
        await self._connections.fetch(
            SQL["put_chain"],
            chain.number,
            chain.day,
            chain.entries,
            chain.last,
            str(chain.standing),
            chain.mac,
            repeatable=True,
        )

    async def drop_entries(self, chain: int, most: int) -> int:
        return len(await self._connections.fetch(SQL["drop_entries"], chain, most))

    async def entries_about(self, subjects: Sequence[bytes]) -> Sequence[tuple[int, int]]:
        rows = await self._look("entries_about", list(subjects))
        return [(row[0], row[1]) for row in rows]

    async def erase(
        self, subjects: Sequence[bytes], marks: Sequence[tuple[int, int, bytes]]
    ) -> Erasure:
        return await _journal.erase(self._address, self._terms, subjects, marks)

    async def scrub(self) -> None:
        await _journal.scrub(self._address, self._terms)

    async def ready(self) -> None:
        try:
            touched = await self._connections.fetch(SQL["touch"], repeatable=True)
        except StoreUnavailable as trouble:
            if await self._lacks_a_standby():
                raise StoreUnavailable(
                    "The store answers, but no COMMIT ends: no synchronous standby is connected."
                ) from trouble
            raise
        if not touched:
            raise StoreUnavailable("The store is read only.")

    async def _lacks_a_standby(self) -> bool:
        """Whether one is wanted and none is there, as far as the server tells."""
        with suppress(StoreUnavailable):
            ((lacks,),) = await self._look("lacks_a_standby")
            return bool(lacks)
        return False

    @property
    def commits(self) -> Mapping[int, int]:
        return {}

    async def condition(self, now: datetime) -> Condition:
        rows, (ends,) = await self._look("waiting", MOST_COUNTED), await self._look("unswept")
        waiting = [
            Waiting(channel, messages, instant(oldest)) for channel, messages, oldest in rows
        ]
        since = unswept_since(*map(maybe_instant, ends), kept=KEPT, now=now)
        return Condition(waiting, since)

    async def troubles(self, budget: Budget, now: datetime) -> Troubles:
        ((unknown, locked),) = await self._look("troubles", *troubles_asked(budget, now))
        return Troubles(unknown, locked)

    async def examine(self) -> Sequence[Remark]:
        await self._measure()
        return await examine(self._connections, self._offset)

    async def _act(self, name: str, *given: object, repeatable: bool) -> list[Any]:
        ((told,),) = await self._connections.fetch(SQL[name], *given, repeatable=repeatable)
        return _answer(told)

    async def _look(self, name: str, *given: object) -> Sequence[Row]:
        return await self._connections.fetch(SQL[name], *given, repeatable=True)

    async def _measure(self) -> None:
        """How far the server's clock is ahead, by the quickest of a few answers."""
        samples = []
        for _ in range(_SAMPLES):
            before = datetime.now(UTC)
            ((told,),) = await self._look("clock")
            took = datetime.now(UTC) - before
            samples.append((took, told - before - took / 2))
        quickest, offset = min(samples)
        if quickest < _SLOW or not self._is_measured:
            self._offset, self._is_measured = offset, True

    async def _measure_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_MEASURE_EVERY_S)
            with suppress(StoreUnavailable):
                await self._measure()


def _once(once: Once | None, at: int) -> tuple[bytes | None, bytes | None, int | None]:
    return (once.key, once.request, at + _ONCE_KEPT) if once else (None, None, None)


def _the_challenge(rows: Sequence[Row]) -> Challenge:
    if not rows:
        raise ChallengeNotFound
    return challenge_from(rows[0])


def _issued(told: Sequence[Any]) -> Issued:
    return Issued(
        challenge_id=told[0],
        opened=told[1],
        masked=told[2],
        channel=told[3],
        drawn_at=instant(told[4]),
        expires_at=instant(told[5]),
        resend_at=instant(told[6]),
        attempts_left=told[7],
        delivery=told[8],
    )


def _refused(told: list[Any], window: timedelta) -> Exception:
    """A refusal that both acts on challenges may answer with."""
    match told:
        case ["failures", wait, amount]:
            return FailureBudgetSpent(
                scope="failures",
                retry_in=timedelta(microseconds=wait),
                amount=amount,
                window=window,
            )
        case ["not found"]:
            return ChallengeNotFound()
    return IdempotencyKeyReused()
