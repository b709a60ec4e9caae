"""What the command line does before any command runs."""

import subprocess
import sys

import pytest

from watchword.cli import run

HEAVY = {
    *("starlette", "uvicorn", "uvloop", "httptools", "jinja2", "babel", "cryptography"),
    *("structlog", "httpx2", "aiosmtplib", "phonenumbers", "email_validator"),
    *("prometheus_client", "apsw", "sqlite3", "asyncpg", "asyncio"),
}
PROGRAM = (
    "import sys; from watchword.cli import run; code = run(sys.argv[1:]); "
    "print(*sys.modules, file=sys.stderr); sys.exit(code)"
)


def started(*words):
    """What a command said, and the libraries that it loaded."""
    asked = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, check=True
    )
    return asked.stdout, {module.split(".")[0] for module in asked.stderr.split()}


@pytest.mark.parametrize(
    "words", [["--help"], ["app", "--help"], ["store", "--help"], ["serve", "--help"]]
)
def test_help_imports_nothing_heavy(words):
    """Asking how to use watchword costs nothing."""
    said, loaded = started(*words)
    assert loaded.isdisjoint(HEAVY), loaded & HEAVY
    assert "Usage: watchword" in said


def test_a_store_in_a_file_loads_no_servers_driver(tmp_path):
    """What only a fleet needs costs only a fleet."""
    _, loaded = started("app", "list", "--data", str(tmp_path))
    assert "apsw" in loaded
    assert "asyncpg" not in loaded


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        ["serve", "--nonsense"],
        ["serve", "--port", "many"],
        ["serve", "--port", "70000"],
        ["serve", "--workers", "0"],
        ["serve", "--tls-cert", "only-one.pem"],
        ["send"],
        ["inbox", "first"],
        ["send", "+8613800138000", "--binding", "no-value"],
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_code_2(words, tmp_path, monkeypatch, capsys):
    """A script can tell its own mistake from a refusal."""
    monkeypatch.setenv("WATCHWORD_DATA", str(tmp_path))
    monkeypatch.setenv("WATCHWORD_KEY", "any")
    assert run(words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1


def test_wrong_settings_are_told_all_at_once_with_exit_code_1(tmp_path, capsys):
    (tmp_path / "watchword.toml").write_text('stroe = "x"\n[server]\nport = "x"\n')
    assert run(["app", "list", "--data", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert "stroe: unknown" in told
    assert "server.port: " in told


def test_a_folder_that_cannot_be_is_a_sentence(tmp_path, capsys):
    """No traceback for what a person can mend."""
    (tmp_path / "file").write_text("")
    assert run(["app", "list", "--data", str(tmp_path / "file" / "folder")]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_version_is_that_of_the_package(capsys):
    from importlib.metadata import version

    run(["--version"])
    assert version("watchword") in capsys.readouterr().out
