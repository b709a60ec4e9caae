"""Where a command works: its settings, and what others left in the data folder.

`serve.json` says where the server that runs answers; `demo.json` holds the demo credentials.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from watchword import config
from watchword.cli.refusal import Refused
from watchword.config import Settings

SERVE = "serve.json"
DEMO = "demo.json"
LIVEZ_S = 2.0


@Parameter(name="*")
@dataclass(frozen=True)
class Where:
    """What every command takes."""

    data: Annotated[str | None, Parameter(help="The data folder.")] = None
    config: Annotated[str | None, Parameter(help="The settings' file.")] = None

    def settings(self) -> Settings:
        """Read the settings, and see to it that the data folder is there and is private."""
        settings = self.read()
        settings.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return settings

    def standing(self) -> Settings:
        """Read the settings of a folder that is in use, and make nothing: who only looks must not
        leave a folder where --data was mistyped. Raises Refused."""
        settings = self.read()
        is_made = settings.store_path if settings.address.is_embedded else settings.keyring_path
        if not settings.folder.is_dir() or not is_made.is_file():
            raise Refused(
                f"There is no watchword data in {settings.folder.resolve()}. Name its folder with "
                "--data, or start there: watchword serve."
            )
        return settings

    def read(self) -> Settings:
        """Read the settings, and make nothing."""
        return config.load(self.data, self.config)


HERE = Where()


class Serving(msgspec.Struct, frozen=True):
    """A running server: where it answers, and the process that owns it."""

    base_url: str
    admin_url: str | None
    pid: int
    workers: int = 1
    host: str = "127.0.0.1"
    """Where it listens, as the settings put it."""


def running(folder: Path) -> Serving | None:
    """The server that runs on this folder; what a killed one left behind does not count."""
    serving = left(folder)
    return serving if serving is not None and _is_alive(serving.pid) else None


def left(folder: Path) -> Serving | None:
    """What serve.json says, whether or not that server still runs."""
    try:
        return msgspec.json.decode((folder / SERVE).read_bytes(), type=Serving)
    except (OSError, msgspec.MsgspecError):
        return None


def answers(serving: Serving) -> bool:
    """Whether it says that it lives. Nothing is told to it, so any certificate will do."""
    import ssl
    from http.client import HTTPException
    from urllib.request import HTTPSHandler, ProxyHandler, build_opener

    anyone = ssl.create_default_context()
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
    ask = build_opener(ProxyHandler({}), HTTPSHandler(context=anyone))
    try:
        with ask.open(f"{serving.base_url}/livez", timeout=LIVEZ_S) as answer:
            return bool(answer.status == 200)
    except (OSError, HTTPException, ValueError):
        return False


@contextmanager
def announced(folder: Path, serving: Serving) -> Iterator[None]:
    """Tell the other commands where we answer, for as long as we do."""
    write(folder / SERVE, msgspec.to_builtins(serving))
    try:
        yield
    finally:
        found = running(folder)
        if found is not None and found.pid == serving.pid:
            (folder / SERVE).unlink(missing_ok=True)


def base_url(settings: Settings) -> str:
    """Where the server answers, or will."""
    serving = running(settings.folder)
    return serving.base_url if serving else url(settings.server.host, settings.server.port)


def url(host: str, port: int, scheme: str = "http") -> str:
    """An address to open; a server on every address is reached on this machine's own."""
    reached = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"{scheme}://{f'[{reached}]' if ':' in reached else reached}:{port}"


def write(path: Path, content: Any) -> None:
    """Replace a file whole, readable by its owner only."""
    handle, fresh = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=2)
            file.write("\n")
        os.replace(fresh, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(fresh)
        raise


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid > 0
