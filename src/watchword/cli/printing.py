"""What a command prints: JSON for programs, a table for people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

_WIDEST = 10_000
AsJson = Annotated[bool, Parameter(name="--json", help="Print JSON.")]


def instant(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def print_json(value: Any) -> None:
    print(json.dumps(msgspec.to_builtins(value), indent=2, ensure_ascii=False))


def print_line(value: Any) -> None:
    """JSON on one line, without what is not known."""
    known = {k: v for k, v in msgspec.to_builtins(value).items() if v not in (None, "")}
    print(json.dumps(known, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table as wide as its content, so that pipes and narrow windows lose nothing."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=True)
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, Console(width=_WIDEST).measure(table).maximum)
    console.print(table)
