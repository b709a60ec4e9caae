"""Rows that look the same in every store that speaks SQL, and how one challenge is named there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from watchword.domain.challenge import serial
from watchword.domain.delivery import Delivery, DeliveryState, Listed
from watchword.domain.webhook import Unheard
from watchword.ports import LeasedNotice, Record, Sealed
from watchword.stores._instants import instant, maybe_instant
from watchword.stores._text import is_text

KEPT = timedelta(hours=24)
"""How long a dead challenge and its deliveries can still be looked at."""
_NO_SERIAL = -1
PAST_ALL = 1 << 60
"""More than any serial."""
PAGE = 20_000
"""How many challenges a history reads at once."""


def naming(challenge_id: str, app_id: str) -> tuple[int, str, str]:
    """What a statement asks for that names one challenge; none has the serial of what is no id."""
    try:
        number = serial(challenge_id)
    except ValueError:
        return _NO_SERIAL, "", app_id
    return (number, challenge_id, app_id) if is_text(challenge_id) else (_NO_SERIAL, "", app_id)


def delivery_from(row: Any) -> Delivery:
    """A row of the `deliveries` statement."""
    return Delivery(
        id=row[0],
        challenge_id=row[1],
        channel=row[2],
        provider=row[3],
        state=DeliveryState(row[4]),
        tries=row[5],
        reason=row[6],
        queued_at=instant(row[7]),
        settled_at=maybe_instant(row[8]),
        due_at=maybe_instant(row[9]),
    )


def listed_from(row: Any) -> Listed:
    """A row of the `listed` statement."""
    known = msgspec.structs.asdict(delivery_from(row))
    return Listed(**known, app_id=row[10], masked=row[11])


def record_from(row: Any) -> Record:
    """A row of the `record` statements."""
    return Record(
        kind=row[0], key=row[1], version=row[2], body=row[3], expires_at=maybe_instant(row[4])
    )


def sealed_challenge(serial: int, seals: Sequence[bytes], expires_at: int) -> Sealed:
    """Dead, it can still be looked at for a while."""
    return Sealed(serial, [one for one in seals if one], instant(expires_at) + KEPT)


def sealed_delivery_from(row: Any) -> Sealed:
    """A row of the `sealed_deliveries` statement."""
    return Sealed(row[0], [one for one in (row[1], row[2]) if one], instant(row[3]))


def unheard_from(rows: Iterable[Any]) -> Mapping[str, Unheard]:
    """Rows of the `waiting_notices` statement."""
    return {webhook: Unheard(notices, instant(oldest)) for webhook, notices, oldest in rows}


def notice_from(row: Any) -> LeasedNotice:
    """A row of the `lease_notices` statement."""
    return LeasedNotice(
        id=row[0],
        token=row[1],
        webhook=row[2],
        key=row[3],
        notice=row[4],
        at=instant(row[5]),
        told=msgspec.Raw(row[6].encode()),
    )
