"""Look for a secret in bytes, in every spelling that one could have got there in."""

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Collection, Iterable, Iterator, Mapping
from urllib.parse import quote

import numpy as np

Leak = tuple[str, str, str]
"""Which secret, in which spelling, where."""
_MANY = 16
"""From so many on, one look at everything is cheaper than one for each."""


def spellings(secret: str) -> dict[str, bytes]:
    """Each way in which a secret may be written, by its name."""
    plain = secret.encode()
    return {
        "raw": plain,
        "lower case": plain.lower(),
        "upper case": plain.upper(),
        "percent-encoded": quote(secret, safe="").encode(),
        "percent-encoded, all of it": b"".join(b"%%%02X" % byte for byte in plain),
        "percent-encoded, lower case": b"".join(b"%%%02x" % byte for byte in plain),
        "hexadecimal": plain.hex().encode(),
        "hexadecimal, upper case": plain.hex().upper().encode(),
        "UTF-16, little end first": secret.encode("utf-16-le"),
        "UTF-16, big end first": secret.encode("utf-16-be"),
        "JSON escapes": b"".join(b"\\u%04x" % byte for byte in plain),
        **{f"base64 at {n}": _base64(plain, n, b64encode) for n in range(3)},
        **{f"base64 for addresses at {n}": _base64(plain, n, urlsafe_b64encode) for n in range(3)},
    }


def _base64(plain, before, encode):
    """What stands in the base64 of any text that has `before` bytes, modulo 3, before this: the
    characters that depend on no neighbour."""
    encoded = encode(bytes(before) + plain)
    return encoded[(0, 2, 3)[before] : (before + len(plain)) * 8 // 6]


def leaks(secrets: Collection[str], places: Mapping[str, bytes]) -> Iterator[Leak]:
    """Every secret found, in whatever spelling, in these places."""
    begins = _Beginnings(places.values()) if len(secrets) > _MANY else None
    for secret in secrets:
        for spelling, needle in spellings(secret).items():
            if begins is not None and not begins.there(needle):
                continue
            for place, content in places.items():
                if needle in content:
                    yield secret, spelling, place


class _Beginnings:
    """All that stands anywhere in these contents, eight bytes long: one look for thousands of
    needles, which leaves none of them out."""

    def __init__(self, contents: Iterable[bytes]) -> None:
        whole = np.frombuffer(b"".join(contents) + bytes(8), dtype=np.uint8)
        windows = np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(whole, 8))
        self._known = np.unique(windows.view(np.uint64))

    def there(self, needle: bytes) -> bool:
        wanted = np.frombuffer(needle[:8], dtype=np.uint64)[0]
        place = np.searchsorted(self._known, wanted)
        return bool(place < len(self._known) and self._known[place] == wanted)
