"""What tests do to a store: the acts of the house, at an instant that the test sets."""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from watchword.domain.app import App
from watchword.domain.challenge import Verdict
from watchword.domain.delivery import Turns
from watchword.domain.destination import Kind, phone
from watchword.domain.failures import Budget
from watchword.domain.keys import KeyRing
from watchword.domain.policy import Policy, Resend
from watchword.domain.purpose import Purpose
from watchword.domain.quota import Quota, meters
from watchword.errors import WatchwordError
from watchword.ports import Issued, Judged, Once, Store
from watchword.service.check import Check, check
from watchword.service.house import Client, House
from watchword.service.issue import Send, issue
from watchword.service.resend import ResendWish, resend

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
ANN = phone("+8613800138000")
BOB = phone("+8613900139000")
SHOP = App(id="shop", name="Shop")
BANK = App(id="bank", name="Bank")
CHANNELS = {"sms": Kind.PHONE, "email": Kind.MAILBOX}
LEASE = timedelta(seconds=15)


class OpenRing(KeyRing):
    """The same ring in every process, which remembers the code behind each digest it made."""

    def __init__(self) -> None:
        kinds = {kind: {1: kind.encode().ljust(32, b".")} for kind in ("code", "seal", "journal")}
        super().__init__(**kinds, index=b"index".ljust(32), active=dict.fromkeys(kinds, 1))
        self.behind: dict[bytes, str] = {}

    def digest(self, challenge_id: str, code: str) -> bytes:
        digest = super().digest(challenge_id, code)
        self.behind[digest] = code
        return digest


def rotating(active: int) -> KeyRing:
    """One ring in every process, before its rotation (1) and after it (2)."""
    kinds = {kind: {1: b"1" * 32, 2: b"2" * 32} for kind in ("code", "seal", "journal")}
    return KeyRing(**kinds, index=b"index".ljust(32), active=dict.fromkeys(kinds, active))


class Acts:
    """A house on a store. There is no resend interval and no quota unless asked for."""

    def __init__(
        self,
        store: Store,
        *,
        now: datetime = NOW,
        policy: Policy | None = None,
        quotas: Sequence[Quota] = (),
        budget: Budget | None = None,
        **terms: object,
    ) -> None:
        self.store, self.now, self.ring = store, now, OpenRing()
        base = policy or Policy(resend_interval=timedelta())
        self.house = House(
            store=store,
            keys=self.ring,
            policy=msgspec.structs.replace(base, **terms),
            meters=meters(quotas),
            budget=budget or Budget(),
            channels=CHANNELS,
        )

    def later(self, span: timedelta) -> None:
        self.now += span

    def at(self, span: timedelta) -> None:
        """So long after the beginning."""
        self.now = NOW + span

    async def send(self, app=SHOP, to=ANN, network="", fingerprint="", **wish) -> Issued:
        wish = {"purpose": Purpose.SIGN_IN, "channel": "sms", **wish}
        client = Client(network=network, fingerprint=fingerprint)
        asked = Send(app=app, destination=to, client=client, **wish)
        return await issue(asked, self.house, now=self.now)

    async def resend(self, challenge_id: str, app=SHOP, **wish) -> Issued:
        asked = ResendWish(app=app, challenge_id=challenge_id, **wish)
        return await resend(asked, self.house, now=self.now)

    async def check(self, challenge_id: str, code: str, app=SHOP, network="", **given) -> Judged:
        client = Client(network=network)
        asked = Check(app=app, challenge_id=challenge_id, code=code, client=client, **given)
        return await check(asked, self.house, now=self.now)

    async def verdict(self, challenge_id: str, code: str, **given) -> Verdict:
        return (await self.check(challenge_id, code, **given)).verdict

    async def codes(self, challenge_id: str, app=SHOP) -> list[str]:
        """The codes that the challenge knows, oldest first."""
        challenge = await self.store.challenge(app.id, challenge_id)
        return [self.ring.behind[draw.digest] for draw in challenge.draws]

    async def code(self, challenge_id: str, app=SHOP) -> str:
        return (await self.codes(challenge_id, app))[-1]

    async def wrong(self, challenge_id: str, app=SHOP) -> str:
        """A code that this challenge does not know."""
        known = await self.codes(challenge_id, app)
        return next(code for i in range(10) if (code := f"{i:06d}") not in known)

    async def miss(self, times: int, to=ANN, app=SHOP, network="", **wish) -> None:
        """So many wrong codes, over as many challenges as it takes."""
        for _ in range(times):
            challenge = await self.send(app, to, **wish)
            judged = await self.check(
                challenge.challenge_id, "-wrong-", app, network, subject=wish.get("subject")
            )
            assert judged.verdict is Verdict.MISMATCH

    async def lease(self, most=100, repeats=False, channel="sms", turns=Turns()):  # noqa: B008
        return await self.store.lease(
            channel, self.now, most=most, ttl=LEASE, repeats=repeats, turns=turns
        )

    async def begin(self, leased, again=False):
        return await self.store.begin_sending(leased, self.now, ttl=LEASE, again=again)

    async def sweep(self, most=1000) -> int:
        """Sweep until nothing is left to sweep; how many acts that took."""
        acts = 1
        while (await self.store.sweep(self.now, most=most)).more:
            acts += 1
        return acts


async def outcome(act: Awaitable[Issued | Judged | None]) -> str:
    """What became of an act, in one word: a verdict, "issued", "done" for what has no answer, or
    the name of the refusal."""
    try:
        done = await act
    except WatchwordError as refusal:
        return type(refusal).__name__
    if done is None:
        return "done"
    return done.verdict.value if isinstance(done, Judged) else "issued"


async def at_once(acts: Iterable[Awaitable[Issued | Judged | None]]) -> list[str]:
    return list(await asyncio.gather(*map(outcome, acts)))


def once(key: str, request: str = "as before") -> Once:
    return Once(key=key.encode(), request=request.encode())


MODES = tuple(Resend)
