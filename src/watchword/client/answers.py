"""What the service answers, as values; what it refuses, as WatchwordProblem."""

from __future__ import annotations

from datetime import datetime, timedelta

import httpx2
import msgspec


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """One verification as it now stands. `to` is masked; a check tells `id`, `status` and
    `attempts_left` only."""

    id: str
    status: str
    to: str = ""
    channel: str = ""
    purpose: str = ""
    expires_at: datetime | None = None
    resend_at: datetime | None = None
    attempts_left: int = 0

    @property
    def approved(self) -> bool:
        """The code was right, in time, and never used before."""
        return self.status == "approved"


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One hand-over of a message to a provider: what became of it, never what it said."""

    state: str
    channel: str = ""
    provider: str = ""
    tries: int = 0
    queued_at: datetime | None = None
    settled_at: datetime | None = None


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """A message that the virtual carrier's phones or mailboxes hold."""

    to: str
    channel: str
    text: str
    code: str
    at: datetime


class WatchwordProblem(Exception):
    """The service refused. `type` is stable; `field` is a JSON pointer into what was sent, "" for
    the whole of it; `retry_in` says when to come back, None when coming back will not help."""

    def __init__(
        self,
        title: str,
        *,
        type: str = "about:blank",
        status: int = 0,
        detail: str = "",
        field: str = "",
        retry_in: timedelta | None = None,
    ) -> None:
        super().__init__(detail or title)
        self.type = type
        self.title = title
        self.status = status
        self.detail = detail
        self.field = field
        self.retry_in = retry_in


class Unreachable(WatchwordProblem):
    """No answer came. A send or check with the same idempotency key may safely be made again."""


class Deliveries(msgspec.Struct, frozen=True):
    """How they come on the wire."""

    deliveries: list[Delivery]


class Inbox(msgspec.Struct, frozen=True):
    """How what was received comes on the wire."""

    items: list[Received]


class _Mistake(msgspec.Struct, frozen=True):
    pointer: str = ""


class _Problem(msgspec.Struct, frozen=True):
    """RFC 9457, as far as we use it."""

    type: str = "about:blank"
    title: str = ""
    detail: str = ""
    errors: list[_Mistake] = []

    @property
    def field(self) -> str:
        return self.errors[0].pointer if self.errors else ""


def problem(response: httpx2.Response) -> WatchwordProblem:
    """What a refusal says, also where something in between answered with another form."""
    try:
        said = msgspec.json.decode(response.content, type=_Problem)
    except msgspec.MsgspecError:
        said = _Problem()
    seconds = retry_after(response)
    return WatchwordProblem(
        said.title or f"The service answered {response.status_code}.",
        type=said.type,
        status=response.status_code,
        detail=said.detail,
        field=said.field,
        retry_in=None if seconds is None else timedelta(seconds=seconds),
    )


def retry_after(response: httpx2.Response) -> int | None:
    """The seconds of a Retry-After header; its dates are not used by this service."""
    value = response.headers.get("retry-after", "")
    return int(value) if value.isascii() and value.isdigit() else None
