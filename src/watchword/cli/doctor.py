"""`watchword doctor`: what is wrong here, and how to mend it. It never prints a secret."""

from __future__ import annotations

import asyncio
import shutil
import stat
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import msgspec

from watchword.cli.places import HERE, Where, running
from watchword.cli.printing import AsJson, print_json
from watchword.cli.refusal import explained
from watchword.config import Settings

if TYPE_CHECKING:
    from watchword.bootstrap import Service

PROBE_S = 5
LONGEST_USUAL_TTL_S = 600
LEAST_FREE = 1 << 30
NO_SPACE = 64 << 20
FULL = 2  # PRAGMA synchronous
SIGNS = {"ok": "ok     ", "note": "note   ", "broken": "BROKEN "}


class Finding(msgspec.Struct, frozen=True):
    """What was looked at. `state` is ok, note (worth knowing) or broken."""

    state: str
    what: str


@runtime_checkable
class Probed(Protocol):
    """A provider that can be tried without a message."""

    async def ready(self) -> None: ...


@runtime_checkable
class Durable(Protocol):
    """A store on a disk of this machine."""

    async def durability(self) -> tuple[str, int]: ...


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
    try:
        settings = where.settings()
    except Exception as error:
        if (sentence := explained(error)) is None:
            raise
        yield Finding("broken", sentence)
        return
    yield Finding("ok", f"The settings are read; the data folder is {settings.folder.resolve()}.")
    for look in (_terms, _space, _keyring, _server):
        yield from look(settings)
    yield from asyncio.run(_opened(settings))


def _terms(settings: Settings) -> Iterator[Finding]:
    if settings.policy.ttl_s > LONGEST_USUAL_TTL_S:
        yield Finding(
            "note",
            f"policy.ttl_s is {settings.policy.ttl_s}: codes live longer than 10 minutes. Use 600 "
            "or less unless a dialect asks for more.",
        )
    if not settings.limits.by_network:
        yield Finding("note", "limits.by_network is off: right for test rigs only.")
    if settings.sandbox:
        yield Finding("note", "sandbox is on: others may reach codes that can be read here.")


def _space(settings: Settings) -> Iterator[Finding]:
    free = shutil.disk_usage(settings.folder).free
    said = f"{free / (1 << 30):.1f} GiB are free for the data folder."
    if free < NO_SPACE:
        yield Finding("broken", f"{said} Sends will be refused: make room.")
    else:
        yield Finding("ok" if free >= LEAST_FREE else "note", said)


def _keyring(settings: Settings) -> Iterator[Finding]:
    path = settings.keyring_path
    if not path.exists():
        yield Finding("note", f"There is no key ring yet; the first start makes {path}.")
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        yield Finding("broken", f"Others may read the key ring: run chmod 600 {path}.")
    else:
        yield Finding("ok", "The key ring is readable to its owner only.")


def _server(settings: Settings) -> Iterator[Finding]:
    if serving := running(settings.folder):
        yield Finding("ok", f"A server answers at {serving.base_url} (process {serving.pid}).")
    else:
        yield Finding("note", "No server runs on this data folder: start it with watchword serve.")


async def _opened(settings: Settings) -> list[Finding]:
    """What can be seen only with the service open."""
    from watchword.bootstrap import bootstrap

    try:
        async with bootstrap(settings, deliver=False) as service:
            return [finding async for finding in _inside(service)]
    except Exception as error:
        if (sentence := explained(error)) is None:
            raise
        return [Finding("broken", sentence)]


async def _inside(service: Service) -> AsyncIterator[Finding]:
    for look in (_store, _providers, _credentials):
        async for finding in look(service):
            yield finding


async def _store(service: Service) -> AsyncIterator[Finding]:
    await service.store.ready()
    yield Finding("ok", "The store opens, and takes a write.")
    if isinstance(service.store, Durable):
        mode, level = await service.store.durability()
        if (mode, level) == ("wal", FULL):
            yield Finding("ok", "The store keeps what it acknowledged (WAL, synchronous FULL).")
        else:
            yield Finding(
                "broken",
                f"The store runs as {mode}, synchronous {level}: put it on a "
                "local disk, where SQLite can use WAL.",
            )


async def _providers(service: Service) -> AsyncIterator[Finding]:
    for channel in ("sms", "email"):
        provider = service.providers.get(channel)
        if provider is None:
            yield Finding("note", f"Nothing carries {channel}: set channels.{channel} to offer it.")
        elif provider.name == "virtual":
            yield Finding("note", f"The virtual carrier keeps every {channel}; nobody gets it.")
        elif isinstance(provider, Probed):
            yield await _probed(channel, provider.name, provider)
        else:
            yield Finding("ok", f"{provider.name} carries {channel}.")


async def _probed(channel: str, name: str, provider: Probed) -> Finding:
    try:
        async with asyncio.timeout(PROBE_S):
            await provider.ready()
    except TimeoutError:
        said = f"it did not answer within {PROBE_S} s"
    except Exception as error:
        said = explained(error) or type(error).__name__
    else:
        return Finding("ok", f"{name} lets us in, and carries {channel}.")
    return Finding(
        "broken",
        f"{name} cannot carry {channel}: {said.rstrip('.')}. "
        f"Look at [providers.{name}] in the settings.",
    )


async def _credentials(service: Service) -> AsyncIterator[Finding]:
    now = service.clock()
    demos = [key.id for key in await service.apps.keys(now) if key.demo]
    if demos:
        yield Finding(
            "note",
            f"Demo keys are active ({', '.join(demos)}): the server stays on loopback. End them "
            "with watchword key revoke.",
        )
    for app in await service.apps.apps(now):
        if any((terms.ttl_s or 0) > LONGEST_USUAL_TTL_S for terms in app.terms.values()):
            yield Finding("note", f"Codes of app {app.id} ({app.name}) live over 10 minutes.")
