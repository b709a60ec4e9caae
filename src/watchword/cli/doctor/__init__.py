"""`watchword doctor`: what is wrong here, and how to mend it. It never prints a secret."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from watchword.cli.doctor import delivering, keeping, machine, tenancy
from watchword.cli.doctor.finding import Finding, broken, note, ok
from watchword.cli.places import HERE, Where
from watchword.cli.printing import AsJson, print_json
from watchword.cli.refusal import explained
from watchword.config import Settings

if TYPE_CHECKING:
    from watchword.bootstrap import Stage
    from watchword.cli.doctor.finding import Look

SIGNS = {"ok": "ok     ", "note": "note   ", "broken": "BROKEN "}
_OUTSIDE = (machine.terms, machine.space, machine.clock, machine.privacy, machine.server)
_INSIDE = (
    *(keeping.store, keeping.ring, keeping.journal),
    *(delivering.providers, delivering.outbox, delivering.unknown, delivering.webhooks),
    *(tenancy.credentials, tenancy.dialects, tenancy.texts),
)


def doctor(*, json: AsJson = False, where: Where = HERE) -> int:
    """Say what is wrong and how to mend it; exits with 1 when something is broken."""
    findings = list(_examined(where))
    if json:
        print_json(findings)
    else:
        for finding in findings:
            print(SIGNS[finding.state] + finding.what)
    return int(any(finding.state == "broken" for finding in findings))


def _examined(where: Where) -> Iterator[Finding]:
    from watchword.bootstrap import carriers

    try:
        settings = where.read()
        carriers.check(settings)
    except Exception as error:
        if (sentence := explained(error)) is None:
            raise
        yield broken("settings", sentence)
        return
    yield ok("settings", f"The settings are read; the data folder is {settings.folder.resolve()}.")
    if not settings.address.is_embedded:
        yield ok("settings", f"The store is {settings.address}.")
    for look in _OUTSIDE:
        yield from look(settings)
    yield from _state(settings)


def _state(settings: Settings) -> Iterator[Finding]:
    """What the folder and the store hold. What is missing is told, never made."""
    from watchword.bootstrap import Stage

    try:
        stage = asyncio.run(_stage(settings))
    except Exception as error:
        if (sentence := explained(error)) is None:
            raise
        if not settings.address.is_embedded and "store migrate" not in sentence:
            sentence = (
                f"{sentence} See that the server runs, that this machine reaches it, and that "
                "'store' in the settings names it."
            )
        yield broken("store", sentence)
        stage = None
    yield (ring := machine.keyring(settings, stage))
    if stage is Stage.STARTED:
        if settings.keyring_path.exists():
            yield from asyncio.run(_opened(settings, *_INSIDE))
        return
    if stage is Stage.MADE:
        yield from asyncio.run(_unused(settings))
    elif stage is Stage.ABSENT:
        place = settings.store_path if settings.address.is_embedded else "it there"
        yield note("store", f"There is no store yet; the first start makes {place}.")
    if ring.state != "broken":
        yield from _rehearsed(settings)


async def _stage(settings: Settings) -> Stage:
    from watchword.bootstrap import stage

    return await stage(settings)


def _rehearsed(settings: Settings) -> Iterator[Finding]:
    """Try the providers from a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        stage = msgspec.structs.replace(
            settings, data=folder, store=Settings().store, keys=Settings().keys
        )
        yield from asyncio.run(_opened(stage, delivering.providers))


async def _opened(settings: Settings, *looks: Look) -> list[Finding]:
    """What can be seen only with the service open."""
    from watchword.bootstrap import bootstrap

    found: list[Finding] = []
    try:
        async with bootstrap(settings, deliver=False, upgrades=False) as service:
            for look in looks:
                found += [finding async for finding in look(service)]
    except Exception as error:
        if (sentence := explained(error)) is None:
            raise
        found.append(broken("service", sentence))
    return found


async def _unused(settings: Settings) -> list[Finding]:
    """A store that was made, and that nothing was started on."""
    from watchword.bootstrap import opened

    nothing = note("store", "Nothing was started on this store yet: start watchword serve.")
    try:
        async with opened(settings, upgrades=False) as store:
            return [*await keeping.examined(store), nothing]
    except Exception as error:
        if (sentence := explained(error)) is None:
            raise
        return [broken("store", sentence)]
