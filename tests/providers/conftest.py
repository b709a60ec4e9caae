"""What the tests of every provider share."""

import secrets
from datetime import UTC, datetime

import pytest

from watchword.domain.keys import KeyRing


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request):
    """Providers run on both loops: `serve` uses the faster one, where there is one."""
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


@pytest.fixture
def keys():
    kinds = {kind: {1: secrets.token_bytes(32)} for kind in ("code", "seal", "journal")}
    active = dict.fromkeys(kinds, 1)
    return KeyRing(**kinds, index=secrets.token_bytes(32), active=active)


@pytest.fixture
def clock():
    return Clock()


class Clock:
    """Stands still until it is told otherwise."""

    def __init__(self):
        self.now = datetime(2026, 3, 29, 0, 59, tzinfo=UTC)

    def __call__(self):
        return self.now
