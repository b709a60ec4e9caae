"""What of the directory hangs on the key ring: what is lost with a ring, and how the rest goes on.

Apps with their API keys, and accounts with their users' names and passwords, need no ring. Sealed
fields do, and whatever is found by a keyed digest: test numbers, phones, mailboxes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import msgspec
from msgspec.structs import replace

from watchword.directory.aliyun.accounts import ACCOUNT as ALIYUN_ACCOUNT
from watchword.directory.aliyun.accounts import Account as AliyunAccount
from watchword.directory.ciam.users import EMAIL, MOBILE, USER, USER_NAME
from watchword.directory.huawei.accounts import CUSTOMER
from watchword.directory.huawei.accounts import Account as HuaweiAccount
from watchword.directory.huawei.customers import PHONE, XACCOUNT, Private
from watchword.directory.resealing import FIELDS, PASSING, WHOLE, records
from watchword.directory.webhooks import KIND as WEBHOOK
from watchword.domain.app import App
from watchword.domain.keys import KeyRing
from watchword.ports import Record, RecordStore, Write

CLAIMS = (MOBILE, EMAIL, USER_NAME, XACCOUNT, PHONE, "huawei_mailbox_*")
"""Kinds of record whose keys are keyed digests; a star means all that begin so."""
_APP = "app"
_TOLD = {
    "huawei_key": "access keys of Huawei users: their programs need new ones",
    "aliyun_key": "access keys of Alibaba accounts: their programs need new ones",
    CUSTOMER: "addresses and xaccount ids of Huawei customers, who keep names and passwords",
    ALIYUN_ACCOUNT: "bound phones of Alibaba accounts, which keep all else",
    USER: "CIAM users: nobody finds them by mobile or mailbox any more, so they register anew",
    "ciam_signing_key": "signing key of id_tokens: whoever is logged in logs in again",
    WEBHOOK: "webhooks, whose secrets nobody can open: make them again",
}


@dataclass(frozen=True)
class Loss:
    """What is gone without its ring, as a person reads it, and how much of it."""

    amount: int
    what: str


async def lost(store: RecordStore, now: datetime) -> list[Loss]:
    """What `let_go` would take."""
    found = [
        Loss(
            sum([_is_lost(record) async for record in records(store, kind, now)]),
            _TOLD.get(kind, f"records {kind}"),
        )
        for kind in _kinds()
    ]
    numbers = [
        len(msgspec.json.decode(one.body, type=App).test_numbers)
        async for one in records(store, _APP, now)
    ]
    found.append(Loss(sum(numbers), "test numbers of apps: add them again"))
    return [loss for loss in found if loss.amount]


async def let_go(store: RecordStore, keys: KeyRing, now: datetime) -> None:
    """Take what nobody can open out of every record that goes on without it, and delete the
    others. `keys` are the ring that goes on; claims are for the store to delete."""
    for kind in _kinds():
        async for record in records(store, kind, now):
            if _is_lost(record):
                await store.write([_without(record, keys)], now)
    async for record in records(store, _APP, now):
        app = msgspec.json.decode(record.body, type=App)
        if app.test_numbers:
            bare = msgspec.json.encode(replace(app, test_numbers=()))
            await store.write([_changed(record, bare)], now)


def _kinds() -> tuple[str, ...]:
    return (*FIELDS, *WHOLE)


def _is_lost(record: Record) -> bool:
    """An account may have had nothing to seal."""
    if record.kind == ALIYUN_ACCOUNT:
        return bool(msgspec.json.decode(record.body, type=AliyunAccount).private)
    return record.kind not in PASSING


def _without(record: Record, keys: KeyRing) -> Write:
    bare = _BARE.get(record.kind)
    return _changed(record, bare(record.body, keys) if bare else None)


def _changed(record: Record, body: bytes | None) -> Write:
    return Write(
        kind=record.kind,
        key=record.key,
        version=record.version,
        body=body,
        expires_at=record.expires_at,
    )


def _bare_customer(body: bytes, keys: KeyRing) -> bytes:
    customer = msgspec.json.decode(body, type=HuaweiAccount)
    nothing = keys.seal(msgspec.msgpack.encode(Private(xaccount_id="")), customer.id.encode())
    return msgspec.json.encode(replace(customer, masked="", private=nothing))


def _bare_account(body: bytes, keys: KeyRing) -> bytes:
    account = msgspec.json.decode(body, type=AliyunAccount)
    return msgspec.json.encode(replace(account, masked="", private=b""))


_BARE: dict[str, Callable[[bytes, KeyRing], bytes]] = {
    CUSTOMER: _bare_customer,
    ALIYUN_ACCOUNT: _bare_account,
}
