"""A caller for every test: an account that nobody else has."""

import pytest

from tests.surfaces.aliyun.calling import manager, member_of, newcomer, phone


@pytest.fixture
def shop(delivering):
    """A cloud account in no directory."""
    return newcomer(delivering)


@pytest.fixture
def boss(delivering):
    """The manager of a directory."""
    return manager(delivering)


@pytest.fixture
def member(boss):
    """The id of a member of that directory, which has no phone yet."""
    return member_of(boss)


@pytest.fixture
def to():
    """A phone that no other test uses."""
    return phone()
