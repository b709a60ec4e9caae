"""Fields that come after a chunked body are nobody's headers, whatever they say."""

import json

import pytest

from tests.surfaces.huawei.calling import (
    IDENTITY,
    JSON,
    SEND,
    THERE,
    TOKENS,
    VENDORS_WARNINGS,
    messages,
    partner,
    raw,
    token_of,
    wanted,
    with_password,
)
from tests.surfaces.travel import HERE

pytestmark = [
    pytest.mark.store("sqlite"),
    *(pytest.mark.filterwarnings(one) for one in VENDORS_WARNINGS),
]


def lines(headers):
    return "".join(f"{name}: {value}\r\n" for name, value in headers).encode()


def trailed(server, path, body, headers, trailers, source=HERE):
    """Status and body of the answer to a chunked request with trailer fields."""
    begun = f"POST {path} HTTP/1.1\r\n".encode()
    chunked = [*headers, ("transfer-encoding", "chunked"), ("connection", "close")]
    chunk = b"%x\r\n%s\r\n0\r\n" % (len(body), body)
    whole = begun + lines(chunked) + b"\r\n" + chunk + lines(trailers) + b"\r\n"
    answer = raw(server, whole, source=source)
    head, _, told = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), told


@pytest.mark.parametrize(
    "late", [("Authorization", "X-Sdk-Date"), ("Authorization",), ("X-Sdk-Date",)], ids=" ".join
)
def test_a_signature_comes_before_the_body(delivering, shop, ann, late):
    """The same request is served when its headers are where they belong."""
    body = json.dumps(wanted(ann)).encode()
    signed = shop.signed(body=body).items()
    early = [(name, value) for name, value in signed if name not in late]
    trailers = [(name, value) for name, value in signed if name in late]
    assert len(trailers) == len(late)
    status, told = trailed(delivering, SEND, body, early, trailers)
    assert (status, json.loads(told)["error_code"]) == (401, "APIGW.0301")
    assert messages(delivering, ann) == []
    assert trailed(delivering, SEND, body, signed, [("x-more", "x")])[0] == 204


def test_a_token_comes_before_the_body(server):
    headers = [("host", "x"), ("content-type", JSON)]
    named = ("X-Auth-Token", token_of(with_password(partner(server))))
    body = b'{"search_type": "name", "search_value": "nobody"}'
    assert trailed(server, IDENTITY, body, [*headers, named], [])[0] == 200
    status, told = trailed(server, IDENTITY, body, headers, [named])
    assert (status, json.loads(told)["error_code"]) == (401, "APIGW.0301")


def test_a_network_is_told_before_the_body(proxied):
    """Whoever is locked stays so, and nobody else is locked, by naming others in a trailer."""
    shop = with_password(partner(proxied))
    user = {"name": "admin", "password": "wrong", "domain": {"name": shop.account.name}}
    identity = {"methods": ["password"], "password": {"user": user}}
    body = json.dumps({"auth": {"identity": identity}}).encode()

    def guess(network, late=()):
        headers = [("host", "x"), ("content-type", JSON), ("x-forwarded-for", network)]
        trailers = [("x-forwarded-for", one) for one in late]
        return trailed(proxied, TOKENS, body, headers, trailers, source=THERE)[0]

    statuses = [guess("203.0.113.9", [f"198.51.100.{n}", "192.0.2.77"]) for n in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    assert guess("192.0.2.77") == 401
