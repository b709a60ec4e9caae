"""Logging in as Keystone's clients do: what is told, whoever is not let in, and the locks."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from tests.surfaces.huawei.calling import (
    PASSWORD,
    THERE,
    TOKENS,
    VENDORS_WARNINGS,
    by_key,
    by_password,
    log_in,
    nobody,
    opened_by,
    partner,
    with_password,
)
from tests.surfaces.travel import HERE
from watchword.errors import StoreUnavailable

pytestmark = [pytest.mark.filterwarnings(one) for one in VENDORS_WARNINGS]
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


@pytest.fixture
def shop(server):
    """A partner with a password. Nothing here waits for a carrier."""
    return with_password(partner(server))


def keystones(reply):
    """Status and message of a refusal in Keystone's shape."""
    assert reply.headers["content-type"] == "application/json;charset=UTF-8"
    assert len(reply.headers["x-request-id"]) == 32
    assert set(reply.json) == {"error"}
    error = reply.json["error"]
    assert set(error) == {"code", "message", "title"}
    assert error["code"] == reply.status
    return reply.status, error["message"]


def test_a_token_is_told_as_keystone_tells_it(server, shop):
    """201, the token in a header, and who, since when and until when in the body."""
    reply = log_in(server, by_password(shop, scope={"domain": {"name": shop.account.name}}))
    told = reply.json["token"]
    domain = {"id": shop.account.id, "name": shop.account.name}
    assert reply.status == 201
    assert reply.headers["content-type"] == "application/json;charset=UTF-8"
    assert len(reply.headers["x-subject-token"]) >= 43
    assert reply.headers["x-subject-token"] not in reply.body.decode()
    assert set(told) == {
        "methods", "issued_at", "expires_at", "user", "domain", "roles", "catalog",
    }  # fmt: skip
    assert told["methods"] == ["password"]
    assert told["user"] == {"id": shop.user.id, "name": "admin", "domain": domain}
    assert told["domain"] == domain
    issued, ends = (_instant(told[name]) for name in ("issued_at", "expires_at"))
    assert ends - issued == timedelta(hours=24)
    assert abs(issued - server.clock()) < 20 * SECOND


def _instant(text):
    assert INSTANT.fullmatch(text)
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("scope", "project"),
    [
        (None, None),
        ("unscoped", None),
        ({"project": {"name": "ap-southeast-1"}}, ("ap-southeast-1", "ap-southeast-1")),
        ({"project": {"id": "p1"}}, ("p1", "p1")),
        ({"project": {"id": "p1", "name": "n"}}, ("p1", "n")),
    ],
    ids=str,
)
def test_a_scope_is_told_as_it_was_asked(server, shop, scope, project):
    """A project is taken as it is written; without a scope there is neither."""
    told = log_in(server, by_password(shop, scope=scope)).json["token"]
    assert "domain" not in told
    found = told.get("project")
    assert (found and (found["id"], found["name"])) == project


@pytest.mark.parametrize(
    "where", ["auth.scope", "user.id", "domain.id", "scope.project", "scope.domain.id", "hw_ak_sk"]
)
def test_null_is_the_same_as_missing(server, shop, where):
    """Some clients leave a member out by writing null."""
    body = by_password(shop, scope={"domain": {"name": shop.account.name}})
    identity = body["auth"]["identity"]
    user = identity["password"]["user"]
    holder = {
        "auth.scope": body["auth"],
        "user.id": user,
        "domain.id": user["domain"],
        "scope.project": body["auth"]["scope"],
        "scope.domain.id": body["auth"]["scope"]["domain"],
        "hw_ak_sk": identity,
    }[where]
    holder[where.rpartition(".")[2]] = None
    assert log_in(server, body).status == 201


def test_a_domain_may_be_named_by_its_id(server, shop):
    by_id = {"domain": {"id": shop.account.id}}
    for body in (
        by_password(shop, scope=by_id, domain={"id": shop.account.id}),
        by_password(shop, scope=by_id, domain={"name": shop.account.name.upper()}),
        by_password(shop, id=shop.user.id, name="", domain={}),
    ):
        assert log_in(server, body).status == 201


def test_another_domain_is_not_given(server, shop):
    """401, whichever way it is named."""
    other = nobody(server).account
    for scope in ({"domain": {"name": other.name}}, {"domain": {"id": other.id}}):
        assert keystones(log_in(server, by_password(shop, scope=scope)))[0] == 401


@pytest.mark.parametrize("by", ["name", "id"])
def test_a_project_of_another_domain_is_not_given(server, shop, by):
    """Of the caller's own one any is taken, and told under that domain."""
    domain = {"id": shop.account.id, "name": shop.account.name.upper()}
    told = log_in(server, by_password(shop, scope={"project": {"name": "p", "domain": domain}}))
    assert told.status == 201
    ours = {"id": shop.account.id, "name": shop.account.name}
    assert told.json["token"]["project"] == {"id": "p", "name": "p", "domain": ours}
    other = nobody(server).account
    theirs = {"name": other.name, "id": other.id}[by]
    for another in ({by: theirs}, {**domain, by: theirs}):
        scope = {"project": {"name": "p", "domain": another}}
        assert keystones(log_in(server, by_password(shop, scope=scope)))[0] == 401


@pytest.mark.parametrize("scope", ["x", "", "Unscoped"])
def test_a_scope_in_a_word_is_unscoped_alone(server, shop, scope):
    """The refusal says so."""
    body = by_password(shop)
    body["auth"]["scope"] = scope
    status, message = keystones(log_in(server, body))
    assert status == 400
    assert "Allowed are: unscoped." in message


@pytest.mark.parametrize("charset", ["utf8", "UTF8", "utf-8"])
def test_a_log_in_may_spell_utf_8_either_way(server, shop, charset):
    named = {"Content-Type": f"application/json; charset={charset}"}
    assert log_in(server, by_password(shop), **named).status == 201


def test_an_access_key_logs_in_too(server, shop):
    """hw_ak_sk; its secret may be wrong as often as a signature."""
    reply = log_in(server, by_key(shop))
    assert (reply.status, reply.json["token"]["methods"]) == (201, ["hw_ak_sk"])
    assert opened_by(server, reply.headers["x-subject-token"]).status == 200
    for _ in range(6):
        assert keystones(log_in(server, by_key(shop, "wrong")))[0] == 401
    assert keystones(log_in(server, by_key(shop)))[0] == 429
    assert shop.domains().refusal == (401, "APIGW.0301")


@pytest.mark.parametrize(
    "changes",
    [{"name": "nobody"}, {"domain": {"name": "nobody"}}, {"domain": {}}, {"name": ""},
     {"domain": {"id": "nobody"}}, {"id": "nobody"}, {"password": "wrong"}, {"password": ""}],
    ids=str,
)  # fmt: skip
def test_every_wrong_pair_reads_the_same(server, shop, changes):
    """Who is unknown is not told from a password that is wrong."""
    changes = {**changes}
    password = changes.pop("password", PASSWORD)
    status, message = keystones(log_in(server, by_password(shop, password, **changes)))
    assert (status, message) == (401, "The username or password is wrong.")


@pytest.mark.parametrize(
    "body",
    [
        {}, {"auth": None}, {"auth": {}}, {"auth": {"identity": {"methods": []}}},
        {"auth": {"identity": {"methods": ["password", "totp"]}}},
        {"auth": {"identity": {"methods": ["token"]}}},
        {"auth": {"identity": {"methods": ["hw_assume_role"]}}},
        {"auth": {"identity": {"methods": "password"}}},
        {"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": 7}}}}},
        {"auth": {"identity": {"methods": ["password"], "password": []}}}, [], None, 7, "x",
    ],
    ids=str,
)  # fmt: skip
def test_a_malformed_log_in_changes_nothing(server, body):
    before = server.digest()
    assert keystones(log_in(server, body))[0] == 400
    assert server.digest() == before


def test_ten_wrong_passwords_lock_the_user_for_that_network(server, shop):
    """The 11th within a quarter of an hour is 429, and so is the right one, until time helps."""
    for _ in range(10):
        assert keystones(log_in(server, by_password(shop, "wrong"), source=THERE))[0] == 401
        server.clock.pass_by(SECOND)
    for password in ("wrong", PASSWORD):
        reply = log_in(server, by_password(shop, password), source=THERE)
        assert keystones(reply)[0] == 429
        assert 880 <= int(reply.headers["retry-after"]) <= 900
    assert log_in(server, by_password(shop), source=HERE).status == 201
    assert log_in(server, by_password(shop), source=THERE).status == 429
    server.clock.pass_by(15 * MINUTE)
    assert log_in(server, by_password(shop), source=THERE).status == 201


@pytest.mark.parametrize("name", ["admin", "nobody"])
def test_a_changing_name_beside_an_id_is_one_account(server, shop, name):
    """It gives nobody more guesses, and tells nobody that there is no such user."""
    for n in range(10):
        domain = {"id": shop.account.id, "name": f"any{n}"}
        assert log_in(server, by_password(shop, "wrong", name=name, domain=domain)).status == 401
    for domain in (
        {"id": shop.account.id, "name": "any10"},
        {"id": shop.account.id},
        {"name": shop.account.name.upper()},
    ):
        assert log_in(server, by_password(shop, name=name, domain=domain)).status == 429


def test_a_right_password_forgets_the_wrong_ones(server, shop):
    for _ in range(2):
        for _ in range(9):
            log_in(server, by_password(shop, "wrong"))
        assert log_in(server, by_password(shop)).status == 201


def test_a_signature_on_the_way_to_a_token_is_not_looked_at(server, shop):
    """The vendor's IAM client signs this call too, with whatever key it has."""
    nonsense = {"Authorization": "SDK-HMAC-SHA256 Access=x, SignedHeaders=y, Signature=z"}
    assert log_in(server, by_password(shop), **nonsense).status == 201
    before = server.digest()
    assert log_in(server, {}, **nonsense).status == 400
    assert server.digest() == before


def test_a_path_with_a_slash_is_the_same(server, shop):
    assert log_in(server, by_password(shop), path=TOKENS + "/").status == 201


def test_a_disabled_user_gets_no_token(server, shop):
    server.do(server.service.huawei.accounts.disable_user(shop.user.id, server.clock()))
    assert keystones(log_in(server, by_password(shop)))[0] == 401
    assert keystones(log_in(server, by_key(shop)))[0] == 401


def test_a_store_that_is_away_gives_no_token(server, shop, monkeypatch):
    """500 in Keystone's shape, and when to come back."""

    async def away(*_):
        raise StoreUnavailable

    monkeypatch.setattr(type(server.service.store), "write", away)
    reply = log_in(server, by_password(shop))
    assert keystones(reply)[0] == 500
    assert reply.headers["retry-after"] == "1"
