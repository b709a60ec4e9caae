"""P7 in the CIAM dialect: bad input gets its answer, never a 5xx, and changes nothing."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.surfaces.ciam.calling import (
    CAPTCHA,
    EMAIL,
    EMAIL_JUDGE,
    EMAIL_LOGIN,
    EMAIL_PASSWORD,
    EMAIL_SEND,
    JUDGE,
    LOGIN,
    MOBILE,
    OWN_PASSWORD,
    PASSWORD,
    REGISTER,
    SCENES,
    SEND,
    VERIFY,
    device,
    mailbox,
    mobile,
)
from watchword.directory.ciam.users import Registration
from watchword.domain.destination import phone

pytestmark = pytest.mark.store("postgresql")

MALFORMED = "PARAM.0000"
TO, BOX = "15200000009", "ann@example.com"
GOOD: dict[str, dict[str, Any]] = {
    VERIFY: {"point_json": '{"x":237.0,"y":5.0}', "token": "0" * 32, "sender": TO},
    SEND: {"mobile": TO, "type": "LOGIN_SMS", "captcha_token": "x"},
    EMAIL_SEND: {"email": BOX, "type": "LOGIN_EMS", "captcha_token": "x"},
    JUDGE: {"mobile": TO, "type": "LOGIN_SMS", "verify_code": "123456"},
    EMAIL_JUDGE: {"email": BOX, "type": "LOGIN_EMS", "verify_code": "123456"},
    REGISTER: {"mobile": TO, "verify_code": "123456", "pwd": "Passw0rd1", "attr_x": 1},
    LOGIN: {"mobile": TO, "verify_code": "123456"},
    EMAIL_LOGIN: {"email": BOX, "verify_code": "123456"},
    PASSWORD: {"mobile": TO, "verify_code": "123456", "password": "Passw0rd1"},
    EMAIL_PASSWORD: {"email": BOX, "verify_code": "123456", "password": "Passw0rd1"},
    OWN_PASSWORD: {"verify_code": "123456", "password": "Passw0rd1"},
    MOBILE: {"mobile": TO, "verify_code": "123456"},
    EMAIL: {"email": BOX, "verify_code": "123456"},
}
"""What is right in form, and good for nothing: no captcha was shown and no code was sent."""
EXAMPLES = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def bank(still):
    return device(still, "here")


@pytest.fixture(scope="module")
def token(still, bank):
    """An id_token of somebody who is logged in."""
    users, clients = still.service.ciam.users, still.service.ciam.clients
    client = still.do(clients.client(bank.client_id, still.clock()))
    prepared = still.do(
        users.prepare_registration(
            client.app_id, Registration(mobile=phone(f"+86{mobile()}")), still.clock()
        )
    )
    still.do(still.service.store.write(prepared.writes, still.clock()))
    tokens = still.service.ciam.tokens
    return still.do(tokens.id_token(client, prepared.user, "x", still.clock()))


@pytest.fixture
def unchanged(still, token):
    """The store is the same after the test as before it."""
    assert token
    before = still.digest()
    yield
    assert still.digest() == before


WRONG_TYPES: list[Any] = [7.5, 0, True, ["x"], {}, 10**30]


@pytest.mark.parametrize("path", GOOD)
@pytest.mark.usefixtures("unchanged")
def test_a_member_of_another_type_is_named(bank, path):
    """Each by itself; the message says which."""
    for name in GOOD[path]:
        for value in WRONG_TYPES:
            if name == "attr_x":
                continue
            reply = bank.post(path, {**GOOD[path], name: value})
            assert (name, value, reply.code) == (name, value, MALFORMED)
            assert reply.json["error_msg"].startswith(f"The request is invalid: {name}: ")
    reply = bank.post(path, {**GOOD[path], next(iter(GOOD[path])): 7}, X_L="zh")
    assert reply.json["error_msg"].startswith("请求参数不正确: ")


@pytest.mark.usefixtures("unchanged")
def test_an_extension_is_an_object(bank):
    for value in [*"x", 7, True]:
        assert bank.post(REGISTER, {**GOOD[REGISTER], "extension": value}).code == MALFORMED


BODIES = {
    "nothing": b"",
    "blank": b" ",
    "null": b"null",
    "an array": b"[]",
    "a text": b'"mobile"',
    "a number": b"1",
    "cut short": b"%b",
    "trailing comma": b"%b,}",
    "trailing words": b"%b} x",
    "two bodies": b"%b}%b}",
    "a comment": b"%b /* */}",
    "NaN": b'%b, "x": NaN}',
    "Infinity": b'%b, "x": -Infinity}',
    "a member twice": b'%b, "mobile": "1", "mobile": "2"}',
    "a member twice, escaped": b'%b, "mobil\\u0065": "1", "mobile": "2"}',
    "an unknown member twice": b'%b, "x": 1, "x": 2}',
    "an attribute twice": b'%b, "attr_y": 1, "attr_y": 2}',
    "an inner member twice": b'%b, "x": {"a": 1, "a": 2}}',
    "an inner member of the extension twice": b'%b, "extension": {"a": 1, "a": 2}}',
    "lone surrogate": b'%b, "x": "\\ud800"}',
    "lone surrogate in a name": b'%b, "attr_\\udc00": 1}',
    "raw surrogate": b'%b, "x": "\xed\xa0\x80"}',
    "latin-1": b'%b, "x": "\xe9"}',
    "overlong": b'%b, "x": "\xc0\x80"}',
    "control character": b'%b, "x": "\x00"}',
    "UTF-16": "{}".encode("utf-16"),
    "UTF-32": "{}".encode("utf-32-be"),
    "byte order mark": b"\xef\xbb\xbf%b}",
    "binary": bytes(range(256)).replace(b"%", b""),
    "deep arrays": b"[" * 60_000,
    "deep objects": b'{"mobile":' * 6_000,
    "deep and closed": b'%b, "attr_y": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "huge number": b'%b, "attr_y": ' + b"9" * 5000 + b"}",
    "a leading zero": b'%b, "attr_y": 060}',
    "one quote": b"%b, 'x': 'y'}",
}


@pytest.mark.parametrize("path", GOOD)
@pytest.mark.usefixtures("unchanged")
def test_a_malformed_body_is_refused(bank, path):
    """What two readers could read differently is not read at all; but who asks is told first."""
    start = json.dumps(GOOD[path])[:-1].encode()
    for name, body in BODIES.items():
        whole = body.replace(b"%b", start)
        assert (name, bank.post(path, whole).code) == (name, MALFORMED)
    for headers, code in (({"X_agent": ""}, "PARAM.0001"), ({"X_client_id": ""}, "PARAM.0002"),
                          ({"X_client_id": "x"}, "PARAM.0003")):  # fmt: skip
        assert bank.post(path, b"{", **headers).code == code


NUMBERS = ("1e400", "-1e400", "1e9999", "9" * 4000, "1" * 25, "1e-400", "0.1e1", "-0", "1E+2")


@pytest.mark.usefixtures("unchanged")
def test_a_number_of_any_size_is_no_failure_of_ours(bank):
    """Of a member that nobody looks at, of an attribute, and of an extension."""
    for member in ('"x": %s', '"attr_y": %s', '"attr_y": [{"z": %s}]', '"extension": {"y": %s}'):
        for number in NUMBERS:
            body = json.dumps(GOOD[REGISTER])[:-1] + ", " + member % number + "}"
            code = bank.post(REGISTER, body.encode()).code
            assert (member, number[:9], code in (MALFORMED, "PARAM.0015", "CAPTCHA.0007")) == (
                member, number[:9], True,
            )  # fmt: skip


@pytest.mark.parametrize("path", GOOD)
@pytest.mark.usefixtures("unchanged")
def test_a_text_of_any_kind_has_its_answer(bank, token, path):
    """Long, unprintable or strange, of each member by itself: a documented code."""
    values = ["x" * 50_000, "\0", "\x1b[31m", "１２３", "😀" * 400, "' OR 1=1 --", "{{ 7 * 7 }}",
              "../../x", "a\nb", "%00", "\u202e", "\ud7ff", "+" * 100, "@", "@" * 300]  # fmt: skip
    for name in GOOD[path]:
        for value in values:
            body = {**GOOD[path], name: value}
            reply = bank.post(path, body, Authorization=f"Bearer {token}")
            assert reply.code != MALFORMED, (name, value[:9])


# Any JSON at all


texts = st.text(max_size=20) | st.sampled_from(
    ["", " ", "2", "en", "zh", BOX, TO, f"+86{TO}", "+1", *SCENES, "LOGIN_EMS", "123456",
     "Passw0rd1", "0" * 32, "x" * 65, "{}", '{"x":1,"y":5}', "\0"]
)  # fmt: skip
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
known = st.sampled_from(
    [*sorted({name for body in GOOD.values() for name in body}), "user_name", "name", "head_img",
     "extension", "attr_y", "emial"]
)  # fmt: skip
bodies = st.dictionaries(known | texts.map("attr_{}".format) | texts, values, max_size=6)
words = st.text(
    st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=40
)
headers = st.dictionaries(
    st.sampled_from(
        ["X_operating_sys_version", "X_device_fingerprint", "X_agent", "X_client_id", "X_L",
         "X_device_ip", "X_tenant_id", "Authorization", "Content_Type", "Origin",
         "X_Forwarded_For"]
    ),
    st.none() | words | words.map("Bearer {}".format),
    max_size=2,
)  # fmt: skip


@pytest.mark.usefixtures("unchanged")
def test_no_json_makes_the_server_fail_or_changes_anything(bank, token):
    """Members known and unknown, alone or bent from a good request, under headers of any kind."""

    @EXAMPLES
    @given(
        path=st.sampled_from(list(GOOD)),
        is_good=st.booleans(),
        body=bodies,
        document=values,
        is_document=st.integers(0, 9).map(lambda n: n == 0),
        changes=headers,
        is_bearing=st.booleans(),
    )
    def any_request(path, is_good, body, document, is_document, changes, is_bearing):
        asked = document if is_document else {**(GOOD[path] if is_good else {}), **body}
        named = {**({"Authorization": f"Bearer {token}"} if is_bearing else {}), **changes}
        reply = bank.post(path, json.dumps(asked).encode(), **named)
        status, _ = reply.refusal
        assert status in (400, 415)
        assert len(reply.headers["x-request-id"]) == 32

    any_request()


@pytest.mark.usefixtures("unchanged")
def test_no_query_makes_the_server_fail(bank):
    """That of the one call that has any; captchas that are not on offer are not made."""
    for query in ("captchaType=x", "captchaType=%ff", "captchaType=a&captchaType=altcha",
                  "captchaType=" + "x" * 20_000, "captchaType=%00", "captchaType=é"):  # fmt: skip
        path = f"{CAPTCHA}?{query.replace('é', '%C3%A9')}"
        assert bank.ask("GET", path).code == MALFORMED


def test_what_goes_through_at_all_goes_through(front):
    """The good requests here lack nothing but a captcha or a code."""
    shop, to, box = device(front), mobile(), mailbox()
    for address, path, name in ((to, SEND, "mobile"), (box, EMAIL_SEND, "email")):
        body = {**GOOD[path], name: address, "captcha_token": shop.pass_for(address)}
        assert shop.post(path, body).is_done
