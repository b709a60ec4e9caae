"""`watchword store`: what an operator does to the store itself."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import Parameter

from watchword.cli.opened import operator
from watchword.cli.places import HERE, Where
from watchword.cli.printing import AsJson, instant, print_json
from watchword.cli.refusal import Refused

if TYPE_CHECKING:
    from watchword.bootstrap.backups import Census

File = Annotated[str, Parameter(name="FILE", help="The backup.")]


def migrate(*, where: Where = HERE) -> int:
    """Make the store, or bring its schema up to date. Starting a service does so too, where it is
    allowed to; afterwards an older watchword does not open the store."""
    from watchword.bootstrap import migrate

    before, after = asyncio.run(migrate(where.settings()))
    if before == after:
        print(f"The store is up to date: its schema is version {after}.")
    elif before == 0:
        print(f"The store is made: its schema is version {after}.")
    else:
        print(f"The store is up to date: its schema went from version {before} to {after}.")
    return 0


def backup(
    file: File,
    /,
    *,
    pg_dump: Annotated[
        str, Parameter(help="PostgreSQL's pg_dump, where it is not on the PATH.")
    ] = "",
    json: AsJson = False,
    where: Where = HERE,
) -> int:
    """Write the store into a new FILE, readable to its owner only, while servers go on. The key
    ring is not in it, and without its ring much of a store is lost: keep a copy of that elsewhere.
    """
    from watchword.bootstrap import backups

    path = Path(file)
    with _refusals(), _progress() as tell:
        census = asyncio.run(backups.back_up(where.read(), path, tell, pg_dump=pg_dump))
    size = path.stat().st_size
    if json:
        print_json({"file": str(path), "bytes": size, **msgspec.to_builtins(census)})
        return 0
    print(f"Backed up to {path}: {_bytes(size)}, and it was read back whole.")
    print(_in_brief(census))
    if census.fingerprint:
        print(f"It needs the key ring {census.fingerprint}, which is not in it.")
    return 0


def restore(
    file: File,
    /,
    *,
    without_ring: Annotated[
        bool, Parameter(help="Its key ring is lost: go on with what needs none.")
    ] = False,
    pg_restore: Annotated[
        str, Parameter(help="PostgreSQL's pg_restore, where it is not on the PATH.")
    ] = "",
    json: AsJson = False,
    where: Where = HERE,
) -> int:
    """Make a new store of a backup, where there is none yet. What was open in it is ended: no code
    sent before is accepted, no message handed over."""
    from watchword.bootstrap import backups

    settings, path = where.settings(), Path(file)
    with _refusals():
        restored = asyncio.run(
            backups.restore(
                settings, path, operator(), without_ring=without_ring, pg_restore=pg_restore
            )
        )
    if json:
        print_json(restored)
        return 0
    place = settings.store_path if settings.address.is_embedded else settings.address
    print(f"Restored {path} to {place}.")
    print(_in_brief(restored.census))
    print(
        f"Ended what was open: {restored.cancelled} challenges, {restored.dropped} messages that "
        f"waited; {restored.unknown} hand-overs that had begun are unknown."
    )
    print(f"The journal goes on with chain {restored.first_chain}.")
    if restored.lost:
        print(f"Lost with its key ring; {settings.keyring_path} is the ring from now on:")
        for line in restored.lost:
            print(f"  {line}")
    print("Next: copy watchword.toml and your texts here, too; without them the virtual carrier")
    print(
        "carries everything. Stop the old servers for good, then watchword serve. Revoke again what"
    )
    print("was revoked since the backup, and erase again who was erased: docs/backup.md.")
    return 0


def _in_brief(census: Census) -> str:
    rows = ", ".join(f"{amount} {table}" for table, amount in census.rows.items())
    last = (
        f"; the last send was opened {instant(census.last_send_at)}" if census.last_send_at else ""
    )
    return f"Rows: {rows}{last}."


def _bytes(size: int) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if size < 10 * 1024 or unit == "MiB":
            return f"{size} {unit}"
        size //= 1024
    return str(size)


@contextmanager
def _refusals() -> Iterator[None]:
    from watchword.bootstrap.backups import BackupRefused

    try:
        yield
    except BackupRefused as refused:
        raise Refused(str(refused)) from None


@contextmanager
def _progress() -> Iterator[Callable[[float], None]]:
    """How far it has come, for whoever looks at a terminal."""
    is_seen, told = sys.stderr.isatty(), -1

    def tell(share: float) -> None:
        nonlocal told
        if is_seen and (percent := int(share * 100)) != told:
            told = percent
            print(f"\r{percent} %", end="", file=sys.stderr, flush=True)

    yield tell
    if told >= 0:
        print("\r     \r", end="", file=sys.stderr, flush=True)
