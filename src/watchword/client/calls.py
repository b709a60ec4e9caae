"""Every call of the native dialect: its request, how its answer is read, when it is made again.

Both clients share what is here; all that they add is how to wait.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Generic, TypedDict, TypeVar
from urllib.parse import quote

import httpx2
import msgspec

from watchword.client.answers import (
    Deliveries,
    Delivery,
    Inbox,
    Received,
    Unreachable,
    Verification,
    problem,
    retry_after,
)

Answer = TypeVar("Answer")
Outcome = httpx2.Response | httpx2.TransportError

MOST_TRIES = 4
LONGEST_PAUSE_S = 5


class Terms(TypedDict, total=False):
    """What a send may ask for. Whatever is left out, the app's policy decides."""

    channel: str
    """sms or email; told from the address when left out."""
    purpose: str
    """sign_in (when left out), sign_up, reset, change or bind."""
    locale: str
    code_length: int
    ttl: timedelta
    binding: Mapping[str, str]
    """What else the code is for; the check must name the same."""
    client_ip: str
    """The end user's address, so that limits per network count him and not you."""
    fingerprint: str
    idempotency_key: str
    """Made up when left out; name your own to be safe across a crash of yours."""


class Typed(TypedDict, total=False):
    """What may be said of a typed code."""

    binding: Mapping[str, str]
    """The same as with the send."""
    client_ip: str
    fingerprint: str
    idempotency_key: str


class Call(msgspec.Struct, Generic[Answer], frozen=True, kw_only=True):
    """One request, and the type of its answer. Making it twice is as good as making it once."""

    method: str
    path: str
    wire: Any
    unwrapped: Callable[[Any], Answer]
    body: dict[str, Any] | None = None
    params: dict[str, str] = {}
    headers: dict[str, str] = {}

    def read(self, outcome: Outcome) -> Answer:
        """The answer. Raises WatchwordProblem."""
        if isinstance(outcome, httpx2.TransportError):
            raise Unreachable("The service cannot be reached.", detail=_said(outcome)) from outcome
        if outcome.is_error:
            raise problem(outcome)
        try:
            return self.unwrapped(msgspec.json.decode(outcome.content, type=self.wire))
        except msgspec.MsgspecError:
            raise Unreachable("What answered is not watchword.") from None


def send(to: str, **terms: Any) -> Call[Verification]:
    body = {
        "to": to,
        "channel": terms.get("channel") or ("email" if "@" in to else "sms"),
        "purpose": terms.get("purpose") or "sign_in",
        "locale": terms.get("locale"),
        "code_length": terms.get("code_length"),
        "ttl": _seconds(terms.get("ttl")),
        "binding": _plain(terms.get("binding")),
        "client": _end_user(terms),
    }
    return _post("/v1/verifications", body, terms.get("idempotency_key"))


def check(id: str, code: str, **typed: Any) -> Call[Verification]:
    body = {
        "code": code,
        "binding": _plain(typed.get("binding")),
        "client": _end_user(typed),
    }
    return _post(f"{_one(id)}/check", body, typed.get("idempotency_key"))


def resend(id: str, channel: str | None, idempotency_key: str | None) -> Call[Verification]:
    return _post(f"{_one(id)}/resend", {"channel": channel}, idempotency_key)


def get(id: str) -> Call[Verification]:
    return Call(method="GET", path=_one(id), wire=Verification, unwrapped=_itself)


def cancel(id: str) -> Call[Verification]:
    return Call(method="DELETE", path=_one(id), wire=Verification, unwrapped=_itself)


def deliveries(id: str) -> Call[list[Delivery]]:
    path = f"{_one(id)}/deliveries"
    return Call(
        method="GET", path=path, wire=Deliveries, unwrapped=lambda found: list(found.deliveries)
    )


def inbox(to: str | None) -> Call[list[Received]]:
    return Call(
        method="GET",
        path="/v1/inbox",
        params=_given({"to": to}),
        wire=Inbox,
        unwrapped=lambda found: list(found.items),
    )


def pause(tries: int, outcome: Outcome) -> float | None:
    """Seconds until the same request may go out again, None when its outcome stands.

    Only what did nothing, or is remembered under its idempotency key, is made again.
    """
    if tries >= MOST_TRIES:
        return None
    backing_off = random.uniform(0.5, 1) * 0.2 * 2 ** (tries - 1)  # noqa: S311  spreads, hides not
    if isinstance(outcome, httpx2.TransportError):
        return None if isinstance(outcome, httpx2.UnsupportedProtocol) else backing_off
    return _pause_asked_for(outcome, backing_off)


def _pause_asked_for(response: httpx2.Response, backing_off: float) -> float | None:
    asked = retry_after(response)
    still_running = response.status_code == 409 and asked is not None
    if response.status_code != 503 and not still_running:
        return None
    wanted = max(backing_off, asked or 0)
    return wanted if wanted <= LONGEST_PAUSE_S else None


def _post(path: str, body: Mapping[str, Any], key: str | None) -> Call[Verification]:
    return Call(
        method="POST",
        path=path,
        body=_given(body),
        headers={"idempotency-key": key or str(uuid.uuid4())},
        wire=Verification,
        unwrapped=_itself,
    )


def _itself(answer: Verification) -> Verification:
    return answer


def _end_user(said: Mapping[str, Any]) -> dict[str, Any]:
    return _given({"ip": said.get("client_ip"), "fingerprint": said.get("fingerprint")})


def _one(id: str) -> str:
    return f"/v1/verifications/{quote(id, safe='')}"


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Only what was given: an empty answer to a question is no answer."""
    return {name: value for name, value in values.items() if value not in (None, {})}


def _plain(binding: Mapping[str, str] | None) -> dict[str, str] | None:
    return None if binding is None else dict(binding)


def _seconds(span: timedelta | None) -> int | None:
    return None if span is None else int(span.total_seconds())


def _said(error: httpx2.TransportError) -> str:
    return str(error) or type(error).__name__
