"""What the doctor says of one thing, and how a look at something is tried."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from watchword.bootstrap import Service

    Look = Callable[[Service], AsyncIterator["Finding"]]


class Finding(msgspec.Struct, frozen=True):
    """What was looked at. `check` names the look, and stays what it is for programs; `state` is ok,
    note (worth knowing) or broken."""

    check: str
    state: str
    what: str


def ok(check: str, what: str) -> Finding:
    return Finding(check, "ok", what)


def note(check: str, what: str) -> Finding:
    return Finding(check, "note", what)


def broken(check: str, what: str) -> Finding:
    return Finding(check, "broken", what)


def remarked(check: str, remarks: Iterable[Any]) -> list[Finding]:
    """What a store or ring has to say of itself: each a state, and what."""
    return [Finding(check, remark.state, remark.what) for remark in remarks]
