"""A real Prometheus on a port of its own, and promtool: Debian's package `prometheus` has both."""

import json
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.postgres_server import free_port

DEPLOYED = Path(__file__).parent.parent / "deploy"
RULES = DEPLOYED / "prometheus"
DEADLINE_S = 30
POLL_S = 0.05


def absent() -> str:
    """Why rules cannot be judged here; empty where they can."""
    if shutil.which("promtool") and shutil.which("prometheus"):
        return ""
    return "there is no Prometheus here: apt-get install prometheus"


def promtool(*words: str, told: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run it where the rules are, with `told` on its stdin."""
    return subprocess.run(
        ["promtool", *words], cwd=RULES, input=told, capture_output=True, timeout=DEADLINE_S
    )


class Prometheus:
    """What it answers."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def ask(self, path: str, **given: str) -> Any:
        asked = urllib.parse.urlencode(given)
        with urllib.request.urlopen(f"{self.url}{path}?{asked}", timeout=DEADLINE_S) as answer:  # noqa: S310
            return json.load(answer)["data"]

    def firing(self) -> set[str]:
        alerts = self.ask("/api/v1/alerts")["alerts"]
        return {one["labels"]["alertname"] for one in alerts if one["state"] == "firing"}


@contextmanager
def scraping(target: str, folder: Path) -> Iterator[Prometheus]:
    """One that scrapes this address twice a second and knows our alerts, which wait for nothing:
    whether they fire is shown here, for how long they wait is in alerts_test.yml."""
    rules = (RULES / "alerts.yml").read_text()
    waits = (line for line in rules.splitlines() if not line.strip().startswith("for:"))
    (folder / "alerts.yml").write_text("\n".join(waits))
    settings = (RULES / "prometheus.yml").read_text().replace("127.0.0.1:9464", target)
    (folder / "prometheus.yml").write_text(settings.replace("15s", "500ms"))
    port = free_port()
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        found = Prometheus(port)
        _until_ready(found, process)
        yield found
    finally:
        process.kill()
        process.wait()


def _until_ready(prometheus: Prometheus, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while True:
        with (
            suppress(OSError),
            urllib.request.urlopen(f"{prometheus.url}/-/ready", timeout=DEADLINE_S),  # noqa: S310
        ):
            return
        assert process.poll() is None, "prometheus ended"
        assert time.monotonic() < deadline, "prometheus does not answer"
        time.sleep(POLL_S)
