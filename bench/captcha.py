"""Captchas: how many a second, and how long one takes, beside the constant route.

A crowd takes them as fast as they are drawn: that is what a flood costs us. At half that rate they
come from those drawn ahead: that is what a person waits for.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count, islice
from statistics import median
from typing import NamedTuple

import msgspec

from bench import inside
from bench.measure import CONSTANT, CROWD, Figure, Window, figure, loaded
from bench.rig import Plan, Rig, rigged
from bench.scenarios import Tell
from bench.traffic import network
from watchword.bootstrap import Service

SHARE_OF_PEAK = 0.5
WINDOWS_A_ROUND = 4
_FOR_EVER = 3600.0
_WARM_UP = 100


class Captchas(msgspec.Struct, frozen=True, kw_only=True):
    """A crowd's captchas and a steady load's, each beside the constant route under the same load.
    `rate` is the crowd's and `p99` the steady load's, as shares of the constant route's."""

    crowd: Figure
    crowd_constant: Figure
    steady: Figure
    steady_constant: Figure
    rate: float
    p99: float


class _Turn(NamedTuple):
    constant: Window
    captcha: Window
    steady_constant: Window
    steady: Window


def captchas(plan: Plan, tell: Tell) -> Captchas:
    """GET captcha in turns with the constant route, on a server of their own."""
    with rigged(plan) as rig:
        gets = _gets(inside.inside(rig.home, _client_id))
        with rig.client(CROWD) as client:
            client.closed_loop(islice(gets, _WARM_UP), _FOR_EVER)
        turns = [_turn(rig, gets, tell) for _ in range(plan.rounds)]
    constant, captcha, steady_constant, steady = ([*each] for each in zip(*turns, strict=True))
    return Captchas(
        crowd=figure("GET captcha", CROWD, captcha, constant=constant),
        crowd_constant=figure(CONSTANT, CROWD, constant),
        steady=figure("GET captcha, steady", CROWD, steady, constant=steady_constant),
        steady_constant=figure(f"{CONSTANT}, steady", CROWD, steady_constant),
        rate=median(turn.captcha.rate / turn.constant.rate for turn in turns),
        p99=median(turn.steady.p99 / turn.steady_constant.p99 for turn in turns),
    )


def _turn(rig: Rig, gets: Iterator[bytes], tell: Tell) -> _Turn:
    constant, captcha = rig.constant(CROWD), rig.load(gets, CROWD)[0]
    rate = captcha.rate * SHARE_OF_PEAK
    turn = _Turn(
        constant=constant,
        captcha=captcha,
        steady_constant=_steady(rig, rig.traffic.constants(), rate),
        steady=_steady(rig, gets, rate),
    )
    tell(
        f"captchas {captcha.rate:.0f}/s of {constant.rate:.0f}/s; at {rate:.0f}/s their p99 is "
        f"{turn.steady.p99:.1f} ms of {turn.steady_constant.p99:.1f} ms"
    )
    return turn


def _steady(rig: Rig, requests: Iterator[bytes], rate: float) -> Window:
    with rig.client(CROWD) as client:
        return loaded(
            rig.server, client, lambda: client.open_loop(requests, rate, rig.plan.seconds)
        )[0]


def _gets(client_id: str) -> Iterator[bytes]:
    """Without end; each from a device and a network of its own, so that no limit refuses."""
    for serial in count():
        yield (
            b"GET /api/v2/sdk/captcha HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Client-Id: %b\r\n"
            b"X-Operating-Sys-Version: bench\r\nX-Agent: bench\r\n"
            b"X-Device-Fingerprint: %032x\r\nX-Forwarded-For: %b\r\n\r\n"
        ) % (client_id.encode(), serial, network(serial))


async def _client_id(service: Service) -> str:
    client = await service.ciam.clients.create(name=inside.APP, now=datetime.now(UTC))
    return client.id
