"""Resealing: what is kept for good comes under the active key, record by record, beside its users.
A record that changes meanwhile was sealed by whoever changed it, and is looked at again. What signs
id_tokens is replaced, for whoever had the old seal key had that, too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import msgspec

from watchword.directory.aliyun.accounts import ACCOUNT as ALIYUN_ACCOUNT
from watchword.directory.ciam import tokens
from watchword.directory.ciam.users import USER as CIAM_USER
from watchword.directory.huawei.accounts import CUSTOMER
from watchword.directory.webhooks import KIND as WEBHOOK
from watchword.domain.keys import KeyRing, sealed_under
from watchword.errors import RecordConflict
from watchword.ports import Record, RecordStore, Write
from watchword.service.gate import CAPTCHA

FIELDS = {
    "huawei_key": "secret",
    "aliyun_key": "secret",
    WEBHOOK: "secret",
    CUSTOMER: "private",
    ALIYUN_ACCOUNT: "private",
    CIAM_USER: "private",
}
"""The kinds of record with a sealed field, which is bound to the record's id."""
WHOLE = (tokens.SIGNING_KEY,)
"""Those that are a seal as a whole, bound to their kind."""
PASSING = (CAPTCHA,)
"""Those that live for minutes, and are not worth resealing."""
KINDS = (*FIELDS, *WHOLE, *PASSING)
_AT_ONCE = 200


async def records(store: RecordStore, kind: str, now: datetime) -> AsyncIterator[Record]:
    """All of a kind, a few at a time."""
    after = ""
    while page := await store.page(kind, after, now, most=_AT_ONCE):
        for record in page:
            yield record
        after = page[-1].key


def under(record: Record) -> int:
    """The id of the key that it is sealed under; 0 where nothing of it is sealed."""
    return sealed_under(_seal(record))


async def reseal(store: RecordStore, keys: KeyRing, kind: str, now: datetime) -> int:
    """Bring all of a kind under the active key; how many were not. Whoever is ended in between
    begins anew, and finds the fewer. Raises KeyUnknown, StoreUnavailable."""
    done = 0
    if kind in PASSING:
        return done
    if kind == tokens.SIGNING_KEY:
        done += await tokens.replace(store, keys, now)
    async for record in records(store, kind, now):
        done += await _reseal(store, keys, record, now)
    return done


async def _reseal(store: RecordStore, keys: KeyRing, record: Record, now: datetime) -> bool:
    found: Record | None = record
    while found and under(found) not in (0, keys.active["seal"]):
        write = Write(
            kind=found.kind,
            key=found.key,
            version=found.version,
            body=_resealed(found, keys),
            expires_at=found.expires_at,
        )
        try:
            await store.write([write], now)
        except RecordConflict:  # it was changed, or is gone
            found = await store.record(record.kind, record.key, now)
            continue
        return True
    return False


def _resealed(record: Record, keys: KeyRing) -> bytes:
    if record.kind in WHOLE:
        bound_to = record.kind.encode()
        return keys.seal(keys.unseal(record.body, bound_to), bound_to)
    told, field = _told(record), FIELDS[record.kind]
    bound_to = told["id"].encode()
    told[field] = keys.seal(keys.unseal(_seal(record), bound_to), bound_to)
    return msgspec.json.encode(told)


def _seal(record: Record) -> bytes:
    if record.kind not in FIELDS:
        return record.body
    return msgspec.convert(_told(record).get(FIELDS[record.kind], ""), bytes, strict=False)


def _told(record: Record) -> dict[str, Any]:
    """As it is written, with whatever a newer watchword has added."""
    return msgspec.json.decode(record.body, type=dict[str, Any])
