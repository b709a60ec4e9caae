"""The vendors' own Node clients, in a process beside the tests: node/bridge.js is its other end."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

FOLDER = Path(__file__).parent / "node"


class NodeFailed(Exception):
    """A client threw; `thrown` holds what its error holds, its name and its message."""

    def __init__(self, thrown: dict[str, Any]) -> None:
        super().__init__(thrown["message"])
        self.thrown = thrown


class Node:
    """Calls the commands of bridge.js by their names, one at a time."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __call__(self, command: str, **given: Any) -> Any:
        """What the command gives. Raises NodeFailed where it throws."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"command": command, **given}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "fails" in answer:
            raise NodeFailed(answer["fails"])
        return answer.get("gives")


def absent() -> str:
    """Why there are no Node clients here; empty where there are."""
    if not shutil.which("node") or not shutil.which("npm"):
        return "there is no Node here: node and npm have to be on the PATH"
    if not (FOLDER / "node_modules" / "ready").exists():
        return "the Node clients are not installed: run scripts/node"
    return ""


@contextmanager
def running() -> Iterator[Node]:
    command, pipe = ["node", str(FOLDER / "bridge.js")], subprocess.PIPE
    with (
        TemporaryDirectory() as folder,  # one client leaves a log where it runs
        subprocess.Popen(command, cwd=folder, stdin=pipe, stdout=pipe, encoding="utf-8") as process,
    ):
        try:
            yield Node(process)
        finally:
            process.kill()
