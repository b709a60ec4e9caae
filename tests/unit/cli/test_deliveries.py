"""Channels and hand-overs from a shell."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from watchword import config
from watchword.bootstrap import bootstrap
from watchword.domain.destination import phone
from watchword.domain.purpose import Purpose
from watchword.service.issue import Send, issue


@pytest.fixture
def unknown(shell):
    """A delivery that was begun, and of whose end nobody heard."""

    async def made():
        settings = config.load(str(shell.folder), None, {})
        async with bootstrap(settings, deliver=False) as service:
            app = await service.apps.create(name="Shop", now=service.clock())
            to = phone("+8613800135678")
            asked = Send(app=app, purpose=Purpose.SIGN_IN, destination=to, channel="sms")
            issued = await issue(asked, service.house, now=service.clock())
            terms: dict[str, Any] = {"most": 1, "ttl": timedelta(seconds=1), "repeats": False}
            store, now = service.store, service.clock()
            leased = await store.lease("sms", now, **terms)
            await store.begin_sending(leased, now, ttl=terms["ttl"])
            await store.lease("sms", now + timedelta(seconds=2), **terms)
            return issued.delivery

    shell.folder.mkdir(exist_ok=True)
    return asyncio.run(made())


def test_what_is_unknown_is_listed_and_settled(shell, unknown):
    (listed,) = shell.json("delivery", "list")
    assert (listed["id"], listed["state"], listed["channel"]) == (unknown, "unknown", "sms")
    assert "13800135678" not in str(listed)
    assert str(unknown) in shell("delivery", "list")
    assert "delivered" in shell("delivery", "settle", str(unknown), "--as", "delivered")
    assert shell.json("delivery", "list") == []
    (settled,) = shell.json("delivery", "list", "--state", "delivered")
    assert settled["reason"] == "settled by an operator"


def test_what_is_known_is_not_settled(shell, unknown):
    shell("delivery", "settle", str(unknown), "--as", "failed")
    shell("delivery", "settle", str(unknown), "--as", "delivered")
    assert shell.code == 1
    assert "is failed, not unknown" in shell.said
    shell("delivery", "settle", str(2**63), "--as", "delivered")
    assert (shell.code, "There is no delivery 9223372036854775808" in shell.said) == (1, True)
    shell("delivery", "settle", "987654", "--as", "delivered")
    assert shell.code == 1
    assert "no delivery 987654" in shell.said


@pytest.mark.parametrize(
    "words", [("--as", "lost"), (), ("--as", "unknown")], ids=["lost", "nothing", "unknown"]
)
def test_an_end_that_is_none_is_wrong_usage(shell, words):
    shell("delivery", "settle", "1", *words)
    assert shell.code == 2


def test_a_channel_is_paused_listed_and_resumed(shell):
    shell("channel", "pause", "sms", "--reason", "carrier is down")
    sms, email = shell.json("channel", "list")
    assert (sms["state"], sms["reason"], sms["waiting"]) == ("paused", "carrier is down", 0)
    assert (email["state"], email["paused_at"]) == ("open", None)
    assert "carrier is down" in shell("channel", "list")
    assert "Resumed" in shell("channel", "resume", "sms")
    assert "not paused" in shell("channel", "resume", "sms")
    assert shell.code == 0
    assert shell.json("channel", "list")[0]["state"] == "open"


def test_a_channel_tells_what_waits(shell, unknown):
    sms, _ = shell.json("channel", "list")
    assert (sms["waiting"], sms["oldest_s"]) == (0, None)


def test_a_channel_that_is_none_is_wrong_usage(shell):
    shell("channel", "pause", "fax")
    assert shell.code == 2
