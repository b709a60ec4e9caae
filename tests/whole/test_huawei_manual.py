"""Documentation runs as tests: what docs/huawei.md shows, a reader can copy."""

import json
import os
import re
import subprocess
import sys
from contextlib import contextmanager

import pytest

from tests import node_clients
from tests.whole.conftest import DEADLINE_S, ROOT, WATCHWORD, House, environment
from tests.whole.huawei import account

MANUAL = (ROOT / "docs" / "huawei.md").read_text(encoding="utf-8")
SHOWN_URL = "http://127.0.0.1:8080"
"""Where the manual's server answers; ours has a port of its own."""
READ_CODE = re.compile(r"input\(.*# watchword inbox last (.*)$", re.MULTILINE)
LINKS = re.findall(r"\]\(([^)#:]+)(?:#([^)]+))?\)", MANUAL)


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", MANUAL, re.DOTALL)


@pytest.fixture
def house(tmp_path):
    """The data folder that a reader has who says nothing of it."""
    return House(tmp_path / "watchword-data")


@contextmanager
def started(house, url, *command, **environ):
    """A program of the manual, in a terminal where the demo's variables were taken on."""
    program = command[-1].replace(SHOWN_URL, url)
    line = 'eval "$(watchword demo --dialect huawei)"; exec "$@"'
    path = f"{WATCHWORD.parent}{os.pathsep}{os.environ['PATH']}"
    with subprocess.Popen(
        ["bash", "-euc", line, "reader", *command[:-1], program],
        cwd=house.folder.parent,
        env=environment(PATH=path, **environ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def finished(process):
    """What it printed; in the end it has to be content."""
    printed, complained = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, complained
    return printed


def temporary_key(house):
    """As the manual has a reader make one, from what `demo` prints."""
    made = json.loads(house.run("demo", "--json").stdout)["huawei"]
    (user,) = account(house, "show", made["domain_id"])["users"]
    key = account(house, "key", user["id"], "--ttl-s", "3600", "--json")
    return {
        "TEMPORARY_AK": key["ak"],
        "TEMPORARY_SK": key["sk"],
        "TEMPORARY_TOKEN": key["security_token"],
    }


def test_the_programs_in_python_run_as_written(house):
    """All of them, one after the other; a person reads each code by the command in the comment."""
    program = "\n".join(blocks("python"))
    asks = READ_CODE.findall(program)
    assert len(asks) == program.count("input(") == 2
    with house.serving() as serving:
        key = temporary_key(house)
        command = (sys.executable, "-c", program)
        with started(house, serving["base_url"], *command, **key) as process:
            for words in asks:
                process.stdin.write(house.inbox(*words.split()) + "\n")
                process.stdin.flush()
            printed = finished(process)
        assert house.inbox("--to", "bob@example.com", "--code")
        accounts = account(house, "list", "--json")
    ann, chinese = (one for one in accounts if one["kind"] == "customer")
    assert printed.replace("The code: ", "").splitlines() == [
        f"{ann['id']} {ann['name']}",
        "used_by_user",
        chinese["id"],
        "204",
        "available",
    ]


def test_the_program_in_node_runs_as_written(house):
    if reason := node_clients.absent():
        pytest.skip(reason)
    (program,) = blocks("js")
    modules = str(node_clients.FOLDER / "node_modules")
    with (
        house.serving() as serving,
        started(house, serving["base_url"], "node", "-e", program, NODE_PATH=modules) as process,
    ):
        assert finished(process).endswith("204\n")
        assert house.inbox("--to", "cyd@example.com", "--code")


@pytest.mark.parametrize(("file", "heading"), LINKS)
def test_what_the_manual_links_to_is_there(file, heading):
    told = (ROOT / "docs" / file).read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.*)$", told, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", one).casefold().replace(" ", "-") for one in headings}
    assert not heading or heading in anchors
