"""Rows that look the same in every store that speaks SQL, and how one challenge is named there."""

from __future__ import annotations

from typing import Any

import msgspec

from watchword.domain.challenge import serial
from watchword.domain.delivery import Delivery, DeliveryState
from watchword.ports import LeasedNotice, Record
from watchword.stores._instants import instant, maybe_instant
from watchword.stores._text import is_text

_NO_SERIAL = -1


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
    )


def record_from(row: Any) -> Record:
    """A row of the `record` statements."""
    return Record(kind=row[0], key=row[1], version=row[2], body=row[3])


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
