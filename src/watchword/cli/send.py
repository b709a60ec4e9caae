"""`watchword send`: ask the native API for a code."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from watchword.cli.calling import DEFAULT, Server, call, pairs
from watchword.cli.places import HERE, Where
from watchword.cli.printing import AsJson, print_line

if TYPE_CHECKING:
    from watchword.client import Verification


def send(
    to: Annotated[str, Parameter(help="A phone (+8613800138000) or a mailbox.")],
    /,
    *,
    channel: Annotated[str | None, Parameter(help="sms or email.")] = None,
    purpose: Annotated[str, Parameter(help="sign_in, sign_up, reset, change or bind.")] = "sign_in",
    locale: Annotated[str | None, Parameter(help="The message's language, as in zh-CN.")] = None,
    code_length: int | None = None,
    ttl: Annotated[int | None, Parameter(help="How long the code lives, in seconds.")] = None,
    binding: Annotated[tuple[str, ...], Parameter(help="name=value; may be repeated.")] = (),
    json: AsJson = False,
    server: Server = DEFAULT,
    where: Where = HERE,
) -> int:
    """Send a code, and print the id to check it by; what else there is to say goes to stderr."""
    wanted: dict[str, Any] = {
        "channel": channel,
        "purpose": purpose,
        "locale": locale,
        "code_length": code_length,
        "ttl": None if ttl is None else timedelta(seconds=ttl),
        "binding": pairs(binding),
    }
    sent = call(server, where, lambda client: client.send(to, **wanted))
    if json:
        print_line(sent)
    else:
        print(sent.id)
        print(_told(sent), file=sys.stderr)
    return 0


def _told(sent: Verification) -> str:
    until = f", valid until {sent.expires_at:%H:%M:%S} UTC" if sent.expires_at else ""
    return f"A code is on its way to {sent.to} by {sent.channel}{until}."
