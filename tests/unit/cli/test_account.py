"""Accounts of a vendor's dialect, from a shell."""

import json

import pytest

CREATED = {"domain_id", "domain", "user_id", "user", "password", "ak", "sk"}
ON_ACCOUNTS = ("show", "suspend", "resume", "user")
ON_USERS = ("password", "disable", "enable", "key")


class Accounts:
    """Runs `watchword account … --dialect huawei`."""

    def __init__(self, shell):
        self._shell = shell

    def __call__(self, *words):
        return self._shell("account", *words, "--dialect", "huawei")

    def json(self, *words):
        return json.loads(self(*words, "--json"))

    def show(self, id):
        return json.loads(self("show", id))

    def everything(self, id):
        """All that is ever shown of an account once it is made."""
        return self("list") + self("list", "--json") + self("show", id)


@pytest.fixture
def accounts(shell):
    return Accounts(shell)


@pytest.fixture
def shop(accounts):
    """A partner, and what was printed when it was made."""
    return accounts.json("create", "shop", "--brand", "Shop", "--language", "en-us")


@pytest.fixture
def user(accounts, shop):
    """The id of the user that came with it."""
    (user,) = accounts.show(shop["domain_id"])["users"]
    return user["id"]


def test_a_partner_comes_with_all_that_its_programs_need(shell, accounts, shop):
    """An account, its first user with a password, an access key, and an app."""
    assert set(shop) == CREATED
    assert all(shop.values())
    assert (shop["domain"], shop["user"]) == ("shop", "admin")
    (listed,) = accounts.json("list")
    assert (listed["id"], listed["name"], listed["kind"]) == (shop["domain_id"], "shop", "partner")
    shown = accounts.show(shop["domain_id"])
    assert (shown["suspended"], shown["demo"]) == (False, False)
    assert [(one["name"], one["disabled"]) for one in shown["users"]] == [("admin", False)]
    assert [one["ak"] for one in shown["keys"]] == [shop["ak"]]
    (app,) = shell.json("app", "list")
    assert (app["id"], app["brand"], app["language"]) == (shown["app"], "Shop", "en-us")


def test_what_is_made_reads_well_without_json(accounts):
    """A line for each thing, as a person copies them."""
    lines = [line.split() for line in accounts("create", "shop").splitlines()]
    assert {name for name, _ in lines} == CREATED


def test_what_is_missing_is_said_with_the_help_that_tells_it(shell):
    """The likeliest mistake: the command's own help has the answer, the general one has not."""
    shell("account", "create", "shop")
    assert (shell.code, "--dialect" in shell.said) == (2, True)
    assert "See watchword account create --help." in shell.said


def test_secrets_are_shown_once(accounts, shop, user):
    """By what makes them alone: never by list and show."""
    made = [
        shop,
        accounts.json("user", shop["domain_id"], "ann"),
        accounts.json("password", user),
        accounts.json("key", user),
        accounts.json("key", user, "--ttl-s", "60"),
    ]
    secrets = {
        one[name] for one in made for name in ("password", "sk", "security_token") if name in one
    }
    assert len(secrets) == 7
    told = accounts.everything(shop["domain_id"])
    assert not [secret for secret in secrets if secret in told]
    assert "argon2" not in told


def test_an_account_may_speak_for_an_app_that_is_there(shell, accounts):
    app = shell("app", "create", "old", "--brand", "Old").strip()
    made = accounts.json("create", "shop", "--app", app)
    assert accounts.show(made["domain_id"])["app"] == app
    assert len(shell.json("app", "list")) == 1
    assert accounts("create", "other", "--app", app) == ""
    assert shell.code == 1
    assert "This app is another partner's." in shell.said
    assert accounts("create", "other", "--app", "nobody") == ""
    assert shell.code == 1


def test_an_account_may_be_no_partner(shell, accounts):
    """It has credentials, and no app to send with."""
    made = accounts.json("create", "guest", "--no-partner")
    assert set(made) == CREATED
    shown = accounts.show(made["domain_id"])
    assert (shown["kind"], shown["app"]) == ("other", "")
    assert shell.json("app", "list") == []


def test_a_name_is_one_accounts(shell, accounts, shop):
    assert accounts("create", "SHOP") == ""
    assert shell.code == 1
    assert "Another has this name already." in shell.said
    assert len(shell.said.splitlines()) == 1
    assert len(accounts.json("list")) == 1


@pytest.mark.parametrize("language", ["fr-fr", "en", "x" * 100])
def test_a_language_is_one_that_codes_are_written_in(shell, accounts, language):
    """What would never be used is not taken."""
    assert accounts("create", "shop", "--language", language) == ""
    assert shell.code == 2
    assert accounts.json("list") == []


@pytest.mark.parametrize("name", ["\u200bshop", "sh\u200dop", "sh\x1b[31mop"], ids=ascii)
def test_a_name_that_does_not_show_whole_is_refused(shell, accounts, shop, name):
    """As an account's and as a user's; the refusal shows none of it either."""
    for words in (
        ("create", name),
        ("create", name, "--no-partner"),
        ("user", shop["domain_id"], name),
    ):
        assert accounts(*words) == ""
        assert shell.code == 1
        assert name not in shell.said
    assert len(accounts.json("list")) == 1


def test_a_suspended_account_is_shown_so_until_it_is_resumed(shell, accounts, shop):
    """To do either twice changes nothing."""
    id = shop["domain_id"]
    for command, suspended in (("suspend", True), ("resume", False)):
        for _ in range(2):
            assert id in accounts(command, id)
            assert shell.code == 0
            assert accounts.show(id)["suspended"] is suspended


def test_a_disabled_user_is_shown_so_until_it_is_enabled(shell, accounts, shop, user):
    for command, disabled in (("disable", True), ("enable", False)):
        assert user in accounts(command, user)
        assert shell.code == 0
        (shown,) = accounts.show(shop["domain_id"])["users"]
        assert shown["disabled"] is disabled


def test_a_user_is_added_with_a_password_of_its_own(shell, accounts, shop):
    made = accounts.json("user", shop["domain_id"], "ann")
    assert set(made) == {"user_id", "user", "password"}
    users = {one["id"]: one["name"] for one in accounts.show(shop["domain_id"])["users"]}
    assert users[made["user_id"]] == "ann"
    assert made["password"] != shop["password"]
    assert accounts("user", shop["domain_id"], "Ann") == ""
    assert shell.code == 1


def test_keys_are_listed_until_they_are_revoked(shell, accounts, shop, user):
    made = accounts.json("key", user, "--note", "ci")
    assert set(made) == {"ak", "sk"}
    short = accounts.json("key", user, "--ttl-s", "60")
    assert set(short) == {"ak", "sk", "security_token", "expires_at"}
    keys = {one["ak"]: one for one in accounts.show(shop["domain_id"])["keys"]}
    assert set(keys) == {shop["ak"], made["ak"], short["ak"]}
    assert keys[made["ak"]]["note"] == "ci"
    assert keys[made["ak"]]["user"] == user
    assert keys[made["ak"]]["expires_at"] is None
    assert keys[short["ak"]]["expires_at"] > keys[short["ak"]]["created_at"]
    for one in keys:
        assert one in accounts("revoke", one)
    assert accounts.show(shop["domain_id"])["keys"] == []
    assert accounts("revoke", made["ak"]) == ""
    assert shell.code == 1


@pytest.mark.parametrize("ttl_s", ["0", "-1", "86401", "soon"])
def test_a_temporary_key_lasts_a_second_to_a_day(shell, accounts, shop, user, ttl_s):
    assert accounts("key", user, f"--ttl-s={ttl_s}") == ""
    assert shell.code == 2
    assert len(accounts.show(shop["domain_id"])["keys"]) == 1


@pytest.mark.parametrize("command", [*ON_ACCOUNTS, *ON_USERS, "revoke"])
def test_who_is_not_there_is_refused_in_a_sentence(shell, accounts, command):
    words = [command, "nobody", *(["ann"] if command == "user" else [])]
    assert accounts(*words) == ""
    assert shell.code == 1
    assert "nobody" in shell.said
    assert len(shell.said.splitlines()) == 1


@pytest.mark.parametrize("command", ["create", *ON_ACCOUNTS, *ON_USERS, "revoke", "list"])
def test_every_command_wants_a_dialect_it_knows(shell, command):
    """More will come; none is meant silently."""
    words = ["account", command, *(["shop"] if command != "list" else [])]
    words += ["ann"] if command == "user" else []
    for dialect in ([], ["--dialect", "native"]):
        assert shell(*words, *dialect) == ""
        assert shell.code == 2
        assert "dialect" in shell.said


@pytest.mark.parametrize("words", [["create"], ["show"], ["user", "x"], ["reset", "x"]])
def test_what_cannot_be_meant_is_wrong_usage(shell, accounts, words):
    assert accounts(*words) == ""
    assert shell.code == 2


def test_a_list_loses_nothing_where_it_is_piped(accounts, shop):
    """Its ids are there to be copied."""
    told = accounts("list")
    assert shop["domain_id"] in told
    assert "suspended" in told


def test_the_demo_is_the_same_partner_each_time(shell, accounts):
    """And a marked one, so that a public server refuses to run with it."""
    first, again = (shell.json("demo")["huawei"] for _ in range(2))
    assert first == again
    assert set(first) == {"endpoint", *CREATED} - {"user_id"}
    (listed,) = accounts.json("list")
    assert (listed["id"], listed["demo"]) == (first["domain_id"], True)


def test_the_demo_prints_what_the_vendors_sdk_reads(shell):
    """Once its dialect is named; else it is that of our own."""
    made = shell.json("demo")["huawei"]
    lines = shell("demo", "--dialect", "huawei").splitlines()
    assert dict(line.removeprefix("export ").split("=", 1) for line in lines) == {
        "HUAWEICLOUD_SDK_AK": made["ak"],
        "HUAWEICLOUD_SDK_SK": made["sk"],
        "HUAWEICLOUD_SDK_DOMAIN_ID": made["domain_id"],
        "HUAWEICLOUD_SDK_REGION_BSSINTL_AP_SOUTHEAST_1": "http://127.0.0.1:8080",
        "HUAWEICLOUD_SDK_REGION_BSSINTL_EU_WEST_101": "http://127.0.0.1:8080",
        "HUAWEICLOUD_SDK_REGION_BSS_CN_NORTH_1": "http://127.0.0.1:8080",
        "HUAWEICLOUD_SDK_IAM_ENDPOINT": "http://127.0.0.1:8080",
    }
    assert "HUAWEICLOUD" not in shell("demo")


def ends_by_suspension(accounts, demo):
    accounts("suspend", demo["domain_id"])


def ends_by_revocation(accounts, demo):
    accounts("revoke", demo["ak"])


def ends_by_disabling(accounts, demo):
    accounts("disable", accounts.show(demo["domain_id"])["users"][0]["id"])


@pytest.mark.parametrize("ends", [ends_by_suspension, ends_by_revocation, ends_by_disabling])
def test_a_demo_that_would_be_refused_is_replaced(shell, accounts, ends):
    """What it prints always works, and the native one is left alone."""
    first = shell.json("demo")
    ends(accounts, first["huawei"])
    fresh = shell.json("demo")
    assert fresh["native"] == first["native"]
    assert fresh["huawei"]["domain_id"] != first["huawei"]["domain_id"]
    assert fresh["huawei"]["ak"] != first["huawei"]["ak"]
    assert shell.json("demo") == fresh
    assert len(accounts.json("list")) == 2


def test_a_demo_whose_password_was_changed_is_replaced(shell, accounts):
    """The password that demo.json keeps has to log in, too."""
    first = shell.json("demo")["huawei"]
    (user,) = accounts.show(first["domain_id"])["users"]
    accounts("password", user["id"])
    assert shell.json("demo")["huawei"]["password"] != first["password"]
