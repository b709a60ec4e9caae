"""Arrays as PostgreSQL writes them. The driver looks at each element of a list for its kind, which
costs more than all else it does for an act; a text it sends as it is."""

from __future__ import annotations

from collections.abc import Iterable

NONE = "{}"


def numbers(values: Iterable[int | None]) -> str:
    return "{" + ",".join("NULL" if value is None else str(value) for value in values) + "}"


def octets(values: Iterable[bytes]) -> str:
    return "{" + ",".join(f'"\\\\x{value.hex()}"' for value in values) + "}"
