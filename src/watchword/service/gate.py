"""The gate in front of a send: which captchas there are, and what a network may ask of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec

from watchword.domain.quota import Demand, Meter, demand
from watchword.errors import QuotaExceeded
from watchword.ports import Captcha
from watchword.service.house import House

CAPTCHA, PASSES, LOOSE = "captcha", "captcha_passes", "captcha_loose"
"""The kinds of record: a captcha that was shown, a holder's passes, a pass of whoever comes."""
LONGEST_TOKEN = 64
MOST_EFFORT = 5
ROUNDS = 64
"""How often an act on the passes of one holder is tried again because another one came between."""


class CaptchaState(StrEnum):
    """What an answer to a captcha, or the pass for it, turned out to be."""

    RIGHT = "right"
    WRONG = "wrong"
    GONE = "gone"
    """Never there, expired, or used."""


class Asker(msgspec.Struct, frozen=True, kw_only=True):
    """Who is shown a captcha: the application it is for, the device, and the client's network. ""
    where the dialect does not say."""

    client_id: str = ""
    fingerprint: str = ""
    network: str = ""


class Kept(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A captcha that was shown, as it rests sealed in the store."""

    kind: str
    client_id: str
    fingerprint: str
    secret: bytes

    def __repr__(self) -> str:
        return "Kept(***)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []


class Pass(msgspec.Struct, frozen=True, array_like=True):
    """`digest` is the keyed one of the captcha token that was given out for it."""

    digest: bytes
    expires_at: datetime


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Whose a pass is. `receiver` is the canonical address that it is for."""

    client_id: str
    receiver: str
    fingerprint: str

    def __repr__(self) -> str:
        return "Holder(***)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """`kinds` are the captchas on offer. `shown` meters what a network is shown, `wrong` its wrong
    answers; `usual` says, by kind, how many it gets before the work in one doubles."""

    house: House
    kinds: Mapping[str, Captcha]
    ttl: timedelta
    pass_ttl: timedelta
    shown: Sequence[Meter] = ()
    wrong: Sequence[Meter] = ()
    usual: Mapping[str, Meter] = {}
    judging: set[str] = msgspec.field(default_factory=set)
    """The captchas that an answer is judged for in this process now; that may take a vendor's
    time, and each captcha is to take it once."""

    async def count_shown(self, kind: str, network: str, now: datetime) -> int:
        """Count one more, and say how often the work in it is doubled: once more each time that the
        network has had its usual number. Raises QuotaExceeded, also past the last doubling."""
        shown, usual = self._demands("shown", self.shown, network, now), self.usual.get(kind)
        for effort in range(MOST_EFFORT + 1):
            step = self._demands(f"{kind} {effort}", [usual] if usual else [], network, now)
            try:
                await self._spend([*shown, *step], now)
            except QuotaExceeded:
                if not step or effort == MOST_EFFORT:
                    raise
            else:
                break
        return effort

    async def count_wrong(self, network: str, now: datetime) -> None:
        """Raises QuotaExceeded where no more may be wrong."""
        await self._spend(self._demands("wrong", self.wrong, network, now), now)

    async def refuse_guessers(self, network: str, now: datetime) -> None:
        """Raises QuotaExceeded where too many answers from this network were wrong."""
        if demands := self._demands("wrong", self.wrong, network, now):
            await self.house.store.spent(demands, now)

    def bound_to(self, token: str) -> bytes:
        return f"captcha {token}".encode("utf-8", "surrogatepass")

    def passes_key(self, holder: Holder) -> str:
        keys = self.house.keys
        return keys.index(PASSES, holder.client_id, holder.receiver, holder.fingerprint).hex()

    def pass_digest(self, captcha_token: str) -> bytes:
        spelled = captcha_token.encode("utf-8", "surrogatepass")
        return self.house.keys.index("captcha_token", spelled)

    async def _spend(self, demands: Sequence[Demand], now: datetime) -> None:
        if demands:
            await self.house.store.spend(demands, now)

    def _demands(
        self, what: str, meters: Sequence[Meter], network: str, now: datetime
    ) -> list[Demand]:
        if not self.house.by_network:
            return []
        keys = self.house.keys
        return [
            demand(meter, keys.index("captcha", what, network, meter.calendar), now)
            for meter in meters
        ]
