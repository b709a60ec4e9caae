"""Customers: what a partner registers, as writes that a right code applies in its own act."""

from __future__ import annotations

import re
import secrets
from datetime import datetime
from string import ascii_letters, digits
from typing import Any, Literal

import msgspec

from watchword.directory import passwords
from watchword.directory.huawei.accounts import (
    NAME,
    Account,
    Accounts,
    User,
    added,
    added_user,
    new_id,
)
from watchword.directory.names import claim, claimant, folded
from watchword.domain.destination import Destination, Kind
from watchword.domain.keys import KeyRing
from watchword.errors import RequestInvalid
from watchword.ports import Write

XACCOUNT, PHONE = "huawei_xaccount", "huawei_phone"
"""The claims beside NAME: an xaccount id is one customer's of a partner, a phone so many's."""

_NAME = re.compile(r"(?!op_|shadow_)[a-z_-][a-z0-9_-]{4,31}", re.ASCII | re.IGNORECASE)
_KINDS = tuple(map(re.compile, ("[a-z]", "[A-Z]", "[0-9]", "[^a-zA-Z0-9]")))

__all__ = [
    "NAME",
    "PHONE",
    "XACCOUNT",
    "Customers",
    "NameMalformed",
    "PasswordWeak",
    "Prepared",
    "Private",
    "Registration",
]


class NameMalformed(RequestInvalid):
    """A domain name has 5 to 32 letters, digits, _ or -; no digit, op_ or shadow_ comes first."""


class PasswordWeak(RequestInvalid):
    """This password is too weak."""


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """What a partner says of a customer to be. `domain_name` is drawn where it is empty."""

    xaccount_id: str
    xaccount_type: str
    domain_name: str = ""
    destination: Destination | None = None
    password: str = ""
    area: str = ""
    wants_marketing: bool = True

    def __repr__(self) -> str:
        return f"Registration(domain_name={self.domain_name!r}, destination={self.destination})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("domain_name", self.domain_name), ("destination", self.destination)]


class Prepared(msgspec.Struct, frozen=True):
    """A customer to be, and the writes that add it, all of them conditional."""

    customer: Account
    writes: tuple[Write, ...]


class Private(msgspec.Struct, frozen=True, kw_only=True):
    """What of a customer is nobody's to read: it may name a person."""

    xaccount_id: str
    address: str = ""

    def __repr__(self) -> str:
        return "Private(***)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []


class Customers:
    """Adds customers and counts them. A phone may belong to at most `per_phone` of them, a mailbox
    to any number."""

    def __init__(self, accounts: Accounts, keys: KeyRing, per_phone: int = 1) -> None:
        self._store, self._keys, self.per_phone = accounts.store, keys, per_phone

    async def prepare(self, partner: Account, asked: Registration, now: datetime) -> Prepared:
        """Work out all that adds this customer, and write nothing yet. Raises RequestInvalid.

        Whether a claim is another's is found out in the act alone, so that it is told to nobody
        who lacks the right code: RecordConflict names NAME, XACCOUNT or PHONE. Where a phone has
        several places, one that was taken since may leave others: prepare again.
        """
        name = domain_name(asked.domain_name) if asked.domain_name else _drawn_name()
        customer = self._customer(partner, asked, name, now)
        writes = [*added(customer), self._xaccount(customer, asked.xaccount_id)]
        if asked.destination:
            writes.append(await self._claim(customer, asked.destination, now))
        if asked.password:
            email = asked.destination if _is_mailbox(asked.destination) else None
            refuse_weak(asked.password, name, email.address if email else "")
            async with passwords.turn(partner.id):
                kept = await passwords.hash(asked.password)
            user = User(id=new_id(), account_id=customer.id, name=name, password=kept)
            writes += added_user(user)
        return Prepared(customer, tuple(writes))

    async def add(self, prepared: Prepared, now: datetime) -> Account:
        """Add one that needs no code. Raises RecordConflict."""
        await self._store.write(prepared.writes, now)
        return prepared.customer

    async def used(
        self, kind: Literal["email", "mobile", "name"], value: str | Destination, now: datetime
    ) -> int:
        """How many customers have this mailbox or phone, or accounts of any kind this name."""
        if isinstance(value, str):
            return int(await self._is_taken(NAME, folded(value), now))
        if kind == "email":
            return len(await self._store.records(self._mailbox(value), now))
        return sum([await self._is_taken(PHONE, key, now) for key in self._places(value)])

    def private(self, customer: Account) -> Private:
        """Unseal it. Raises KeyUnknown when the ring lacks the key."""
        plain = self._keys.unseal(customer.private, customer.id.encode())
        return msgspec.msgpack.decode(plain, type=Private)

    def _customer(self, partner: Account, asked: Registration, name: str, now: datetime) -> Account:
        customer_id, destination = new_id(), asked.destination
        private = Private(
            xaccount_id=asked.xaccount_id, address=destination.address if destination else ""
        )
        return Account(
            id=customer_id,
            name=name,
            created_at=now,
            partner_id=partner.id,
            area=asked.area,
            xaccount_type=asked.xaccount_type,
            wants_marketing=asked.wants_marketing,
            masked=destination.masked if destination else "",
            private=self._keys.seal(msgspec.msgpack.encode(private), customer_id.encode()),
        )

    def _xaccount(self, customer: Account, xaccount_id: str) -> Write:
        key = self._keys.index(XACCOUNT, customer.partner_id, xaccount_id).hex()
        return claim(XACCOUNT, key, customer.id)

    async def _claim(self, customer: Account, destination: Destination, now: datetime) -> Write:
        """A mark on a mailbox, which is in nobody's way, or a place at a phone: the first that is
        free, or the last one, to be refused there."""
        if _is_mailbox(destination):
            return claim(self._mailbox(destination), customer.id, customer.id)
        places = self._places(destination)
        free = [key for key in places if not await self._is_taken(PHONE, key, now)]
        return claim(PHONE, (free or places[-1:])[0], customer.id)

    def _mailbox(self, destination: Destination) -> str:
        """A kind of its own for each mailbox, under which its customers can be listed."""
        return f"huawei_mailbox_{self._keys.index('huawei_mailbox', destination.identity).hex()}"

    def _places(self, destination: Destination) -> list[str]:
        index = self._keys.index(PHONE, destination.identity).hex()
        return [f"{index}:{place}" for place in range(self.per_phone)]

    async def _is_taken(self, kind: str, key: str, now: datetime) -> bool:
        return bool(await claimant(self._store, kind, key, now))


def domain_name(text: str) -> str:
    """A name that a customer may have (contract, section 5). Raises NameMalformed."""
    if not _NAME.fullmatch(text):
        raise NameMalformed(field="/domain_name")
    return text


def refuse_weak(password: str, name: str, email: str = "") -> None:
    """Raises PasswordWeak for one that a customer may not have (contract, section 5)."""
    if not 8 <= len(password) <= 32 or not password.isprintable():
        raise PasswordWeak("A password has 8 to 32 characters.", field="/password")
    if sum(bool(kind.search(password)) for kind in _KINDS) < 2:
        raise PasswordWeak(
            "A password has two of: small letters, capitals, digits, other characters.",
            field="/password",
        )
    said = password.casefold()
    if said in (name.casefold(), name.casefold()[::-1]):
        raise PasswordWeak(
            "A password is not the domain name, forwards or backwards.", field="/password"
        )
    if email and email.casefold() in said:
        raise PasswordWeak("A password does not contain the mailbox.", field="/password")


def _is_mailbox(destination: Destination | None) -> bool:
    return destination is not None and destination.kind is Kind.MAILBOX


def _drawn_name() -> str:
    alphabet = ascii_letters + digits
    return secrets.choice(ascii_letters) + "".join(secrets.choice(alphabet) for _ in range(31))
