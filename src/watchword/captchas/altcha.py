"""Proof of work: a browser counts until it meets a derived key, so nobody has to drag or to see.

ALTCHA v2: PBKDF2 over a nonce and a counter, where the counter looked for is drawn here. So the
longest search is known and no unlucky phone counts for ever; and as the key looked for is signed,
judging it takes two HMACs and derives nothing. What it costs an attacker is told in
docs/captcha.md.
"""

from __future__ import annotations

import asyncio
import binascii
import hashlib
import hmac
import secrets
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import msgspec

from watchword.ports import DrawnCaptcha, Solution

if TYPE_CHECKING:
    import altcha

_ALGORITHM = "PBKDF2/SHA-256"
_LONGEST_ANSWER = 4096


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A try is PBKDF2 with `cost` iterations, and `tries` are expected at effort 0, twice as many
    at the worst. Each step of effort doubles them, up to `max_effort`: the last has to be solved
    within the life of a captcha still.
    """

    cost: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 2_000
    tries: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 400
    max_effort: Annotated[int, msgspec.Meta(ge=0, le=5)] = 5


class Altcha:
    """A Captcha. Every process that judges its answers has the same `secret`.

    An answer is right as often as it is given: that a token is answered once is for the store,
    which forgets it at the first answer.
    """

    name = "altcha"

    def __init__(self, secret: bytes, settings: Settings | None = None) -> None:
        self._settings = settings or Settings()
        self._challenge_secret = hmac.digest(secret, b"altcha challenge", "sha256")
        self._key_secret = hmac.digest(secret, b"altcha derived key", "sha256")

    async def draw(self, token: str, *, effort: int, expires_at: datetime) -> DrawnCaptcha:
        """Work for this token. Deriving its key takes a millisecond, and takes it on a thread."""
        challenge = await asyncio.to_thread(self._challenge, token, effort, expires_at)
        return DrawnCaptcha(
            shown={"challenge": msgspec.json.encode(challenge.to_dict()).decode()},
            secret=str(challenge.signature).encode(),
        )

    async def judge(
        self, secret: bytes, answer: str, *, token: str, network: str, now: datetime
    ) -> Solution | None:
        """The digest of an answer that solves the very challenge drawn for this token, in time.

        It takes a tenth of a millisecond, less than handing it to a thread and back.
        """
        payload = _payload(answer)
        if payload is None or not hmac.compare_digest(payload.challenge.signature.encode(), secret):
            return None
        asked = payload.challenge.parameters.data
        if asked.token != token or now.timestamp() >= asked.expires_at:
            return None
        if not self._is_solved(payload):
            return None
        return Solution(text=hashlib.sha256(answer.encode()).hexdigest())

    async def close(self) -> None:
        """Nothing is kept open."""

    def _challenge(self, token: str, effort: int, expires_at: datetime) -> altcha.Challenge:
        import altcha  # no command waits for what it does not use

        most = 2 * self._settings.tries << min(max(effort, 0), self._settings.max_effort)
        # The end is signed as data of ours: the library would hold its own field against the
        # machine's clock, and ours is the store's.
        return altcha.create_challenge(
            _ALGORITHM,
            self._settings.cost,
            counter=secrets.randbelow(most),
            data={"token": token, "expires_at": int(expires_at.timestamp())},
            hmac_secret=self._challenge_secret,
            hmac_key_secret=self._key_secret,
        )

    def _is_solved(self, payload: _Payload) -> bool:
        import altcha

        result = altcha.verify_solution(
            altcha.Payload.from_dict(msgspec.to_builtins(payload)),
            self._challenge_secret,
            hmac_key_secret=self._key_secret,
        )
        return result.verified


class _Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    token: str
    expires_at: int


class _Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What we sign, and nothing that we do not."""

    algorithm: str
    cost: int
    key_length: int
    key_prefix: str
    nonce: str
    salt: str
    key_signature: str
    data: _Asked


class _Challenge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    parameters: _Parameters
    signature: str


class _Solved(msgspec.Struct, frozen=True, rename="camel"):
    """The key is the proof, half of it known to nobody who has not derived it. Front ends add what
    they like: how long it took, say."""

    counter: Annotated[int, msgspec.Meta(ge=0, lt=2**32)]
    derived_key: str


class _Payload(msgspec.Struct, frozen=True):
    challenge: _Challenge
    solution: _Solved


_payloads = msgspec.json.Decoder(_Payload)


def _payload(answer: str) -> _Payload | None:
    if len(answer) > _LONGEST_ANSWER:
        return None
    try:
        return _payloads.decode(binascii.a2b_base64(answer, strict_mode=True))
    except (ValueError, RecursionError):  # msgspec's and binascii's errors are ValueErrors
        return None
