"""Documentation runs as tests: what README.md shows, a reader can copy."""

import re
import subprocess
import sys

import pytest

from tests.whole.conftest import DEADLINE_S, ROOT, WATCHWORD, House, environment

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"<!-- run -->\n```(\w+)\n(.*?)```", README, re.DOTALL)
LINKS = re.findall(r"\]\(([^)#:]+)\)", README)


@pytest.fixture
def reader(tmp_path):
    """A reader's terminal: a folder with .venv in it, and the server on the data folder there."""
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv/bin").symlink_to(WATCHWORD.parent)
    house = House(tmp_path / "watchword-data")
    with house.serving():
        yield house


def bash(script, folder, said=""):
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=environment(),
        input=said,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=True,
    ).stdout


def test_the_readme_opens_with_its_two_commands():
    opening = README.split("\n\n")[1]
    assert [line.split()[0] for line in opening.splitlines()] == ["scripts/serve", "scripts/test"]
    assert all((ROOT / line.split()[0]).is_file() for line in opening.splitlines())


def test_the_exchange_with_curl_works_as_written(reader):
    """Approved the first time, refused the second."""
    (_, ask), (_, check) = (block for block in BLOCKS if block[0] == "sh")
    folder = reader.folder.parent
    sent = bash(ask, folder)
    assert '"status":"pending"' in sent
    assert sent.endswith("}\n")
    reader.inbox()
    demo = ask.splitlines()[0]
    text, first, second = bash(f"{demo}\nSENT='{sent}'\n{check}", folder).splitlines()
    assert "is your sign-in code" in text
    assert '"status":"approved"' in first
    assert '"status":409' in second


def test_the_exchange_with_python_works_as_written(reader):
    """The program waits for a person, who reads the mailbox."""
    (program,) = (text for language, text in BLOCKS if language == "python")
    (demo,) = (text.splitlines()[0] for language, text in BLOCKS[:1])
    running = subprocess.Popen(
        ["bash", "-c", f'{demo}\nexec "$0" -c "$1"', sys.executable, program],
        cwd=reader.folder.parent,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    code = reader.inbox("--to", "ann@example.com", "--code")
    printed, _ = running.communicate(code + "\n", timeout=DEADLINE_S)
    assert printed.endswith("True\n")


@pytest.mark.parametrize("link", LINKS)
def test_what_the_readme_links_to_is_there(link):
    assert (ROOT / link).is_file()


def test_the_table_of_commands_is_whole():
    """Every command of the first level has a row."""
    listed = subprocess.run(
        [WATCHWORD, "--help"], capture_output=True, text=True, check=True
    ).stdout
    commands = re.findall(r"^│ (\w+) ", listed, re.MULTILINE)
    assert len(commands) >= 9
    table = README.partition("## Commands")[2].partition("##")[0]
    assert [name for name in commands if not re.search(rf"\b{name}\b", table)] == []
