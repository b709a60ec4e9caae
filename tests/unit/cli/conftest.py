"""Commands run in this process, on a data folder of their own."""

import json

import pytest

from watchword.cli import run


class Shell:
    """Runs `watchword` with words, on one data folder."""

    def __init__(self, folder, capsys):
        self.folder = folder
        self._capsys = capsys
        self.code = 0
        self.said = ""

    def __call__(self, *words):
        """What the command printed; `code` and `said` (its stderr) stay to be looked at."""
        self._capsys.readouterr()
        self.code = run([*words, "--data", str(self.folder)])
        captured = self._capsys.readouterr()
        self.said = captured.err
        return captured.out

    def json(self, *words):
        return json.loads(self(*words, "--json"))


@pytest.fixture
def shell(tmp_path, capsys, monkeypatch):
    for name in ("WATCHWORD_URL", "WATCHWORD_KEY", "WATCHWORD_DATA", "WATCHWORD_STORE"):
        monkeypatch.delenv(name, raising=False)
    return Shell(tmp_path / "data", capsys)


@pytest.fixture
def database(postgres, monkeypatch):
    """The address of an empty database, which is the store of every shell of the test."""
    address = postgres.create_database()
    monkeypatch.setenv("WATCHWORD_STORE", address)
    yield address
    postgres.drop_database(address)


@pytest.fixture
def neighbour(shell, tmp_path, capsys):
    """The shell of another machine."""
    return Shell(tmp_path / "neighbour", capsys)
