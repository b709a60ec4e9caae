"""`watchword inbox`: what the virtual carrier's phones and mailboxes received."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from watchword.cli.opened import ask
from watchword.cli.places import HERE, Where
from watchword.cli.printing import AsJson, print_json, print_table
from watchword.cli.refusal import Refused

if TYPE_CHECKING:
    from watchword.bootstrap import Service


def inbox(
    what: Annotated[Literal["list", "last"], Parameter(help="All messages, or the last.")] = "list",
    /,
    *,
    to: Annotated[str | None, Parameter(help="Only this address, however spelled.")] = None,
    code: Annotated[bool, Parameter(help="Print codes alone.")] = False,
    json: AsJson = False,
    where: Where = HERE,
) -> int:
    """Read what the virtual carrier received; prints nothing when there is nothing yet.

    ADDRESS may be spelled as any dialect spells it: +86 138 0013 8000, 0086-13800138000,
    86-13800138000, 1-2025550100, or a mailbox in any case.
    """
    received = ask(where.standing(), lambda service: _received(service, to))
    if not received and not json:
        print("Nothing yet.", file=sys.stderr)
    _show(received if what == "list" else received[-1:], what, code=code, as_json=json)
    return 0


async def _received(service: Service, to: str | None) -> Sequence[Any]:
    from watchword.service.read_inbox import read_inbox

    if service.inbox is None:
        raise Refused(
            "There is no inbox: real providers carry every channel. The virtual carrier is used "
            "while no other provider is set, or where [channels] names it."
        )
    return await read_inbox(service.inbox, to)


def _show(received: Sequence[Any], what: str, *, code: bool, as_json: bool) -> None:
    if code:
        print("".join(f"{one.code}\n" for one in received), end="")
    elif as_json:
        print_json(list(received) if what == "list" else next(iter(received), None))
    elif what == "last":
        print("".join(f"{one.text}\n" for one in received), end="")
    elif received:
        columns = ("at", "to", "channel", "code")
        at = "{:%Y-%m-%d %H:%M:%S}"
        print_table(columns, [(at.format(r.at), r.to, r.channel, r.code) for r in received])
