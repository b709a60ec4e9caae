"""What was asked: each member once, null as good as missing, and printed nowhere."""

import json
from itertools import combinations
from typing import Any

import msgspec
import pytest

from tests.surfaces.huawei.calling import (
    CREATE,
    IDENTITY,
    PASSWORD,
    SEND,
    VENDORS_WARNINGS,
    messages,
    wanted,
)
from watchword.directory.huawei.customers import Private
from watchword.surfaces.exchange import BodyMalformed
from watchword.surfaces.huawei import keystone, wire
from watchword.surfaces.huawei.routes import ROUTES
from watchword.surfaces.strict_json import decode

pytestmark = [pytest.mark.filterwarnings(one) for one in VENDORS_WARNINGS]
DECODERS = {route.path: route.asks for route in ROUTES if route.asks}
PARAMETER = (400, "CBC.0100")
SOME: dict[str, dict[str, Any]] = {
    SEND: {
        "receiver_type": 2, "email": "a@b.co", "mobile_phone": "1", "timeout": 10, "lang": "en-us",
        "scene": 29, "customer_id": "c",
    },
    CREATE: {
        "domain_area": "SG", "xaccount_id": "x", "xaccount_type": "T", "domain_name": "ann-1",
        "email": "a@b.co", "mobile_phone": "1", "verification_code": "123456", "password": "x",
        "is_close_market_ms": "true", "indirect_partner_id": "p",
        "include_association_result": True,
    },
    IDENTITY: {"search_type": "email", "search_value": "a@b.co"},
}  # fmt: skip


def written(pairs):
    """A JSON object of these members, in their order, however often one comes."""
    return ("{" + ",".join(f"{json.dumps(k)}:{json.dumps(v)}" for k, v in pairs) + "}").encode()


@pytest.mark.parametrize("path", SOME)
def test_these_are_all_the_members(path):
    fields = msgspec.structs.fields(DECODERS[path].type)
    assert {field.encode_name for field in fields} == set(SOME[path])


@pytest.mark.parametrize("path", SOME)
def test_a_member_that_comes_twice_is_refused_whatever_else_is_missing(path):
    """Every choice of members, of which one, all or as many as are missing come twice."""
    members = list(SOME[path].items())
    for count in range(1, len(members) + 1):
        for chosen in combinations(members, count):
            missing = len(members) - count
            for doubled in {1, count, min(missing, count) or 1}:
                with pytest.raises(BodyMalformed, match="twice"):
                    decode(written([*chosen, *chosen[:doubled]]), DECODERS[path])
            with pytest.raises(BodyMalformed, match="twice"):
                decode(written([*chosen, *[chosen[-1]] * (missing or 1)]), DECODERS[path])


@pytest.mark.parametrize("path", SOME)
def test_a_null_is_no_room_for_a_second_member(path):
    """As many as are null, or missing, or both; nor is a second null."""
    (first, value), *others = SOME[path].items()
    for nulls in range(len(others) + 1):
        for more in range(1, len(others) + 3):
            pairs = [(first, value), *((name, None) for name, _ in others[:nulls])]
            for again in (value, None):
                with pytest.raises(BodyMalformed, match="twice"):
                    decode(written([*pairs, *[(first, again)] * more]), DECODERS[path])


@pytest.mark.parametrize("path", SOME)
def test_members_may_be_null_or_missing_in_any_number(path):
    """Also where values hold colons, which other members might be hidden behind."""
    members = list(SOME[path].items())
    for count in range(len(members) + 1):
        for chosen in combinations(members, count):
            nulls = [(name, None) for name, _ in members if name not in dict(chosen)]
            asked = decode(written(chosen), DECODERS[path])
            assert asked == decode(written([*nulls, *chosen]), DECODERS[path])
            assert asked == decode(written([*chosen, ("more", "a:b:c:d")]), DECODERS[path])
            told = msgspec.to_builtins(asked)
            assert {name: told[name] for name, _ in chosen} == dict(chosen)


LOGGING_IN = (
    '{"auth":{"identity":{"methods":["password"],"password":{"user":{'
    '"name":"a","password":"b"%(user)s}%(password)s}%(identity)s}%(auth)s}%(top)s}'
)
TWICE = {
    "user": [',"name":"c"', ',"password":"c"', ',"name":"c","password":"c"', ',"id":"x","id":"y"'],
    "password": [',"user":{"name":"x"}'],
    "identity": [',"methods":["password"]', ',"password":{"user":{}}'],
    "auth": [',"identity":{"methods":[]}', ',"scope":{},"scope":null', ',"scope":"unscoped"' * 2],
    "top": [',"auth":{"identity":{"methods":[]}}'],
}


@pytest.mark.parametrize(
    ("where", "more"), [(where, one) for where, many in TWICE.items() for one in many]
)
def test_a_log_in_says_everything_once(where, more):
    """At any depth, though much may be missing."""
    places = dict.fromkeys(TWICE, "")
    decoder = DECODERS["/v3/auth/tokens"]
    assert decode((LOGGING_IN % places).encode(), decoder).auth.identity.methods == ("password",)
    with pytest.raises(BodyMalformed, match="twice"):
        decode((LOGGING_IN % {**places, where: more}).encode(), decoder)


def test_no_code_goes_to_one_of_two_addresses(delivering, shop, ann):
    """Seven members in a body that may have seven, and three of them come twice."""
    pairs = [
        ("receiver_type", 2), ("email", ann), ("email", f"x{ann}"), ("timeout", 10),
        ("timeout", 11), ("lang", "en-us"), ("lang", "zh-cn"),
    ]  # fmt: skip
    assert shop.ask(body=written(pairs)).refusal == PARAMETER
    assert messages(delivering, ann) == messages(delivering, f"x{ann}") == []
    nulls = {"mobile_phone": None, "timeout": None, "lang": None, "scene": None}
    assert shop.ask(body={**wanted(ann), **nulls}).status == 204


# What is printed


SECRETS: dict[str, Any] = {
    "email": "ann@example.com", "mobile_phone": "13800138000", "verification_code": "493817",
    "password": PASSWORD,
}  # fmt: skip


@pytest.mark.parametrize(
    "asked",
    [
        wire.NewCustomer(xaccount_id="ann-x", domain_name="ann-1", **SECRETS),
        wire.CodeWanted(receiver_type=2, email=SECRETS["email"], mobile_phone="13800138000"),
        wire.Searched(search_type="email", search_value=SECRETS["email"]),
        keystone.LoggingIn(name="ann-1", password=PASSWORD),
        keystone.Key(key="493817"),
        Private(xaccount_id="ann-x", address=SECRETS["email"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_was_asked_prints_its_name_alone(asked):
    """Alone and inside of others, for a person and for a traceback."""
    name = type(asked).__name__
    assert repr(asked) == str(asked) == f"{name}(***)"
    assert f"{[asked]}" == f"[{name}(***)]"
    assert list(asked.__rich_repr__()) == []


def test_a_log_in_prints_no_secret():
    user = keystone.LoggingIn(name="ann-1", password=PASSWORD)
    pair = keystone.ByAccessKey(access=keystone.Key(key="AK1"), secret=keystone.Key(key="493817"))
    identity = keystone.Identity(
        methods=("password",), password=keystone.ByPassword(user=user), hw_ak_sk=pair
    )
    printed = repr(keystone.TokenWanted(auth=keystone.Auth(identity=identity)))
    assert "methods" in printed
    assert not [secret for secret in (PASSWORD, "ann-1", "AK1", "493817") if secret in printed]
