"""`watchword find`: why did a code not come?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from watchword.cli.opened import ask
from watchword.cli.places import HERE, Where
from watchword.cli.printing import AsJson, instant, print_json
from watchword.cli.tenants import OfApp, To, worlds

if TYPE_CHECKING:
    from watchword.bootstrap import Service
    from watchword.domain.delivery import Delivery
    from watchword.service.find import Found, Standing, Told


def find(*, to: To, app: OfApp = None, json: AsJson = False, where: Where = HERE) -> int:
    """Say what became of the codes of an address, and whether another would be sent now. It changes
    nothing, and shows no code."""
    found = ask(where.settings(), lambda service: _found(service, to, app))
    if json:
        print_json(found)
    else:
        print("\n".join(_lines(found)))
    return 0


async def _found(service: Service, to: str, app_id: str | None) -> Found:
    from watchword.service.find import find
    from watchword.service.read_inbox import meant

    of = await worlds(service, app_id)
    return await find(meant(to), of, service.store, now=service.clock())


def _lines(found: Found) -> Iterator[str]:
    names = {one.app_id: one.app for one in found.standings}
    if not found.challenges:
        yield from _nothing(found, names)
    for told in found.challenges:
        yield from _challenge(told, names[told.app_id], found)
    if found.standings:
        yield "If a code were asked for now:"
    for standing in found.standings:
        yield from _standing(standing)


def _nothing(found: Found, names: dict[str, str]) -> Iterator[str]:
    if not names:
        yield "There is no app yet, so nothing was sent: make one with watchword app create."
        return
    yield f"Nothing is known of {found.to} in {', '.join(sorted(names.values()))}."
    yield "  What is over is kept for a day; after that it is found here no more."
    yield "  Else no request came, another spelling or app was meant, or it was refused: look for"
    yield "  request_refused in the server's log, by the request id that the caller was given."


def _challenge(told: Told, app: str, found: Found) -> Iterator[str]:
    yield (
        f"{instant(told.opened_at)}  {told.purpose} for {app} ({told.app_id}), by {told.channel}: "
        f"{told.state}, {told.attempts} of {told.max_attempts} attempts, "
        f"{'expires' if told.expires_at > found.now else 'expired'} {instant(told.expires_at)}"
    )
    yield f"  challenge {told.id} to {found.to}"
    if not told.deliveries:
        yield "  Nothing was queued for it: a test number gets no message."
    for delivery in told.deliveries:
        yield f"  {_delivery(delivery, found)}"
    if told.state == "pending" and told.resend_at > found.now:
        yield f"  Asked for again before {instant(told.resend_at)}, it is refused as too soon."


def _delivery(delivery: Delivery, found: Found) -> str:
    carrier = delivery.provider or "no provider yet"
    tries = f"{delivery.tries} {'try' if delivery.tries == 1 else 'tries'}"
    at = delivery.settled_at or delivery.queued_at
    said = f"{instant(at)}  {delivery.state} ({carrier}, {tries}): {_reason(delivery)}"
    stands_since = found.standing_lanes.get(delivery.channel)
    if not delivery.state.is_settled and stands_since:
        waited = round((found.now - stands_since).total_seconds())
        said += (
            f" The {delivery.channel} lane seems to stand, with messages due for {waited} s: see "
            "that a server or worker runs (watchword doctor)."
        )
    return said


def _reason(delivery: Delivery) -> str:
    said = f": {delivery.reason.rstrip('.')}" if delivery.reason else ""
    return {
        "queued": (
            f"it is tried again; the last try failed{said}."
            if delivery.tries
            else f"waiting since {instant(delivery.queued_at)}."
        ),
        "leased": "a worker has just taken it.",
        "sending": "it is being handed over.",
        "accepted": "the provider took it; whether it arrived is not known here.",
        "delivered": "the provider says that it arrived.",
        "failed": f"the provider refused it for good{said}.",
        "unknown": (
            f"it may have arrived; it is not sent again, and the user may ask for another{said}."
        ),
        "expired": "its code was over before it went out.",
        "cancelled": f"it was not sent, for its challenge or its code was over before{said}.",
    }[delivery.state]


def _standing(standing: Standing) -> Iterator[str]:
    where = f"  {standing.app} ({standing.app_id}), {standing.dialect}:"
    reasons = list(_reasons(standing))
    if reasons:
        yield from (f"{where} {reason}" for reason in reasons)
    else:
        yield f"{where} no limit of this address refuses it."
    if standing.failures or standing.in_a_row:
        yield (
            f"    wrong codes: {standing.failures} lately, {standing.in_a_row} in a row since the "
            "last right one."
        )


def _reasons(standing: Standing) -> Iterator[str]:
    if standing.is_suspended:
        yield "refused: everyone who calls for it is suspended. See watchword account and app."
    if standing.locked_until:
        yield (
            f"refused until {instant(standing.locked_until)}: too many wrong codes. watchword "
            "unlock lifts this."
        )
    if standing.is_test_number:
        yield "it is a test number: its code is fixed, and no message goes out."
        return
    for refusal in standing.refusals:
        yield (
            f"refused until {instant(refusal.until)}: {refusal.amount} per {refusal.scope} in "
            f"{timedelta(seconds=refusal.window_s)} are spent."
        )
