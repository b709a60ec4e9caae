"""What the tests of every captcha share."""

import pytest


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request):
    """Captchas are drawn on both loops: `serve` uses the faster one, where there is one."""
    return "asyncio", {"use_uvloop": request.param == "uvloop"}
