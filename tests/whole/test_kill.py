"""kill -9 at random moments under load: nothing that was acknowledged is lost, or done twice.

The virtual carrier takes the SMS and keeps each message once; a real relay on a socket takes the
mails, and its own record says what it was handed.
"""

import asyncio
import json
import random
import re
import uuid
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from functools import partial

import httpx2
import pytest

from tests.smtp_server import receiving
from tests.whole.conftest import DEADLINE_S, eventually
from tests.whole.trouble import in_state, is_whole, killed_under_load, unsettled
from watchword.bootstrap import bootstrap
from watchword.domain.destination import phone
from watchword.domain.purpose import Purpose
from watchword.service.issue import Send, issue

SLOWEST_RELAY_S = 0.05
SETTINGS = """
[providers.virtual]
slow_s = 0
[channels]
sms = "virtual"
email = "smtp"
[providers.smtp]
host = "127.0.0.1"
port = {port}
security = "none"
sender = "codes@example.com"
timeout_s = 5
"""
SETTLED = {"accepted", "delivered", "failed", "expired", "cancelled", "unknown"}


class Relay:
    """Counts the mails it takes by their Message-ID, and takes a while to say so, which is when a
    kill hurts most. It turns away whoever is called refuse, and whoever is called busy the first
    time."""

    def __init__(self):
        self.taken: Counter[str] = Counter()
        self.codes = {}
        self._busy = set()

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        if address.startswith("refuse"):
            return "550 No such person"
        if address.startswith("busy") and address not in self._busy:
            self._busy.add(address)
            return "451 Later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        mail = message_from_bytes(envelope.content, policy=policy.default)
        self.taken[mail["message-id"]] += 1
        plain = next(part for part in mail.walk() if part.get_content_type() == "text/plain")
        (code,) = re.findall(r"\b\d{6}\b", plain.get_content())
        self.codes[envelope.rcpt_tos[0]] = code
        await asyncio.sleep(random.random() * SLOWEST_RELAY_S)
        return "250 Taken"


@contextmanager
def relay():
    taking = Relay()
    with receiving(taking) as port:
        yield port, taking


class Ledger:
    """What callers were told, and what they were not."""

    def __init__(self):
        self.sent = {}  # id -> destination
        self.approved = set()
        self.unanswered = []  # the requests that nobody answered

    @property
    def seen(self):
        return len(self.sent)


class Caller:
    """Sends codes to destinations of its own, and checks those that arrive, until the server is
    gone."""

    numbers = iter(range(13_800_000_000, 13_899_999_999, 10_000))

    def __init__(self, base_url, key, ledger, mail):
        self.ledger, self.mail = ledger, mail
        self.waiting = []  # sent, and not yet checked
        headers = {"authorization": f"Bearer {key}"}
        self.http = httpx2.Client(base_url=base_url, headers=headers, timeout=DEADLINE_S)

    def run(self):
        with self.http:
            try:
                while True:
                    self.once()
            except httpx2.TransportError:
                return  # it was killed; what it did not answer is noted

    def once(self):
        to = self.destination()
        body = {"to": to, "channel": "email" if "@" in to else "sms", "purpose": "sign_in"}
        answer = self.post("/v1/verifications", body)
        assert answer.status_code == 201, answer.text
        id = answer.json()["id"]
        self.ledger.sent[id] = to
        self.waiting.append((id, to))
        self.check(*self.waiting[0])

    def check(self, id, to):
        """Some codes are typed right away, some only after the kill."""
        code = self.code(to)
        if code is None:
            if len(self.waiting) > 5:
                self.waiting.pop(0)
            return
        self.waiting.pop(0)
        if random.random() < 0.6:
            answer = self.post(f"/v1/verifications/{id}/check", {"code": code})
            assert answer.json()["status"] == "approved", answer.text
            self.ledger.approved.add(id)

    def destination(self):
        trick = random.random()
        if random.random() < 0.5:
            name = "refuse" if trick < 0.1 else "busy" if trick < 0.2 else "ann"
            return f"{name}.{uuid.uuid4().hex}@example.com"
        ending = "0001" if trick < 0.1 else "0003" if trick < 0.2 else "5678"
        return f"+86{next(self.numbers) // 10_000}{ending}"

    def code(self, to):
        """What has arrived there, if it has by now."""
        if "@" in to:
            return self.mail.codes.get(to)
        items = self.http.get("/v1/inbox", params={"to": to}).json()["items"]
        return items[-1]["code"] if items else None

    def post(self, path, body):
        key = str(uuid.uuid4())
        try:
            return self.http.post(path, json=body, headers={"idempotency-key": key})
        except httpx2.TransportError:
            self.ledger.unanswered.append((path, body, key))
            raise


def until_killed(*given):
    """What each of several callers does."""
    Caller(*given).run()


@pytest.mark.parametrize(
    "rounds", [pytest.param(3, id="3"), pytest.param(30, id="30", marks=pytest.mark.soak)]
)
def test_kill_9_loses_nothing_and_repeats_nothing(house, rounds):
    """The equation of P4, P1 across a kill, and idempotency keys across a kill."""
    ledger, in_flight = Ledger(), set()
    with relay() as (port, mail):
        house.settings(SETTINGS.format(port=port))
        key = json.loads(house.run("demo", "--json").stdout)["native"]["api_key"]
        for number in range(rounds):
            house.process = house.start("--workers", str(1 + number % 2))
            base_url = house.announced()["base_url"]
            work = partial(until_killed, base_url, key, ledger, mail)
            killed_under_load(house, work, lambda: ledger.seen)
            in_flight |= in_state(house, "sending")
            assert is_whole(house)
        with house.serving() as serving:
            headers = {"authorization": f"Bearer {key}"}
            base_url = serving["base_url"]
            with httpx2.Client(base_url=base_url, headers=headers, timeout=DEADLINE_S) as api:
                repeat_unanswered(api, ledger)
                eventually(lambda: not unsettled(house), "an empty outbox")
                phones = json.loads(house.run("inbox", "list", "--json").stdout)
                verdicts = check_everything(api, ledger, phones, mail)
    found = balance(house, ledger, phones, mail, in_flight)
    sent_anyway = sum(mail.taken[f"<{c}-{d}@example.com>"] for c, d, s in found if s == "unknown")
    print(
        f"{rounds} kills, {len(ledger.unanswered)} requests unanswered, {len(in_flight)} messages "
        f"in flight; {len(ledger.sent)} sends: "
        f"{dict(Counter(s for _, _, s in found))}, {sent_anyway} of the unknown did arrive; "
        f"checked at the end: {verdicts}"
    )


def repeat_unanswered(api, ledger):
    """A caller that got no answer asks again under the same key, twice, and is told the same."""
    for path, body, key in ledger.unanswered:
        first, second = (
            api.post(path, json=body, headers={"idempotency-key": key}) for _ in range(2)
        )
        assert first.status_code in (200, 201), first.text
        assert second.json() == first.json()
        assert second.headers["idempotency-replayed"] == "true"
        if path.endswith("/check"):
            assert first.json()["status"] == "approved"
            ledger.approved.add(path.split("/")[3])
        else:
            ledger.sent[first.json()["id"]] = body["to"]


def check_everything(api, ledger, phones, mail):
    """Every acknowledged challenge is there; approved once, it never is again."""
    arrived = {**{one["to"]: one["code"] for one in phones}, **mail.codes}
    verdicts: Counter[str] = Counter()
    for id, to in ledger.sent.items():
        code = arrived.get(to, "000000")
        answer = api.post(f"/v1/verifications/{id}/check", json={"code": code})
        verdict = answer.json()["status"]
        verdicts["approved before" if verdict == 409 else verdict] += 1
        assert answer.status_code in (200, 409), answer.text
        if id in ledger.approved:
            assert answer.json()["type"].endswith(":already-approved")
        elif to in arrived:
            assert verdict == "approved", answer.text
        else:
            assert verdict == "pending", answer.text
    return dict(verdicts)


def balance(house, ledger, phones, mail, in_flight):
    """Each acknowledged send has one row, in one settled state; what is unknown was in flight. An
    SMS is, too, where its code was used before anybody could hand it over once more."""
    found = house.rows(
        "SELECT c.id, d.id, d.state FROM deliveries d JOIN challenges c ON c.serial = d.challenge",
    )
    assert sorted(id for id, _, _ in found) == sorted(ledger.sent)
    assert {state for _, _, state in found} <= SETTLED
    assert in_state(house, "unknown") <= in_flight
    assert max(mail.taken.values()) == 1
    assert max(Counter(one["to"] for one in phones).values()) == 1
    assert max(Counter(ledger.sent.values()).values()) == 1
    for id, delivery, state in found:
        handed = mail.taken[f"<{id}-{delivery}@example.com>"]
        to = ledger.sent[id]
        if "@" in to and state != "unknown":
            assert handed == (1 if state == "accepted" else 0), (to, state)
        if "@" not in to and state == "unknown":
            assert id in ledger.approved
        elif "@" not in to:
            assert state == {"0001": "failed", "0003": "accepted"}.get(to[-4:], "delivered")
        elif to.startswith("refuse"):
            assert state in ("failed", "unknown")
    return found


class Clock:
    """Real time, plus whatever was put on top."""

    def __init__(self):
        self.ahead = timedelta()

    def __call__(self):
        return datetime.now(UTC) + self.ahead


async def test_what_nobody_takes_expires_and_is_wiped(house):
    """A carrier that stays away until the code is dead: the message is given up, never sent late,
    and nothing of it stays."""
    clock = Clock()
    house.folder.mkdir()
    async with bootstrap(house.loaded(), clock=clock) as service:
        app = await service.apps.create(name="Shop", now=clock())
        await issue(
            Send(
                app=app,
                purpose=Purpose.SIGN_IN,
                destination=phone("+8613800000002"),
                channel="sms",
                ttl=timedelta(seconds=60),
            ),
            service.house,
            now=clock(),
        )

        await within_a_thread(lambda: house.rows(TRIED), "a try in vain")
        clock.ahead += timedelta(seconds=61)
        await within_a_thread(lambda: not unsettled(house), "an empty outbox")
        assert service.inbox is not None
        assert await service.inbox.received() == []
    left = house.rows("SELECT state, code, recipient FROM deliveries")
    assert left == [("expired", b"", b"")]


TRIED = "SELECT id FROM deliveries WHERE state = 'queued' AND tries > 0"


async def within_a_thread(look, what):
    await asyncio.to_thread(eventually, look, what)
