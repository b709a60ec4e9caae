"""The least that a send on PostgreSQL could cost: bare connections, one call and one COMMIT each.

The function takes as many parameters as a send, decides nothing, and writes a row as large as a
challenge and one as large as a delivery, under the indexes that finding them again takes. Answers
its commands, one a line on stdin, with JSON lines on stdout.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time

import asyncpg
import msgspec
import uvloop

from watchword.stores.postgres._queries import SQL

SIGNATURE = "SELECT pg_get_function_arguments('{}'::regproc)"
_TABLES = """
CREATE SCHEMA bare;

CREATE TABLE bare.challenges (
    serial bigint PRIMARY KEY, id text NOT NULL, app_id text NOT NULL, purpose text NOT NULL,
    channel text NOT NULL, slot bytea NOT NULL, destination bytea NOT NULL, subject bytea NOT NULL,
    masked text NOT NULL, recipient bytea NOT NULL, code_length int NOT NULL,
    max_attempts int NOT NULL, digest bytea NOT NULL, sealed bytea NOT NULL, state text NOT NULL,
    opened_at bigint NOT NULL, resend_at bigint NOT NULL, expires_at bigint NOT NULL
);
CREATE INDEX ON bare.challenges (slot);

CREATE TABLE bare.deliveries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, challenge bigint NOT NULL,
    channel text NOT NULL, state text NOT NULL, tries int NOT NULL, recipient bytea NOT NULL,
    code bytea NOT NULL, queued_at bigint NOT NULL, expires_at bigint NOT NULL, due_at bigint
);
CREATE INDEX ON bare.deliveries (challenge);
"""
_BODY = """
RETURNS json LANGUAGE plpgsql AS $$
DECLARE
    _delivery bigint;
BEGIN
    INSERT INTO bare.challenges VALUES (
        _serial, _id, _app, _purpose, _channel, _slot, _destination, _subject, _masked, _recipient,
        _code_length, _max_attempts, _digest, _sealed, 'pending', _at, _at + _interval,
        _expires_at);
    INSERT INTO bare.deliveries (
        challenge, channel, state, tries, recipient, code, queued_at, expires_at, due_at)
    VALUES (_serial, _carried_by, 'queued', 0, _recipient, _code, _at, _expires_at, _at)
    RETURNING id INTO _delivery;
    RETURN json_build_array(
        'issued', _id, true, _masked, _channel, _at, _expires_at, _at + _interval, _max_attempts,
        _delivery);
END $$;
"""
_CALL = SQL["issue"].replace("watchword.issue", "bare.act")
_DIGEST, _SEALED = 16, 60
_ZEROS = "00" * _DIGEST
_AS_EVER = {
    "bigint": 60_000_000,
    "integer": 5,
    "text": "sms",
    "bytea": bytes(_DIGEST),
    "boolean": False,
    "bigint[]": "{0,3600000000,86400000000}",
    "integer[]": "{1,10,30}",
    "bytea[]": rf'{{"\\x{_ZEROS}","\\x{_ZEROS}","\\x{_ZEROS}"}}',
}
"""What is passed only to be passed, by its type; the driver gets lists as literals."""


async def prepare(address: str) -> None:
    """In a database with our schema: a function with the parameters of an issue, and two tables."""
    connection = await asyncpg.connect(address)
    signature = await connection.fetchval(SIGNATURE.format("watchword.issue"))
    await connection.execute(f"{_TABLES} CREATE FUNCTION bare.act({signature}) {_BODY}")
    await connection.close()


class Looped(msgspec.Struct, frozen=True):
    """What one run did; latencies in seconds."""

    seconds: float
    latencies: list[float]


class Loop:
    """So many connections, each calling again as soon as it was answered."""

    def __init__(self, connections: list[asyncpg.Connection], signature: str) -> None:
        self._connections = connections
        self._parameters = [one.split() for one in signature.split(", ")]
        self._places = {name: place for place, (name, _) in enumerate(self._parameters)}
        self._given: list[object] = [_AS_EVER[kind] for _, kind in self._parameters]

    @classmethod
    async def open(cls, address: str, many: int) -> Loop:
        connections = [await asyncpg.connect(address) for _ in range(many)]
        return cls(connections, await connections[0].fetchval(SIGNATURE.format("bare.act")))

    @property
    def parameters(self) -> int:
        return len(self._parameters)

    async def run(self, seconds: float) -> Looped:
        started_at = time.perf_counter()
        until = started_at + seconds
        calls = await asyncio.gather(*(self._calls(each, until) for each in self._connections))
        latencies = [latency for each in calls for latency in each]
        return Looped(time.perf_counter() - started_at, latencies)

    async def close(self) -> None:
        for connection in self._connections:
            await connection.close()

    async def _calls(self, connection: asyncpg.Connection, until: float) -> list[float]:
        call = await connection.prepare(_CALL)
        latencies = []
        while (asked_at := time.perf_counter()) < until:
            await call.fetchval(*self._arguments())
            latencies.append(time.perf_counter() - asked_at)
        return latencies

    def _arguments(self) -> list[object]:
        """Keys that fall anywhere, as ours do."""
        fresh = os.urandom(4 * _DIGEST)
        at, sealed = time.time_ns() // 1000, fresh[:_SEALED]
        given = self._given.copy()
        for name, value in (
            *(("_at", at), ("_serial", at << 8 | fresh[0]), ("_id", fresh.hex()[:26])),
            *(("_slot", fresh[:16]), ("_destination", fresh[16:32]), ("_once", fresh[32:48])),
            *(("_recipient", sealed), ("_sealed", sealed), ("_code", sealed)),
        ):
            given[self._places[name]] = value
        return given


async def serve(address: str, connections: int) -> None:
    """Run for as many seconds as each line says, until stdin ends."""
    loop = await Loop.open(address, connections)
    _tell(loop.parameters)
    while line := await asyncio.to_thread(sys.stdin.readline):
        _tell(await loop.run(float(line)))
    await loop.close()


def _tell(answer: object) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
    sys.stdout.buffer.flush()


def main() -> None:
    parser = argparse.ArgumentParser("python -m bench.bare")
    parser.add_argument("--address", required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--cores", type=lambda text: {int(word) for word in text.split(",")})
    options = parser.parse_args()
    os.sched_setaffinity(0, options.cores)
    uvloop.run(serve(options.address, options.connections))


if __name__ == "__main__":
    main()
