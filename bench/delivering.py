"""What hand-overs cost beside a bare loop of the same library, and what a flood costs others.

A worker has the server's core; the relay, and whoever sends, the other.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Any, TypeVar

import apsw
import msgspec
from aiosmtplib import SMTP

from bench.rig import Plan, new_data
from watchword import config
from watchword.bootstrap import Service, bootstrap
from watchword.domain.app import App
from watchword.domain.destination import mailbox, phone
from watchword.domain.message import Message
from watchword.domain.purpose import Purpose
from watchword.providers._mail import Sender, compose
from watchword.service.issue import Send, issue

CONNECTIONS = 4
FLOOD, MAILS = 20_000, 5_000
_QUICK_SHARE = 20
_FIRST = 300_000_000
_EACH_S = 0.05
_AT_ONCE = 100
_PATIENCE_S = 900.0
_SETTINGS = """
[channels]
sms = "virtual"
email = "smtp"
[providers.virtual]
[providers.smtp]
host = "127.0.0.1"
port = {port}
security = "none"
sender = "codes@example.com"
timeout_s = 60
"""
Tell = Callable[[str], None]
_T = TypeVar("_T")


class Handed(msgspec.Struct, frozen=True, kw_only=True):
    """Hand-overs a second by a worker, and by a bare loop of what it uses to hand over."""

    provider: str
    worker: float
    bare: float
    ratio: float


class Undisturbed(msgspec.Struct, frozen=True, kw_only=True):
    """p95 from queued to handed over, in ms, of an app's messages in a lane: alone, and while
    another app has a flood queued of which some hang, trickle or are refused."""

    lane: str
    alone_ms: float
    beside_ms: float
    ratio: float


def handover(plan: Plan, tell: Tell) -> list[Handed]:
    """Of each provider, in turns with its bare loop."""
    many = MAILS if plan.rounds > 1 else MAILS // _QUICK_SHARE
    mails = [_mails_handed(plan, many, tell) for _ in range(plan.rounds)]
    texts = [_texts_handed(plan, many, tell) for _ in range(plan.rounds)]
    return [_handed("smtp", mails), _handed("virtual", texts)]


def _handed(provider: str, turns: Sequence[tuple[float, float]]) -> Handed:
    return Handed(
        provider=provider,
        worker=median(worker for worker, _ in turns),
        bare=median(bare for _, bare in turns),
        ratio=median(worker / bare for worker, bare in turns),
    )


def _mails_handed(plan: Plan, many: int, tell: Tell) -> tuple[float, float]:
    with new_data(plan) as data, relay(plan) as port:
        _write(data, port)
        inside(data, lambda service: _queue(service, many, _mailbox))
        rate = _emptied(plan, data)
        with on_core(plan.server_core):
            bare = asyncio.run(_bare_mails(port, many))
    tell(f"smtp: {rate:.0f}/s, bare {bare:.0f}/s")
    return rate, bare


def _texts_handed(plan: Plan, many: int, tell: Tell) -> tuple[float, float]:
    with new_data(plan) as data, relay(plan) as port:
        _write(data, port)
        inside(data, lambda service: _queue(service, many, _phone))
        rate = _emptied(plan, data)
        with on_core(plan.server_core):
            bare = inside(data, lambda service: _bare_texts(service, many))
    tell(f"virtual: {rate:.0f}/s, bare {bare:.0f}/s")
    return rate, bare


def fairness(plan: Plan, tell: Tell) -> list[Undisturbed]:
    """Another app's mails and SMS, alone and beside the flood."""
    flood = FLOOD if plan.rounds > 1 else FLOOD // _QUICK_SHARE
    turns = []
    for _ in range(plan.rounds):
        alone, beside = _p95s(plan, 0), _p95s(plan, flood)
        tell(f"p95 ms alone {_told(alone)}; beside {flood} queued {_told(beside)}")
        turns.append((alone, beside))
    return [
        Undisturbed(
            lane=lane,
            alone_ms=median(alone[lane] for alone, _ in turns),
            beside_ms=median(beside[lane] for _, beside in turns),
            ratio=median(beside[lane] / alone[lane] for alone, beside in turns),
        )
        for lane in ("email", "sms")
    ]


def _told(found: dict[str, float]) -> str:
    return ", ".join(f"{lane} {ms:.0f}" for lane, ms in found.items())


def _p95s(plan: Plan, flood: int) -> dict[str, float]:
    with new_data(plan) as data, relay(plan) as port:
        _write(data, port)
        if flood:
            inside(data, lambda service: _queue(service, flood, _mailbox, "flood", _TROUBLE))
        with working(plan, data):
            name = inside(data, lambda service: _drip(service, data, 2 * plan.seconds))
        statement = (
            "SELECT d.channel, d.settled_at - d.queued_at FROM deliveries d "
            "WHERE d.app_id = ? AND d.settled_at IS NOT NULL"
        )
        rows = _rows(data, statement, name)
    return {
        lane: quantiles([us for channel, us in rows if channel == lane], n=20)[-1] / 1e3
        for lane in ("email", "sms")
    }


_TROUBLE = ("hang", "trickle", "poison")


async def _drip(service: Service, data: Path, seconds: float) -> str:
    """A mail and an SMS every now and then; the app, once all of them are handed over."""
    app = await service.apps.create(name="other", now=service.clock())
    steps = max(20, round(seconds / _EACH_S))
    for step in range(steps):
        for to in (_mailbox(step, "other"), _phone(step, "other")):
            await _send(service, app, to)
        await asyncio.sleep(_EACH_S)
    left = "SELECT 1 FROM deliveries WHERE app_id = ? AND due_at IS NOT NULL LIMIT 1"
    until = perf_counter() + _PATIENCE_S
    while _rows(data, left, app.id) and perf_counter() < until:  # noqa: ASYNC110 (no one tells)
        await asyncio.sleep(_EACH_S)
    return app.id


async def _queue(
    service: Service,
    many: int,
    named: Callable[[int, str], str],
    name: str = "ann",
    first: Sequence[str] = (),
) -> None:
    app = await service.apps.create(name=name, now=service.clock())
    for step, trouble in enumerate(first):
        await _send(service, app, named(step, trouble))
    for start in range(0, many, _AT_ONCE):
        steps = range(start, min(start + _AT_ONCE, many))
        await asyncio.gather(*(_send(service, app, named(step, name)) for step in steps))


async def _send(service: Service, app: App, to: str) -> None:
    is_mail = "@" in to
    asked = Send(
        app=app,
        purpose=Purpose.SIGN_IN,
        destination=mailbox(to) if is_mail else phone(to),
        channel="email" if is_mail else "sms",
    )
    await issue(asked, service.house, now=service.clock())


def _mailbox(step: int, name: str) -> str:
    return f"{name}.{step}@example.com"


def _phone(step: int, name: str) -> str:
    del name
    return f"+86138{step:04d}5678"


def _emptied(plan: Plan, data: Path) -> float:
    """Hand-overs a second, from the first that is recorded to the last."""
    left = "SELECT 1 FROM deliveries WHERE due_at IS NOT NULL LIMIT 1"
    with working(plan, data):
        until = perf_counter() + _PATIENCE_S
        while _rows(data, left) and perf_counter() < until:
            _nap()
    ((many, took),) = _rows(
        data, "SELECT count(*), max(settled_at) - min(settled_at) FROM deliveries"
    )
    return float(many / max(took, 1) * 1e6)


async def _bare_mails(port: int, many: int) -> float:
    """The library alone, over as many connections, and the same mail."""
    waiting = iter(range(many))
    message = _message()

    async def one_line() -> None:
        line = SMTP(hostname="127.0.0.1", port=port, use_tls=False, start_tls=False)
        await line.connect()
        for _ in waiting:
            mail = compose(message, Sender(address="codes@example.com"), datetime.now(UTC))
            await line.sendmail(mail.sender, [mail.recipient], mail.content)
        await line.quit()

    started = perf_counter()
    await asyncio.gather(*(one_line() for _ in range(CONNECTIONS)))
    return many / (perf_counter() - started)


async def _bare_texts(service: Service, many: int) -> float:
    """What the virtual carrier takes by itself."""
    provider, waiting = service.providers["sms"], iter(range(many))

    async def one_place() -> None:
        for step in waiting:
            message = _message(f"bare-{step}", _phone(step, ""), "sms")
            await provider.send(message)

    started = perf_counter()
    await asyncio.gather(*(one_place() for _ in range(provider.most_at_once)))
    return many / (perf_counter() - started)


def _message(key: str = "bare", to: str = "ann@example.com", channel: str = "email") -> Message:
    return Message(
        key=key,
        channel=channel,
        to=to,
        text="123456 is your code. It is valid for 10 minutes.",
        code="123456",
        subject="123456 is your code",
        html="<p>123456 is your code. It is valid for 10 minutes.</p>",
    )


def inside(data: Path, work: Callable[[Service], Awaitable[_T]]) -> _T:
    async def run() -> _T:
        async with bootstrap(config.load(str(data), None, {}), deliver=False) as service:
            return await work(service)

    return asyncio.run(run())


def _write(data: Path, port: int) -> None:
    (data / config.FILE).write_text(_SETTINGS.format(port=port), encoding="utf-8")


def _rows(data: Path, statement: str, *given: object) -> list[tuple[Any, ...]]:
    with closing(apsw.Connection(f"{data}/watchword.db", apsw.SQLITE_OPEN_READONLY)) as connection:
        found: list[tuple[Any, ...]] = connection.execute(statement, given).fetchall()
        return found


def _nap() -> None:
    asyncio.run(asyncio.sleep(_EACH_S))


@contextmanager
def relay(plan: Plan) -> Iterator[int]:
    """A sink on the client's core; its port."""
    words = [sys.executable, "-m", "bench.sink"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as sink:
        os.sched_setaffinity(sink.pid, {plan.client_core})
        assert sink.stdout
        try:
            yield int(sink.stdout.readline())
        finally:
            sink.kill()


@contextmanager
def working(plan: Plan, data: Path) -> Iterator[None]:
    """`watchword worker` on the server's core."""
    words = [str(Path(sys.executable).with_name("watchword")), "worker", "--data", str(data)]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as worker:
        os.sched_setaffinity(worker.pid, {plan.server_core})
        assert worker.stdout
        try:
            worker.stdout.readline()
            yield
        finally:
            worker.kill()


@contextmanager
def on_core(core: int) -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
