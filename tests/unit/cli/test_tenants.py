"""Apps, keys and test numbers from a shell."""

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
