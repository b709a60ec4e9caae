"""`watchword store`: what an operator does to the store itself."""

from __future__ import annotations

import asyncio

from watchword.cli.places import HERE, Where


def migrate(*, where: Where = HERE) -> int:
    """Make the store, or bring its schema up to date. Starting a service does so too, where it is
    allowed to; afterwards an older watchword does not open the store."""
    from watchword.bootstrap import migrate

    before, after = asyncio.run(migrate(where.settings()))
    if before == after:
        print(f"The store is up to date: its schema is version {after}.")
    elif before == 0:
        print(f"The store is made: its schema is version {after}.")
    else:
        print(f"The store is up to date: its schema went from version {before} to {after}.")
    return 0
