"""The store itself: made and brought up to date, missed when it is away, shared under one ring."""

import os
import shutil
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import apsw
import pytest

from tests import postgres_server
from tests.postgres_server import rows

WATCHWORD = Path(sys.executable).with_name("watchword")
PASSWORD = "correct-horse"
DEADLINE_S = 40
SCHEMAS = "SELECT nspname FROM pg_namespace WHERE nspname = 'watchword'"


def test_a_file_is_made_and_is_up_to_date_ever_after(shell):
    assert "The store is made" in shell("store", "migrate")
    assert "The store is up to date" in shell("store", "migrate")
    assert shell.code == 0


def test_a_file_of_a_newer_watchword_is_left_alone(shell):
    shell("store", "migrate")
    with closing(apsw.Connection(str(shell.folder / "watchword.db"))) as connection:
        version = connection.execute("PRAGMA user_version").get
        connection.execute(f"PRAGMA user_version = {version + 1}")
    assert shell("store", "migrate") == ""
    assert shell.code == 1
    assert "newer watchword" in shell.said


LOOKS = [
    ("doctor",),
    ("find", "--to", "+8613800138000"),
    ("app", "list"),
    ("template", "check"),
    ("journal", "verify"),
]


def older_file(shell):
    """Make it look like one of the version before; gives a way to ask which it is."""
    shell("app", "create", "shop")

    def version(change=0):
        with closing(apsw.Connection(str(shell.folder / "watchword.db"))) as connection:
            now = connection.execute("PRAGMA user_version").get
            connection.execute(f"PRAGMA user_version = {now + change}")
            return now + change

    version(-1)
    return version


@pytest.mark.parametrize("words", LOOKS, ids=" ".join)
def test_no_look_changes_the_schema_of_a_file(shell, words):
    version = older_file(shell)
    before = version()
    said = shell(*words)
    assert (shell.code, version()) == (1, before)
    assert "run watchword store migrate" in said + shell.said


@pytest.mark.parametrize("words", LOOKS, ids=" ".join)
def test_no_look_changes_the_schema_of_a_database(shell, database, words):
    shell("app", "create", "shop")
    rows(database, "UPDATE watchword.house SET version = version - 1")
    ((before,),) = rows(database, "SELECT version FROM watchword.house")
    said = shell(*words)
    assert shell.code == 1
    assert "run watchword store migrate" in said + shell.said
    assert rows(database, "SELECT version FROM watchword.house") == [(before,)]


def test_a_file_that_is_only_made_waits_for_its_first_start(shell):
    """Its key ring comes with the first start, and the doctor makes none."""
    shell("store", "migrate")
    report = shell("doctor")
    assert shell.code == 0
    assert "no key ring yet" in report
    assert "Nothing was started on this store yet" in report
    assert not (shell.folder / "keyring.json").exists()
    shell("app", "list")
    assert shell.code == 0


def test_a_database_is_made_and_is_up_to_date_ever_after(shell, database):
    """The step for whoever may change the schema, before those start who may not."""
    assert "The store is made" in shell("store", "migrate")
    assert "The store is up to date" in shell("store", "migrate")
    assert rows(database, SCHEMAS) == [("watchword",)]
    shell("app", "create", "shop")
    assert shell.code == 0
    assert "shop" in shell("app", "list")


def test_the_doctor_looks_at_an_empty_database_and_makes_nothing(shell, database):
    report = shell("doctor")
    assert shell.code == 0, report
    assert "There is no store yet" in report
    assert rows(database, SCHEMAS) == []
    assert not shell.folder.exists()


def test_the_doctor_examines_a_database(shell, database):
    """Before the first start, and after it. Only the haste of a server for tests is broken."""
    shell("store", "migrate")
    for stage in ("Nothing was started on this store yet", "The key ring is readable"):
        found = {finding["what"]: finding["state"] for finding in shell.json("doctor")}
        said = "\n".join(found)
        for words in (stage, "takes a write", "PostgreSQL", "read committed", "clock"):
            assert words in said
        broken = [what for what, state in found.items() if state == "broken"]
        assert all("fsync" in what for what in broken)
        shell("app", "list")


def test_a_second_machine_needs_the_first_ones_ring(shell, neighbour, database):
    """It is told so, and no ring of its own stays behind."""
    shell("app", "create", "shop")
    assert neighbour("app", "list") == ""
    assert neighbour.code == 1
    ring = neighbour.folder / "keyring.json"
    assert f"made under another key ring; restore your copy to {ring}" in neighbour.said
    assert "The key ring is missing" in neighbour("doctor")
    assert neighbour.code == 1
    assert not ring.exists()
    shutil.copy(shell.folder / "keyring.json", ring)
    assert "shop" in neighbour("app", "list")


def test_a_ring_of_another_store_is_refused_and_kept(shell, neighbour, database, monkeypatch):
    shell("app", "list")
    with monkeypatch.context() as alone:
        alone.delenv("WATCHWORD_STORE")
        neighbour("app", "list")
    ring = neighbour.folder / "keyring.json"
    before = ring.read_bytes()
    neighbour("app", "list")
    assert neighbour.code == 1
    assert f"made under another key ring than {ring}" in neighbour.said
    assert ring.read_bytes() == before


@pytest.fixture
def nowhere():
    """The port of nobody."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.mark.parametrize("words", [["app", "list"], ["store", "migrate"]])
def test_a_server_that_is_away_is_a_sentence(shell, monkeypatch, nowhere, words):
    """It names the place and nothing of the password, and no key ring is made for it."""
    address = f"postgresql://codes:{PASSWORD}@127.0.0.1:{nowhere}/codes"
    monkeypatch.setenv("WATCHWORD_STORE", address)
    assert shell(*words) == ""
    assert shell.code == 1
    assert len(shell.said.splitlines()) == 1
    assert PASSWORD not in shell.said
    assert list(shell.folder.iterdir()) == []


@pytest.mark.parametrize(
    "words", [["serve", "--port", "0"], ["serve", "--port", "0", "--workers", "2"], ["worker"]]
)
def test_nothing_starts_on_a_server_that_is_away(tmp_path, nowhere, words):
    """It says why and ends, and whoever started it may try again."""
    address = f"postgresql://codes:{PASSWORD}@127.0.0.1:{nowhere}/codes"
    ended = subprocess.run(
        [WATCHWORD, *words, "--data", tmp_path],
        env={**os.environ, "WATCHWORD_STORE": address, "WATCHWORD_SERVER__ADMIN_PORT": "0"},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert f"127.0.0.1:{nowhere}/codes" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert PASSWORD not in ended.stderr


def test_the_doctor_says_that_a_server_is_away(shell, monkeypatch, nowhere):
    address = f"postgresql://codes:{PASSWORD}@127.0.0.1:{nowhere}/codes"
    monkeypatch.setenv("WATCHWORD_STORE", address)
    report = shell("doctor")
    assert shell.code == 1
    assert f"The store is postgresql://127.0.0.1:{nowhere}/codes." in report
    assert "BROKEN" in report
    assert PASSWORD not in report
    assert "virtual carrier" in report
    assert not shell.folder.exists()


def test_a_password_that_is_wrong_is_not_repeated(shell, monkeypatch):
    """What the server says is told, for it says no more than who was refused."""
    with postgres_server.running() as server:
        rows(server.address(), "ALTER ROLE postgres PASSWORD 'another'")
        (server.data / "pg_hba.conf").write_text("host all all 127.0.0.1/32 scram-sha-256\n")
        server.stop()
        server.start()
        address = server.address().replace("postgres@", f"postgres:{PASSWORD}@")
        monkeypatch.setenv("WATCHWORD_STORE", address)
        for words in (["app", "list"], ["doctor"]):
            said = shell(*words) + shell.said
            assert shell.code == 1
            assert "password authentication failed" in said
            assert PASSWORD not in said


def test_a_database_that_is_not_there_is_named(shell, database, monkeypatch):
    absent = urlsplit(database)._replace(path="/nothing_of_this_name").geturl()
    monkeypatch.setenv("WATCHWORD_STORE", absent)
    shell("app", "list")
    assert shell.code == 1
    assert "nothing_of_this_name" in shell.said
    assert len(shell.said.splitlines()) == 1
