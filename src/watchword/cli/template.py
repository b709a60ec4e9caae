"""`watchword template`: the texts of messages, tried and shown before anybody gets them.

Both commands only read: without a store there are no apps, and all else is told all the same.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from cyclopts import Parameter

from watchword.cli.places import HERE, Where
from watchword.cli.printing import AsJson, print_json, print_table
from watchword.cli.refusal import Misused, Refused
from watchword.config import Settings

if TYPE_CHECKING:
    from watchword.bootstrap import Service
    from watchword.bootstrap.wording import Wording
    from watchword.domain.app import App
    from watchword.domain.message import Message
    from watchword.domain.segments import Cost

LONGEST_MINUTES = 60
_APP = Parameter(help="As this app, by its id, says it.")


def check(
    *,
    app: Annotated[str, _APP] = "",
    json: AsJson = False,
    where: Where = HERE,
) -> int:
    """Try every text in every language: what it costs, and what is wrong. Without --app, texts for
    everybody are counted under the longest brand. Exits with 1 where something is wrong."""
    from watchword.bootstrap.wording import wording

    settings = where.read()
    found = wording(settings, _known(_apps(settings), app), only=app)
    if json:
        print_json(_as_json(found))
    else:
        _print(found)
    return int(bool(found.mistakes))


def preview(
    *,
    purpose: Annotated[
        Literal["sign_in", "sign_up", "reset", "change", "bind"], Parameter(help="Of the code.")
    ] = "sign_in",
    channel: Annotated[Literal["sms", "email"], Parameter(help="How it travels.")] = "sms",
    language: Annotated[str, Parameter(help="As in zh-cn; without, the app's.")] = "",
    app: Annotated[str, _APP] = "",
    brand: Annotated[str | None, Parameter(help="Under this brand.")] = None,
    origin: Annotated[str | None, Parameter(help="Bound to this host (WebOTP).")] = None,
    minutes: Annotated[int, Parameter(help="How long the code lives.")] = 10,
    html: Annotated[Path | None, Parameter(help="Write the page of a mail here.")] = None,
    where: Where = HERE,
) -> int:
    """Print a text as people get it, and, on stderr, what it costs. The code in it is made up."""
    from watchword.bootstrap import wording
    from watchword.domain.language import choose

    if not 1 <= minutes <= LONGEST_MINUTES:
        raise Misused(f"--minutes is 1 to {LONGEST_MINUTES}.")
    if html is not None and channel != "email":
        raise Misused("--html is for --channel email.")
    settings = where.read()
    known = _known(_apps(settings), app)
    texts = wording.texts(settings, known)
    speaker = wording.speaker(known[0]) if app else wording.anybody()
    changes = {"origin": origin} if origin is not None else {}
    if brand is not None:
        changes |= {"brand": brand, "brands": {}}  # type: ignore[dict-item]
    asked = choose(language, known[0].language if app else "", settings.policy.languages)
    message = wording.said(
        texts,
        msgspec.structs.replace(speaker, **changes),
        purpose,
        channel,
        asked,
        minutes=minutes,
    )
    _show(message, language)
    if html is not None:
        html.write_text(message.html + "\n", encoding="utf-8")
        print(f"The page is in {html}.", file=sys.stderr)
    return 0


async def told_of(service: Service) -> AsyncIterator[tuple[str, str]]:
    """What `watchword doctor` says of the texts: ok, note or broken, and the sentence."""
    from watchword.bootstrap.wording import wording

    found = wording(service.settings, await service.apps.apps(service.clock()))
    for mistake in found.mistakes:
        yield "broken", f"A text is wrong: {mistake}"
    for note in found.notes:
        yield "note", note
    if not found.mistakes:
        languages = sorted({proof.language for proof in found.proofs})
        yield "ok", f"Every text can be said, in {', '.join(languages)}."


def _apps(settings: Settings) -> Sequence[App]:
    """The apps of the store; none where nothing was started on it yet."""
    from watchword.bootstrap import Stage, bootstrap, stage

    async def found() -> Sequence[App]:
        if await stage(settings) is not Stage.STARTED:
            return ()
        async with bootstrap(settings, deliver=False, upgrades=False) as service:
            return await service.apps.apps(service.clock())

    return asyncio.run(found())


def _known(apps: Sequence[App], app_id: str) -> Sequence[App]:
    """The apps, with the one that was asked for in front. Raises Refused where it is not there."""
    if app_id and all(app.id != app_id for app in apps):
        raise Refused(f"There is no app '{app_id}': watchword app list names them.")
    return sorted(apps, key=lambda app: app.id != app_id)


def _print(found: Wording) -> None:
    columns = ("app", "channel", "language", "purpose", "encoding", "messages", "bytes")
    rows = [
        (
            *(proof.app or "everybody", proof.channel, proof.language, proof.purpose),
            *(proof.encoding, proof.segments or "", proof.bytes),
        )
        for proof in found.proofs
    ]
    if rows:
        print_table(columns, rows)
    for sign, remark in _remarks(found):
        print(f"{sign}{remark}")
    counted = {1: "1 mistake"}.get(len(found.mistakes), f"{len(found.mistakes)} mistakes")
    print(f"{counted}; {len(rows)} texts tried.")


def _remarks(found: Wording) -> Iterator[tuple[str, str]]:
    for proof in found.proofs:
        where = f"{proof.app or 'everybody'} {proof.channel}/{proof.language}/{proof.purpose}"
        yield from (("note    ", f"{where}: {note}.") for note in proof.notes)
        yield from (("WARNING ", f"{where}: {warning}.") for warning in proof.warnings)
    yield from (("note    ", note) for note in found.notes)
    yield from (("MISTAKE ", mistake) for mistake in found.mistakes)


def _as_json(found: Wording) -> dict[str, Any]:
    return {"texts": found.proofs, "mistakes": found.mistakes, "notes": found.notes}


def _show(message: Message, asked: str) -> None:
    from watchword.domain.segments import cost

    if message.subject:
        print(f"Subject: {message.subject}\n")
    print(message.text.rstrip("\n"))
    if asked and message.language != asked.lower().replace("_", "-"):
        print(f"There are no words in {asked}; this is {message.language}.", file=sys.stderr)
    if message.channel == "sms":
        print(_costs(cost(message.text)), file=sys.stderr)
    else:
        sizes = [len(part.encode()) for part in (message.subject, message.text, message.html)]
        print("{} bytes of subject, {} of text, {} of html.".format(*sizes), file=sys.stderr)


def _costs(counted: Cost) -> str:
    what = "message" if counted.segments == 1 else "messages"
    said = f"{counted.segments} {what}, {counted.encoding}, {counted.octets} bytes."
    if not counted.forced_by:
        return said
    few = " ".join(f"{char} (U+{ord(char):04X})" for char in counted.forced_by[:8])
    more = f" and {len(counted.forced_by) - 8} more" if len(counted.forced_by) > 8 else ""
    return f"{said} Not GSM-7 because of: {few}{more}."
