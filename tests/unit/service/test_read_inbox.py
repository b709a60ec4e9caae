"""Whose messages are read, however their address is spelled."""

from datetime import UTC, datetime

import pytest

from watchword.errors import RequestInvalid
from watchword.ports import Received
from watchword.service.read_inbox import read_inbox

CHINESE, AMERICAN, ANN = "+8613105550123", "+13105550123", "ann@example.com"


class Inbox:
    """What came to these addresses, one message each."""

    def __init__(self, *identities):
        self._identities = identities

    async def received(self, to=None):
        at = datetime(2026, 1, 2, tzinfo=UTC)
        return [
            Received(to=one, channel="sms", text="", code="", at=at)
            for one in self._identities
            if to in (one, None)
        ]


@pytest.fixture
def read():
    async def ask(to, *identities):
        return [message.to for message in await read_inbox(Inbox(*identities), to)]

    return ask


async def test_without_an_address_all_are_read(read):
    assert await read(None, CHINESE, ANN) == [CHINESE, ANN]


@pytest.mark.parametrize(
    ("to", "identity"),
    [
        ("13800138000", "+8613800138000"),
        (" 13800138000 ", "+8613800138000"),
        ("13105550123", AMERICAN),
        ("13105550123", CHINESE),
        ("19912345678", "+8619912345678"),
        ("14155550100", "+14155550100"),
    ],
)
async def test_a_number_alone_is_whose_phone_received(read, to, identity):
    """As the China edition has it, or as North America dials."""
    assert await read(to, identity) == [identity]
    assert await read(to) == []


async def test_where_both_received_the_number_means_as_it_always_did(read):
    """With its country code before it; the Chinese one is found by its own."""
    assert await read("13105550123", CHINESE, AMERICAN) == [AMERICAN]
    assert await read("8613105550123", CHINESE, AMERICAN) == [CHINESE]


@pytest.mark.parametrize(
    ("to", "identity"),
    [
        ("+8613800138000", "+8613800138000"),
        ("8613800138000", "+8613800138000"),
        ("0086-13800138000", "+8613800138000"),
        ("86-13800138000", "+8613800138000"),
        ("+86 138 0013 8000", "+8613800138000"),
        ("+13105550123", AMERICAN),
        ("001-310-555-0123", AMERICAN),
        ("1-310-555-0123", AMERICAN),
        ("1 (310) 555-0123", AMERICAN),
        ("Ann@EXAMPLE.com", ANN),
    ],
)
async def test_every_dialects_spelling_is_read(read, to, identity):
    """And finds nobody else's."""
    others = {CHINESE, AMERICAN, ANN, "+8613800138000"} - {identity}
    assert await read(to, identity, *others) == [identity]
    assert await read(to, *others) == []


@pytest.mark.parametrize("to", ["", "ann", "+", "12345", "1380013800", "@", "+8613800138000x"])
async def test_what_is_no_address_is_refused(read, to):
    with pytest.raises(RequestInvalid):
        await read(to, CHINESE)
