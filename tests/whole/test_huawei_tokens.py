"""Tokens of Huawei Cloud's dialect, by Keystone's own client and by the vendor's."""

import huaweicloudsdkiam.v3 as iam
import pytest
from huaweicloudsdkcore.auth.credentials import GlobalCredentials
from keystoneauth1.exceptions import BadRequest, Unauthorized

from tests.whole.conftest import eventually
from tests.whole.huawei import (
    CHECK_IDENTITY,
    SEND,
    VENDORS_WARNINGS,
    account,
    change,
    refusal,
    running,
    status_with,
    user_of,
)

pytestmark = pytest.mark.filterwarnings(VENDORS_WARNINGS)


@pytest.fixture(scope="module")
def place(new_house):
    with new_house() as house, running(house) as place:
        yield place


@pytest.fixture(scope="module")
def partner(place):
    """One whom no test changes."""
    with place.partner() as partner:
        yield partner


@pytest.fixture
def changing(place):
    """One whom a test may change."""
    with place.partner() as partner:
        yield partner


def scopes(made):
    domain = made["domain"]
    return {
        "a domain by name": ({"domain_name": domain}, "domain"),
        "a domain by id": ({"domain_id": made["domain_id"]}, "domain"),
        "a project": ({"project_name": "sg", "project_domain_name": domain}, "project"),
        "nothing": ({"unscoped": True}, None),
        "nothing said": ({}, None),
    }


@pytest.mark.parametrize("scope", scopes({"domain": "", "domain_id": ""}))
def test_a_keystone_token_sends_whatever_it_is_for(place, partner, scope):
    """keystoneauth1 as public programs use it."""
    asked, told = scopes(partner.made)[scope]
    session = partner.session(**asked)
    address = f"fay.{scope.replace(' ', '.')}@example.com"
    answer = session.post(f"{place.base_url}{SEND}", json={"receiver_type": 2, "email": address})
    assert (answer.status_code, answer.content) == (204, b"")
    assert place.code(address)
    access = session.auth.get_access(session)
    assert access.user_domain_id == partner.made["domain_id"]
    assert access.username == partner.made["user"]
    assert access.domain_id == (partner.made["domain_id"] if told == "domain" else None)
    assert access.project_name == ("sg" if told == "project" else None)


def test_another_domain_than_ones_own_is_no_scope(place, partner):
    with pytest.raises(Unauthorized):
        partner.session(domain_name="somebody-else").get_token()


def a_token_that_ended(place, session, *words):
    """The session's token, after the server has seen what ended it."""
    token = session.get_token()
    assert status_with(place.base_url, token) == 200
    change(place.house, *words)
    eventually(lambda: status_with(place.base_url, token) == 401, "the token's end")
    return token


def test_keystone_fetches_a_new_token_and_repeats_what_was_refused(place, changing):
    """A new access key ends the tokens. The session's next call is refused, repeated by itself with
    a new token, and done and counted once: fourteen more go through, and no fifteenth."""
    session = changing.session(domain_name=changing.made["domain"])
    old = a_token_that_ended(place, session, "key", user_of(place.house, changing.made))

    def send():
        body = {"receiver_type": 2, "email": "gil@example.com"}
        return session.post(f"{place.base_url}{SEND}", json=body).status_code

    before = place.answered()
    assert send() == 204
    assert session.get_token() != old
    assert place.answered() - before == {
        ("huawei_send", "401"): 1,
        ("huawei_token", "201"): 1,
        ("huawei_send", "204"): 1,
    }
    assert len(place.mailboxes.mails["gil@example.com"]) == 1
    assert [send() for _ in range(14)] == [204] * 14
    with pytest.raises(BadRequest):
        send()
    assert len(place.mailboxes.mails["gil@example.com"]) == 15


def test_a_changed_password_ends_tokens_for_good(place, changing):
    """Who knows the old one alone is out; the new one logs in."""
    user = user_of(place.house, changing.made)
    session = changing.session()
    token = session.get_token()
    fresh = account(place.house, "password", user, "--json")
    assert set(fresh) == {"user_id", "password"}
    eventually(lambda: status_with(place.base_url, token) == 401, "the token's end")
    looked = {"search_type": "name", "search_value": "nobody"}
    with pytest.raises(Unauthorized):
        session.post(f"{place.base_url}{CHECK_IDENTITY}", json=looked)
    changing.made["password"] = fresh["password"]
    answer = changing.session().post(f"{place.base_url}{CHECK_IDENTITY}", json=looked)
    assert answer.json()["check_result"] == "available"


def test_a_disabled_user_is_out_and_its_tokens_stay_so(place, changing):
    """Enabled again it logs in anew; what it held before is worth nothing."""
    user = user_of(place.house, changing.made)
    session = changing.session()
    old = a_token_that_ended(place, session, "disable", user)
    with pytest.raises(Unauthorized):
        changing.session().get_token()
    change(place.house, "enable", user)
    assert status_with(place.base_url, old) == 401
    body = {"receiver_type": 2, "email": "hal@example.com"}
    assert session.post(f"{place.base_url}{SEND}", json=body).status_code == 204
    assert session.get_token() != old


def test_the_vendors_iam_client_gets_a_token(place, partner):
    """By password alone: the signature that this client puts on everything is not looked at. What
    is refused has Keystone's shape, whose code is the status."""
    stranger = GlobalCredentials("NOBODY", "nothing", "nowhere")
    client = partner.client(iam.IamClient, credentials=stranger)
    made = partner.made
    user = iam.PwdPasswordUser(
        domain=iam.PwdPasswordUserDomain(name=made["domain"]),
        name=made["user"],
        password=made["password"],
    )
    identity = iam.PwdIdentity(methods=["password"], password=iam.PwdPassword(user=user))
    scope = iam.AuthScope(domain=iam.AuthScopeDomain(name=made["domain"]))

    def log_in():
        body = iam.KeystoneCreateUserTokenByPasswordRequestBody(
            auth=iam.PwdAuth(identity=identity, scope=scope)
        )
        request = iam.KeystoneCreateUserTokenByPasswordRequest(body=body)
        return client.keystone_create_user_token_by_password(request)

    answer = log_in()
    assert status_with(place.base_url, answer.x_subject_token) == 200
    assert answer.token.user.domain.id == made["domain_id"]
    user.password = "wrong"
    assert refusal(log_in) == (401, 401)
