"""One look at all that an act has to know before it decides: many looks, one statement."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from itertools import chain
from typing import Any

import apsw

from watchword.stores.sqlite._queries import SQL

Look = tuple[str, tuple[Any, ...]]
"""The name of a statement that answers with (name, key, ...), and its parameters."""

Known = dict[tuple[str, bytes], tuple[Any, ...]]
"""What was found under (name, key)."""


def look(cursor: apsw.Cursor, looks: Iterable[Look]) -> Known:
    """What was found; nothing stands for what is not there."""
    names, parameters = zip(*looks, strict=True)
    found: list[tuple[Any, ...]] = cursor.execute(
        _all(names), tuple(chain.from_iterable(parameters))
    ).fetchall()
    return {row[:2]: row[2:] for row in found}


@cache
def _all(names: tuple[str, ...]) -> str:
    return " UNION ALL ".join(SQL[name].rstrip(";") for name in names)
