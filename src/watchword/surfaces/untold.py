"""What a request says that is nobody's to read: codes, addresses, passwords, tokens."""

from __future__ import annotations

from typing import Any

import msgspec


class Untold(msgspec.Struct, frozen=True, kw_only=True):
    """Prints its name alone."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(***)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []
