"""The key ring: one key for codes, one for seals, one for the journal, one for indexes.

Codes and seals name the id of the key that made them, so several ids live at once and rotation
breaks nothing. The index key is never rotated: counters and look-ups hang on it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from hashlib import blake2b
from hmac import compare_digest

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from watchword.errors import KeyUnknown

_framed = msgspec.msgpack.Encoder().encode
_NONCE = 12
_ID = 2


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
        drawing = active.get("code")
        self._drawing = None if drawing is None else code[drawing]
        self._code = sorted(code.values(), key=lambda key: key is not self._drawing)
        self._seal = {i: AESGCM(key) for i, key in seal.items()}
        self._sealing = (active["seal"].to_bytes(_ID, "big"), self._seal[active["seal"]])
        self.journal = dict(journal)
        self._journalling = active.get("journal", max(self.journal))
        self._index = index

    def __repr__(self) -> str:
        return "KeyRing(***)"

    @property
    def fingerprint(self) -> str:
        """What tells this ring from another, and no secret of it; rotation does not change it."""
        return self.index("fingerprint").hex()

    def digest(self, challenge_id: str, code: str) -> bytes:
        """The digest under which a new code is kept; the challenge id is its salt. Raises
        KeyUnknown while no code key is active."""
        return _mac(self._active_code(), ("code", challenge_id, _text(code)), 32)

    def digests(self, challenge_id: str, code: str, *, tests_of: str = "") -> tuple[bytes, ...]:
        """What a given code may match: a draw of this challenge, or a test number of the app that
        `tests_of` names."""
        text = _text(code)
        kinds = [("code", challenge_id, text)]
        if tests_of:
            kinds.append(("test", tests_of, text))
        return tuple([_mac(key, kind, 32) for key in self._code for kind in kinds])

    def test_digest(self, app_id: str, code: str) -> bytes:
        """The digest of a test number's fixed code. Raises KeyUnknown as `digest` does."""
        return _mac(self._active_code(), ("test", app_id, _text(code)), 32)

    @property
    def can_draw(self) -> bool:
        """Whether a code key is active."""
        return self._drawing is not None

    def _active_code(self) -> bytes:
        if self._drawing is None:
            raise KeyUnknown("No code key is active.")
        return self._drawing

    def index(self, *parts: str | bytes) -> bytes:
        """16 bytes that stand for these parts in look-ups and counters."""
        return blake2b(_framed(parts), key=self._index, digest_size=16).digest()

    def journal_mac(self, *parts: str | bytes | int) -> bytes:
        """What proves an entry of the journal: key id, keyed hash over framed parts."""
        key = self.journal[self._journalling]
        return self._journalling.to_bytes(_ID, "big") + _mac(key, parts, 32)

    def journal_knows(self, mac: bytes, *parts: str | bytes | int) -> bool:
        """Whether we made this mac of these parts. Raises KeyUnknown when the ring lacks the
        key."""
        key = self.journal.get(int.from_bytes(mac[:_ID], "big"))
        if key is None:
            raise KeyUnknown
        return compare_digest(mac[_ID:], _mac(key, parts, 32))

    def seal(self, plain: bytes, bound_to: bytes) -> bytes:
        """AES-GCM under the active seal key: key id, nonce, ciphertext."""
        key_id, cipher = self._sealing
        nonce = os.urandom(_NONCE)
        return key_id + nonce + cipher.encrypt(nonce, plain, bound_to)

    def unseal(self, sealed: bytes, bound_to: bytes) -> bytes:
        """Raises KeyUnknown when the ring lacks the key, or what it opens was bound elsewhere."""
        cipher = self._seal.get(int.from_bytes(sealed[:_ID], "big"))
        if cipher is None:
            raise KeyUnknown
        try:
            return cipher.decrypt(sealed[_ID : _ID + _NONCE], sealed[_ID + _NONCE :], bound_to)
        except (InvalidTag, ValueError):  # a nonce cut short is a ValueError
            raise KeyUnknown("What was sealed does not open with this key ring.") from None


def _mac(key: bytes, parts: tuple[str | bytes | int, ...], size: int) -> bytes:
    """Keyed BLAKE2b (RFC 7693) over framed parts, so that no two lists of parts read alike."""
    return blake2b(_framed(parts), key=key, digest_size=size).digest()


def _text(code: str) -> bytes:
    return code.encode("utf-8", "surrogatepass")
