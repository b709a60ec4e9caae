"""Who only looks makes nothing, wherever --data points."""

import pytest

from watchword.cli import run

LOOKING = [
    ["inbox"],
    ["inbox", "last", "--code"],
    ["inbox", "list", "--json"],
]


@pytest.mark.parametrize("words", LOOKING, ids=" ".join)
def test_a_folder_without_data_is_told_and_not_made(shell, words):
    """A mistyped --data is a sentence, not a new folder."""
    assert shell(*words) == ""
    assert shell.code == 1
    assert shell.said.startswith(f"There is no watchword data in {shell.folder}. Name its folder")
    assert not shell.folder.exists()


def test_a_folder_of_something_else_is_left_as_it_is(shell):
    shell.folder.mkdir()
    shell("inbox")
    assert shell.code == 1
    assert list(shell.folder.iterdir()) == []


@pytest.mark.parametrize("command", [["send", "+8613800138000"], ["check", "abc", "123456"]])
def test_who_calls_a_server_makes_no_folder(shell, command):
    shell(*command)
    assert shell.code == 1
    assert "No API key" in shell.said
    assert not shell.folder.exists()


@pytest.mark.parametrize("words", LOOKING, ids=" ".join)
def test_where_something_was_started_there_is_something_to_see(shell, words):
    shell("app", "create", "shop")
    shell(*words)
    assert shell.code == 0


def test_a_fleets_machine_without_its_ring_is_told(database, shell):
    """Its store is a server's, so what is missing here is the key ring."""
    assert run(["inbox", "--data", str(shell.folder)]) == 1
    assert not shell.folder.exists()
