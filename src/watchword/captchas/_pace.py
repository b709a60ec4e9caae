"""Long work in a thread, without making those wait who answer requests in another."""

from __future__ import annotations

import time

_INSTANT_S = 50e-6


def let_others_run() -> None:
    """To be called every half millisecond or so of work.

    Python takes the interpreter away from a busy thread after five milliseconds only. A request
    hands over between threads several times, and would wait so long each time.
    """
    time.sleep(_INSTANT_S)
