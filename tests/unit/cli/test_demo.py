"""Demo credentials, made once."""

import json
import os
import stat
import subprocess
import sys

PROGRAM = "import sys; from watchword.cli import run; sys.exit(run(sys.argv[1:]))"


def test_a_demo_prints_the_same_again_each_time(shell):
    """Whoever asks again breaks nothing."""
    first, again = shell.json("demo"), shell.json("demo")
    assert first == again
    assert first["native"]["base_url"] == "http://127.0.0.1:8080"
    assert len(shell.json("key", "list")) == 1


def test_demo_credentials_are_for_the_owner_only(shell):
    shell("demo")
    kept = shell.folder / "demo.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_a_demo_key_may_do_all_but_administer(shell):
    shell("demo")
    (key,) = shell.json("key", "list")
    assert (set(key["scopes"]), key["demo"]) == ({"send", "check", "read", "inbox"}, True)


def test_first_calls_at_once_make_one_demo(shell):
    """Two shells that start together share it."""
    words = [sys.executable, "-c", PROGRAM, "demo", "--json", "--data", str(shell.folder)]
    calls = [subprocess.Popen(words, stdout=subprocess.PIPE) for _ in range(3)]
    printed = [json.loads(call.communicate(timeout=60)[0]) for call in calls]
    assert all(one == printed[0] for one in printed)
    assert len(shell.json("key", "list")) == 1


def test_a_demo_whose_key_was_revoked_is_made_anew(shell):
    """What it prints always works."""
    first = shell.json("demo")
    (key,) = shell.json("key", "list")
    shell("key", "revoke", key["id"])
    assert shell.json("demo") != first


def test_a_demo_is_refused_where_others_would_reach_it(shell, monkeypatch):
    """A public server never gets a demo key by accident."""
    monkeypatch.setenv("WATCHWORD_SERVER__HOST", "192.0.2.1")
    shell("demo")
    assert shell.code == 1
    assert "sandbox" in shell.said
    monkeypatch.setenv("WATCHWORD_SANDBOX", "true")
    shell("demo")
    assert shell.code == 0


def test_the_address_is_that_of_the_settings_while_nothing_runs(shell, monkeypatch):
    """What a killed server left behind does not count."""
    shell("demo")
    stale = {"base_url": "http://127.0.0.1:1", "admin_url": None, "pid": 2**22 + 1, "workers": 1}
    (shell.folder / "serve.json").write_text(json.dumps(stale))
    monkeypatch.setenv("WATCHWORD_SERVER__PORT", "8088")
    assert shell.json("demo")["native"]["base_url"] == "http://127.0.0.1:8088"


def test_a_demo_is_refused_where_a_server_listens_to_others(shell, monkeypatch):
    """Wherever that server was told to, the settings need not say it."""
    shell("app", "list")
    serving = {"base_url": "http://127.0.0.1:1", "admin_url": None, "pid": os.getpid()}
    (shell.folder / "serve.json").write_text(json.dumps({**serving, "host": "0.0.0.0"}))  # noqa: S104
    shell("demo")
    assert shell.code == 1
    assert "0.0.0.0" in shell.said  # noqa: S104
    assert shell.json("key", "list") == []
    monkeypatch.setenv("WATCHWORD_SANDBOX", "true")
    shell("demo")
    assert shell.code == 0
