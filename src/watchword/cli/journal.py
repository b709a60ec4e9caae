"""`watchword journal`: what happened, and proof that nothing of it was changed."""

from __future__ import annotations

import json as json_text
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from cyclopts import Parameter

from watchword.cli.happened import in_words
from watchword.cli.opened import Deed, ask
from watchword.cli.places import HERE, Where
from watchword.cli.printing import AsJson, print_json
from watchword.cli.refusal import Misused, Refused
from watchword.cli.tenants import OfApp

if TYPE_CHECKING:
    from watchword.bootstrap import Service
    from watchword.service.read_journal import Lately
    from watchword.service.verify_journal import Report

_MOST_SHOWN = 10_000
Instant = Annotated[str | None, Parameter(help="As in 2026-03-02 or 2026-03-02T09:30:00; UTC.")]


def verify(*, json: AsJson = False, where: Where = HERE) -> int:
    """Walk all chains; exits with 1 when an entry was altered, removed or moved."""

    async def verified(service: Service) -> Report:
        from watchword.service.verify_journal import verify_journal

        return await verify_journal(service.store, service.keys, service.clock())

    report = ask(where.settings(), verified)
    if json:
        print_json({"whole": report.is_whole, **msgspec.to_builtins(report)})
    else:
        _show(report)
    return int(not report.is_whole)


def show(
    *,
    last: Annotated[int, Parameter(help="How many, the newest last.")] = 50,
    app: OfApp = None,
    to: Annotated[str | None, Parameter(help="Only of this phone or mailbox.")] = None,
    json: AsJson = False,
    where: Where = HERE,
) -> int:
    """Print the latest events in words, those not sealed yet, too."""
    if not 1 <= last <= _MOST_SHOWN:
        raise Misused(f"--last is 1 to {_MOST_SHOWN}.")
    found = ask(where.settings(), lambda service: _lately(service, last, app, to))
    if json:
        print_json(found)
        return 0
    for event in found.events:
        print(in_words(event))
    if not found.events:
        print("The journal tells nothing of this.")
    if not found.is_all and len(found.events) < last:
        print("There may be older ones: it was not read to its beginning.", file=sys.stderr)
    return 0


async def _lately(service: Service, last: int, app_id: str | None, to: str | None) -> Lately:
    from watchword.service.read_inbox import meant
    from watchword.service.read_journal import about, lately

    now = service.clock()
    if app_id:
        await service.apps.app(app_id, now)  # or there is none
    if to is None:
        return await lately(
            service.store, most=last, wanted=lambda event: app_id in (None, event.app_id)
        )
    app_ids = [app_id] if app_id else [app.id for app in await service.apps.apps(now)]
    people = [service.house.guesses(one, person) for person in meant(to) for one in app_ids]
    return await about(service.store, people, most=last)


def export(
    *,
    from_: Annotated[str | None, Parameter(name="--from", help="First instant (UTC).")] = None,
    until: Instant = None,
    app: Annotated[str, Parameter(help="Only this app's events.")] = "",
    format: Literal["jsonl"] = "jsonl",
    where: Where = HERE,
) -> int:
    """Print chains and entries as JSON lines, with all that it takes to verify them later."""
    since, end = _instant("--from", from_), _instant("--until", until)

    async def exported(service: Service) -> None:
        from watchword.service.export_journal import export_journal

        lines = export_journal(service.store, since=since, until=end, app_id=app)
        async for line in lines:
            print(json_text.dumps(line, ensure_ascii=False))

    ask(where.settings(), exported)
    return 0


def erase(
    *,
    to: Annotated[str, Parameter(help="The phone number (+86...) or mailbox.")],
    yes: Annotated[bool, Parameter(help="Do not ask.")] = False,
    where: Where = HERE,
) -> int:
    """Erase all that journal and outbox know of a destination, in all apps. It cannot be undone;
    limits and failure budgets stay as they are."""
    if not yes and not _agreed():
        raise Refused("Nothing was erased: say --yes, or answer yes.")

    async def erased(service: Service) -> tuple[int, int, int]:
        from watchword.domain import destination
        from watchword.service.erase_subject import erase_subject

        now = service.clock()
        meant = destination.mailbox(to) if "@" in to else destination.phone(to)
        app_ids = [app.id for app in await service.apps.apps(now)]
        gone = await erase_subject(meant, app_ids, service.house, now)
        return gone.events, gone.challenges, gone.deliveries

    events, challenges, deliveries = ask(
        where.settings(), erased, doing=lambda _: [Deed("journal erase")]
    )
    print(f"Erased {events} events, {challenges} challenges and {deliveries} deliveries.")
    return 0


def _agreed() -> bool:
    if not sys.stdin.isatty():
        return False
    print("This cannot be undone. Erase? [yes/no] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip() == "yes"


def _instant(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Misused(f"{option} is a day or an instant, as in 2026-03-02T09:30:00.") from None
    return at.replace(tzinfo=at.tzinfo or UTC).astimezone(UTC)


def _show(report: Report) -> None:
    print(f"{report.events} events in {report.chains} chains; {report.erased} more are erased.")
    for numbers, what in (
        (report.open, "open: a process still writes there"),
        (report.unmarked, "ended without a mark: its process was killed or lost the store"),
        (report.dropped, "dropped, for its time was over"),
        (report.unproven, "not verified: from a backup restored without its key ring"),
    ):
        if numbers:
            print(f"{_named(numbers)}: {what}.")
    if report.unsealed:
        print(f"{report.unsealed} events wait to be sealed.")
    if report.is_late:
        print("Some wait for over a minute: no scribe runs. Start watchword serve or worker.")
    for fault in report.faults:
        place = f"Chain {fault.chain}" if fault.chain else "The journal"
        at = "" if fault.position is None else f", position {fault.position}"
        print(f"BROKEN {place}{at}: {fault.what}.")
    if report.is_whole:
        print("The journal is whole.")


def _named(numbers: Sequence[int]) -> str:
    return f"Chain{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"
