"""Users of the apps that keep them here, as writes that a right code applies in its own act."""

from __future__ import annotations

import re
import secrets
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from watchword.directory import passwords
from watchword.directory.apps import line
from watchword.directory.names import claim, claimant, folded, release
from watchword.directory.records import Records, put
from watchword.domain.destination import Destination, mailbox
from watchword.domain.keys import KeyRing
from watchword.errors import RequestInvalid
from watchword.ports import RecordStore, Write

USER = "ciam_user"
MOBILE, EMAIL, USER_NAME = "ciam_mobile", "ciam_email", "ciam_user_name"
"""The claims: each is one user's of an app."""
PASSWORD = "ciam_password"  # noqa: S105
"""What a conflict names where a new password is the user's own name. No record is of this kind."""

LONGEST_PICTURE = 2048
MOST_LEVELS = 16
MOST_ATTRIBUTES, LONGEST_ATTRIBUTE = 32, 64
MOST_BYTES = 4096
"""Of all attributes together, and of the extension."""

_KINDS = tuple(map(re.compile, ("[a-z]", "[A-Z]", "[0-9]", "[^a-zA-Z0-9]")))
_NOBODY = "nobody"
_TICK = timedelta(microseconds=1)


class PasswordWeak(RequestInvalid):
    """This password is too weak."""


class User(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`mobile`, `email` and `user_name` are the keys of the claims that the user holds, "" where
    there is none. What is `private` is sealed under the id; `masked` is enough to recognise the
    mobile. `password` is a PHC string, "" where there is none. Tokens hold as long as `since` is
    what it was when they were issued."""

    id: str
    app_id: str
    mobile: str
    masked: str
    private: bytes
    since: datetime
    created_at: datetime
    changed_at: datetime
    email: str = ""
    user_name: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return f"User(id={self.id!r}, app_id={self.app_id!r}, masked={self.masked!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("id", self.id), ("app_id", self.app_id), ("masked", self.masked)]


class Private(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What of a user is nobody's to read. Whether `email` was verified is told by its claim."""

    mobile: str
    email: str = ""
    user_name: str = ""
    name: str = ""
    head_img: str = ""
    attributes: dict[str, Any] = {}
    extension: dict[str, Any] = {}

    def __repr__(self) -> str:
        return "Private(***)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody says of himself. `attributes` have their names of the wire, as in attr_city."""

    mobile: Destination
    user_name: str = ""
    name: str = ""
    email: str = ""
    password: str = ""
    head_img: str = ""
    attributes: dict[str, Any] = {}
    extension: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"Registration(mobile={self.mobile})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("mobile", self.mobile)]


class Prepared(msgspec.Struct, frozen=True):
    """A user to be, and the writes that add it, all of them conditional."""

    user: User
    writes: tuple[Write, ...]


class Users:
    """Finds users, and prepares all that a right code changes of them.

    Preparing writes nothing. Whether a claim is another's is found out in the act alone, so that
    it is told to nobody who lacks the right code: RecordConflict names MOBILE, EMAIL or USER_NAME.
    It names USER where the user changed meanwhile: find it and prepare again.
    """

    def __init__(self, store: RecordStore, keys: KeyRing) -> None:
        self._store, self._keys = store, keys
        self._users = Records(store, USER, User, "user")

    async def by_mobile(
        self, app_id: str, mobile: Destination, now: datetime
    ) -> tuple[User, int] | None:
        """The user of this mobile and the record's version. Whether or not there is one, it takes
        the same look-ups; so it does by mailbox."""
        key = self._key(MOBILE, app_id, mobile.identity)
        found = await self._claimant(MOBILE, key, now)
        # Who gave the mobile up between the two looks must not be reached by it any more.
        return found if found and found[0].mobile == key else None

    async def by_email(
        self, app_id: str, email: Destination, now: datetime
    ) -> tuple[User, int] | None:
        """The user who has shown that this mailbox is theirs."""
        key = self._key(EMAIL, app_id, email.identity)
        found = await self._claimant(EMAIL, key, now)
        return found if found and found[0].email == key else None

    async def by_id(self, app_id: str, user_id: str, now: datetime) -> tuple[User, int] | None:
        found = await self._users.find(user_id, now)
        return found if found and found[0].app_id == app_id else None

    def nobody(self, app_id: str, now: datetime) -> tuple[User, int]:
        """Who stands in where no user was found: to prepare for nobody costs the same, and what
        was prepared fits no store."""
        user = self._user(app_id, Private(mobile=""), mobile="", masked="", now=now)
        return user, 1

    async def prepare_registration(
        self, app_id: str, asked: Registration, now: datetime, *, network: str = ""
    ) -> Prepared:
        """Work out all that adds this user. Raises RequestInvalid, and QuotaExceeded where too
        many passwords wait, of the client's network or of all."""
        refuse_invalid(asked)
        private = _private(asked)
        mobile = self._key(MOBILE, app_id, asked.mobile.identity)
        user = self._user(app_id, private, mobile=mobile, masked=asked.mobile.masked, now=now)
        claims = [claim(MOBILE, mobile, user.id)]
        if asked.user_name:
            user = replace(user, user_name=self._key(USER_NAME, app_id, folded(asked.user_name)))
            claims.append(claim(USER_NAME, user.user_name, user.id))
        if asked.password:
            user = replace(user, password=await _hashed(asked.password, network or app_id))
        return Prepared(user, (put(USER, user), *claims))

    async def prepare_password(
        self, user: User, version: int, password: str, now: datetime, *, network: str = ""
    ) -> tuple[Write, ...]:
        """What gives a user another password, and ends all tokens issued before.

        Raises PasswordWeak, and QuotaExceeded as `prepare_registration` does. That it is the
        user's name is found out in the act too: RecordConflict names PASSWORD.
        """
        refuse_weak(password, field="/password")
        kept = await _hashed(password, network or user.app_id)
        changed = replace(user, password=kept, since=max(now, user.since + _TICK), changed_at=now)
        refusals = [_REFUSED] if _is_name(password, self.private(user).user_name) else []
        return (*refusals, put(USER, changed, version))

    async def prepare_mobile(
        self, user: User, version: int, mobile: Destination, now: datetime
    ) -> tuple[Write, ...]:
        """What gives a user another mobile in place of the one they have."""
        key = self._key(MOBILE, user.app_id, mobile.identity)
        private = self._sealed(user.id, replace(self.private(user), mobile=mobile.address))
        changed = replace(user, mobile=key, masked=mobile.masked, private=private, changed_at=now)
        return (put(USER, changed, version), *_moved(MOBILE, user.mobile, key, user.id))

    async def prepare_email(
        self, user: User, version: int, email: Destination, now: datetime
    ) -> tuple[Write, ...]:
        """What gives a user a verified mailbox, in place of any other."""
        key = self._key(EMAIL, user.app_id, email.identity)
        private = self._sealed(user.id, replace(self.private(user), email=email.address))
        changed = replace(user, email=key, private=private, changed_at=now)
        return (put(USER, changed, version), *_moved(EMAIL, user.email, key, user.id))

    def private(self, user: User) -> Private:
        """Unseal it. Raises KeyUnknown when the ring lacks the key."""
        plain = self._keys.unseal(user.private, user.id.encode())
        return msgspec.json.decode(plain, type=Private)

    async def _claimant(self, kind: str, key: str, now: datetime) -> tuple[User, int] | None:
        """Two look-ups always: how long an answer takes must not tell who is registered."""
        user_id = await claimant(self._store, kind, key, now)
        return await self._users.find(user_id or _NOBODY, now)

    def _key(self, kind: str, app_id: str, name: str) -> str:
        return self._keys.index(kind, app_id, name).hex()

    def _user(
        self, app_id: str, private: Private, *, mobile: str, masked: str, now: datetime
    ) -> User:
        user_id = new_id()
        return User(
            id=user_id,
            app_id=app_id,
            mobile=mobile,
            masked=masked,
            private=self._sealed(user_id, private),
            since=now,
            created_at=now,
            changed_at=now,
        )

    def _sealed(self, user_id: str, private: Private) -> bytes:
        return self._keys.seal(msgspec.json.encode(private), user_id.encode())


def refuse_invalid(asked: Registration) -> None:
    """All that can be said of it before anybody looks for a code. Raises RequestInvalid,
    PasswordWeak where it is the password."""
    _private(asked)
    if asked.password:
        refuse_weak(asked.password, field="/pwd")
        if _is_name(asked.password, asked.user_name):
            raise PasswordWeak("A password is not the user name.", field="/pwd")


def refuse_weak(password: str, *, field: str) -> None:
    """Raises PasswordWeak for one that nobody may have, whatever their name is."""
    if not 8 <= len(password) <= 64 or not password.isprintable():
        raise PasswordWeak("A password has 8 to 64 characters that show.", field=field)
    if sum(bool(kind.search(password)) for kind in _KINDS) < 2:
        raise PasswordWeak(
            "A password has two of: small letters, capitals, digits, other characters.",
            field=field,
        )


def new_id() -> str:
    return secrets.token_hex(16)


_REFUSED = Write(kind=PASSWORD, key=_NOBODY, version=1, body=None)
"""Fits no store: what it is written with is refused."""


def _is_name(password: str, user_name: str) -> bool:
    return folded(password) == folded(user_name)


async def _hashed(password: str, whose: str) -> str:
    async with passwords.turn(whose):
        return await passwords.hash(password)


def _moved(kind: str, before: str, after: str, user_id: str) -> list[Write]:
    """What gives a claim back and takes another; nothing where they are one."""
    if before == after:
        return []
    return [*([release(kind, before)] if before else []), claim(kind, after, user_id)]


def _private(asked: Registration) -> Private:
    """Raises RequestInvalid at the field of the wire."""
    if asked.email:
        mailbox(asked.email, field="/email")
    return Private(
        mobile=asked.mobile.address,
        email=asked.email,
        user_name=_line(asked.user_name, "user_name"),
        name=_line(asked.name, "name"),
        head_img=_picture(asked.head_img),
        attributes=_attributes(asked.attributes),
        extension=_small(asked.extension, "/extension"),
    )


def _line(text: str, field: str) -> str:
    if text and not text.isprintable():
        raise RequestInvalid(f"A {field} has no characters that do not show.", field=f"/{field}")
    return line(text, field) if text else ""


def _picture(address: str) -> str:
    if len(address) > LONGEST_PICTURE or not address.isprintable():
        raise RequestInvalid(
            f"A head_img has at most {LONGEST_PICTURE} characters, all of which show.",
            field="/head_img",
        )
    return address


def _attributes(given: dict[str, Any]) -> dict[str, Any]:
    for number, name in enumerate(given, start=1):
        if len(name) > LONGEST_ATTRIBUTE or not name.isprintable():
            raise RequestInvalid("An attribute's name has at most 64 characters.", field="/attr_*")
        if number > MOST_ATTRIBUTES:
            raise RequestInvalid("There are at most 32 attributes.", field=_pointer(name))
    return _small(given, "/attr_*")


def _pointer(name: str) -> str:
    """RFC 6901, section 3."""
    return "/" + name.replace("~", "~0").replace("/", "~1")


def _small(given: dict[str, Any], field: str) -> dict[str, Any]:
    """What fits into MOST_BYTES of JSON, and MOST_LEVELS."""
    if _is_deeper(given, MOST_LEVELS):
        raise RequestInvalid("This is nested too deep.", field=field)
    try:
        size = len(msgspec.json.encode(given))
    except (UnicodeEncodeError, OverflowError, RecursionError, TypeError):
        raise RequestInvalid("This cannot be kept.", field=field) from None
    if size > MOST_BYTES:
        raise RequestInvalid(f"This has at most {MOST_BYTES} bytes as JSON.", field=field)
    return given


def _is_deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inside = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(each, levels - 1) for each in inside)
