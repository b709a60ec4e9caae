"""Demo credentials, made once."""

import json
import os
import stat
import subprocess
import sys

import pytest

ON_HUAWEI = ("--dialect", "huawei")
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


def seem_to_serve(shell, host):
    """As a server does that runs on this folder."""
    serving = {"base_url": "http://127.0.0.1:1", "admin_url": None, "pid": os.getpid()}
    (shell.folder / "serve.json").write_text(json.dumps({**serving, "host": host}))


def test_a_demo_is_refused_where_a_server_listens_to_others(shell, monkeypatch):
    """Wherever that server was told to, the settings need not say it."""
    shell("app", "list")
    seem_to_serve(shell, "0.0.0.0")  # noqa: S104
    shell("demo")
    assert shell.code == 1
    assert "0.0.0.0" in shell.said  # noqa: S104
    assert shell.json("key", "list") == []
    monkeypatch.setenv("WATCHWORD_SANDBOX", "true")
    shell("demo")
    assert shell.code == 0


def is_suspended(shell, id):
    return json.loads(shell("account", "show", id, *ON_HUAWEI))["suspended"]


def test_a_demo_partner_is_not_resumed_where_a_server_listens_to_others(shell, monkeypatch):
    """It was suspended so that the server might; other partners are as welcome as ever."""
    demo = shell.json("demo")["huawei"]["domain_id"]
    shop = shell.json("account", "create", "shop", *ON_HUAWEI)["domain_id"]
    for id in (demo, shop):
        shell("account", "suspend", id, *ON_HUAWEI)
    seem_to_serve(shell, "0.0.0.0")  # noqa: S104
    assert shell("account", "resume", demo, *ON_HUAWEI) == ""
    assert shell.code == 1
    assert "0.0.0.0" in shell.said  # noqa: S104
    assert is_suspended(shell, demo)
    shell("account", "resume", shop, *ON_HUAWEI)
    assert not is_suspended(shell, shop)
    monkeypatch.setenv("WATCHWORD_SANDBOX", "true")
    shell("account", "resume", demo, *ON_HUAWEI)
    assert not is_suspended(shell, demo)


def test_a_demo_partner_is_not_resumed_where_others_would_reach_it(shell, monkeypatch):
    """By the settings, before any server runs; on loopback it is."""
    demo = shell.json("demo")["huawei"]["domain_id"]
    shell("account", "suspend", demo, *ON_HUAWEI)
    monkeypatch.setenv("WATCHWORD_SERVER__HOST", "192.0.2.1")
    assert shell("account", "resume", demo, *ON_HUAWEI) == ""
    assert shell.code == 1
    assert is_suspended(shell, demo)
    monkeypatch.delenv("WATCHWORD_SERVER__HOST")
    seem_to_serve(shell, "127.0.0.1")
    shell("account", "resume", demo, *ON_HUAWEI)
    assert not is_suspended(shell, demo)


@pytest.mark.parametrize("name", ["ak", "sk", "password", "domain_id"])
@pytest.mark.parametrize("value", [5, None, [], {}, True], ids=repr)
def test_a_demo_of_wrong_types_is_replaced(shell, name, value):
    """Whoever edited demo.json gets credentials that work, and no traceback."""
    first = shell.json("demo")
    path = shell.folder / "demo.json"
    kept = json.loads(path.read_text())
    kept["huawei"][name] = value
    path.write_text(json.dumps(kept))
    fresh = shell.json("demo")
    assert fresh["native"] == first["native"]
    assert fresh["huawei"]["ak"] != first["huawei"]["ak"]
    assert all(isinstance(one, str) for one in fresh["huawei"].values())
    assert "Traceback" not in shell.said
    assert shell.json("demo") == fresh


ON_CIAM = ("--dialect", "ciam")


def test_a_demo_has_two_ciam_clients(shell):
    """One keeps its users elsewhere, and the other here; both are told apart in the list."""
    demo = shell.json("demo")["ciam"]
    assert set(demo) == {"base_url", "client_id", "client_id_2"}
    assert demo["base_url"] == "http://127.0.0.1:8080"
    listed = {
        client["client_id"]: (app["name"], client["users"], client["demo"])
        for app in shell.json("app", "list")
        for client in app["ciam_clients"]
    }
    assert listed == {
        demo["client_id"]: ("demo-elsewhere", "elsewhere", True),
        demo["client_id_2"]: ("demo-here", "here", True),
    }


def test_a_ciam_demo_prints_what_a_program_needs(shell):
    demo = shell.json("demo")["ciam"]
    assert shell("demo", *ON_CIAM).splitlines() == [
        f"export CIAM_BASE_URL={demo['base_url']}",
        f"export CIAM_CLIENT_ID={demo['client_id']}",
        f"export CIAM_CLIENT_ID_2={demo['client_id_2']}",
    ]


@pytest.mark.parametrize("name", ["client_id", "client_id_2"])
@pytest.mark.parametrize("value", ["", "nobody", 5, None, ...], ids=repr)
def test_a_ciam_demo_that_is_not_known_is_made_anew(shell, name, value):
    """Both clients, and nothing of the other dialects."""
    first = shell.json("demo")
    path = shell.folder / "demo.json"
    kept = json.loads(path.read_text())
    if value is ...:
        del kept["ciam"][name]
    else:
        kept["ciam"][name] = value
    path.write_text(json.dumps(kept))
    fresh = shell.json("demo")
    assert not {fresh["ciam"][one] for one in ("client_id", "client_id_2")} & {
        first["ciam"][one] for one in ("client_id", "client_id_2")
    }
    for dialect in ("native", "huawei", "aliyun"):
        assert fresh[dialect] == first[dialect]
    assert shell.json("demo") == fresh


def test_ciam_clients_that_changed_places_are_made_anew(shell):
    """The first keeps its users elsewhere, always."""
    shell("demo")
    path = shell.folder / "demo.json"
    kept = json.loads(path.read_text())
    one, two = kept["ciam"]["client_id"], kept["ciam"]["client_id_2"]
    kept["ciam"] = {"client_id": two, "client_id_2": one}
    path.write_text(json.dumps(kept))
    fresh = shell.json("demo")["ciam"]
    assert {fresh["client_id"], fresh["client_id_2"]}.isdisjoint({one, two})


def test_a_suspended_ciam_demo_is_made_anew(shell):
    """What it prints always works."""
    first = shell.json("demo")["ciam"]
    shell("app", "suspend", first["client_id_2"])
    assert shell.json("demo")["ciam"] != first


def test_the_list_of_apps_marks_which_clients_are_demos_and_which_suspended(shell):
    demo = shell.json("demo")["ciam"]
    shop = shell("app", "create", "shop", *ON_CIAM).strip()
    shell("app", "suspend", demo["client_id_2"])
    listed = shell("app", "list").split("\n")
    (of_demo,) = [line for line in listed if f"{demo['client_id']} (demo)" in line]
    (of_other,) = [line for line in listed if f"{demo['client_id_2']} (suspended)" in line]
    (of_shop,) = [line for line in listed if shop in line]
    assert "suspended" not in of_demo + of_shop
    assert "demo)" not in of_other + of_shop


def test_a_ciam_demo_is_not_resumed_where_a_server_listens_to_others(shell, monkeypatch):
    """It was suspended so that the server might; other clients are as welcome as ever."""
    demo = shell.json("demo")["ciam"]["client_id"]
    shop = shell("app", "create", "shop", *ON_CIAM).strip()
    for client in (demo, shop):
        shell("app", "suspend", client)
    seem_to_serve(shell, "0.0.0.0")  # noqa: S104
    assert shell("app", "resume", demo) == ""
    assert shell.code == 1
    assert "0.0.0.0" in shell.said  # noqa: S104
    assert shell("app", "resume", shop) == f"Resumed {shop}.\n"
    monkeypatch.setenv("WATCHWORD_SANDBOX", "true")
    assert shell("app", "resume", demo) == f"Resumed {demo}.\n"


@pytest.mark.parametrize("content", [b"", b"[]", b"7", b"\xff", b'{"native": {"api_key": 5}}'])
def test_a_demo_that_cannot_be_read_is_replaced(shell, content):
    first = shell.json("demo")
    (shell.folder / "demo.json").write_bytes(content)
    fresh = shell.json("demo")
    assert fresh["native"]["api_key"] != first["native"]["api_key"]
    assert shell.json("demo") == fresh


@pytest.mark.parametrize(
    "words",
    [
        ["demo"],
        ["demo", "--json"],
        *(["demo", "--dialect", dialect] for dialect in ("huawei", "aliyun", "ciam")),
    ],
    ids=str,
)
def test_a_demo_says_where_no_server_runs(shell, words):
    """Beside what a shell reads of it, which is the same."""
    alone = shell(*words)
    assert shell.code == 0
    (said,) = shell.said.splitlines()
    assert "No server runs" in said
    assert str(shell.folder) in said
    seem_to_serve(shell, "127.0.0.1")
    served = shell(*words)
    assert shell.said == ""
    assert served == alone.replace("127.0.0.1:8080", "127.0.0.1:1")
