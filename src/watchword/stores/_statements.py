"""The statements of a store's queries.sql, by name."""

from __future__ import annotations

import re
from importlib.resources import files

_NAMED = re.compile(r"^-- name: (\w+)\n((?:.*\n)*?)(?=^-- name: |\Z)", re.MULTILINE)
_COMMENT = re.compile(r"^--.*\n?", re.MULTILINE)
BEHIND = (
    "An older watchword made this store, and a look does not change it: run watchword store "
    "migrate, or start the server, which does that, too."
)


def statements(package: str) -> dict[str, str]:
    """Read queries.sql of a package: each statement under the name above it."""
    text = files(package).joinpath("queries.sql").read_text("utf-8")
    return {name: _COMMENT.sub("", body).strip() for name, body in _NAMED.findall(text)}


def migrations(package: str) -> list[str]:
    """The texts of migrations/NNNN_*.sql in order; a store counts those it has applied."""
    return scripts(package, "migrations")


def scripts(package: str, folder: str) -> list[str]:
    """The texts of a folder of a package, in the order of their names."""
    items = files(package).joinpath(folder).iterdir()
    found = sorted((item.name, item) for item in items if item.name.endswith(".sql"))
    return [item.read_text("utf-8") for _, item in found]
