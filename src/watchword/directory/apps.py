"""Apps and their API keys: the tenants of the native dialect."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from hmac import compare_digest

import msgspec

from watchword.directory.fresh import Fresh
from watchword.directory.records import Records, put
from watchword.domain import origin_bound
from watchword.domain.app import ApiKey, App, Scope, Terms, TestNumber
from watchword.domain.destination import Destination
from watchword.domain.keys import KeyRing
from watchword.domain.message import one_line
from watchword.errors import AccessDenied, RequestInvalid
from watchword.ports import RecordStore, Write

TEST_NUMBER_TTL = timedelta(days=90)
LONGEST_NAME = 64
MOST_TEST_NUMBERS = 100
MOST_BRANDS = 20
_PREFIX = "ww"
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_APP, _KEY = "app", "api_key"
_TAG = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8})*")
_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")


class Credential(msgspec.Struct, frozen=True):
    """A key that was proven, and the app it speaks for."""

    key: ApiKey
    app: App


class Apps:
    """Reads and changes apps and keys. A change is seen by every process within one second."""

    def __init__(self, store: RecordStore, keys: KeyRing) -> None:
        self._store, self._keys = store, keys
        self._apps = Records(store, _APP, App, "app")
        self._api_keys = Records(store, _KEY, ApiKey, "key")
        self._known: Fresh[Credential] = Fresh()

    async def authenticate(self, token: str, now: datetime) -> Credential:
        """Say who this bearer token is. Raises AccessDenied.

        Known tokens are remembered for a second, by their digest; refusals never are.
        """
        digest = _digest(token)
        if known := self._known.get(digest, now):
            return known
        credential = await self._look_up(token, bytes.fromhex(digest), now)
        return self._known.keep(digest, credential, now)

    async def _look_up(self, token: str, digest: bytes, now: datetime) -> Credential:
        parts = token.split("_")
        found = None
        if len(parts) == 3 and parts[0] == _PREFIX:
            found = await self._api_keys.find(parts[1], now)
        if found is None or not compare_digest(found[0].digest, digest):
            raise AccessDenied
        key, _ = found
        return Credential(key, await self.app(key.app_id, now))

    async def create(
        self, *, name: str, now: datetime, brand: str = "", origin: str = "", language: str = ""
    ) -> App:
        """Add an app. Raises RequestInvalid."""
        app, write = drafted(name=name, brand=brand, origin=origin, language=language)
        await self._store.write([write], now)
        return app

    async def app(self, app_id: str, now: datetime) -> App:
        """Raises AccessDenied when there is none."""
        return (await self._apps.get(app_id, now))[0]

    async def app_or_draft(
        self, app_id: str, *, name: str, brand: str, language: str, now: datetime
    ) -> tuple[App, list[Write]]:
        """The app of this id; where it is empty one to be, and what adds it. Raises AccessDenied,
        RequestInvalid."""
        if app_id:
            return await self.app(app_id, now), []
        app, write = drafted(name=name, brand=brand, language=language)
        return app, [write]

    async def apps(self, now: datetime) -> Sequence[App]:
        return await self._apps.all(now)

    async def set_terms(
        self, app_id: str, purpose: str, change: Callable[[Terms], Terms], now: datetime
    ) -> App:
        """Change the policy of an app for a purpose, or for every one with "*"."""

        def changed(app: App) -> App:
            terms = change(app.terms.get(purpose, Terms()))
            return msgspec.structs.replace(app, terms={**app.terms, purpose: terms})

        return await self._change(app_id, changed, now)

    async def set_brand(self, app_id: str, brand: str, language: str, now: datetime) -> App:
        """What messages call an app: in one language, or, with "", in all that have no brand of
        their own. An empty brand takes it back. Raises RequestInvalid, AccessDenied."""
        language = _language(language)
        brand = _brand(brand) if brand else ""

        def changed(app: App) -> App:
            if not language:
                return msgspec.structs.replace(app, brand=brand)
            others = {name: said for name, said in app.brands.items() if name != language}
            if brand and len(others) >= MOST_BRANDS:
                raise RequestInvalid(f"An app has brands in at most {MOST_BRANDS} languages.")
            brands = others | ({language: brand} if brand else {})
            return msgspec.structs.replace(app, brands=brands)

        return await self._change(app_id, changed, now)

    async def add_test_number(
        self, app_id: str, destination: Destination, code: str, ends_at: datetime, now: datetime
    ) -> App:
        """Give a destination a fixed code until `ends_at`. Raises RequestInvalid."""
        if not now < ends_at <= now + TEST_NUMBER_TTL:
            raise RequestInvalid("A test number ends within 90 days.", field="/ends_at")
        if destination.limit_key != destination.identity:
            # It shares the failure budget of a real mailbox, and its known code would clear it.
            raise RequestInvalid("A test mailbox has no +tag, no quotes and no ß.", field="/to")
        if not 4 <= len(code) <= 16 or not code.isascii() or not code.isalnum():
            raise RequestInvalid("A code is 4 to 16 letters or digits.", field="/code")
        number = TestNumber(
            destination=self._person(app_id, destination),
            masked=destination.masked,
            code=self._keys.test_digest(app_id, code),
            ends_at=ends_at,
            made_at=now,
        )
        return await self._change(app_id, lambda app: _with(app, number), now)

    async def remove_test_number(self, app_id: str, destination: Destination, now: datetime) -> App:
        person = self._person(app_id, destination)
        return await self._change(app_id, lambda app: _without(app, person), now)

    async def create_key(
        self,
        app_id: str,
        scopes: Sequence[Scope],
        *,
        now: datetime,
        note: str = "",
        demo: bool = False,
    ) -> tuple[ApiKey, str]:
        """Make a key, and the bearer token that only this answer ever shows.

        Raises AccessDenied when there is no such app.
        """
        app = await self.app(app_id, now)
        key_id = _random(10)
        token = f"{_PREFIX}_{key_id}_{_random(32)}"
        key = ApiKey(
            id=key_id,
            app_id=app.id,
            digest=bytes.fromhex(_digest(token)),
            scopes=tuple(scopes),
            created_at=now,
            note=note,
            demo=demo,
        )
        await self._store.write([self._api_keys.put(key)], now)
        return key, token

    async def keys(self, now: datetime) -> Sequence[ApiKey]:
        return await self._api_keys.all(now)

    async def revoke_key(self, key_id: str, now: datetime) -> None:
        """End a key, everywhere within a second. Raises AccessDenied when there is none."""
        key, version = await self._api_keys.get(key_id, now)
        await self._store.write([self._api_keys.removed(key, version)], now)
        self._known.clear()

    async def _change(self, app_id: str, change: Callable[[App], App], now: datetime) -> App:
        """Apply a change to the app as it is; one that comes in between is not overwritten."""
        app = await self._apps.change(app_id, change, now)
        self._known.clear()
        return app

    def _person(self, app_id: str, destination: Destination) -> str:
        return self._keys.index("person", app_id, destination.identity).hex()


def drafted(
    *, name: str, brand: str = "", origin: str = "", language: str = ""
) -> tuple[App, Write]:
    """An app to be, and the write that adds it. Raises RequestInvalid."""
    app = App(
        id=_random(12),
        name=line(name, "name"),
        brand=_brand(brand) if brand else "",
        origin=_host(origin),
        language=language.lower(),
    )
    return app, put(_APP, app)


def line(text: str, field: str) -> str:
    """The text, where it is one line that may be shown. Raises RequestInvalid."""
    if not 0 < len(text.strip()) <= LONGEST_NAME or one_line(text) != text:
        raise RequestInvalid(f"A {field} is one line of 1 to 64 characters.", field=f"/{field}")
    return text


def _brand(text: str) -> str:
    """What messages may call an app. A browser must not take it for the line that binds a code."""
    if taken := origin_bound.binds(line(text, "brand")):
        raise RequestInvalid(
            f"A brand does not hold '{taken}': browsers take that for a bound code.", field="/brand"
        )
    return text


def _language(tag: str) -> str:
    found = tag.replace("_", "-").lower()
    if found and not _TAG.fullmatch(found):
        raise RequestInvalid(f"'{tag}' is no language; write it as in zh-cn.", field="/language")
    return found


def _with(app: App, number: TestNumber) -> App:
    others = _without(app, number.destination).test_numbers
    if len(others) >= MOST_TEST_NUMBERS:
        raise RequestInvalid("An app has at most 100 test numbers.")
    return msgspec.structs.replace(app, test_numbers=(*others, number))


def _without(app: App, person: str) -> App:
    left = tuple(number for number in app.test_numbers if number.destination != person)
    return msgspec.structs.replace(app, test_numbers=left)


def _digest(token: str) -> str:
    """A key has 160 random bits: a plain digest of it tells nothing."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _host(origin: str) -> str:
    """The host that WebOTP binds to: example.com, as in the page's address."""
    if origin and not _HOST.fullmatch(origin):
        raise RequestInvalid("An origin is a host name, as in example.com.", field="/origin")
    return origin
