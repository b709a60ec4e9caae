"""`watchword demo`: an app and a key to try things with, made once and kept."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from watchword.cli.places import DEMO, HERE, Where, base_url, running, write
from watchword.cli.printing import AsJson, print_json
from watchword.cli.serve import refuse_strangers
from watchword.config import Settings

if TYPE_CHECKING:
    from watchword.bootstrap import Service

NAME = "demo"


def demo(*, json: AsJson = False, where: Where = HERE) -> int:
    """Make a demo app and a key for it, once, and print them each time.

    A server that others can reach refuses to run with them, unless the settings say sandbox.
    """
    settings = where.settings()
    native = {"base_url": base_url(settings), "api_key": demo_key(settings)}
    if json:
        print_json({"native": native})
        return 0
    print(f"export WATCHWORD_URL={native['base_url']}")
    print(f"export WATCHWORD_KEY={native['api_key']}")
    return 0


def demo_key(settings: Settings) -> str:
    """The demo key: the one kept in demo.json while the store knows it, else a new one."""
    from watchword.cli.opened import ask

    serving = running(settings.folder)
    refuse_strangers(settings, "a demo key is active", host=serving.host if serving else "")
    with _alone(settings.folder):
        kept = kept_key(settings.folder)

        async def known_or_made(service: Service) -> str:
            if kept is not None and await _is_known(service, kept):
                return kept
            return await _made(service)

        key = ask(settings, known_or_made)
        if key != kept:
            write(settings.folder / DEMO, {"native": {"api_key": key}})
    return key


def kept_key(folder: Path) -> str | None:
    """What demo.json holds."""
    try:
        key = json.loads((folder / DEMO).read_bytes())["native"]["api_key"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return key if isinstance(key, str) else None


async def _is_known(service: Service, key: str) -> bool:
    from watchword.errors import AccessDenied

    try:
        await service.apps.authenticate(key, service.clock())
    except AccessDenied:
        return False
    return True


async def _made(service: Service) -> str:
    from watchword.domain.app import Scope

    now = service.clock()
    app = await service.apps.create(name=NAME, brand="Demo", now=now)
    scopes = (Scope.SEND, Scope.CHECK, Scope.READ, Scope.INBOX)
    _, key = await service.apps.create_key(
        app.id, scopes, note="watchword demo", demo=True, now=now
    )
    return key


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One at a time on a data folder, so that two first calls do not make two demos."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
