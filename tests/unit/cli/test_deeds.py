"""What an operator changes is in the journal: what, on which id, who and where, and no secret."""

import json
import os
import pwd
import socket

import pytest

TO = "+8613800138000"


@pytest.fixture
def deeds(shell):
    """What operators did so far, in order, each with what it was done to."""

    def told():
        events = shell.json("journal", "show", "--last", "500")["events"]
        found = [event for event in events if event["kind"] == "operator"]
        for event in found:
            assert event["details"]["by"] == pwd.getpwuid(os.getuid()).pw_name
            assert event["details"]["host"] == socket.gethostname()
        return [
            (event["details"]["what"], event["details"].get("on", ""), event["app_id"])
            for event in found
        ]

    return told


def test_what_is_done_to_apps_and_keys_is_told(shell, deeds):
    app = shell("app", "create", "shop").strip()
    client = shell("app", "create", "site", "--dialect", "ciam").strip()
    theirs = next(one["id"] for one in shell.json("app", "list") if one["id"] != app)
    shell("app", "terms", app, "--length", "8")
    shell("app", "brand", app, "Shop")
    shell("app", "suspend", client)
    shell("app", "resume", client)
    shell("app", "test-number", "add", app, TO, "123456")
    shell("app", "test-number", "remove", app, TO)
    key = shell.json("key", "create", app)
    shell("key", "revoke", key["id"])
    shell("key", "revoke", "nobody")
    assert shell.code == 1
    assert deeds() == [
        ("app create", "", app),
        ("app create", client, theirs),
        ("app terms", "", app),
        ("app brand", "", app),
        ("app suspend", client, ""),
        ("app resume", client, ""),
        ("app test-number add", "", app),
        ("app test-number remove", "", app),
        ("key create", key["id"], app),
        ("key revoke", key["id"], ""),
    ]
    said = shell("journal", "show", "--last", "500")
    assert TO not in said
    assert key["api_key"] not in said


def test_what_is_done_to_accounts_is_told(shell, deeds):
    made = shell.json("account", "create", "acme", "--dialect", "huawei")
    account, huawei = made["domain_id"], ("--dialect", "huawei")
    shell("account", "suspend", account, *huawei)
    shell("account", "resume", account, *huawei)
    user = shell.json("account", "user", account, "ann", *huawei)
    renewed = shell.json("account", "password", user["user_id"], *huawei)
    shell("account", "disable", user["user_id"], *huawei)
    shell("account", "enable", user["user_id"], *huawei)
    key = shell.json("account", "key", user["user_id"], *huawei)
    shell("account", "revoke", key["ak"], *huawei)
    cloud = shell.json("account", "create", "cloud", "--dialect", "aliyun")
    assert [deed[:2] for deed in deeds()] == [
        ("account create", account),
        ("account suspend", account),
        ("account resume", account),
        ("account user", user["user_id"]),
        ("account password", user["user_id"]),
        ("account disable", user["user_id"]),
        ("account enable", user["user_id"]),
        ("account key", key["ak"]),
        ("account revoke", key["ak"]),
        ("account create", cloud["account_id"]),
    ]
    said = shell("journal", "show", "--last", "500")
    for secret in (made["password"], made["sk"], renewed["password"], key["sk"], cloud["sk"]):
        assert secret not in said


def test_what_is_done_to_channels_and_keys_of_the_ring_is_told(shell, deeds):
    """A resume that found nothing paused has changed nothing."""
    shell("channel", "pause", "sms", "--reason", "the carrier asked")
    shell("channel", "resume", "sms")
    shell("channel", "resume", "sms")
    shell("keys", "rotate")
    assert deeds() == [
        ("channel pause", "sms", ""),
        ("channel resume", "sms", ""),
        ("keys rotate add", "", ""),
        ("keys rotate activate", "", ""),
        ("keys rotate reseal", "", ""),
    ]


def test_what_is_done_to_webhooks_is_told(shell, deeds):
    app = shell("app", "create", "shop").strip()
    id, secret = shell("webhook", "add", app, "https://shop.example/hooks?token=hush").split()
    renewed = shell("webhook", "renew", id).strip()
    for act in ("forget", "stop", "resume", "remove"):
        shell("webhook", act, id)
        assert shell.code == 0, shell.said
    shell("webhook", "remove", id)
    assert shell.code == 1
    acts = ("renew", "forget", "stop", "resume", "remove")
    assert deeds()[1:] == [
        ("webhook add", id, app),
        *((f"webhook {act}", id, "") for act in acts),
    ]
    said = shell("journal", "show", "--last", "500")
    assert not [one for one in (secret, renewed, "hush") if one in said]


def test_that_somebody_was_erased_is_told_and_not_who(shell, deeds):
    shell("journal", "erase", "--to", TO, "--yes")
    assert deeds() == [("journal erase", "", "")]
    assert {one["masked"] for one in shell.json("journal", "show")["events"]} == {""}


def test_looks_are_not_told(shell, deeds):
    shell("app", "list")
    shell("key", "list")
    shell("find", "--to", TO)
    shell("unlock", "--to", TO)
    shell("doctor")
    shell("webhook", "list")
    assert deeds() == []
    assert shell("journal", "show") == "The journal tells nothing of this.\n"


def test_events_are_shown_newest_last_and_of_one_app_alone(shell):
    one, other = (shell("app", "create", name).strip() for name in ("one", "other"))
    lines = shell("journal", "show").splitlines()
    assert [line.rpartition("app ")[2] for line in lines] == [f"{one})", f"{other})"]
    assert shell("journal", "show", "--last", "1").splitlines() == lines[1:]
    assert shell("journal", "show", "--app", one).splitlines() == lines[:1]
    shell("journal", "show", "--app", "none")
    assert shell.code == 1
    shell("journal", "show", "--last", "0")
    assert shell.code == 2


def test_a_user_without_a_name_is_told_by_number(shell, monkeypatch):
    """As in a container; whoever came by sudo is named with it."""

    def unknown(uid):
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setenv("SUDO_USER", "ann")
    shell("app", "create", "shop")
    (event,) = json.loads(shell("journal", "show", "--json"))["events"]
    assert event["details"]["by"] == f"uid {os.getuid()}"
    assert "by sudo of ann: app create" in shell("journal", "show")
