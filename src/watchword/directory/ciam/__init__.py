"""CIAM's world: client applications, the users that some of them keep here, and their tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from watchword.directory.ciam.clients import Clients
from watchword.directory.ciam.tokens import Tokens
from watchword.directory.ciam.users import Users
from watchword.service.gate import Gate
from watchword.service.guard import Guard
from watchword.service.house import House


class Ciam(msgspec.Struct, frozen=True, kw_only=True):
    """`house` has the terms of this dialect; `gate` lets through who solved a captcha; `tries`
    bounds the changes that are prepared for one address and network; `language`
    ("zh" or "en") is that of a request that names none; `aj` says whether stock AJ-Captcha front
    ends are served too; `origins` are the web pages of other hosts that may call."""

    house: House
    gate: Gate
    clients: Clients
    users: Users
    tokens: Tokens
    tries: Guard
    language: Literal["zh", "en"]
    aj: bool
    origins: Sequence[str] = ()
