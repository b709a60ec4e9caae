"""Where the processes of one server read what each of them has posted.

It is memory that the parent makes before it forks, so that it outlives every child and nothing of
it rests on a disk. Each place has two pages that are written in turn: whoever is killed while
writing leaves the other one whole.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Sequence
from zlib import crc32

_PAGE = 512 * 1024
_HEAD = struct.Struct("<QII")
"""How many were posted here before, how long this one is, and its checksum."""


class Board:
    """Has a place for each child."""

    def __init__(self, places: int) -> None:
        self._memory = mmap.mmap(-1, places * 2 * _PAGE)
        self.places = tuple(Place(self, number) for number in range(places))

    def write(self, number: int, told: bytes) -> None:
        """What is too long is not posted: what was posted before stays."""
        if len(told) > _PAGE - _HEAD.size:
            return
        count = self._newest(number)[0] + 1
        at = self._page(number, count % 2)
        self._memory[at + _HEAD.size : at + _HEAD.size + len(told)] = told
        _HEAD.pack_into(self._memory, at, count, len(told), crc32(told))

    def read(self, number: int) -> bytes:
        return self._newest(number)[1]

    def _newest(self, number: int) -> tuple[int, bytes]:
        return max(self._whole(self._page(number, half)) for half in (0, 1))

    def _whole(self, at: int) -> tuple[int, bytes]:
        count, length, checksum = _HEAD.unpack_from(self._memory, at)
        told = self._memory[at + _HEAD.size : at + _HEAD.size + min(length, _PAGE - _HEAD.size)]
        return (count, told) if count and crc32(told) == checksum else (0, b"")

    def _page(self, number: int, half: int) -> int:
        return (2 * number + half) * _PAGE


class Place:
    """One child's place on the board."""

    def __init__(self, board: Board, number: int) -> None:
        self._board, self._number = board, number

    def post(self, told: bytes) -> None:
        self._board.write(self._number, told)

    def posted(self) -> bytes:
        return self._board.read(self._number)

    def others(self) -> Sequence[bytes]:
        places = (place for place in self._board.places if place is not self)
        return [told for place in places if (told := place.posted())]
