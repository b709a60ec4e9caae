"""The statements of queries.sql, by name."""

from __future__ import annotations

import re
from importlib.resources import files

_NAMED = re.compile(r"^-- name: (\w+)\n((?:.*\n)*?)(?=^-- name: |\Z)", re.MULTILINE)
_COMMENT = re.compile(r"^--.*\n?", re.MULTILINE)


def statements() -> dict[str, str]:
    """Read queries.sql: each statement under the name above it."""
    text = files(__package__).joinpath("queries.sql").read_text("utf-8")
    return {name: _COMMENT.sub("", body).strip() for name, body in _NAMED.findall(text)}


SQL = statements()
