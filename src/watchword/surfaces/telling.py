"""What a surface tells its operator of a request: the tally of it, and the events."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from time import perf_counter

from watchword import log
from watchword.domain.challenge import Verdict, opened_about
from watchword.errors import QuotaExceeded, WatchwordError
from watchword.ports import Issued, Judged
from watchword.service.house import House
from watchword.service.issue import Send, issue
from watchword.surfaces.exchange import Answer, Disconnected, Exchange
from watchword.surfaces.metrics import TALLY

_LEFT = 499
"""What the tally calls a request whose caller left before it was whole."""
ANSWERED: list[Callable[[Exchange, int, float], object]] = []
"""Called with each request once it is answered, with its status and the seconds it took."""


async def tallied(exchange: Exchange, answering: Awaitable[Answer]) -> None:
    """Answer a request and count it. `answering` may name the route on the exchange."""
    started, status = perf_counter(), 500
    try:
        answer = await answering
        status = answer.status
        await exchange.answer(answer)
    except Disconnected:
        status = _LEFT
    finally:
        seconds = perf_counter() - started
        TALLY.request(exchange.route, status, seconds)
        for tell in ANSWERED:
            tell(exchange, status, seconds)


async def sent(send: Send, house: House, now: datetime) -> Issued:
    """Issue, and count what came of it. Raises as `issue` does."""
    try:
        issued = await issue(send, house, now=now)
    except QuotaExceeded as error:
        TALLY.refused(send.app.id, error.scope)
        raise
    tell_sent(send.app.id, send.purpose, issued)
    return issued


def tell_sent(app_id: str, purpose: str, issued: Issued) -> None:
    """`purpose` is "" where a send is of a challenge that the caller only names."""
    TALLY.sent(app_id, issued.channel)
    log.events().info(
        "challenge_issued",
        app=app_id,
        channel=issued.channel,
        **({"purpose": str(purpose)} if purpose else {}),
        challenge=issued.challenge_id,
        to=issued.masked,
        resend=not issued.opened,
    )
    if issued.delivery is None:
        log.events().info("test_number_used", app=app_id, to=issued.masked)


def tell_judged(app_id: str, challenge_id: str, judged: Judged, now: datetime) -> None:
    """A first answer: what is only said again is not told again."""
    if judged.replayed:
        return
    TALLY.judged(app_id, judged.verdict)
    if judged.verdict is Verdict.MATCH:
        TALLY.approved((now - opened_about(challenge_id)).total_seconds())
    log.events().info(
        "challenge_checked",
        app=app_id,
        challenge=challenge_id,
        verdict=judged.verdict.value,
        attempts_left=judged.attempts_left,
    )


def tell_refused(
    route: str,
    *,
    status: int,
    code: str,
    error: WatchwordError | None,
    account: str,
    request_id: str,
    reason: str = "",
) -> None:
    """By the request's id an operator finds what a caller asks about. `reason` is more than the
    caller heard; of a limit it is which one."""
    if isinstance(error, QuotaExceeded):
        reason = error.scope
    log.events().log(
        logging.ERROR if status >= 500 else logging.INFO,
        "request_refused",
        route=route,
        code=code,
        error=type(error).__name__ if error else "",
        account=account,
        **({"request_id": request_id} if request_id else {}),
        **({"reason": reason} if reason else {}),
    )


def tell_defect(defect: Exception) -> None:
    """What no branch of ours expects: its kind alone, for its words may hold a secret."""
    log.events().error("request_failed", error=type(defect).__name__)
