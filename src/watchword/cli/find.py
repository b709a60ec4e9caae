"""`watchword find`: why did a code not come?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from watchword.cli.happened import in_words
from watchword.cli.opened import ask
from watchword.cli.places import HERE, Where
from watchword.cli.printing import AsJson, instant, print_json
from watchword.cli.refusal import Misused
from watchword.cli.tenants import OfApp, worlds

if TYPE_CHECKING:
    from watchword.bootstrap import Service
    from watchword.domain.delivery import Delivery
    from watchword.service.find import Found, Standing, Told


def find(
    *,
    to: Annotated[
        str | None, Parameter(help="A phone or a mailbox, however a dialect spells it.")
    ] = None,
    id: Annotated[str | None, Parameter(help="A challenge's id, of whichever app.")] = None,
    app: OfApp = None,
    json: AsJson = False,
    where: Where = HERE,
) -> int:
    """Say what became of the codes of an address, and whether another would be sent now. It changes
    nothing, and shows no code."""
    if (to is None) == (id is None):
        raise Misused("Name an address with --to, or a challenge with --id.")
    found = ask(
        where.settings(),
        lambda service: _found(service, to, app) if to else _found_by_id(service, id or "", app),
    )
    if json:
        print_json(found)
    else:
        print("\n".join(_lines(found, id)))
    return 0


async def _found(service: Service, to: str, app_id: str | None) -> Found:
    from watchword.service.find import find
    from watchword.service.read_inbox import meant

    of = await worlds(service, app_id)
    return await find(meant(to), of, service.store, now=service.clock())


async def _found_by_id(service: Service, challenge_id: str, app_id: str | None) -> Found:
    from watchword.service.find import find_challenge

    now = service.clock()
    apps = [await service.apps.app(app_id, now)] if app_id else await service.apps.apps(now)
    return await find_challenge(challenge_id, [app.id for app in apps], service.store, now=now)


def _lines(found: Found, challenge_id: str | None) -> Iterator[str]:
    names = {one.app_id: one.app for one in found.standings}
    if not found.challenges and not found.events.events:
        yield from _no_such(challenge_id) if challenge_id else _nothing(found, names)
    for told in found.challenges:
        yield from _challenge(told, names.get(told.app_id, ""), found)
    yield from _earlier(found)
    if found.standings:
        yield "If a code were asked for now:"
    for standing in found.standings:
        yield from _standing(standing)


def _nothing(found: Found, names: dict[str, str]) -> Iterator[str]:
    if not names:
        yield "There is no app yet, so nothing was sent: make one with watchword app create."
        return
    yield f"Nothing is known of {found.to} in {', '.join(sorted(names.values()))}."
    yield "  What is over is kept for a day, and then told by the journal (journal.keep_days)."
    yield "  Else no request came, another spelling or app was meant, or it was refused. Refusals"
    yield "  are counted in the journal, by app and limit: watchword journal show --app APP."


def _no_such(challenge_id: str) -> Iterator[str]:
    yield f"Nothing is known of a challenge {challenge_id}: see that its id is whole."
    yield "  What is over is kept for a day, and then told by the journal (journal.keep_days)."


def _earlier(found: Found) -> Iterator[str]:
    """What the journal tells of challenges that are kept no more."""
    if not found.events.events:
        return
    to = f" of {found.to}" if found.to else ""
    yield f"Of what is kept no more, the journal tells{to}, the newest last:"
    if not found.events.is_all:
        yield "  ... and more before: watchword journal show --to ADDRESS --last 500"
    for event in found.events.events:
        yield f"  {in_words(event, app=False)}, app {event.app_id}"


def _challenge(told: Told, app: str, found: Found) -> Iterator[str]:
    yield (
        f"{instant(told.opened_at)}  {told.purpose} for {_named(app, told.app_id)}, by "
        f"{told.channel}: "
        f"{told.state}, {told.attempts} of {told.max_attempts} attempts, "
        f"{'expires' if told.expires_at > found.now else 'expired'} {instant(told.expires_at)}"
    )
    yield f"  challenge {told.id} to {found.to}"
    if not told.deliveries:
        yield "  Nothing was queued for it: a test number gets no message."
    for delivery in told.deliveries:
        yield f"  {_delivery(delivery, told, found)}"
    if told.state == "pending" and told.resend_at > found.now:
        yield f"  Asked for again before {instant(told.resend_at)}, it is refused as too soon."


def _named(app: str, app_id: str) -> str:
    return f"{app} ({app_id})" if app else app_id


def _delivery(delivery: Delivery, told: Told, found: Found) -> str:
    carrier = delivery.provider or "no provider yet"
    tries = f"{delivery.tries} {'try' if delivery.tries == 1 else 'tries'}"
    at = delivery.settled_at or delivery.queued_at
    said = f"{instant(at)}  {delivery.state} ({carrier}, {tries}): {_reason(delivery)}"
    if delivery.state.is_settled:
        return said
    if before := told.waiting_before.get(delivery.id):
        said += f" Queued on {delivery.channel} before it, and waiting too: {before}."
    if pause := found.paused.get(delivery.channel):
        why = f": {pause.reason.rstrip('.')}" if pause.reason else ""
        return (
            f"{said} {delivery.channel} is paused since {instant(pause.since)}{why}. watchword "
            f"channel resume {delivery.channel} lets it go on."
        )
    if stands_since := found.standing_lanes.get(delivery.channel):
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
            f"it is tried again{_next(delivery)}; the last try failed{said}."
            if delivery.tries
            else f"waiting since {instant(delivery.queued_at)}."
        ),
        "leased": "a worker has just taken it.",
        "sending": "it is being handed over.",
        "accepted": "the provider took it; whether it arrived is not known here.",
        "delivered": f"it arrived{said}." if said else "the provider says that it arrived.",
        "failed": f"the provider refused it for good{said}.",
        "unknown": (
            f"it may have arrived; it is not sent again, and the user may ask for another{said}."
        ),
        "expired": "its code was over before it went out.",
        "cancelled": f"it was not sent, for its challenge or its code was over before{said}.",
    }[delivery.state]


def _next(delivery: Delivery) -> str:
    return f" at {instant(delivery.due_at)}" if delivery.due_at else ""


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
