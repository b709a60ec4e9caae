"""A fleet: servers and workers, each with a folder of its own, on one PostgreSQL and one ring."""

import asyncio
import json
import random
import re
import subprocess
import time
import uuid
from collections import Counter
from contextlib import contextmanager
from email import message_from_bytes, policy
from urllib.parse import urlsplit

import httpx2

from tests.smtp_server import receiving
from tests.whole.conftest import DEADLINE_S, WATCHWORD, House, environment

SETTINGS = """
store = "{store}"
[keys]
path = "{ring}"
"""
MAILS = """
[channels]
email = "smtp"
[providers.smtp]
host = "127.0.0.1"
port = {port}
security = "none"
sender = "codes@example.com"
timeout_s = 5
"""
ANSWERED_IN_S = 2.5
"""Answers come within 2 s while the database is away; the rest is for a machine that is busy."""
UNSETTLED = "SELECT id FROM deliveries WHERE state IN ('queued', 'leased', 'sending')"


class Fleet:
    """Houses that share a store and a key ring. `settings` are those of every one."""

    def __init__(self, folder, store, settings=""):
        self.store, self._folder, self._settings = store, folder, settings

    def house(self, name, store=None):
        """A data folder of this name, on the fleet's store or on another way to it."""
        home = House(self._folder / name / "data")
        home.folder.parent.mkdir()
        ring = self._folder / "keyring.json"
        home.settings(SETTINGS.format(store=store or self.store, ring=ring) + self._settings)
        return home


def native_key(house):
    """A key of the native dialect, which every house of the fleet knows."""
    return json.loads(house.run("demo", "--json").stdout)["native"]["api_key"]


@contextmanager
def working(house):
    """A worker that delivers; in the end it is asked to stop, and has to do so in order."""
    with house.log.open("w") as log:
        worker = subprocess.Popen(
            [WATCHWORD, "worker", "--data", house.folder],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        assert worker.stdout
        assert worker.stdout.readline().startswith("Delivering"), house.said()
        yield worker
        worker.terminate()
        assert worker.wait(DEADLINE_S) == 0, house.said()
    finally:
        worker.kill()
        worker.communicate()


class Api:
    """The native dialect of one server. It remembers how long the slowest answer took."""

    def __init__(self, base_url, key):
        self.base_url, self.slowest_s = base_url, 0.0
        limits = httpx2.Limits(max_connections=64)
        headers = {"authorization": f"Bearer {key}"}
        self._http = httpx2.Client(
            base_url=base_url, headers=headers, limits=limits, timeout=DEADLINE_S
        )

    def __enter__(self):
        return self

    def __exit__(self, *raised):
        self._http.close()

    def send(self, to, key=None, **more):
        channel = "email" if "@" in to else "sms"
        body = {"to": to, "channel": channel, "purpose": "sign_in", **more}
        return self.post("/v1/verifications", body, key)

    def check(self, id, code, key=None):
        return self.post(f"/v1/verifications/{id}/check", {"code": code}, key)

    def look(self, id):
        return self.get(f"/v1/verifications/{id}")

    def cancel(self, id):
        return self._timed(lambda: self._http.delete(f"/v1/verifications/{id}"))

    def deliveries(self, id):
        return self.get(f"/v1/verifications/{id}/deliveries").json()["deliveries"]

    def is_ready(self):
        return self.get("/readyz").status_code == 200

    def get(self, path, **query):
        return self._timed(lambda: self._http.get(path, params=query))

    def post(self, path, body, key=None):
        headers = {"idempotency-key": key} if key else {}
        return self._timed(lambda: self._http.post(path, json=body, headers=headers))

    def _timed(self, call):
        began = time.monotonic()
        answer = call()
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)
        return answer


def asks_to_try_again(answer):
    return (
        answer.status_code == 503
        and answer.headers["content-type"] == "application/problem+json"
        and int(answer.headers["retry-after"]) >= 1
        and answer.json()["type"].endswith(":unavailable")
    )


def mailbox(name="ann"):
    """One that no other call uses."""
    return f"{name}.{uuid.uuid4().hex}@example.com"


class Relay:
    """Counts the mails it takes by their Message-ID, and keeps each mailbox's newest code. It takes
    a while to say that it has taken one, which is when trouble hurts most."""

    slowest_s = 0.05

    def __init__(self):
        self.taken: Counter[str] = Counter()
        self.codes = {}

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        if address.startswith("refuse"):
            return "550 No such person"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802  aiosmtpd's names
        mail = message_from_bytes(envelope.content, policy=policy.default)
        self.taken[mail["message-id"]] += 1
        plain = next(part for part in mail.walk() if part.get_content_type() == "text/plain")
        (code,) = re.findall(r"\b\d{6}\b", plain.get_content())
        self.codes[envelope.rcpt_tos[0]] = code
        await asyncio.sleep(random.random() * self.slowest_s)
        return "250 Taken"

    def times_taken(self, challenge_id, delivery):
        return self.taken[f"<{challenge_id}-{delivery}@example.com>"]


@contextmanager
def relay():
    """A mail server on a socket: the settings that name it, and what it took."""
    taking = Relay()
    with receiving(taking) as port:
        yield MAILS.format(port=port), taking


def through(proxy, address):
    """The same database by way of a proxy."""
    parts = urlsplit(address)
    return parts._replace(netloc=f"{parts.username}@127.0.0.1:{proxy.port}").geturl()
