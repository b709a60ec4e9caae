"""Access keys that programs have already: taken on as they are, and shown to nobody."""

import io
import json
import sys

import pytest
from huaweicloudsdkbssintl.v2 import (
    BssintlClient,
    CheckSubcustomerUserReq,
    CheckUserIdentityRequest,
)
from huaweicloudsdkcore.auth.credentials import GlobalCredentials
from huaweicloudsdkcore.exceptions.exceptions import ServiceResponseException

from tests.surfaces.conftest import Server, up
from tests.surfaces.huawei.calling import VENDORS_WARNINGS

pytestmark = [pytest.mark.filterwarnings(one) for one in VENDORS_WARNINGS]
AK, SK = "QTWAOYTTINDUT2QVKYUC", "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc"


@pytest.fixture
def shop(shell):
    """A partner and the id of its user, as they were made."""
    return shell.json("account", "create", "shop", "--dialect", "huawei")


@pytest.fixture
def take_on(shell, shop, monkeypatch):
    """`watchword account key` with a secret on its stdin; what it printed."""

    def ask(*words, ak=AK, said=f"{SK}\n"):
        monkeypatch.setattr(sys, "stdin", io.StringIO(said))
        named = ("--dialect", "huawei", f"--ak={ak}")
        return shell("account", "key", shop["user_id"], *named, *words)

    return ask


@pytest.fixture
def keys(shell, shop):
    """What is shown of the account's keys, by their AK."""

    def ask():
        shown = json.loads(shell("account", "show", shop["domain_id"], "--dialect", "huawei"))
        return {one["ak"]: one for one in shown["keys"]}

    return ask


def is_served(server, ak, sk, security_token=""):
    """Whether the vendor's own client gets an answer with these."""
    credentials = GlobalCredentials(ak, sk, "any")
    if security_token:
        credentials.with_security_token(security_token)
    building = BssintlClient.new_builder().with_credentials(credentials)
    client = building.with_endpoint(server.url).build()
    asked = CheckSubcustomerUserReq(search_type="name", search_value="nobody")
    try:
        told = client.check_user_identity(CheckUserIdentityRequest(body=asked))
    except ServiceResponseException as refused:
        told = refused
    return {200: True, 401: False}[told.status_code]


def test_a_pair_that_programs_have_signs_here(shell, shop, take_on, keys):
    """Nothing changes for them; what is printed and shown is the AK alone."""
    told = take_on("--note", "old program", "--json")
    assert json.loads(told) == {"ak": AK}
    assert SK not in told + shell.said
    assert keys()[AK]["note"] == "old program"
    with up(Server(shell.folder)) as server:
        assert is_served(server, AK, SK)
        assert not is_served(server, AK, SK + "x")
        assert is_served(server, shop["ak"], shop["sk"])


def test_a_temporary_pair_comes_with_a_token(shell, take_on, keys):
    """Which is made here, as is its end; the secret is not told again."""
    told = take_on("--ttl-s", "600", "--json")
    made = json.loads(told)
    assert set(made) == {"ak", "security_token", "expires_at"}
    assert SK not in told + shell.said
    assert keys()[AK]["expires_at"] == made["expires_at"]
    with up(Server(shell.folder)) as server:
        assert is_served(server, AK, SK, made["security_token"])
        assert not is_served(server, AK, SK)


@pytest.mark.parametrize("words", [(), ("--ttl-s", "60")], ids=["lasting", "temporary"])
@pytest.mark.parametrize("first", [(), ("--ttl-s", "60")], ids=["lasting", "temporary"])
def test_a_key_is_taken_on_once(shell, take_on, keys, first, words):
    """The second says so, and changes nothing."""
    take_on(*first)
    before = keys()
    assert take_on(*words, said="another" * 3 + "\n") == ""
    assert shell.code == 1
    assert "here already" in shell.said
    assert len(shell.said.splitlines()) == 1
    assert keys() == before
    if not first:
        with up(Server(shell.folder)) as server:
            assert is_served(server, AK, SK)


@pytest.mark.parametrize(
    ("ak", "said"),
    [
        ("A B", f"{SK}\n"), ("A,B", f"{SK}\n"), ("Ä", f"{SK}\n"), ("x" * 129, f"{SK}\n"),
        ("A\u200bB", f"{SK}\n"), ("A\x1bB", f"{SK}\n"), (AK, ""), (AK, "\n"), (AK, "a b\n"),
        (AK, "x" * 15 + "\n"), (AK, "ä\n"), (AK, "x" * 129 + "\n"), (AK, "a\tb\n"),
        (AK, "a\x00b\n"),
    ],
    ids=ascii,
)  # fmt: skip
def test_what_cannot_sign_is_not_taken_on(shell, take_on, keys, ak, said):
    """One line says why, and repeats no secret."""
    before = keys()
    assert take_on(ak=ak, said=said) == ""
    assert shell.code == 1
    assert "128 visible characters, an SK 16 to 128" in shell.said
    assert len(shell.said.splitlines()) == 1
    assert SK not in shell.said
    assert keys() == before


@pytest.mark.parametrize("said", [f"{SK}\r\n", SK, f"{SK}\nmore\n"], ids=["CRLF", "EOF", "more"])
def test_the_secret_is_one_line(shell, take_on, said):
    """However the shell that wrote it ends its lines."""
    take_on(said=said)
    with up(Server(shell.folder)) as server:
        assert is_served(server, AK, SK)
