"""What we need from outside, as Protocols: a clock, a store, providers, an inbox."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import Literal, Protocol

import msgspec

from watchword.domain.challenge import Challenge, Given, Verdict
from watchword.domain.delivery import (
    Delivery,
    DeliveryState,
    Handover,
    Leased,
    Listed,
    Receipt,
    Turns,
)
from watchword.domain.event import Chain, Entry, Event
from watchword.domain.failures import Budget, Failures
from watchword.domain.message import Message, Words
from watchword.domain.policy import Resend
from watchword.domain.purpose import Purpose
from watchword.domain.quota import Demand
from watchword.domain.webhook import Unheard

Clock = Callable[[], datetime]
"""Gives the present instant, aware and in UTC."""


class Patience:
    """How long a request may still wait for a store on a server, in all its acts together: slow
    acts, each in its time, must not add up to an answer that nobody waits for any more."""

    __slots__ = ("left_s",)

    def __init__(self, left_s: float) -> None:
        self.left_s = left_s


PATIENCE: ContextVar[Patience | None] = ContextVar("PATIENCE", default=None)
"""That of the request at hand; None where nobody waits for an answer."""
PATIENCE_S = 1.5
"""What a request begins with, and what an act alone has."""


ONCE_KEPT = timedelta(hours=24)
"""How long an idempotency key gives the first answer again."""


class Once(msgspec.Struct, frozen=True, kw_only=True):
    """An idempotency key: `key` the digest of (API key, route, key), `request` that of the body."""

    key: bytes
    request: bytes


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery to queue with an act: `code` sealed under the challenge id."""

    channel: str
    code: bytes
    cancel_if_refused: bool = False
    """A final refusal also cancels the challenge, in the same act."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """All that `issue` needs to decide in one act.

    `challenge` is what to open when none is open for its slot, its single draw included. While
    one is open the order is a resend of it. `redraw_for` names the open challenge that the draw
    and the parcel were made for, None where they were made for a new one. `only` names the one
    challenge that this order may extend; it never opens another.
    """

    challenge: Challenge
    resend: Resend
    resend_interval: timedelta
    redraw_for: str | None = None
    only: str | None = None
    demands: Sequence[Demand] = ()
    budget: Budget
    network: bytes = b""
    parcel: Parcel | None
    once: Once | None = None


class Issued(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What `issue` did. `opened` is False for a resend; `delivery` None where none was queued."""

    challenge_id: str
    opened: bool
    masked: str
    channel: str
    drawn_at: datetime
    expires_at: datetime
    resend_at: datetime
    attempts_left: int
    delivery: int | None = None
    replayed: bool = False


class RedrawNeeded(msgspec.Struct, frozen=True):
    """Not done: the code has to be drawn for this challenge (None: a new one) at this length.

    `after` is an id that the id of a new one has to follow.
    """

    challenge_id: str | None
    code_length: int
    after: str | None = None


class Write(msgspec.Struct, frozen=True, kw_only=True):
    """A conditional record write. `version` 0 asks that the record be absent; n that it be at n.

    A unique claim is a record of its own kind put at version 0. `body` None deletes.
    """

    kind: str
    key: str
    version: int
    body: bytes | None
    expires_at: datetime | None = None


class Record(msgspec.Struct, frozen=True, kw_only=True):
    kind: str
    key: str
    version: int
    body: bytes
    expires_at: datetime | None = None


class Sealed(msgspec.Struct, frozen=True):
    """A row that holds seals: under which keys, and until when it may keep them."""

    id: int
    seals: Sequence[bytes]
    """The beginning of each, which names its key."""
    until: datetime


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One answer to a challenge. `effect` is applied in the act that consumes the code.

    `network` is the keyed digest of the client's network, empty when unknown.
    """

    app_id: str
    challenge_id: str
    given: Given
    budget: Budget
    network: bytes = b""
    effect: Sequence[Write] = ()
    once: Once | None = None


class Judged(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    verdict: Verdict
    attempts_left: int
    replayed: bool = False


class NewNotice(msgspec.Struct, frozen=True, kw_only=True):
    """A notice to queue for a webhook. `told` is JSON, and names nobody beyond a mask; `subject` is
    the keyed digest that erasing finds it by."""

    webhook: str
    key: str
    notice: str
    at: datetime
    subject: bytes
    told: bytes


class LeasedNotice(msgspec.Struct, frozen=True, kw_only=True):
    """A notice that one worker holds until its lease lapses; `token` is the fence, and
    counts the posts, this one included; `key` is the same each time."""

    id: int
    token: int
    webhook: str
    key: str
    notice: str
    at: datetime
    told: msgspec.Raw


class NoticeEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How a post ended: `due_at` is when to try again, None where there is nothing left to do."""

    id: int
    token: int
    due_at: datetime | None


class Swept(msgspec.Struct, frozen=True):
    """How many rows went, and whether more are waiting."""

    rows: int
    more: bool


class Waiting(msgspec.Struct, frozen=True):
    """How many messages of a channel are still to be handed over, and since when the oldest is."""

    channel: str
    messages: int
    oldest_at: datetime


class Condition(msgspec.Struct, frozen=True):
    """How a store keeps up: `waiting` has the channels with any message on its way;
    `unswept_since` is when the oldest row that nobody needs any more could first have been swept,
    None where there is none."""

    waiting: Sequence[Waiting]
    unswept_since: datetime | None


class Troubles(msgspec.Struct, frozen=True):
    """What waits for a person: hand-overs of the last day whose end nobody knows, and destinations
    that are locked by too many wrong codes in a row."""

    unknown: int
    locked: int


class Remark(msgspec.Struct, frozen=True):
    """What an operator should know of a store."""

    state: Literal["ok", "note", "broken"]
    what: str


class ChallengeStore(Protocol):
    """Every verb is one whole atomic act. It raises StoreUnavailable when it was not done, or when
    a connection broke before anybody could tell; the same idempotency key then finds out."""

    async def issue(self, order: Order, now: datetime) -> Issued | RedrawNeeded:
        """Count every limit, open or extend the challenge, queue the delivery, remember the key.

        Raises QuotaExceeded (and kin), ChallengeClosed or ChallengeNotFound (for `only`),
        IdempotencyKeyReused. A refusal spends nothing.
        """

    async def attempt(self, attempt: Attempt, now: datetime) -> Judged:
        """Count, judge and consume. Of many right answers at once exactly one is a MATCH.

        A right answer clears the failure budget, closes the challenge and applies the effect; a
        wrong one spends an attempt and a unit of the budget; an answer to a closed challenge
        spends nothing. Raises ChallengeNotFound, FailureBudgetSpent (before anything is counted),
        RecordConflict (the effect was refused: the code is not consumed), IdempotencyKeyReused.
        """

    async def cancel(self, app_id: str, challenge_id: str, now: datetime) -> Challenge:
        """Close an open challenge and whatever of it is still queued; a closed one stays as it is.

        Raises ChallengeNotFound.
        """

    async def challenge(self, app_id: str, challenge_id: str) -> Challenge:
        """Look. Raises ChallengeNotFound."""

    async def latest(self, app_id: str, slot: bytes) -> Challenge:
        """Look at the last challenge opened for a slot. Raises ChallengeNotFound."""


class DeliveryStore(Protocol):
    """The outbox: queued -> leased -> sending -> an end, each step committed before the next."""

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
        """Take what is due, apps in turn and of each the oldest first, and settle what is past
        help, which takes nobody's place.

        A lease that lapsed before sending is taken again. One that lapsed while sending becomes
        unknown, or is queued again where the provider `repeats` harmlessly. What has expired is
        marked so and wiped.
        """

    async def begin_sending(
        self, leased: Sequence[Leased], now: datetime, *, ttl: timedelta, again: bool = False
    ) -> Sequence[Leased]:
        """Commit that the first byte is about to go out, and hold it for `ttl` from now on. Gives
        back those that may still go: whose token counts, whose code is alive, not cancelled.

        `again` where an earlier call was not answered: what that one began has not gone out, and
        is begun by this one.
        """

    async def hand_back(self, leased: Sequence[Leased]) -> None:
        """Queue again, as due at once, what was leased and is not begun. What was begun, or is no
        longer held under its token, stays as it is."""

    async def record_handovers(
        self, handovers: Sequence[Handover], *, provider: str, now: datetime
    ) -> None:
        """Write down how hand-overs ended, and wipe what no further hand-over needs."""

    async def next_due(self, channel: str) -> datetime | None:
        """When the earliest queued or lapsing delivery is due; None when there is none."""

    async def deliveries(self, app_id: str, challenge_id: str) -> Sequence[Delivery]:
        """Every hand-over of a challenge, oldest first. Raises ChallengeNotFound."""

    async def delivery_state(self, delivery: int) -> DeliveryState:
        """Look at one delivery. Raises ChallengeNotFound when it was swept."""

    async def settle(
        self, delivery: int, state: DeliveryState, now: datetime, *, reason: str, by_receipt: bool
    ) -> bool:
        """Say how a hand-over ended of which nobody knew, or which a carrier had only accepted and
        now tells of in a receipt. False where it is neither: an end that is known stays."""

    async def waiting_before(self, delivery: Delivery) -> int:
        """How many messages of its channel were queued before it and are on their way yet; at most
        100,000 are counted."""

    async def listed(self, state: DeliveryState, *, most: int) -> Sequence[Listed]:
        """The newest deliveries in this state, newest first."""


class NoticeStore(Protocol):
    """What webhooks are still to be told. A lease that lapsed is taken again."""

    async def due_notices(self) -> Sequence[tuple[str, datetime]]:
        """Each webhook that something waits for, and since or from when on."""

    async def lease_notices(
        self, webhook: str, now: datetime, *, most: int, ttl: timedelta
    ) -> Sequence[LeasedNotice]:
        """Take what is due for a webhook, the longest due first."""

    async def record_notice(self, end: NoticeEnd) -> None:
        """Forget it, or put it off; nothing, where another has it by now."""

    async def drop_notices(self, webhook: str, until: datetime) -> None:
        """Forget what waits for a webhook, of what happened until then; at least a thousand."""

    async def waiting_notices(self) -> Mapping[str, Unheard]:
        """What waits for each webhook that anything waits for."""


class RecordStore(Protocol):
    """The records of every directory: apps, keys, and each dialect's accounts."""

    async def record(self, kind: str, key: str, now: datetime) -> Record | None: ...

    async def records(self, kind: str, now: datetime) -> Sequence[Record]: ...

    async def page(self, kind: str, after: str, now: datetime, *, most: int) -> Sequence[Record]:
        """The next few of a kind, in an order that stays: those whose key comes after this one."""

    async def write(self, writes: Sequence[Write], now: datetime) -> None:
        """Apply all or none. Raises RecordConflict for the first that does not fit."""


class LimitStore(Protocol):
    """Quotas of what is no send, as guesses at a secret. No two demands share a counter."""

    async def spend(self, demands: Sequence[Demand], now: datetime) -> None:
        """Count one unit of every demand in one act. Raises QuotaExceeded for the longest wait; a
        refusal spends nothing."""

    async def spent(self, demands: Sequence[Demand], now: datetime) -> bool:
        """Look whether anything is counted on any of them. Raises QuotaExceeded where there is no
        room."""

    async def forget(self, counters: Sequence[bytes]) -> None:
        """Forget all that was counted on them."""


class SealStore(Protocol):
    """What rests sealed or digested, for whoever wants to do without an old key. Looks alone."""

    async def sealed(
        self, what: Literal["challenges", "deliveries"], after: int, *, most: int
    ) -> Sequence[Sealed]:
        """The next few that hold any seal, by id: those that come after this one."""

    async def open_until(self, opened_by: datetime, now: datetime) -> datetime | None:
        """Until when a challenge that was opened by then may still be answered; None when there is
        none left."""


class Unsealed(msgspec.Struct, frozen=True):
    """Events that no scribe has sealed yet: how many, and since when."""

    events: int
    since: datetime | None


class Erasure(msgspec.Struct, frozen=True):
    """What was known of a subject, and is gone."""

    events: int = 0
    challenges: int = 0
    deliveries: int = 0


class JournalStore(Protocol):
    """The journal. Acts write their events as they commit; a scribe moves them into chains."""

    async def note(self, events: Sequence[Event]) -> None:
        """Write events that no other act tells of."""

    async def unsealed(self, most: int) -> Sequence[tuple[int, Event]]:
        """The oldest events that no chain has, each with its number."""

    async def to_seal(self) -> Unsealed: ...

    async def chains(self) -> Sequence[Chain]:
        """All of them by number, the roll, which counts them, first."""

    async def begin_chain(self, chain: Chain, roll: Chain) -> bool:
        """Add a chain and count it. False where another process added one meanwhile."""

    async def seal(
        self,
        chain: Chain,
        entries: Sequence[Entry],
        events: Sequence[int],
        notices: Sequence[NewNotice] = (),
    ) -> bool:
        """Append entries to a chain, in place of the events that they were made of, and queue what
        webhooks are to be told of them, in one act. False, with nothing done, where another scribe
        was first, or a subject was erased."""

    async def entries(self, chain: int, since: int, most: int) -> Sequence[Entry]:
        """Of a chain, from a position on, in their order."""

    async def strays(self) -> int:
        """How many entries no chain accounts for."""

    async def put_chain(self, chain: Chain) -> None:
        """Write what a chain has become."""

    async def drop_entries(self, chain: int, most: int) -> int:
        """Delete at most so many entries of a chain; how many there were."""

    async def entries_about(self, subjects: Sequence[bytes]) -> Sequence[tuple[int, int]]:
        """Where in which chains they are told of."""

    async def erase(
        self, subjects: Sequence[bytes], marks: Sequence[tuple[int, int, bytes]]
    ) -> Erasure:
        """Take what the marked entries tell, and every event, challenge, delivery and remembered
        answer of these subjects. Counters of limits and failures stay."""

    async def scrub(self) -> None:
        """Overwrite what deleted rows left behind. Acts wait meanwhile. Raises StoreUnavailable."""


class Store(
    ChallengeStore,
    DeliveryStore,
    NoticeStore,
    RecordStore,
    LimitStore,
    SealStore,
    JournalStore,
    Protocol,
):
    @property
    def offset(self) -> timedelta:
        """How far the store's clock is ahead of this machine's; zero where it lives on it."""

    def watch(self, tell: Callable[[str], None]) -> None:
        """Have `tell(channel)` called when another process queues. A hint: it may come twice, or
        not at all, so whoever waits looks now and then anyway."""

    @property
    def sweeping_shares(self) -> tuple[float, float]:
        """How much of the time goes into sweeping, usually and at most, so that sends find the
        store free."""

    async def sweep(self, now: datetime, *, most: int) -> Swept:
        """Delete at most `most` rows that nothing needs any more, and wipe codes that died."""

    async def history(self, destinations: Sequence[bytes]) -> Sequence[Challenge]:
        """Every challenge of these that is kept, newest first. It reads all that are kept, a page
        at a time, so that nobody is held up for long."""

    async def failures(self, destination: bytes) -> Failures:
        """Look at the failures of a destination, from wherever they came."""

    async def unlock(self, destination: bytes) -> bool:
        """Forget the failures of a destination. False when there were none."""

    async def ready(self) -> None:
        """Raises StoreUnavailable when an act could not be committed now."""

    @property
    def commits(self) -> Mapping[int, int]:
        """How often so many acts shared one COMMIT in this process; empty where none ever do."""

    async def condition(self, now: datetime) -> Condition:
        """Look how it keeps up. At most 100,000 messages a channel are counted."""

    async def troubles(self, budget: Budget, now: datetime) -> Troubles:
        """Look at the 100,000 newest deliveries, and at as many destinations, for what waits for a
        person."""

    async def examine(self) -> Sequence[Remark]:
        """Say how well it keeps its promises as it is set up. Raises StoreUnavailable."""

    async def close(self) -> None: ...


class Texts(Protocol):
    def render(
        self,
        purpose: Purpose,
        channel: str,
        language: str,
        words: Words,
        *,
        key: str,
        to: str,
        expires_at: datetime | None = None,
        app: str = "",
    ) -> Message:
        """Say it as this app does, in this language or the nearest one offered. Raises
        ChannelUnavailable."""


class Provider(Protocol):
    """Carries messages of one channel. Raises ProviderRefused or ProviderUnavailable."""

    name: str
    timeout: timedelta
    """How long a hand-over may take; the worker ends it there."""
    most_at_once: int
    """How many hand-overs it really makes at the same time. One more would only wait in it, and
    after a crash nobody could tell that it had not been made."""
    repeats_harmlessly: bool
    """Whether handing over the same message key twice delivers it once."""

    async def send(self, message: Message) -> Receipt: ...

    async def close(self) -> None: ...


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """What the virtual carrier's phones and mailboxes hold."""

    to: str
    channel: str
    text: str
    code: str
    at: datetime


class Inbox(Protocol):
    async def received(self, to: str | None = None) -> Sequence[Received]:
        """What arrived, oldest first, for one canonical address or for all."""


class DrawnCaptcha(msgspec.Struct, frozen=True, kw_only=True):
    """`shown` is what it takes to solve it, by name; `secret` what judges the answer."""

    shown: dict[str, str]
    secret: bytes


class Solution(msgspec.Struct, frozen=True, kw_only=True):
    """What a captcha token says after its `token---`. `ciphered` is the whole of that token as a
    stock AJ-Captcha front end encrypts it; "" where there is none that would."""

    text: str
    ciphered: str = ""


class Captcha(Protocol):
    """One kind of captcha. It remembers nothing of what it drew: that is for the store."""

    name: str

    async def draw(self, token: str, *, effort: int, expires_at: datetime) -> DrawnCaptcha:
        """`effort` is 0 as a rule; each step doubles the work, where solving is work. Raises
        ProviderUnavailable where none can be had at once."""

    async def judge(
        self, secret: bytes, answer: str, *, token: str, network: str, now: datetime
    ) -> Solution | None:
        """The solution, None where the answer is wrong or no answer at all. Raises
        ProviderUnavailable where nobody can tell now."""

    async def close(self) -> None: ...
