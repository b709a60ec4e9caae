"""Whether the time of an answer tells who is registered: known and unknown numbers in turns.

One client asks, each call when the last is answered, as somebody would who has a list of numbers
and wants to know who is a user. Their order is drawn, so that what a call leaves to do slows known
and unknown ones alike.
"""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain, count
from statistics import median
from typing import NamedTuple

import msgspec

from bench import inside
from bench.load import Answers
from bench.measure import Quiet
from bench.rig import Plan, Rig, rigged
from bench.scenarios import Tell
from bench.traffic import network, phone
from watchword.bootstrap import Service
from watchword.directory.ciam.users import Registration
from watchword.domain.destination import phone as read_phone
from watchword.ports import Write
from watchword.service.gate import Gate, Holder, Pass
from watchword.service.solve_captcha import passes_write

HURRIED = "log-in, wrong code, right after its send"
CALLS = 200
"""Of known numbers, and as many of unknown ones."""
SENDS = ("LOGIN_SMS", "FORGET_PWD_SMS")
_SDK = b"/api/v2/sdk"
_WRONG = b"not it"
_FOR_EVER = 3600.0
_AN_HOUR = timedelta(hours=1)
_WARM_UP = 20


class Times(msgspec.Struct, frozen=True):
    """Milliseconds."""

    median: float
    p90: float


class Hinted(msgspec.Struct, frozen=True, kw_only=True):
    """One call of known and of unknown numbers. `slower` is how likely it is that of a known call
    and an unknown one the known is the slower: 0.5 tells nothing. `unlike` counts the calls whose
    status or body is not what most have."""

    call: str
    known: Times
    unknown: Times
    slower: float
    unlike: int


class Person(NamedTuple):
    serial: int
    is_known: bool


_Ask = Callable[[Person], bytes]


class Ciam:
    """Requests for one client that keeps its users here, each person with a device and a network of
    their own."""

    def __init__(self, client_id: str) -> None:
        self._client_id = client_id.encode()

    def send(self, person: Person, scene: str) -> bytes:
        body = b'{"mobile":"%b","type":"%b","captcha_token":"%b"}' % (
            phone(person.serial),
            scene.encode(),
            _pass_of(person, scene).encode(),
        )
        return self._post("sms/send", person, body)

    def log_in(self, person: Person) -> bytes:
        body = b'{"mobile":"%b","verify_code":"%b"}' % (phone(person.serial), _WRONG)
        return self._post("login/mobile-verify-code", person, body)

    def reset(self, person: Person) -> bytes:
        body = b'{"mobile":"%b","verify_code":"%b","password":"a new Passw0rd"}' % (
            phone(person.serial),
            _WRONG,
        )
        return self._post("pwd/update-by-mobile", person, body)

    def _post(self, path: str, person: Person, body: bytes) -> bytes:
        return (
            b"POST %b/%b HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"X-Client-Id: %b\r\nX-Operating-Sys-Version: bench\r\nX-Agent: bench\r\n"
            b"X-Device-Fingerprint: %b\r\nX-Forwarded-For: %b\r\nContent-Length: %d\r\n\r\n%b"
        ) % (
            _SDK,
            path.encode(),
            self._client_id,
            _fingerprint(person.serial).encode(),
            network(person.serial),
            len(body),
            body,
        )


def hints(plan: Plan, tell: Tell) -> list[Hinted]:
    """Sends, wrong codes for what was sent, and wrong codes on the heels of a send."""
    warm, settled, hurried = _people()
    with rigged(plan, deliver=True) as rig:
        everybody = [*warm, *settled, *hurried]
        ciam = Ciam(inside.inside(rig.home, lambda service: _prepared(service, everybody)))
        _ask(rig, chain.from_iterable(_every_call(ciam, one) for one in warm))
        found = [_settled(rig, call, ask, settled) for call, ask in _calls(ciam)]
        found.append(_hurried(rig, ciam, hurried))
    for each in found:
        tell(f"{each.call}: {each.known.median:.2f} and {each.unknown.median:.2f} ms")
    return found


def _calls(ciam: Ciam) -> list[tuple[str, _Ask]]:
    """In the order in which they are made: a code has to be sent before one can be wrong."""
    return [
        *[(f"{scene}, send", partial(ciam.send, scene=scene)) for scene in SENDS],
        ("log-in, wrong code", ciam.log_in),
        ("forgotten password, wrong code", ciam.reset),
    ]


def _every_call(ciam: Ciam, person: Person) -> list[bytes]:
    return [ask(person) for _, ask in _calls(ciam)]


def _people() -> tuple[list[Person], list[Person], list[Person]]:
    """To warm up with, and for either kind of series, in a drawn order."""
    dice, serials = random.Random(0), count()
    groups = [
        [Person(next(serials), is_known) for _ in range(many) for is_known in (True, False)]
        for many in (_WARM_UP, CALLS, CALLS)
    ]
    warm, settled, hurried = (dice.sample(group, len(group)) for group in groups)
    return warm, settled, hurried


def _settled(rig: Rig, call: str, ask: _Ask, people: Sequence[Person]) -> Hinted:
    answers = _ask(rig, map(ask, people))
    return _compared(call, people, answers.latencies, answers.bodies)


def _hurried(rig: Rig, ciam: Ciam, people: Sequence[Person]) -> Hinted:
    """Whoever is known is being delivered to while the code is tried."""
    both = ((ciam.send(one, SENDS[0]), ciam.log_in(one)) for one in people)
    answers = _ask(rig, chain.from_iterable(both))
    return _compared(HURRIED, people, answers.latencies[1::2], answers.bodies[1::2])


def _ask(rig: Rig, requests: Iterator[bytes]) -> Answers:
    """One call after the other; whatever they leave to do is done before the next series."""
    with rig.client(1) as client, Quiet():
        (answers,) = client.closed_loop(requests, _FOR_EVER)
    rig.server.do("wait until delivered")
    return answers


def _compared(
    call: str, people: Sequence[Person], latencies: Sequence[float], bodies: Sequence[bytes]
) -> Hinted:
    taken = list(zip(people, latencies, strict=True))
    known = sorted(seconds for person, seconds in taken if person.is_known)
    unknown = sorted(seconds for person, seconds in taken if not person.is_known)
    return Hinted(
        call=call,
        known=_times(known),
        unknown=_times(unknown),
        slower=slower(known, unknown),
        unlike=len(bodies) - Counter(bodies).most_common(1)[0][1],
    )


def _times(ranked: Sequence[float]) -> Times:
    return Times(median(ranked) * 1e3, ranked[int(len(ranked) * 0.9)] * 1e3)


def slower(ones: Sequence[float], others: Sequence[float]) -> float:
    """The share of all pairs in which the first is the slower (Mann and Whitney's U)."""
    ranked = sorted(others)
    below = sum(bisect_left(ranked, one) + bisect_right(ranked, one) for one in ones)
    return below / 2 / len(ones) / len(others)


async def _prepared(service: Service, people: Sequence[Person]) -> str:
    """The id of a client, with its users and everybody's passes; nobody has to drag a piece here,
    for it is not what is measured."""
    now, ciam = datetime.now(UTC), service.ciam
    client = await ciam.clients.create(name=inside.APP, users="here", now=now)
    for person in people:
        mobile = read_phone(phone(person.serial).decode())
        holder = Holder(
            client_id=client.id,
            receiver=mobile.identity,
            fingerprint=_fingerprint(person.serial),
        )
        writes: list[Write] = [_passes(ciam.gate, holder, person, now)]
        if person.is_known:
            registration = Registration(mobile=mobile)
            added = await ciam.users.prepare_registration(client.app_id, registration, now)
            writes += added.writes
        await service.store.write(writes, now)
    return client.id


def _passes(gate: Gate, holder: Holder, person: Person, now: datetime) -> Write:
    until = now + _AN_HOUR
    digests = (gate.pass_digest(_pass_of(person, scene)) for scene in SENDS)
    passes = tuple(Pass(digest, until) for digest in digests)
    return passes_write(gate.passes_key(holder), None, passes, until)


def _pass_of(person: Person, scene: str) -> str:
    return f"{person.serial:032x}---{scene}"


def _fingerprint(serial: int) -> str:
    return f"{serial:032x}"
