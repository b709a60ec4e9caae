"""The key ring on disk: made at the first start, readable to its owner only, never backed up.

It is replaced whole or not at all, by one process at a time. Whoever holds the ring looks at the
file's status now and then, which costs next to nothing, and reads it once for each time it changed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec

from watchword.domain.keys import KeyRing
from watchword.errors import ConfigInvalid

KINDS = ("code", "seal", "journal")
_SIZE = 32
_PATIENCE_S = 5.0
_POLL_S = 0.02
_BUSY = "another process is changing the key ring; try again"


class Key(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file that an older watchword made tells no instants."""

    id: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    secret: str
    added_at: datetime | None = None
    activated_at: datetime | None = None

    def __repr__(self) -> str:
        return f"Key(id={self.id}, secret=***)"


class File(msgspec.Struct, frozen=True, kw_only=True):
    """Several keys of a kind may live at once; `active` names the one that makes new things."""

    version: int = 1
    index: str
    code: list[Key]
    seal: list[Key]
    journal: list[Key]
    active: dict[str, int]

    def __repr__(self) -> str:
        return "File(***)"

    def keys(self, kind: str) -> list[Key]:
        found: list[Key] = getattr(self, kind)
        return found

    @property
    def waiting(self) -> Mapping[str, int]:
        """By kind, the newest key where it never was active: a rotation that is half done. One that
        was taken out of use is none of them."""
        newest = {kind: max(self.keys(kind), key=lambda key: key.id) for kind in KINDS}
        return {
            kind: key.id
            for kind, key in newest.items()
            if key.added_at and not key.activated_at and key.id > self.active.get(kind, 0)
        }

    def with_new(self, now: datetime) -> File:
        """A new key of each kind, not active; never one of indexes, on which all else hangs."""
        id = max(key.id for kind in KINDS for key in self.keys(kind)) + 1
        added = {kind: [*self.keys(kind), Key(id, _secret(), now)] for kind in KINDS}
        return msgspec.structs.replace(self, **added)

    def with_newest_active(self, now: datetime) -> File:
        """What waits makes new things from now on."""
        waiting = self.waiting
        dated = {
            kind: [
                msgspec.structs.replace(key, activated_at=now) if key.id == id else key
                for key in self.keys(kind)
            ]
            for kind, id in waiting.items()
        }
        return msgspec.structs.replace(self, **dated, active={**self.active, **waiting})

    def without(self, kind: str, id: int) -> File:
        kept = [key for key in self.keys(kind) if key.id != id]
        return msgspec.structs.replace(self, **{kind: kept})


def load_or_make(path: Path) -> KeyRing:
    """Read the ring, or make it. Of two processes that start at once, one makes it for both.

    Raises ConfigInvalid when the file cannot be read, is not a key ring, or others may read it.
    """
    try:
        if not path.exists():
            _make(path)
        return ring(read(path))
    except OSError:
        raise _unreadable(path) from None


def read(path: Path) -> File:
    """What the file says. Raises ConfigInvalid as `load_or_make` does."""
    try:
        return _read(path)
    except OSError:
        raise _unreadable(path) from None


def ring(file: File) -> KeyRing:
    kinds = {kind: {key.id: _bytes(key.secret) for key in file.keys(kind)} for kind in KINDS}
    return KeyRing(
        code=kinds["code"],
        seal=kinds["seal"],
        journal=kinds["journal"],
        index=_bytes(file.index),
        active=file.active,
    )


def change(path: Path, change: Callable[[File], File]) -> File:
    """Replace the file by what becomes of it, whole or not at all, whatever happens meanwhile; one
    process at a time. Raises ConfigInvalid, and OSError where another does not come to an end."""
    with _alone(path):
        before = read(path)
        after = change(before)
        if after != before:
            _replace(path, after)
    return after


class Watched:
    """The file of a ring that is in use. `tell` is called with what became of a change: "reloaded",
    or why it was refused; once for each state of the file."""

    def __init__(self, path: Path, keys: KeyRing, tell: Callable[[str], None]) -> None:
        self._path, self._keys, self._tell = path, keys, tell
        self._seen: tuple[int, ...] = ()
        self._is_away = False

    def look(self) -> None:
        """Adopt what the file says, if it changed since the last look. What is not a later state of
        this ring is refused, and the keys in use stay."""
        try:
            status = self._path.stat()
            # The time of change tells of a mode or an owner that was put right, too.
            seen = (status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size)
            if seen != self._seen:
                self._take(seen)
            self._is_away = False
        except OSError:
            # Not seen: what could not be read, for want of a file handle, may be at the next look.
            if not self._is_away:
                self._is_away = True
                self._tell("the file is gone or cannot be reached")

    def _take(self, seen: tuple[int, ...]) -> None:
        try:
            adopted = self._keys.adopt(ring(_read(self._path)))
            said = "reloaded" if adopted else "the file is another key ring"
        except ConfigInvalid:
            said = "the file is not a readable key ring"
        is_as_loaded = said == "reloaded" and not self._seen and not self._is_away
        self._seen = seen
        if not is_as_loaded:
            self._tell(said)


def _read(path: Path) -> File:
    if path.stat().st_mode & 0o077:
        raise ConfigInvalid([f"keys.path: {path} must be readable to its owner only (0600)."])
    try:
        file = msgspec.json.decode(path.read_bytes(), type=File)
        ring(file)
    except (ValueError, KeyError, msgspec.DecodeError):
        raise _unreadable(path) from None
    return file


def _unreadable(path: Path) -> ConfigInvalid:
    return ConfigInvalid([f"keys.path: {path} is not a readable key ring."])


def _make(path: Path) -> None:
    fresh = File(
        index=_secret(),
        code=[Key(1, _secret())],
        seal=[Key(1, _secret())],
        journal=[Key(1, _secret())],
        active=dict.fromkeys(KINDS, 1),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        _write(draft, fresh)
        os.link(draft, path)
    except FileExistsError:
        return  # another process was first; its ring is the ring
    finally:
        draft.unlink()


def _replace(path: Path, file: File) -> None:
    """Nobody else writes the draft meanwhile; what a killed process left of one goes first."""
    draft = path.with_name(f".{path.name}.next")
    draft.unlink(missing_ok=True)
    try:
        _write(draft, file)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _write(draft: Path, file: File) -> None:
    handle = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(handle, "wb") as out:
        out.write(msgspec.json.format(msgspec.json.encode(file)))
        out.flush()
        os.fsync(out.fileno())


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the ring's folder, which stays where it is while the file is replaced."""
    folder = os.open(path.parent, os.O_RDONLY)
    ends_at = time.monotonic() + _PATIENCE_S
    try:
        while True:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > ends_at:
                    raise OSError(errno.EAGAIN, _BUSY, str(path)) from None
                time.sleep(_POLL_S)
        yield
    finally:
        os.close(folder)


def _bytes(secret: str) -> bytes:
    """A key cut short would still make digests, so its length is asked for."""
    plain = b64decode(secret)
    if len(plain) != _SIZE:
        raise ValueError
    return plain


def _secret() -> str:
    return b64encode(secrets.token_bytes(_SIZE)).decode()
