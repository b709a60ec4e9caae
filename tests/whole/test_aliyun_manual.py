"""Documentation runs as tests: what docs/aliyun.md shows, a reader can copy."""

import sys

import pytest

from tests import node_clients
from tests.whole.conftest import House
from tests.whole.manual import Manual, is_there

MANUAL = Manual("aliyun")
NODE_PRINTS = ("demo-management", "ResourceAccount")
VENDORS_WARNINGS = ["-W", "ignore::DeprecationWarning"]


@pytest.fixture
def house(tmp_path):
    """The data folder that a reader has who says nothing of it."""
    return House(tmp_path / "watchword-data")


def test_the_programs_in_python_run_as_written(house):
    """All of them, one after the other."""
    with house.serving() as serving:
        printed = MANUAL.python(house, serving, [sys.executable, *VENDORS_WARNINGS])
    until, phone, name = printed
    assert until.startswith("until 20")
    assert (phone, name) == ("1-2025550177", "boss@rdadmin.aliyunid.com")


@pytest.mark.parametrize("place", range(len(NODE_PRINTS)))
def test_the_programs_in_node_run_as_written(house, place):
    if reason := node_clients.absent():
        pytest.skip(reason)
    programs = MANUAL.blocks("js")
    assert len(programs) == len(NODE_PRINTS)
    with house.serving() as serving:
        assert MANUAL.node(house, serving, programs[place]) == [NODE_PRINTS[place]]


@pytest.mark.parametrize(("file", "heading"), MANUAL.links)
def test_what_the_manual_links_to_is_there(file, heading):
    assert is_there(file, heading)
