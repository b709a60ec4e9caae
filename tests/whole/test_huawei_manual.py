"""Documentation runs as tests: what docs/huawei.md shows, a reader can copy."""

import json
import sys

import pytest

from tests import node_clients
from tests.whole.conftest import House
from tests.whole.huawei import account
from tests.whole.manual import Manual, is_there

MANUAL = Manual("huawei")


@pytest.fixture
def house(tmp_path):
    """The data folder that a reader has who says nothing of it."""
    return House(tmp_path / "watchword-data")


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
    """All of them, one after the other."""
    with house.serving() as serving:
        printed = MANUAL.python(house, serving, [sys.executable], **temporary_key(house))
        assert house.inbox("--to", "bob@example.com", "--code")
        accounts = account(house, "list", "--json")
    ann, chinese = (one for one in accounts if one["kind"] == "customer")
    assert printed == [
        f"{ann['id']} {ann['name']}",
        "used_by_user",
        chinese["id"],
        "204",
        "available",
    ]


def test_the_program_in_node_runs_as_written(house):
    if reason := node_clients.absent():
        pytest.skip(reason)
    (program,) = MANUAL.blocks("js")
    with house.serving() as serving:
        assert MANUAL.node(house, serving, program)[-1] == "204"
        assert house.inbox("--to", "cyd@example.com", "--code")


@pytest.mark.parametrize(("file", "heading"), MANUAL.links)
def test_what_the_manual_links_to_is_there(file, heading):
    assert is_there(file, heading)
