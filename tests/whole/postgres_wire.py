"""PostgreSQL's protocol, as far as one has to know it to overhear what clients ask for."""

import math
import re
import struct
from collections import Counter

_STARTUP = 196608
_ROUND_TRIPS = b"QSH"
"""Query, Sync and Flush: after these a client waits."""


class Wire:
    """What all clients of a proxy ask for, statement by statement. `ran` counts them by their text,
    `waits` how often a client waited for the server."""

    def __init__(self):
        self.ran: Counter[str] = Counter()
        self.waits = 0
        self._lost, self._times = re.compile(""), 0.0

    def ear(self):
        """For a proxy: listens to one connection."""
        return _Hearing(self).hear

    def forget(self):
        """Count anew."""
        self.ran.clear()
        self.waits = 0

    def lose(self, pattern, times=math.inf):
        """The next so many times, nobody learns what came of a statement like this."""
        self._lost, self._times = re.compile(pattern), times

    def lose_nothing(self):
        self._times = 0

    def times(self, pattern):
        """How often statements like this were run."""
        return sum(times for text, times in self.ran.items() if re.search(pattern, text))

    def is_lost(self, text):
        """Whether the reply to this statement, which is about to run, is to be kept back."""
        self.ran[text] += 1
        if self._times < 1 or not self._lost.search(text):
            return False
        self._times -= 1
        return True


class _Hearing:
    """One connection: the messages that a client sends, however they are cut into pieces."""

    def __init__(self, wire):
        self._wire = wire
        self._heard = b""
        self._has_begun = False
        self._statements, self._portals = {}, {}

    def hear(self, data):
        self._heard += data
        is_lost = False
        while message := self._next():
            is_lost = self._understood(*message) or is_lost
        return is_lost

    def _next(self):
        """The next whole message: its kind and its content. The first ones have no kind."""
        kinds = 1 if self._has_begun else 0
        if len(self._heard) < kinds + 4:
            return None
        (length,) = struct.unpack_from(">i", self._heard, kinds)
        if len(self._heard) < kinds + length:
            return None
        kind, content = self._heard[:kinds], self._heard[kinds + 4 : kinds + length]
        self._heard = self._heard[kinds + length :]
        return kind, content

    def _understood(self, kind, content):
        if not kind:
            self._has_begun = struct.unpack_from(">i", content) == (_STARTUP,)
            return False
        if kind in _ROUND_TRIPS:
            self._wire.waits += 1
        if kind == b"P":
            name, text = content.split(b"\0")[:2]
            self._statements[name] = text.decode()
        if kind == b"B":
            portal, name = content.split(b"\0")[:2]
            self._portals[portal] = self._statements.get(name, "")
        if kind == b"E":
            return self._wire.is_lost(self._portals[content.split(b"\0")[0]])
        return kind == b"Q" and self._wire.is_lost(content[:-1].decode())
