"""The key ring on disk: made at the first start, readable to its owner only, never backed up."""

from __future__ import annotations

import os
import secrets
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Annotated

import msgspec

from watchword.domain.keys import KeyRing
from watchword.errors import ConfigInvalid

_SIZE = 32
_KINDS = ("code", "seal", "journal")


class _Key(msgspec.Struct, frozen=True):
    id: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    secret: str


class _File(msgspec.Struct, frozen=True, kw_only=True):
    """Several keys of a kind may live at once; `active` names the one that makes new things."""

    version: int = 1
    index: str
    code: list[_Key]
    seal: list[_Key]
    journal: list[_Key]
    active: dict[str, int]


def load_or_make(path: Path) -> KeyRing:
    """Read the ring, or make it. Of two processes that start at once, one makes it for both.

    Raises ConfigInvalid when the file cannot be read, is not a key ring, or others may read it.
    """
    try:
        if not path.exists():
            _make(path)
        if path.stat().st_mode & 0o077:
            raise ConfigInvalid([f"keys.path: {path} must be readable to its owner only (0600)."])
        file = msgspec.json.decode(path.read_bytes(), type=_File)
        return _ring(file)
    except (OSError, ValueError, KeyError, msgspec.DecodeError):
        raise ConfigInvalid([f"keys.path: {path} is not a readable key ring."]) from None


def _ring(file: _File) -> KeyRing:
    kinds = {kind: {key.id: _bytes(key.secret) for key in getattr(file, kind)} for kind in _KINDS}
    return KeyRing(
        code=kinds["code"],
        seal=kinds["seal"],
        journal=kinds["journal"],
        index=_bytes(file.index),
        active=file.active,
    )


def _make(path: Path) -> None:
    fresh = _File(
        index=_secret(),
        code=[_Key(1, _secret())],
        seal=[_Key(1, _secret())],
        journal=[_Key(1, _secret())],
        active=dict.fromkeys(_KINDS, 1),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(msgspec.json.format(msgspec.json.encode(fresh)))
            out.flush()
            os.fsync(out.fileno())
        os.link(draft, path)
    except FileExistsError:
        return  # another process was first; its ring is the ring
    finally:
        draft.unlink()


def _bytes(secret: str) -> bytes:
    """A key cut short would still make digests, so its length is asked for."""
    plain = b64decode(secret)
    if len(plain) != _SIZE:
        raise ValueError
    return plain


def _secret() -> str:
    return b64encode(secrets.token_bytes(_SIZE)).decode()
