"""A real browser: Debian's Chromium without a window, on a profile of its own."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

AXE = Path(__file__).parent / "node/node_modules/axe-core/axe.min.js"
PATIENCE_MS = 30_000

# It runs as root in containers, where its sandbox cannot, and asks nobody for anything.
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-sync",
    "--no-first-run",
]
_NAMES = ("chromium", "chromium-browser", "google-chrome")


def path() -> str | None:
    return next(filter(None, map(shutil.which, _NAMES)), None)


def absent() -> str:
    """Why pages cannot be judged here; empty where they can."""
    if not path():
        return "there is no Chromium here: apt-get install chromium"
    return "" if AXE.exists() else "axe-core is not installed: run scripts/node"


@contextmanager
def running() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path(), args=_FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def barriers(page: Page) -> list[str]:
    """What axe-core finds in the way of people, shadow trees included: rule, impact and place."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found: dict[str, Any] = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{rule['id']} ({rule['impact']}): {json.dumps([node['target'] for node in rule['nodes']])}"
        for rule in found["violations"]
    ]
