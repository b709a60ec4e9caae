"""A command's short visit to the service: open it, ask, close it. It delivers nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from watchword.config import Settings

if TYPE_CHECKING:
    from watchword.bootstrap import Service

Found = TypeVar("Found")


def ask(settings: Settings, question: Callable[[Service], Awaitable[Found]]) -> Found:
    """The answer to a question put to the service."""
    from watchword.bootstrap import bootstrap

    async def visit() -> Found:
        async with bootstrap(settings, deliver=False) as service:
            return await question(service)

    return asyncio.run(visit())
