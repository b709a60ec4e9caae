"""`watchword doctor`: what is wrong here, and how to mend it. It never prints a secret."""

from __future__ import annotations

import asyncio
import shutil
import stat
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import msgspec

from watchword.cli.places import HERE, Where, answers, left, running
from watchword.cli.printing import AsJson, print_json
from watchword.cli.refusal import explained
from watchword.config import Settings

if TYPE_CHECKING:
    from watchword.bootstrap import Service, Stage

    Look = Callable[[Service], AsyncIterator["Finding"]]

PROBE_S = 5
LONGEST_USUAL_TTL_S = 600
LEAST_FREE = 1 << 30
NO_SPACE = 64 << 20
SIGNS = {"ok": "ok     ", "note": "note   ", "broken": "BROKEN "}


class Finding(msgspec.Struct, frozen=True):
    """What was looked at. `state` is ok, note (worth knowing) or broken."""

    state: str
    what: str


@runtime_checkable
class Probed(Protocol):
    """A provider that can be tried without a message."""

    async def ready(self) -> None: ...


class Examined(Protocol):
    """A store, as far as it is looked at here."""

    async def ready(self) -> None: ...
    async def examine(self) -> Sequence[Any]: ...


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
        yield Finding("broken", sentence)
        return
    yield Finding("ok", f"The settings are read; the data folder is {settings.folder.resolve()}.")
    if not settings.address.is_embedded:
        yield Finding("ok", f"The store is {settings.address}.")
    for look in (_terms, _space, _privacy, _server):
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
        if not settings.address.is_embedded:
            sentence = (
                f"{sentence} See that the server runs, that this machine reaches it, and that "
                "'store' in the settings names it."
            )
        yield Finding("broken", sentence)
        stage = None
    yield (ring := _keyring(settings, is_started=stage is Stage.STARTED))
    if stage is Stage.STARTED:
        if settings.keyring_path.exists():
            looks = (_store, _ring, _providers, _credentials, _dialects, _texts)
            yield from asyncio.run(_opened(settings, *looks))
        return
    if stage is Stage.MADE:
        yield from asyncio.run(_unused(settings))
    elif stage is Stage.ABSENT:
        place = settings.store_path if settings.address.is_embedded else "it there"
        yield Finding("note", f"There is no store yet; the first start makes {place}.")
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
        yield from asyncio.run(_opened(stage, _providers))


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
    folder = settings.folder.resolve()
    there = next(place for place in (folder, *folder.parents) if place.is_dir())
    free = shutil.disk_usage(there).free
    said = f"{free / (1 << 30):.1f} GiB are free for the data folder."
    if free < NO_SPACE and settings.address.is_embedded:
        yield Finding("broken", f"{said} Sends will be refused: make room.")
    else:
        yield Finding("ok" if free >= LEAST_FREE else "note", said)


def _privacy(settings: Settings) -> Iterator[Finding]:
    folder = settings.folder.resolve()
    if folder.is_dir() and stat.S_IMODE(folder.stat().st_mode) & 0o077:
        yield Finding("note", f"Others may look into the data folder: run chmod 700 {folder}.")


def _keyring(settings: Settings, *, is_started: bool) -> Finding:
    path = settings.keyring_path
    if not path.exists() and is_started:
        fleet = "" if settings.address.is_embedded else ", or copy keyring.json of another machine"
        return Finding("broken", f"The key ring is missing: restore your copy to {path}{fleet}.")
    if not path.exists():
        return Finding("note", f"There is no key ring yet; the first start makes {path}.")
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        return Finding("broken", f"Others may read the key ring: run chmod 600 {path}.")
    return Finding("ok", "The key ring is readable to its owner only.")


def _server(settings: Settings) -> Iterator[Finding]:
    serving = left(settings.folder)
    if serving is None:
        yield Finding("note", "No server runs on this data folder: start it with watchword serve.")
    elif running(settings.folder) and answers(serving):
        yield Finding("ok", f"A server answers at {serving.base_url} (process {serving.pid}).")
    else:
        yield Finding(
            "broken",
            f"serve.json names {serving.base_url} (process {serving.pid}), but nothing answers "
            "there: start watchword serve again.",
        )


async def _opened(settings: Settings, *looks: Look) -> list[Finding]:
    """What can be seen only with the service open."""
    from watchword.bootstrap import bootstrap

    try:
        async with bootstrap(settings, deliver=False) as service:
            return [finding for look in looks async for finding in look(service)]
    except Exception as error:
        if (sentence := explained(error)) is None:
            raise
        return [Finding("broken", sentence)]


async def _store(service: Service) -> AsyncIterator[Finding]:
    for finding in await _examine(service.store):
        yield finding


async def _examine(store: Examined) -> list[Finding]:
    await store.ready()
    findings = [Finding("ok", "The store opens, and takes a write.")]
    return findings + [Finding(remark.state, remark.what) for remark in await store.examine()]


async def _unused(settings: Settings) -> list[Finding]:
    """A store that was made, and that nothing was started on."""
    from watchword.bootstrap import opened

    nothing = Finding("note", "Nothing was started on this store yet: start watchword serve.")
    try:
        async with opened(settings) as store:
            return [*await _examine(store), nothing]
    except Exception as error:
        if (sentence := explained(error)) is None:
            raise
        return [Finding("broken", sentence)]


async def _ring(service: Service) -> AsyncIterator[Finding]:
    from watchword.bootstrap import rotation

    for remark in rotation.remarks(service.settings.keyring_path, service.clock()):
        yield Finding(remark.state, remark.what)
    if not service.keys.can_draw:
        yield Finding(
            "broken",
            "No code key is active, so no code can be drawn: name one under active.code in "
            f"{service.settings.keyring_path}.",
        )


async def _providers(service: Service) -> AsyncIterator[Finding]:
    from watchword.bootstrap import CARRIES

    for channel in ("sms", "email"):
        provider = service.providers.get(channel)
        if provider is None:
            able = [name for name, carries in CARRIES.items() if channel in carries]
            yield Finding(
                "note",
                f"Nothing carries {channel}: set channels.{channel} to offer it. There is: "
                f"{', '.join(able)}.",
            )
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


async def _texts(service: Service) -> AsyncIterator[Finding]:
    from watchword.cli.template import told_of

    async for state, what in told_of(service):
        yield Finding(state, what)


async def _dialects(service: Service) -> AsyncIterator[Finding]:
    partners = await service.huawei.accounts.accounts(service.clock())
    if any(account.is_partner for account in partners):
        yield Finding(
            "note",
            "Codes of the huawei dialect live as long as each request asks, up to 60 minutes.",
        )
    clouds = await service.aliyun.accounts.accounts(service.clock())
    clients = await service.ciam.clients.clients(service.clock())
    for dialect, whose in (("aliyun", clouds), ("ciam", clients)):
        if whose and "sms" not in service.providers:
            yield Finding("note", f"Nothing carries sms: every {dialect} send by SMS is refused.")
    for dialect, ones, end in (
        ("huawei", partners, "account suspend ID --dialect huawei"),
        ("aliyun", clouds, "account suspend ID --dialect aliyun"),
        ("ciam", clients, "app suspend ID"),
    ):
        if demos := [one.id for one in ones if one.demo and not one.suspended]:
            yield Finding(
                "note",
                f"A demo of the {dialect} dialect is active ({', '.join(demos)}): a server starts "
                f"on loopback only. End it with watchword {end}.",
            )
