"""Cloudflare Turnstile: its widget watches the visitor, and its siteverify tells us the outcome.

The widget is rendered with our token as `cData`, and siteverify gives it back: an answer solves
the captcha it was asked for and no other, of this site or the next. Cloudflare's testing keys give
none back, so nothing passes with them.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from datetime import datetime, timedelta
from ipaddress import IPv4Address
from typing import Annotated, Any

import msgspec

from watchword.errors import OutcomeUnknown, ProviderUnavailable
from watchword.ports import DrawnCaptcha, Solution
from watchword.providers._http import Http, Reply, place_of

_ANSWER = re.compile(r"[!-~]{1,2048}")  # the longest that siteverify documents
_LIFE = timedelta(seconds=300)
_AHEAD = timedelta(seconds=60)
_WRONG = frozenset({"invalid-input-response", "missing-input-response", "timeout-or-duplicate"})
_OURS = frozenset({"invalid-input-secret", "missing-input-secret"})


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`hostname` "" trusts the widget's own list of them. It prints without its secret."""

    site_key: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    secret: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    action: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_-]{1,32}$")] = "watchword"
    hostname: str = ""
    endpoint: str = "https://challenges.cloudflare.com/turnstile/v0/siteverify"
    allow_private: bool = False
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=30)] = 3.0

    def __post_init__(self) -> None:
        """Raises ValueError for an endpoint that is none."""
        try:
            place_of(self.endpoint, allow_private=self.allow_private)
        except ValueError as error:
            raise ValueError(f"endpoint: {error}") from None

    def __repr__(self) -> str:
        return f"Settings(site_key={self.site_key!r}, endpoint={self.endpoint!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("site_key", self.site_key), ("endpoint", self.endpoint)]


class Turnstile:
    """A Captcha. Use it on one event loop, and close it."""

    name = "turnstile"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._http = Http(
            place_of(settings.endpoint, allow_private=settings.allow_private),
            name=self.name,
            timeout=timedelta(seconds=settings.timeout_s),
            allow_private=settings.allow_private,
        )

    async def draw(self, token: str, *, effort: int, expires_at: datetime) -> DrawnCaptcha:
        """What the widget is rendered with, but for the token. There is nothing to keep."""
        shown = {"site_key": self._settings.site_key, "action": self._settings.action}
        return DrawnCaptcha(shown=shown, secret=b"")

    async def judge(
        self, secret: bytes, answer: str, *, token: str, network: str, now: datetime
    ) -> Solution | None:
        """The digest of an answer that Cloudflare gave for this token within five minutes."""
        if not _ANSWER.fullmatch(answer):
            return None
        verdict = _verdict(await self._ask(answer, token, network))
        if not verdict.success or not self._is_for(verdict, token, now):
            return None
        return Solution(text=hashlib.sha256(answer.encode()).hexdigest())

    async def close(self) -> None:
        await self._http.close()

    async def _ask(self, answer: str, token: str, network: str) -> Reply:
        """Asked again of the same token and answer, siteverify says the same again."""
        form = {
            "secret": self._settings.secret,
            "response": answer,
            "idempotency_key": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{token} {answer}")),
        }
        if _is_one_address(network):
            form["remoteip"] = network
        try:
            return await self._http.post(form=form)
        except OutcomeUnknown as error:
            raise ProviderUnavailable(str(error)) from None

    def _is_for(self, verdict: _Verdict, token: str, now: datetime) -> bool:
        wanted = self._settings
        return (
            verdict.cdata == token
            and verdict.action == wanted.action
            and wanted.hostname in ("", verdict.hostname)
            and verdict.is_fresh(now)
        )


class _Verdict(msgspec.Struct, frozen=True, rename={"error_codes": "error-codes"}):
    """What siteverify answers, as far as we read it."""

    success: bool
    error_codes: tuple[str, ...] = ()
    challenge_ts: str | None = None
    hostname: str | None = None
    action: str | None = None
    cdata: str | None = None

    def is_fresh(self, now: datetime) -> bool:
        """Cloudflare's clock may be a little ahead of ours."""
        try:
            solved_at = msgspec.convert(self.challenge_ts, _Instant)
        except ValueError:
            return False
        return -_AHEAD <= now - solved_at <= _LIFE


_Instant = Annotated[datetime, msgspec.Meta(tz=True)]
_verdicts = msgspec.json.Decoder(_Verdict)


def _verdict(reply: Reply) -> _Verdict:
    """Raises ProviderUnavailable where siteverify does not say whose fault it is, or says ours."""
    if reply.status // 100 not in (2, 4):
        raise ProviderUnavailable(f"turnstile {reply.status}: siteverify cannot tell now.")
    try:
        verdict = _verdicts.decode(reply.body)
    except (ValueError, RecursionError):
        raise ProviderUnavailable(
            f"turnstile {reply.status}: the answer is none of siteverify's."
        ) from None
    codes = set(verdict.error_codes)
    if verdict.success or (codes and codes <= _WRONG):
        return verdict
    if codes & _OURS:
        raise ProviderUnavailable("turnstile: siteverify does not know our secret.")
    raise ProviderUnavailable("turnstile: siteverify cannot tell now.")


def _is_one_address(network: str) -> bool:
    """Cloudflare compares it with the visitor's: the /64 of an IPv6 one would never fit."""
    try:
        return bool(IPv4Address(network))
    except ValueError:
        return False
