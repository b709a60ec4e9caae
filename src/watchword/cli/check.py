"""`watchword check`: ask the native API whether a code is right."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from watchword.cli.calling import DEFAULT, Server, call, pairs
from watchword.cli.places import HERE, Where
from watchword.cli.printing import AsJson, print_line


def check(
    id: Annotated[str, Parameter(help="What send printed.")],
    code: Annotated[str, Parameter(help="What the person typed.")],
    /,
    *,
    binding: Annotated[tuple[str, ...], Parameter(help="As with send.")] = (),
    json: AsJson = False,
    server: Server = DEFAULT,
    where: Where = HERE,
) -> int:
    """Check a code: exits with 0 when it is approved, with 1 when it is not."""
    found = call(server, where, lambda client: client.check(id, code, binding=pairs(binding)))
    if json:
        print_line(found)
    elif found.approved:
        print("Approved.")
    else:
        print(f"Wrong; {_left(found.attempts_left)}.")
    return 0 if found.approved else 1


def _left(attempts: int) -> str:
    if attempts == 0:
        return "no attempts left, send a new code"
    return "1 attempt left" if attempts == 1 else f"{attempts} attempts left"
