"""The keys are rotated as docs/keys.md says, each command taken from there."""

import asyncio
import json
import re
import shutil
from pathlib import Path

import msgspec
import pytest

from tests.unit.cli.conftest import Shell
from watchword import config
from watchword.bootstrap import bootstrap, rotation
from watchword.ports import Write

MANUAL = Path(__file__).parents[3] / "docs" / "keys.md"
COMMAND = re.compile(r"^ {4}watchword (.+)$|`watchword ([^`]+)`", re.MULTILINE)


def commands(heading):
    """All that a section tells to run, in its order."""
    section = MANUAL.read_text(encoding="utf-8").partition(f"## {heading}\n")[2]
    return [(one or other).split() for one, other in COMMAND.findall(section.partition("\n## ")[0])]


def active(shell):
    return {key["kind"]: key["id"] for key in shell.json("keys", "list") if key["active"]}


def ids(shell, kind):
    return [key["id"] for key in shell.json("keys", "list") if key["kind"] == kind]


@pytest.fixture
def tested(shell):
    """An app with a test number, whose code needs the key it was made under."""
    (app,) = re.findall(r"\b[a-z0-9]{12}\b", shell("app", "create", "shop"))
    shell("app", "test-number", "add", app, "+8613900139000", "271828", "--days", "3")
    assert shell.code == 0, shell.said
    return app


def test_one_machine_as_the_manual_says(shell):
    shell("app", "create", "shop")
    rotate, retire = commands("One machine, SQLite")
    assert "Keys 2 are active" in shell(*rotate)
    assert active(shell) == {"code": 2, "seal": 2, "journal": 2}
    assert "Removed seal key 1" in shell(*retire)
    assert shell.code == 0
    assert (ids(shell, "code"), ids(shell, "seal"), ids(shell, "journal")) == ([2], [2], [1, 2])
    assert "There is no old code or seal key." in shell(*retire)


def test_several_machines_as_the_manual_says(shell, neighbour, database):
    """Whoever lacks the new keys once they are active is refused until the file is copied."""
    shell("app", "create", "shop")
    neighbour.folder.mkdir()
    ring, copy = shell.folder / "keyring.json", neighbour.folder / "keyring.json"
    shutil.copy(ring, copy)
    add, activate, reseal, retire, listed = commands("Several machines, PostgreSQL")
    assert f"copy {ring} to every machine" in shell(*add)
    assert active(shell) == active(neighbour) == {"code": 1, "seal": 1, "journal": 1}
    shell(*activate)
    neighbour("app", "list")
    assert neighbour.code == 1
    assert f"{copy} lacks keys that are active elsewhere" in neighbour.said
    shutil.copy(ring, copy)
    neighbour(*activate)
    assert neighbour.code == 0
    shell(*reseal)
    for machine in (shell, neighbour):
        machine(*retire)
        assert machine.code == 0, machine.said
        assert ids(machine, "seal") == [2]
    assert "seal" in shell(*listed)


@pytest.mark.usefixtures("tested")
def test_a_leaked_key_goes_though_something_needs_it(shell):
    """What that is, is told to whoever does not insist."""
    shell("keys", "rotate")
    assert "Removed seal key 1" in shell("keys", "retire")
    assert shell.code == 1
    assert "The code key 1 is still needed: 1 test numbers" in shell.said
    (forced,) = (words for words in commands("A key leaked") if "retire" in words)
    assert "Removed code key 1" in shell(*forced)
    assert ids(shell, "code") == [2]


@pytest.mark.usefixtures("tested")
def test_a_code_key_that_was_taken_out_of_use_stays_out(shell):
    """Rotating makes a new one, and the old one can retire."""
    ring = shell.folder / "keyring.json"
    file = json.loads(ring.read_text())
    del file["active"]["code"]
    ring.write_text(json.dumps(file))
    shell("keys", "retire")
    assert shell.code == 1
    assert "no active code key: run watchword keys rotate" in shell.said
    report = shell("doctor")
    assert "no active code key" in report
    assert "added and not active" not in report
    assert "Keys 2 are active" in shell("keys", "rotate")
    assert active(shell) == {"code": 2, "seal": 2, "journal": 2}
    assert "Removed code key 1" in shell("keys", "retire", "1", "--force")


def test_a_refused_activation_takes_back_nothing_of_another_machine(
    shell, neighbour, database, tmp_path, capsys
):
    """The other one has activated the same keys by force; who lacks them still is not let in."""
    shell("app", "create", "shop")
    ring, third = shell.folder / "keyring.json", Shell(tmp_path / "third", capsys)
    for machine in (neighbour, third):
        machine.folder.mkdir()
        shutil.copy(ring, machine.folder)
    asyncio.run(serves(third, database))
    shell("keys", "rotate", "add")
    shutil.copy(ring, neighbour.folder)
    neighbour("keys", "rotate", "activate", "--force")
    assert neighbour.code == 0
    shell("keys", "rotate", "activate")
    assert (shell.code, "third.example" in shell.said) == (1, True)
    third("app", "list")
    assert third.code == 1
    assert "lacks keys that are active elsewhere" in third.said


async def serves(machine, database):
    """A server of this machine says which keys it knows."""
    settings = config.load(str(machine.folder), None, {"WATCHWORD_STORE": database})
    async with bootstrap(settings, deliver=False) as service:
        now = service.clock()
        holder = rotation.Holder(
            host="third.example",
            pid=1,
            path=str(settings.keyring_path),
            ids=service.keys.ids,
            active=service.keys.active,
            since=now,
            seen_at=now,
        )
        said = Write(kind="keyring_holder", key="1", version=0, body=msgspec.json.encode(holder))
        await service.store.write([said], now)


def test_the_list_shows_no_secret(shell):
    shell("keys", "rotate")
    secrets = set(re.findall(r'"([\w+/]{43}=)"', (shell.folder / "keyring.json").read_text()))
    assert len(secrets) == 7
    printed = shell("keys", "list") + json.dumps(shell.json("keys", "list"))
    assert not [secret for secret in secrets if secret in printed]


def test_a_key_that_is_not_there_or_is_active_does_not_retire(shell):
    shell("app", "create", "shop")
    for id in ("1", "7"):
        shell("keys", "retire", id)
        assert shell.code == 1
        assert f"has no old code or seal key {id}: see watchword keys list" in shell.said
