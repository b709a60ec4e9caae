"""Tokens over HTTP: what they open, what ends them, and whose clients get them."""

import json
from datetime import timedelta

import pytest
from huaweicloudsdkiam.v3 import (
    IamClient,
    KeystoneCreateUserTokenByPasswordRequest,
    KeystoneCreateUserTokenByPasswordRequestBody,
    KeystoneListAuthDomainsRequest,
)
from keystoneauth1 import exceptions
from keystoneauth1.identity import generic, v3
from keystoneauth1.session import Session

from tests.surfaces.huawei.calling import (
    CREATE,
    DOMAINS,
    IDENTITY,
    JSON,
    PASSWORD,
    SEND,
    VENDORS_WARNINGS,
    by_password,
    customer,
    log_in,
    mailbox,
    nobody,
    opened_by,
    partner,
    raised,
    refused,
    token_of,
    travelled,
    wanted,
    with_password,
)

pytestmark = [pytest.mark.filterwarnings(one) for one in VENDORS_WARNINGS]
INVALID = (401, "CBC.0154")
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)


@pytest.fixture
def shop(server):
    """A partner with a password. Nothing here waits for a carrier."""
    return with_password(partner(server))


def test_a_token_opens_for_24_hours(server, shop):
    """And not a second longer."""
    token = token_of(shop)
    server.clock.pass_by(24 * HOUR - 20 * SECOND)
    assert opened_by(server, token).status == 200
    server.clock.pass_by(20 * SECOND)
    assert opened_by(server, token).refusal == INVALID


def test_a_new_token_leaves_the_old_one(server, shop):
    first, second = token_of(shop), token_of(shop)
    assert first != second
    assert [opened_by(server, one).status for one in (first, second)] == [200, 200]


@pytest.mark.parametrize("how", ["password", "key", "revoked key", "disabled"])
def test_a_token_ends_with_what_it_came_from(server, shop, how):
    """A changed password, a new or revoked key, a disabled user; also for the time after."""
    directory, token = server.service.huawei, token_of(shop)
    accounts, credentials, now = directory.accounts, directory.credentials, server.clock()
    assert opened_by(server, token).status == 200
    server.do({
        "password": lambda: accounts.set_password(shop.user.id, PASSWORD, now),
        "key": lambda: credentials.create_key(shop.user.id, now),
        "revoked key": lambda: credentials.revoke_key(shop.ak, now),
        "disabled": lambda: accounts.disable_user(shop.user.id, now),
    }[how]())  # fmt: skip
    assert opened_by(server, token).refusal == INVALID
    server.do(accounts.enable_user(shop.user.id, server.clock()))
    assert opened_by(server, token).refusal == INVALID


@pytest.mark.parametrize("token", ["x", "é", "x" * 8000, "Bearer x", "a b"])
@pytest.mark.parametrize("path", [SEND, CREATE, IDENTITY])
def test_an_unknown_token_is_invalid(server, token, path):
    before = server.digest()
    assert opened_by(server, token, path).refusal == INVALID
    assert server.digest() == before


def test_a_token_goes_before_a_signature(server, shop):
    """A right one with a wrong signature is in, a wrong one with a right signature is not."""
    nonsense = "SDK-HMAC-SHA256 Access=x, SignedHeaders=x-sdk-date, Signature=" + "0" * 64
    assert opened_by(server, token_of(shop), Authorization=nonsense).status == 200
    reply = shop.ask("GET", DOMAINS, X_Auth_Token="x")
    assert reply.refusal == INVALID


def test_a_token_sends_codes_and_makes_customers(delivering, ann):
    shop = with_password(partner(delivering))
    token = token_of(shop)
    for path, body, status in ((SEND, wanted(ann), 204), (CREATE, customer(), 200)):
        named = {"Content-Type": JSON, "X-Auth-Token": token}
        content = json.dumps(body).encode()
        assert travelled(delivering, "POST", path, content, named.items()).status == status


def test_a_customer_logs_in_and_is_no_partner(server, shop):
    """Its user has the customer's own name; codes are not its to send."""
    made = shop.register(password=PASSWORD)
    domain = {"name": made.domain_name}
    body = by_password(shop, name=made.domain_name, domain=domain, scope={"domain": domain})
    reply = log_in(server, body)
    assert reply.json["token"]["domain"]["id"] == made.domain_id
    assert opened_by(server, reply.headers["x-subject-token"]).refusal == (403, "CBC.0151")


# The clients of others


def test_the_vendors_own_client_gets_one(server, shop):
    """It signs, and reads Keystone's shape where it is refused."""
    client = shop.at_its_time(shop.client(IamClient))

    def asked(password):
        body = KeystoneCreateUserTokenByPasswordRequestBody(
            auth=by_password(shop, password)["auth"]
        )
        request = KeystoneCreateUserTokenByPasswordRequest(body=body)
        return client.keystone_create_user_token_by_password(request)

    made = asked(PASSWORD)
    assert made.token.user.id == shop.user.id
    assert opened_by(server, made.x_subject_token).status == 200
    error = raised(asked, "wrong")
    assert (error.status_code, error.error_msg) == (401, "The username or password is wrong.")
    told = client.keystone_list_auth_domains(KeystoneListAuthDomainsRequest())
    assert [domain.id for domain in told.domains] == [shop.account.id]


def keystone(shop, password=PASSWORD, **scope):
    return v3.Password(
        auth_url=f"{shop.server.url}/v3",
        username="admin",
        password=password,
        user_domain_name=shop.account.name,
        **scope,
    )


@pytest.mark.parametrize("scope", ["domain_name", "project_name", "unscoped"])
def test_keystones_client_gets_one(shop, scope):
    """With a domain, a project or nothing; it asks again by itself when a token has ended."""
    scopes = {
        "domain_name": {"domain_name": shop.account.name},
        "project_name": {"project_name": "p", "project_domain_name": shop.account.name},
        "unscoped": {},
    }
    session = Session(auth=keystone(shop, **scopes[scope]))
    token = session.get_token()
    url = f"{shop.server.url}{DOMAINS}"
    assert session.get(url).json()["domains"][0]["id"] == shop.account.id
    with_password(shop)
    assert session.get(url).status_code == 200
    assert session.get_token() != token


@pytest.mark.parametrize("path", ["/v3", "/v3/"])
def test_the_version_is_told_to_anybody(server, path):
    """Under the address by which it was asked."""
    reply = travelled(server, "GET", path, b"", {})
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json;charset=UTF-8")
    version = reply.json["version"]
    assert (version["id"][:2], version["status"]) == ("v3", "stable")
    assert version["links"] == [{"rel": "self", "href": f"{server.url}/v3/"}]


@pytest.mark.parametrize("ending", ["/v3", "/v3/"])
def test_keystones_generic_client_gets_one(shop, ending, caplog):
    """It asks for the version first, and need not guess."""
    client = generic.Password(
        auth_url=f"{shop.server.url}{ending}",
        username="admin",
        password=PASSWORD,
        user_domain_name=shop.account.name,
        domain_name=shop.account.name,
    )
    session = Session(auth=client)
    url = f"{shop.server.url}{DOMAINS}"
    assert session.get(url).json()["domains"][0]["id"] == shop.account.id
    assert opened_by(shop.server, str(session.get_token())).status == 200
    assert "Failed to discover" not in caplog.text


def test_keystones_client_is_refused_in_its_own_words(shop):
    with pytest.raises(exceptions.Unauthorized, match=r"The username or password is wrong\."):
        Session(auth=keystone(shop, "wrong")).get_token()


def test_what_is_refused_for_good_is_not_asked_twice(server):
    """403 for who is no partner: Keystone's client fetches no new token for it."""
    other = with_password(nobody(server))
    session = Session(auth=keystone(other))
    answer = session.post(f"{server.url}{SEND}", json=wanted(mailbox()), raise_exc=False)
    assert (answer.status_code, answer.json()["error_code"]) == (403, "CBC.0151")
    assert refused(other.send, mailbox()) == (403, "CBC.0151")
