"""Clients: the applications that speak this dialect, each under the id that it shows."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from string import ascii_letters, digits
from typing import Literal

import msgspec
import phonenumbers
from msgspec.structs import replace

from watchword.directory.apps import Apps, drafted
from watchword.directory.fresh import Fresh
from watchword.directory.records import Records
from watchword.domain.app import App
from watchword.domain.keys import KeyRing
from watchword.errors import AccessDenied, RequestInvalid
from watchword.ports import RecordStore, Write

CLIENT = "ciam_client"

UsersAt = Literal["elsewhere", "here"]

_LETTERS, _LENGTH = ascii_letters + digits, 32
_ID = re.compile(f"[A-Za-z0-9]{{{_LENGTH}}}")


class Client(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An application, and the app that it speaks for. Its id is no secret: browsers show it.

    `users` says whether the app's users are kept here, or elsewhere, where we know nobody;
    `region` (ISO 3166) is the country of a number that names none.
    """

    id: str
    app_id: str
    users: UsersAt
    region: str
    created_at: datetime
    demo: bool = False
    suspended: bool = False


class Clients:
    """Reads and changes clients. A change is seen by every process within a second."""

    def __init__(self, store: RecordStore, keys: KeyRing, apps: Apps) -> None:
        self.store, self.keys, self._apps = store, keys, apps
        self._clients = Records(store, CLIENT, Client, "client")
        self._known: Fresh[tuple[Client, App]] = Fresh()

    async def known(self, client_id: str, now: datetime) -> tuple[Client, App]:
        """A client that may call, and its app, as of the last second; refusals are never
        remembered. Raises AccessDenied."""
        if found := self._known.get(client_id, now):
            return found
        if not _ID.fullmatch(client_id):
            raise AccessDenied
        client = await self.client(client_id, now)
        if client.suspended:
            raise AccessDenied
        return self._known.keep(client_id, (client, await self._apps.app(client.app_id, now)), now)

    async def create(
        self,
        *,
        name: str = "",
        app_id: str = "",
        brand: str = "",
        origin: str = "",
        language: str = "",
        users: UsersAt = "elsewhere",
        region: str = "CN",
        demo: bool = False,
        now: datetime,
    ) -> Client:
        """Add a client, in one act with an app of this name unless `app_id` names one.

        Raises RequestInvalid, and AccessDenied when there is no such app.
        """
        writes: list[Write] = []
        if app_id:
            app = await self._apps.app(app_id, now)
        else:
            app, write = drafted(name=name, brand=brand, origin=origin, language=language)
            writes.append(write)
        client = Client(
            id=new_id(),
            app_id=app.id,
            users=users,
            region=known_region(region),
            created_at=now,
            demo=demo,
        )
        await self.store.write([*writes, self._clients.put(client)], now)
        return client

    async def client(self, client_id: str, now: datetime) -> Client:
        """As of now, suspended or not. Raises AccessDenied when there is none."""
        return (await self._clients.get(client_id, now))[0]

    async def clients(self, now: datetime) -> Sequence[Client]:
        """All of them, oldest first."""
        return sorted(await self._clients.all(now), key=lambda client: client.created_at)

    async def suspend(self, client_id: str, now: datetime) -> Client:
        """Raises AccessDenied when there is none; so does `resume`."""
        return await self._suspended(client_id, True, now)

    async def resume(self, client_id: str, now: datetime) -> Client:
        return await self._suspended(client_id, False, now)

    async def _suspended(self, client_id: str, suspended: bool, now: datetime) -> Client:
        change = partial(replace, suspended=suspended)
        client = await self._clients.change(client_id, change, now)
        self._known.clear()
        return client


def known_region(text: str) -> str:
    """The ISO 3166 code of a country with phones. Raises RequestInvalid."""
    region = text.upper()
    if region not in phonenumbers.SUPPORTED_REGIONS:
        raise RequestInvalid("A region is a country's code, as in CN.", field="/region")
    return region


def new_id() -> str:
    """As the vendor's: 32 letters and digits."""
    return "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))
