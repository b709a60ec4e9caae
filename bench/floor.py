"""The least that a send and a check could cost on this store: a hand-written pair of routes.

They take the same requests, and make as many keyed hashes and seals, look at and write the same
rows and share a COMMIT through the same writer as ours. They know nobody, hold nothing to any rule,
draw no code, log and count nothing.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from hashlib import blake2b
from itertools import count
from time import time_ns
from typing import NamedTuple

import apsw
import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bench.constants import Asked, EndUser, answer
from bench.traffic import FLOOR_CODE, FLOOR_PATH
from watchword.ports import Store
from watchword.stores.sqlite import SqliteStore
from watchword.stores.sqlite._looking import Look, look
from watchword.stores.sqlite._queries import SQL
from watchword.surfaces.exchange import Answer, Application, Exchange, Receive, Scope, Send

_APP = "0" * 26
_TTL, _DAY = 600_000_000, 86_400_000_000
_MASKED = "+86*********00"
_JSON = [(b"content-type", b"application/json")]


class _Judged(msgspec.Struct):
    code: str
    client: EndUser


class _Settled(msgspec.Struct):
    id: str
    status: str
    attempts_left: int


class _Person(NamedTuple):
    """What a request is counted by, in digests."""

    network: bytes
    once: bytes
    request: bytes
    at: int


_read_send = msgspec.json.Decoder(Asked).decode
_encode = msgspec.msgpack.Encoder().encode
_read_check = msgspec.json.Decoder(_Judged).decode


class Floor:
    """POST makes a challenge, POST below its id settles an attempt."""

    def __init__(self, store: SqliteStore) -> None:
        self._run = store._writer.run
        self._key, self._cipher = os.urandom(32), AESGCM(os.urandom(32))
        self._serials = count(time_ns() // 1000 << 8)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send)
        challenge_id = scope["path"].removeprefix(FLOOR_PATH).strip("/").partition("/")[0]
        await exchange.answer(
            await (self._check(exchange, challenge_id) if challenge_id else self._send(exchange))
        )

    async def _send(self, exchange: Exchange) -> Answer:
        body = await exchange.body()
        asked = _read_send(body)
        who, to = self._person(exchange, body, asked.client), asked.to.encode()
        destination, slot = self._index(b"to", to), self._index(b"slot", to)
        device = self._index(b"device", asked.client.fingerprint.encode())
        serial = next(self._serials)
        challenge_id = f"{serial:026d}"
        code = self._seal(FLOOR_CODE.encode(), slot)
        recipient = self._seal(_encode((asked.to, "", "", "bench", "", {})), slot)
        digest = self._digest(challenge_id, FLOOR_CODE)
        counters = (destination, who.network, device)

        def act(cursor: apsw.Cursor) -> None:
            at = who.at
            looks: list[Look] = [("newest_page", (each,)) for each in counters]
            looks += [("latest", (slot,)), ("failures", (destination, b""))]
            look(cursor, [*looks, ("once", (who.once, at))])
            opened = (serial, challenge_id, _APP, "sign_in", "sms", slot, destination, b"", _MASKED)
            kept = (recipient, len(FLOOR_CODE), 5, digest + code, at, at, at + _TTL)
            cursor.execute(SQL["open_challenge"], opened + kept)
            now = at.to_bytes(8, "big")
            pages = [(each, now, at + _DAY) for each in counters]
            cursor.executemany(SQL["first_page"], pages)
            queued = (_APP, serial, "sms", 10, recipient, code, 0, at, at + _TTL, at)
            cursor.execute(SQL["queue_delivery"], queued)
            told = (at, "created", _APP, "sms", "sign_in", challenge_id, destination, _MASKED, "{}")
            cursor.execute(SQL["tell_sent"], told)
            _remember(cursor, who, (challenge_id, True, _MASKED, "sms", at, at, at, 5, 1))

        await self._run(act)
        return answer(challenge_id)

    async def _check(self, exchange: Exchange, challenge_id: str) -> Answer:
        body = await exchange.body()
        asked = _read_check(body)
        who, serial = self._person(exchange, body, asked.client), int(challenge_id)
        digest = self._digest(challenge_id, asked.code)

        def act(cursor: apsw.Cursor) -> str:
            named = (serial, challenge_id, _APP)
            row = cursor.execute(SQL["question"], named).get
            destination, draws = row[0], row[5]
            look(cursor, [("failures", (destination, b"")), ("once", (who.once, who.at))])
            right = draws.startswith(digest)
            if right:
                cursor.execute(SQL["close_challenge"], ("approved", 0, who.at, serial))
                cursor.execute(SQL["drop_queued"], (who.at, serial))
            else:
                cursor.execute(SQL["tell_failed"], (who.at, serial))
                cursor.execute(SQL["count_attempt"], (serial,))
                now, idle_at = who.at.to_bytes(8, "big"), who.at + _DAY
                networks = (b"", who.network)
                failures = [(destination, each, now, 1, idle_at) for each in networks]
                cursor.executemany(SQL["put_failures"], failures)
            status = "approved" if right else "pending"
            _remember(cursor, who, (status, 5))
            return status

        settled = _Settled(id=challenge_id, status=await self._run(act), attempts_left=5)
        return Answer(200, _JSON, msgspec.json.encode(settled))

    def _person(self, exchange: Exchange, body: bytes, client: EndUser) -> _Person:
        self._index(b"key", exchange.headers[b"authorization"])
        return _Person(
            network=self._index(b"network", client.ip.encode()),
            once=self._index(b"once", exchange.headers[b"idempotency-key"]),
            request=self._index(b"request", body),
            at=time_ns() // 1000,
        )

    def _index(self, *parts: bytes) -> bytes:
        return blake2b(b"\0".join(parts), key=self._key, digest_size=16).digest()

    def _digest(self, challenge_id: str, code: str) -> bytes:
        return blake2b(f"{challenge_id}{code}".encode(), key=self._key, digest_size=32).digest()

    def _seal(self, plain: bytes, bound_to: bytes) -> bytes:
        nonce = os.urandom(12)
        return nonce + self._cipher.encrypt(nonce, plain, bound_to)


def _remember(cursor: apsw.Cursor, who: _Person, told: tuple[object, ...]) -> None:
    kept = (who.once, who.request, _encode(told), who.at + _DAY)
    cursor.execute(SQL["remember_once"], kept)


def owners(store: Store) -> Sequence[tuple[str, Application]]:
    """For the path table; nobody where the store is a server."""
    return [(FLOOR_PATH, Floor(store))] if isinstance(store, SqliteStore) else []
