"""The key ring: one key for codes, one for seals, one for the journal, one for indexes.

Codes and seals name the id of the key that made them, so several ids live at once and rotation
breaks nothing. The index key is never rotated: counters and look-ups hang on it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from hashlib import blake2b
from hmac import compare_digest

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from watchword.errors import KeyUnknown

_framed = msgspec.msgpack.Encoder().encode
_NONCE = 12
_ID = 2


class _Live:
    """The keys as they are now. It never changes; a ring that is reloaded has another one."""

    __slots__ = ("active", "code", "drawing", "journal", "journalling", "seal", "sealing")

    def __init__(
        self,
        code: Mapping[int, bytes],
        seal: Mapping[int, bytes],
        journal: Mapping[int, bytes],
        active: Mapping[str, int],
    ) -> None:
        drawing = active.get("code")
        self.drawing = None if drawing is None else code[drawing]
        self.code = dict(sorted(code.items(), key=lambda one: one[0] != drawing))
        self.seal = {i: AESGCM(key) for i, key in seal.items()}
        self.sealing = (active["seal"].to_bytes(_ID, "big"), self.seal[active["seal"]])
        self.journal = dict(journal)
        self.journalling = active.get("journal", max(self.journal))
        self.active = dict(active)


class KeyRing:
    """Digests, seals and indexes. Prints nothing of what it holds."""

    def __init__(
        self,
        *,
        code: Mapping[int, bytes],
        seal: Mapping[int, bytes],
        journal: Mapping[int, bytes],
        index: bytes,
        active: Mapping[str, int],
    ) -> None:
        """Each mapping goes from key id (1 to 65535) to 32 secret bytes; `active` names the id of
        each kind that makes new things. Without an active code key no code is drawn, and those
        that were are still judged; the first code key tried is the active one."""
        self._live = _Live(code, seal, journal, active)
        self._index = index
        self.look: Callable[[], None] = _nothing
        """Called before a code is judged, and where a key is unknown: it may `adopt` what another
        process has put into the ring meanwhile. It has to cost next to nothing."""

    def __repr__(self) -> str:
        return "KeyRing(***)"

    @property
    def fingerprint(self) -> str:
        """What tells this ring from another, and no secret of it; rotation does not change it."""
        return self.index("fingerprint").hex()

    @property
    def journal(self) -> Mapping[int, bytes]:
        return self._live.journal

    @property
    def active(self) -> Mapping[str, int]:
        """By kind, the id of the key that makes new things."""
        return self._live.active

    @property
    def ids(self) -> Mapping[str, Sequence[int]]:
        """By kind, the ids of all keys that are understood."""
        live = self._live
        kinds: dict[str, Collection[int]] = {
            "code": live.code,
            "seal": live.seal,
            "journal": live.journal,
        }
        return {kind: sorted(keys) for kind, keys in kinds.items()}

    def adopt(self, other: KeyRing) -> bool:
        """Take over the keys of a later state of this ring, in one step for whoever uses it. False
        where it is another ring: then nothing changes."""
        if other.fingerprint != self.fingerprint:
            return False
        self._live = other._live
        return True

    def digest(self, challenge_id: str, code: str) -> bytes:
        """The digest under which a new code is kept; the challenge id is its salt. Raises
        KeyUnknown while no code key is active."""
        return _mac(self._active_code(), ("code", challenge_id, _text(code)), 32)

    def digests(self, challenge_id: str, code: str, *, tests_of: str = "") -> tuple[bytes, ...]:
        """What a given code may match: a draw of this challenge, or a test number of the app that
        `tests_of` names.

        A digest names no key, so nobody could tell afterwards that one was missing: the look comes
        first.
        """
        self.look()
        text = _text(code)
        kinds = [("code", challenge_id, text)]
        if tests_of:
            kinds.append(("test", tests_of, text))
        return tuple([_mac(key, kind, 32) for key in self._live.code.values() for kind in kinds])

    def test_digest(self, app_id: str, code: str) -> bytes:
        """The digest of a test number's fixed code. Raises KeyUnknown as `digest` does."""
        return _mac(self._active_code(), ("test", app_id, _text(code)), 32)

    @property
    def can_draw(self) -> bool:
        """Whether a code key is active."""
        return self._live.drawing is not None

    def _active_code(self) -> bytes:
        if (drawing := self._live.drawing) is None:
            raise KeyUnknown("No code key is active.")
        return drawing

    def index(self, *parts: str | bytes) -> bytes:
        """16 bytes that stand for these parts in look-ups and counters."""
        return blake2b(_framed(parts), key=self._index, digest_size=16).digest()

    def journal_mac(self, *parts: str | bytes | int) -> bytes:
        """What proves an entry of the journal: key id, keyed hash over framed parts."""
        live = self._live
        return live.journalling.to_bytes(_ID, "big") + _mac(
            live.journal[live.journalling], parts, 32
        )

    def journal_knows(self, mac: bytes, *parts: str | bytes | int) -> bool:
        """Whether we made this mac of these parts. Raises KeyUnknown when the ring lacks the
        key."""
        key_id = int.from_bytes(mac[:_ID], "big")
        if key_id not in self._live.journal:
            self.look()
        key = self._live.journal.get(key_id)
        if key is None:
            raise KeyUnknown
        return compare_digest(mac[_ID:], _mac(key, parts, 32))

    def seal(self, plain: bytes, bound_to: bytes) -> bytes:
        """AES-GCM under the active seal key: key id, nonce, ciphertext."""
        key_id, cipher = self._live.sealing
        nonce = os.urandom(_NONCE)
        return key_id + nonce + cipher.encrypt(nonce, plain, bound_to)

    def unseal(self, sealed: bytes, bound_to: bytes) -> bytes:
        """Raises KeyUnknown when the ring lacks the key, or what it opens was bound elsewhere."""
        key_id = sealed_under(sealed)
        cipher = self._live.seal.get(key_id)
        if cipher is None:
            self.look()
            cipher = self._live.seal.get(key_id)
        if cipher is None:
            raise KeyUnknown
        try:
            return cipher.decrypt(sealed[_ID : _ID + _NONCE], sealed[_ID + _NONCE :], bound_to)
        except (InvalidTag, ValueError):  # a nonce cut short is a ValueError
            raise KeyUnknown("What was sealed does not open with this key ring.") from None


def sealed_under(sealed: bytes) -> int:
    """The id of the key that made a seal; 0, which no key has, where there is none."""
    return int.from_bytes(sealed[:_ID], "big")


def _mac(key: bytes, parts: tuple[str | bytes | int, ...], size: int) -> bytes:
    """Keyed BLAKE2b (RFC 7693) over framed parts, so that no two lists of parts read alike."""
    return blake2b(_framed(parts), key=key, digest_size=size).digest()


def _nothing() -> None:
    """A ring that nobody else changes needs no look."""


def _text(code: str) -> bytes:
    return code.encode("utf-8", "surrogatepass")
