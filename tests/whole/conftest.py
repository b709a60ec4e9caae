"""The real thing: `watchword serve` as a process, on a data folder and ports of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.contract import places
from tests.processes import kill_family
from watchword import config

ROOT = Path(__file__).parent.parent.parent
WATCHWORD = Path(sys.executable).with_name("watchword")
DEADLINE_S = 40
POLL_S = 0.02


def eventually(look, what):
    """The first true answer of `look`, within the deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while not (found := look()):
        assert time.monotonic() < deadline, f"This did not happen in time: {what}."
        time.sleep(POLL_S)
    return found


def kill(house):
    """The whole family at once; until the store, too, is done with what they asked of it."""
    family = kill_family(house.process.pid)
    house.process.wait()
    _, alive = psutil.wait_procs(family, DEADLINE_S)
    assert not alive
    eventually(house.place.is_left, "their end, as the store sees it")


def environment(**more):
    """Ours without the settings of whoever runs the tests; any free port for the metrics."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("WATCHWORD_")}
    return {**inherited, "WATCHWORD_SERVER__ADMIN_PORT": "0", **more}


class House:
    """A data folder, the commands run on it, and the server that runs on it now.

    Its store is at `place`, or where its settings say; in the folder, where they say nothing.
    """

    process: subprocess.Popen

    def __init__(self, folder, place=None):
        self.folder, self.place = folder, place or places.in_folder(folder)
        self._store = {"WATCHWORD_STORE": place.address} if place else {}

    def environment(self, **more):
        return environment(**self._store, **more)

    def loaded(self):
        """Its settings, for whoever opens the service in this process."""
        return config.load(str(self.folder), None, self._store)

    def rows(self, statement):
        """What the store says, read by somebody else."""
        return self.place.rows(statement)

    def run(self, *words, check=True, **environ):
        """Run a command on this folder."""
        return subprocess.run(
            [WATCHWORD, *words, "--data", self.folder],
            env=self.environment(**environ),
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=check,
        )

    def settings(self, text):
        self.folder.mkdir(exist_ok=True)
        (self.folder / "watchword.toml").write_text(text, encoding="utf-8")

    @contextmanager
    def serving(self, *words, **environ):
        """A server that answers; in the end it is asked to stop, and has to do so in order."""
        self.process = self.start(*words, **environ)
        try:
            yield self.announced()
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(DEADLINE_S) == 0, self.said()
        finally:
            self.process.kill()
            self.process.wait()

    def start(self, *words, **environ):
        self.folder.mkdir(exist_ok=True)
        with self.log.open("w") as log:
            return subprocess.Popen(
                [WATCHWORD, "serve", "--port", "0", *words, "--data", self.folder],
                env=self.environment(**environ),
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def announced(self):
        """What serve.json says, once the server has said hello."""
        eventually(lambda: "Try it" in self.said() or self.process.poll() is not None, "hello")
        assert self.process.poll() is None, self.said()
        return json.loads((self.folder / "serve.json").read_text())

    def said(self):
        return self.log.read_text()

    @property
    def log(self):
        return self.folder.parent / "serve.log"

    def inbox(self, *words):
        """What `inbox last` prints once something is there."""
        return eventually(lambda: self.run("inbox", "last", *words).stdout.strip(), "a message")


@pytest.fixture(scope="module")
def new_house(request, store_kind, tmp_path_factory):
    """Makes houses with a store that nobody has used, each for as long as its block lasts."""

    @contextmanager
    def made():
        folder = tmp_path_factory.mktemp("house") / "data"
        with places.empty(store_kind, request.getfixturevalue) as place:
            yield House(folder, place)

    return made


@pytest.fixture
def house(new_house):
    with new_house() as house:
        yield house
