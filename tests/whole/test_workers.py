"""Workers as processes: killed at each step of a hand-over, asked to stop, several on one store."""

import asyncio
import itertools
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime
from email import message_from_bytes, policy
from functools import partial

import pytest

from tests.smtp_server import receiving
from tests.whole.conftest import DEADLINE_S, ROOT, WATCHWORD, eventually
from tests.whole.stopped_worker import STEPS, UNTIL_STOPPED
from tests.whole.trouble import in_state, unsettled
from watchword.bootstrap import bootstrap
from watchword.domain.destination import mailbox, phone
from watchword.domain.purpose import Purpose
from watchword.service.issue import Send, issue
from watchword.service.pause import pause, resume

SETTINGS = """
[channels]
sms = "virtual"
email = "smtp"
[providers.virtual]
slow_s = 0
[providers.smtp]
host = "127.0.0.1"
port = {port}
security = "none"
sender = "codes@example.com"
timeout_s = {timeout_s}
"""
SETTLED = {"accepted", "delivered", "failed", "expired", "cancelled", "unknown"}
SOAK = pytest.mark.soak
numbers = itertools.count()


class Relay:
    """Counts the mails it takes by their Message-ID. Who is called `hang` is never answered, who is
    called `poison` is refused, who is called `trickle` is answered a little at a time."""

    def __init__(self):
        self.taken: Counter[str] = Counter()
        self.order: list[str] = []
        self.port = 0
        self.hanging = 0

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        if address.startswith("poison"):
            return "550 Not this one"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        to = envelope.rcpt_tos[0]
        if to.startswith("hang"):
            self.hanging += 1
            await asyncio.Event().wait()
        if to.startswith("trickle"):
            for _ in range(200):
                server._writer.write(b"250-still here\r\n")
                await asyncio.sleep(0.05)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        self.taken[mail["message-id"]] += 1
        self.order.append(to.partition(".")[0])
        return "250 Taken"


@pytest.fixture
def relay():
    taking = Relay()
    with receiving(taking) as port:
        taking.port = port
        yield taking


@contextmanager
def worker(house, stop_at=None, told=None):
    """A process that delivers; in the end it is killed, if it is still there."""
    usual = [WATCHWORD, "worker"]
    stopped = [sys.executable, "-m", "tests.whole.stopped_worker", "worker"]
    with house.log.open("w") as log:
        process = subprocess.Popen(
            [*(usual if stop_at is None else stopped), "--data", house.folder],
            env=house.environment(STOP_AT=stop_at or "", STOPPED=str(told or os.devnull)),
            cwd=ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def send(service, app, to):
    destination = mailbox(to) if "@" in to else phone(to)
    channel = "email" if "@" in to else "sms"
    asked = Send(app=app, purpose=Purpose.SIGN_IN, destination=destination, channel=channel)
    return await issue(asked, service.house, now=service.clock())


def text_number():
    """Of somebody new; none has an ending that misbehaves."""
    return f"+86138{next(numbers):04d}5678"


async def send_many(service, app, count, name="ann", domain="example.com"):
    """Mails to as many people."""
    sends = [send(service, app, f"{name}.{next(numbers)}@{domain}") for _ in range(count)]
    found = []
    for begin in range(0, count, 100):
        found += await asyncio.gather(*sends[begin : begin + 100])
    return found


async def until(look, what):
    return await asyncio.to_thread(eventually, look, what)


def states(house, *ids):
    chosen = f" WHERE id IN ({', '.join(map(str, ids))})" if ids else ""
    return dict(house.rows(f"SELECT id, state FROM deliveries{chosen}"))  # noqa: S608


def is_delivered(house, issued):
    return states(house, issued.delivery)[issued.delivery] == "delivered"


def is_shorter(house, outbox):
    return len(unsettled(house)) < outbox


def message_id(issued):
    return f"<{issued.challenge_id}-{issued.delivery}@example.com>"


@pytest.mark.parametrize("rounds", [pytest.param(3, id="3"), pytest.param(30, id="30", marks=SOAK)])
async def test_a_kill_at_any_step_loses_nothing_and_repeats_nothing(house, relay, tmp_path, rounds):
    """The equation of P4. A relay gets each mail once at the most; the virtual carrier,
    which repeats harmlessly, is asked again and keeps each SMS once."""
    house.settings(SETTINGS.format(port=relay.port, timeout_s=1))
    mails, texts, in_flight = [], [], set()
    async with bootstrap(house.loaded(), deliver=False) as service:
        app = await service.apps.create(name="Shop", now=service.clock())
        for number, step in enumerate(STEPS * rounds):
            mails += await send_many(service, app, 3)
            for _ in range(3):
                texts.append(await send(service, app, text_number()))
            told = tmp_path / f"stopped{number}"
            with worker(house, step, told):
                await until(partial(reached, told, "sms", "email"), step)
            in_flight |= in_state(house, "sending")
        with worker(house, ""):
            await until(lambda: not unsettled(house), "an empty outbox")
        assert service.inbox
        received = await service.inbox.received()
    found = states(house)
    assert len(found) == len(mails) + len(texts)
    assert set(found.values()) <= SETTLED
    assert {found[one.delivery] for one in texts} == {"delivered"}
    assert Counter(one.to for one in received).most_common(1)[0][1] == 1
    assert len(received) == len(texts)
    assert in_state(house, "unknown") <= in_flight
    for one in mails:
        taken, state = relay.taken[message_id(one)], found[one.delivery]
        assert (state, taken) in {("accepted", 1), ("unknown", 0), ("unknown", 1)}
    arrived = sum(relay.taken[message_id(m)] for m in mails if found[m.delivery] == "unknown")
    again = len(house.rows("SELECT 1 FROM deliveries WHERE tries > 1 AND channel = 'sms'"))
    assert again
    print(
        f"{len(STEPS) * rounds} kills; {len(mails)} mails and {len(texts)} SMS: "
        f"{dict(Counter(found.values()))}; {len(in_flight)} in flight at a kill, {arrived} of the "
        f"unknown did arrive, {again} SMS were handed over again"
    )


def reached(told, *channels):
    return told.exists() and set(channels) <= set(told.read_text().split())


async def test_a_worker_that_is_asked_to_stop_hands_back_what_is_not_begun(house, relay, tmp_path):
    """The next one takes over at once: nobody waits for a lease to lapse."""
    house.settings(SETTINGS.format(port=relay.port, timeout_s=20))
    async with bootstrap(house.loaded(), deliver=False) as service:
        app = await service.apps.create(name="Shop", now=service.clock())
        sent = await send_many(service, app, 3)
        told = tmp_path / "stopped"
        with worker(house, UNTIL_STOPPED, told) as first:
            await until(partial(reached, told, "email"), "a lease")
            ((lapses_at,),) = house.rows("SELECT min(due_at) FROM deliveries")
            assert set(states(house).values()) == {"leased"}
            first.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(first.wait, DEADLINE_S) == 0, house.said()
        assert set(states(house).values()) == {"queued"}
        assert house.rows("SELECT max(tries) FROM deliveries") == [(0,)]
        with worker(house):
            await until(lambda: set(states(house).values()) == {"accepted"}, "their delivery")
    assert datetime.now(UTC).timestamp() * 1e6 < lapses_at
    assert [relay.taken[message_id(one)] for one in sent] == [1, 1, 1]


@pytest.mark.parametrize("workers", [2, 4])
@pytest.mark.parametrize("many", [300, pytest.param(5000, marks=SOAK)])
async def test_several_workers_hand_over_each_message_once(house, relay, workers, many):
    house.settings(SETTINGS.format(port=relay.port, timeout_s=10))
    async with bootstrap(house.loaded(), deliver=False) as service:
        app = await service.apps.create(name="Shop", now=service.clock())
        sent = await send_many(service, app, many)
        running = [worker(house) for _ in range(workers)]
        try:
            for one in running:
                one.__enter__()
            while left := len(unsettled(house)):
                await until(partial(is_shorter, house, left), "progress")
        finally:
            for one in running:
                one.__exit__(None, None, None)
    assert set(states(house).values()) == {"accepted"}
    assert relay.taken == Counter(map(message_id, sent))


@pytest.mark.store("sqlite")
@pytest.mark.parametrize("many", [500, pytest.param(20_000, marks=SOAK)])
async def test_nobody_starves_whatever_one_app_does(house, relay, many):
    """One app has a flood queued, its mails hang, trickle or are refused; the mails of another app
    and the SMS of a third arrive while it still has nearly all of them to go."""
    house.settings(SETTINGS.format(port=relay.port, timeout_s=20))
    async with bootstrap(house.loaded(), deliver=False) as service:
        flood, bank = [await service.apps.create(name=n, now=service.clock()) for n in "ab"]
        for name in ("hang", "hang", "hang", "trickle", "poison"):
            await send_many(service, flood, 1, name=name)
        await send_many(service, flood, many, name="flood")
        with worker(house):
            await until(lambda: relay.hanging == 3, "the hanging ones under way")
            mails = await send_many(service, bank, 10, name="bank")
            texts = [await send(service, bank, text_number()) for _ in range(5)]
            ids = [one.delivery for one in (*mails, *texts)]
            await until(
                lambda: set(states(house, *ids).values()) == {"accepted", "delivered"}, "the others"
            )
            assert relay.hanging == 3
    assert relay.order.count("bank") == 10
    assert relay.order.count("flood") < 100


@pytest.mark.store("sqlite")
async def test_a_paused_channel_hands_over_nothing_until_it_is_resumed(house, relay):
    """What is sent meanwhile waits, the other channel goes on, and a restart changes nothing."""
    house.settings(SETTINGS.format(port=relay.port, timeout_s=10))
    async with bootstrap(house.loaded(), deliver=False) as service:
        app = await service.apps.create(name="Shop", now=service.clock())
        assert "Paused email" in house.run("channel", "pause", "email", "--reason", "away").stdout
        (waiting,) = await send_many(service, app, 1)
        for _ in range(2):
            text = await send(service, app, text_number())
            with worker(house):
                await until(partial(is_delivered, house, text), "an SMS")
                await until(lambda: "channel_paused" in house.said(), "its word")
                assert states(house, waiting.delivery) == {waiting.delivery: "queued"}
        with worker(house):
            await until(lambda: "channel_paused" in house.said(), "its word")
            await resume(service.store, "email", service.clock())
            await until(lambda: "accepted" in states(house, waiting.delivery).values(), "the mail")
            await until(lambda: "channel_resumed" in house.said(), "its word")
            await pause(service.store, "email", "again", service.clock())
            await until(lambda: house.said().count("channel_paused") == 2, "its word")
