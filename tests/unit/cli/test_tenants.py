"""Apps, keys and test numbers from a shell."""

import json
from functools import partial

import pytest
from msgspec import structs

from watchword.directory.apps import Apps


@pytest.fixture
def app(shell):
    return shell("app", "create", "shop", "--brand", "Shop").strip()


def test_an_app_is_made_listed_and_shown(shell, app):
    (listed,) = shell.json("app", "list")
    assert (listed["id"], listed["name"], listed["brand"]) == (app, "shop", "Shop")
    assert app in shell("app", "show", app)
    assert app in shell("app", "list")


def test_an_app_may_speak_ciam(shell):
    """It is made with a client, whose id programs are given."""
    words = ("--dialect", "ciam", "--users", "here", "--region", "hk", "--brand", "Shop")
    made = shell.json("app", "create", "shop", *words)
    assert (made["name"], made["brand"]) == ("shop", "Shop")
    assert (made["users"], made["region"]) == ("here", "HK")
    client = {name: made[name] for name in ("client_id", "users", "region")}
    for shown in (*shell.json("app", "list"), json.loads(shell("app", "show", made["id"]))):
        assert shown["id"] == made["id"]
        assert shown["ciam_clients"] == [{**client, "suspended": False, "demo": False}]
    assert made["client_id"] in shell("app", "list")


def test_a_ciam_app_keeps_its_users_elsewhere_unless_told(shell):
    """And prints the id of its client."""
    client_id = shell("app", "create", "shop", "--dialect", "ciam").strip()
    (app,) = shell.json("app", "list")
    (client,) = app["ciam_clients"]
    assert (client["client_id"], client["users"], client["region"]) == (
        client_id,
        "elsewhere",
        "CN",
    )


def test_an_app_has_no_client_unless_told(shell, app):
    (listed,) = shell.json("app", "list")
    assert listed["ciam_clients"] == []


@pytest.mark.parametrize(
    "words", [("--users", "here"), ("--users", "elsewhere"), ("--region", "CN"), ("--region", "")]
)
@pytest.mark.parametrize("dialect", [(), ("--dialect", "native")], ids=str)
def test_what_only_ciam_has_is_wrong_usage_elsewhere(shell, words, dialect):
    """And makes nothing."""
    shell("app", "create", "shop", *dialect, *words)
    assert shell.code == 2
    assert "--dialect ciam" in shell.said
    assert shell.json("app", "list") == []


@pytest.mark.parametrize("region", ["", "XX", "001", "China"])
def test_a_region_that_nobody_calls_from_is_refused(shell, region):
    shell("app", "create", "shop", "--dialect", "ciam", "--region", region)
    assert shell.code == 1
    assert "region" in shell.said
    assert shell.json("app", "list") == []


def test_a_ciam_client_is_suspended_and_resumed(shell):
    client_id = shell("app", "create", "shop", "--dialect", "ciam").strip()
    for verb, is_suspended in (("suspend", True), ("resume", False)):
        assert client_id in shell("app", verb, client_id)
        (app,) = shell.json("app", "list")
        assert app["ciam_clients"][0]["suspended"] is is_suspended
        shell("app", verb, "nobody")
        assert shell.code == 1
        assert "nobody" in shell.said


def test_an_app_that_is_not_there_is_refused(shell):
    assert shell("app", "show", "nobody") == ""
    assert shell.code == 1
    assert "nobody" in shell.said


def test_terms_change_what_is_named_only(shell, app):
    """A second change keeps the first."""
    shell("app", "terms", app, "--length", "8")
    shell("app", "terms", app, "--ttl-s", "300")
    shell("app", "terms", app, "--purpose", "reset", "--max-attempts", "3")
    (listed,) = shell.json("app", "list")
    assert listed["terms"] == {"*": {"length": 8, "ttl_s": 300}, "reset": {"max_attempts": 3}}
    shell("app", "terms", app, "--reset")
    assert shell.json("app", "list")[0]["terms"]["*"] == {}


def test_terms_out_of_range_are_wrong_usage(shell, app):
    shell("app", "terms", app, "--length", "2")
    assert shell.code == 2


def test_a_key_is_shown_once(shell, app):
    """The list knows keys by their ids."""
    made = shell.json("key", "create", app, "--scope", "send", "--scope", "admin", "--note", "ci")
    assert made["scopes"] == ["send", "admin"]
    assert made["api_key"].startswith("ww_")
    (listed,) = shell.json("key", "list", app)
    assert listed["id"] == made["id"]
    assert made["api_key"] not in shell("key", "list")


def test_a_revoked_key_is_gone(shell, app):
    made = shell.json("key", "create", app)
    shell("key", "revoke", made["id"])
    assert shell.json("key", "list") == []
    shell("key", "revoke", made["id"])
    assert shell.code == 1


def test_a_key_for_no_app_is_refused(shell):
    shell("key", "create", "nobody")
    assert shell.code == 1


def test_a_test_number_is_listed_masked_and_removed(shell, app):
    """Its code is not kept, so it cannot be listed."""
    shell("app", "test-number", "add", app, "+8613800138000", "424242", "--days", "7")
    (listed,) = shell.json("app", "test-number", "list", app)
    assert "13800138000" not in listed["to"]
    shell("app", "test-number", "remove", app, "+86 138 0013 8000")
    assert shell.json("app", "test-number", "list", app) == []


def test_a_test_number_ends_within_90_days(shell, app):
    shell("app", "test-number", "add", app, "+8613800138000", "424242", "--days", "91")
    assert shell.code == 2


def test_terms_changed_at_once_are_all_kept(shell, app, monkeypatch):
    """Two more shells change their part while this one is about to."""
    set_terms = Apps.set_terms

    async def meanwhile(apps, app_id, purpose, change, now):
        for part in ({"ttl_s": 300}, {"max_attempts": 3}):
            await set_terms(apps, app_id, purpose, partial(structs.replace, **part), now)
        return await set_terms(apps, app_id, purpose, change, now)

    monkeypatch.setattr(Apps, "set_terms", meanwhile)
    shell("app", "terms", app, "--length", "8")
    (listed,) = shell.json("app", "list")
    assert listed["terms"] == {"*": {"length": 8, "ttl_s": 300, "max_attempts": 3}}
