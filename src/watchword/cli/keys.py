"""`watchword keys`: the key ring, and how its keys are replaced. It never prints a secret."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from watchword.cli.opened import Deed, ask
from watchword.cli.places import HERE, Where
from watchword.cli.printing import AsJson, instant, print_json, print_table
from watchword.cli.refusal import Refused

if TYPE_CHECKING:
    from watchword.bootstrap import Service
    from watchword.bootstrap.rotation import File, Need

Force = Annotated[bool, Parameter(help="Go on all the same; what breaks is in docs/keys.md.")]
KINDS = ("code", "seal", "journal")
KNOWN_IN_S = 10.0


def list_(*, json: AsJson = False, where: Where = HERE) -> int:
    """List the keys of this machine's ring, and which of them is active since when."""

    async def listed(service: Service) -> tuple[str, list[dict[str, object]]]:
        from watchword.bootstrap import rotation

        return service.keys.fingerprint, [
            {
                "kind": kind,
                "id": key.id,
                "active": key.id == file.active.get(kind),
                "added_at": _instant(key.added_at),
                "active_since": _instant(key.activated_at),
            }
            for file in [rotation.read(service.settings.keyring_path)]
            for kind in KINDS
            for key in file.keys(kind)
        ]

    fingerprint, keys = ask(where.settings(), listed)
    if json:
        print_json(keys)
    else:
        columns = ("kind", "id", "active", "added_at", "active_since")
        print_table(columns, [[key[column] or "" for column in columns] for key in keys])
        print(f"The key ring is {fingerprint}.")
    return 0


def rotate(
    step: Annotated[
        Literal["add", "activate", "reseal"] | None,
        Parameter(name="STEP", help="Only this one; see docs/keys.md."),
    ] = None,
    /,
    *,
    force: Force = False,
    where: Where = HERE,
) -> int:
    """Replace the keys: all steps where every user of the store is on this machine, else the first,
    and what to do next. `activate` is refused while a running server lacks the new keys."""
    settings = where.settings()
    one_machine = step is None and settings.address.is_embedded
    if step in (None, "add"):
        print(ask(settings, _add, doing=lambda _: [Deed("keys rotate add")]))
    if step == "add" or (step is None and not one_machine):
        print(
            f"Next: copy {settings.keyring_path} to every machine, then run watchword keys rotate "
            "activate on each."
        )
    if one_machine:
        print("The store is a file of this machine, so nothing has to be distributed.")
    if step == "activate" or one_machine:
        patience_s = KNOWN_IN_S if one_machine else 0.0
        activate = partial(_activate, force=force, patience_s=patience_s)
        print(ask(settings, activate, doing=lambda _: [Deed("keys rotate activate")]))
    if step == "activate":
        print("Next: the same on every other machine, then watchword keys rotate reseal on one.")
    if step == "reseal" or one_machine:
        ask(settings, _reseal, doing=lambda _: [Deed("keys rotate reseal")])
    if one_machine:
        print("Next: watchword keys retire, in a day or two: it says what still needs old keys.")
    return 0


def retire(
    key: Annotated[int | None, Parameter(name="ID", help="Only this one.")] = None,
    /,
    *,
    force: Force = False,
    where: Where = HERE,
) -> int:
    """Remove old code and seal keys from this machine's ring, as far as nothing needs them; old
    journal keys stay, since the journal is verified with them."""
    removed, kept = ask(
        where.settings(),
        lambda service: _retire(service, key, force=force),
        doing=lambda found: [Deed("keys retire", str(key or ""))] if found[0] else [],
    )
    for line in removed:
        print(line)
    if kept:
        raise Refused("\n".join(kept))
    if not removed:
        print("There is no old code or seal key.")
    return 0


async def _add(service: Service) -> str:
    from watchword.bootstrap import rotation

    path, now = service.settings.keyring_path, service.clock()
    waiting = rotation.read(path).waiting
    if waiting:
        return f"Keys {max(waiting.values())} are added already, and not active yet."
    file = rotation.change(path, lambda file: file if file.waiting else file.with_new(now))
    return f"Added keys {max(file.waiting.values())} to {path}; they are not active yet."


async def _activate(service: Service, *, force: bool, patience_s: float = 0.0) -> str:
    from watchword.bootstrap import rotation

    path, store = service.settings.keyring_path, service.store
    file = rotation.read(path)
    waiting = file.waiting
    if not waiting:
        return f"Keys {max(file.active.values())} are active in {path} already; nothing is waiting."
    ends_at = time.monotonic() + patience_s
    async with rotation.announced(store, waiting, service.clock):
        while lacking := await rotation.strangers(store, waiting, service.clock()):
            if force:
                break
            if time.monotonic() > ends_at:
                raise Refused(
                    f"Keys {max(waiting.values())} are not known yet to {', '.join(lacking)}: copy "
                    f"{path} there, and try again some seconds later (--force goes on without)."
                )
            await asyncio.sleep(0.2)
        now = service.clock()
        await rotation.need(store, waiting, now)
        rotation.change(path, lambda file: file.with_newest_active(now))
    return (
        f"Keys {max(waiting.values())} are active; running servers follow within a second or two."
    )


async def _reseal(service: Service) -> None:
    from watchword.bootstrap import rotation

    async for kind, amount in rotation.reseal(service.store, service.keys, service.clock()):
        if amount:
            print(f"Resealed {amount} records {kind}.", flush=True)
    print(f"Everything kept for good is under seal key {service.keys.active['seal']}.")


async def _retire(service: Service, id: int | None, *, force: bool) -> tuple[list[str], list[str]]:
    """What was removed, and what has to stay."""
    from watchword.bootstrap import rotation

    path, removed, kept = service.settings.keyring_path, [], []
    file = rotation.read(path)
    if "code" not in file.active:
        raise Refused(f"{path} names no active code key: run watchword keys rotate first.")
    old = [
        (kind, key.id)
        for kind in ("code", "seal")
        for key in file.keys(kind)
        if key.id < file.active[kind] and id in (None, key.id)
    ]
    if id is not None and not old:
        raise Refused(f"{path} has no old code or seal key {id}: see watchword keys list.")
    if any(kind == "seal" for kind, _ in old):
        await _reseal(service)
        if force:
            await rotation.forget_signing_keys(service.store, service.clock())
    for kind, one in old:
        needs = [] if force else await rotation.needs(service, file, kind, one)
        if needs:
            kept.append(f"The {kind} key {one} is still needed: {'; '.join(map(_need, needs))}.")
        else:
            rotation.change(path, partial(_without, kind=kind, id=one))
            removed.append(f"Removed {kind} key {one} from {path}.")
    return removed, kept


def _without(file: File, *, kind: str, id: int) -> File:
    return file.without(kind, id)


def _need(need: Need) -> str:
    if need.until is None:
        return f"{need.amount} {need.what}"
    return f"{need.amount} {need.what}, until {instant(need.until)}"


def _instant(at: datetime | None) -> str | None:
    return None if at is None else instant(at)
