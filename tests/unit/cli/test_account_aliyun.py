"""Accounts of Alibaba Cloud's dialect, from a shell."""

import json

import pytest

ON_ALIYUN = ("--dialect", "aliyun")
CREATED = {"account_id", "name", "ak", "sk"}


class Accounts:
    """Runs `watchword account … --dialect aliyun`."""

    def __init__(self, shell):
        self._shell = shell

    def __call__(self, *words):
        return self._shell("account", *words, *ON_ALIYUN)

    def json(self, *words):
        return json.loads(self(*words, "--json"))

    def show(self, id):
        return json.loads(self("show", id))


@pytest.fixture
def accounts(shell):
    return Accounts(shell)


@pytest.fixture
def shop(accounts):
    """An account, and what was printed when it was made."""
    return accounts.json("create", "shop", "--brand", "Shop")


def test_an_account_comes_with_an_access_key_and_an_app(shell, accounts, shop):
    """It stands alone, and its secret is never shown again."""
    assert set(shop) == CREATED
    assert len(shop["account_id"]) == 16
    assert shop["account_id"].isdigit()
    shown = accounts.show(shop["account_id"])
    assert (shown["kind"], shown["type"], shown["phone"]) == ("account", "cloud", "")
    assert [key["ak"] for key in shown["keys"]] == [shop["ak"]]
    (app,) = shell.json("app", "list")
    assert (shown["app"], app["brand"]) == (app["id"], "Shop")
    told = accounts("list") + accounts("list", "--json") + accounts("show", shop["account_id"])
    assert shop["sk"] not in told


def test_a_phone_is_bound_from_the_start_and_shown_masked(accounts):
    made = accounts.json("create", "shop", "--phone", "1-2025550100")
    assert made["phone"] == "1-2025550100"
    shown = accounts("show", made["account_id"])
    assert "2025550100" not in shown
    assert json.loads(shown)["phone"].startswith("+12")


@pytest.mark.parametrize("phone", ["2025550100", "+1-2025550100", "12-025550100", "1-20", "x"])
def test_a_phone_is_written_as_the_dialect_writes_it(shell, accounts, phone):
    assert accounts("create", "shop", "--phone", phone) == ""
    assert shell.code == 1
    assert "phone" in shell.said.lower()
    assert accounts.json("list") == []


def test_accounts_may_share_an_app(shell, accounts, shop):
    """And an app that is nobody's is named in vain."""
    app = accounts.show(shop["account_id"])["app"]
    other = accounts.json("create", "other", "--app", app)
    assert accounts.show(other["account_id"])["app"] == app
    assert accounts("create", "third", "--app", "nobody") == ""
    assert "There is no app 'nobody'" in shell.said


@pytest.mark.parametrize(
    "words",
    [("create", "x", "--no-partner"), ("user", "1", "ann"), ("password", "1")],
    ids=" ".join,
)
def test_what_only_partners_have_is_wrong_usage(shell, accounts, words):
    assert accounts(*words) == ""
    assert shell.code == 2
    assert "Traceback" not in shell.said


def test_a_partner_has_no_phone(shell):
    words = ("account", "create", "shop", "--phone", "1-2025550100", "--dialect", "huawei")
    assert shell(*words) == ""
    assert shell.code == 2


def test_keys_are_disabled_enabled_and_revoked(shell, accounts, shop):
    """A further one, a temporary one, and one that programs have already."""
    id = shop["account_id"]
    further = accounts.json("key", id, "--note", "ci")["ak"]
    brief = accounts.json("key", id, "--ttl-s", "60")
    assert {"ak", "sk", "security_token", "expires_at"} == set(brief)
    accounts("disable", further)
    keys = {one["ak"]: one for one in accounts.show(id)["keys"]}
    assert set(keys) == {shop["ak"], further, brief["ak"]}
    assert (keys[further]["disabled"], keys[further]["note"]) == (True, "ci")
    accounts("enable", further)
    assert not any(one["disabled"] for one in accounts.show(id)["keys"])
    for ak in keys:
        assert ak in accounts("revoke", ak)
    assert accounts.show(id)["keys"] == []
    assert accounts("disable", further) == ""
    assert (shell.code, "no access key" in shell.said) == (1, True)


def test_an_account_is_suspended_until_it_is_resumed(accounts, shop):
    for command, suspended in (("suspend", True), ("resume", False)):
        assert shop["account_id"] in accounts(command, shop["account_id"])
        assert accounts.show(shop["account_id"])["suspended"] is suspended


def test_who_is_not_there_is_said_so(shell, accounts):
    for command in ("show", "suspend", "resume", "key"):
        assert accounts(command, "1234567890123456") == ""
        assert shell.code == 1
        assert "There is no account '1234567890123456'" in shell.said


def test_the_demo_has_a_manager_a_member_and_a_newcomer(shell, accounts):
    """The newcomer's phone is none of the virtual carrier's that misbehave."""
    made = shell.json("demo")["aliyun"]
    assert made["endpoint"] == "127.0.0.1:8080"
    assert set(made) == {"endpoint", "management", "newcomer", "member_id"}
    assert set(made["management"]) == {"account_id", "ak", "sk"}
    assert set(made["newcomer"]) == {"account_id", "ak", "sk", "phone"}
    assert made["newcomer"]["phone"][-4:] not in {"0001", "0002", "0003", "0004"}
    kinds = {one["id"]: (one["kind"], one["type"]) for one in accounts.json("list")}
    assert kinds == {
        made["management"]["account_id"]: ("manager", "cloud"),
        made["member_id"]: ("member", "resource"),
        made["newcomer"]["account_id"]: ("account", "cloud"),
    }
    assert accounts.show(made["member_id"])["phone"] == ""
    assert shell.json("demo")["aliyun"] == made


@pytest.mark.parametrize("spoiled", ["management", "newcomer", "member_id"])
@pytest.mark.parametrize("value", [5, None, [], {}, "x", {"ak": 1}, {"ak": "x"}], ids=repr)
def test_a_demo_that_was_edited_is_made_anew(shell, spoiled, value):
    """Whoever edited demo.json gets credentials that work, and no traceback."""
    first = shell.json("demo")
    path = shell.folder / "demo.json"
    kept = json.loads(path.read_text())
    kept["aliyun"][spoiled] = value
    path.write_text(json.dumps(kept))
    fresh = shell.json("demo")
    assert "Traceback" not in shell.said
    assert (fresh["native"], fresh["huawei"]) == (first["native"], first["huawei"])
    assert fresh["aliyun"]["management"]["ak"] != first["aliyun"]["management"]["ak"]
    assert shell.json("demo") == fresh


def test_a_demo_account_is_not_resumed_where_others_would_reach_it(shell, accounts, monkeypatch):
    demo = shell.json("demo")["aliyun"]["newcomer"]["account_id"]
    accounts("suspend", demo)
    monkeypatch.setenv("WATCHWORD_SERVER__HOST", "192.0.2.1")
    assert accounts("resume", demo) == ""
    assert shell.code == 1
    assert accounts.show(demo)["suspended"]
