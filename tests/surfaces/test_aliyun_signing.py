"""Signatures as Alibaba Cloud's own clients make them, on requests that really travelled.

All of them send to a bare server, which keeps each request as uvicorn hands it on. What has to
verify, and what must not, is what came out there: by the newer clients ("Tea") of Python and Node,
which sign ACS3 or V1, and by the older ones, which sign V1.
"""

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Iterator
from itertools import pairwise
from urllib.parse import quote, unquote, urlencode

import pytest
from alibabacloud_resourcedirectorymaster20220419.client import Client as DirectoryClient
from alibabacloud_resourcedirectorymaster20220419.models import (
    SendVerificationCodeForBindSecureMobilePhoneRequest as SendBind,
)
from alibabacloud_tea_openapi.client import Client as TeaClient
from alibabacloud_tea_openapi.utils import Utils as Official
from alibabacloud_tea_openapi.utils_models import Config, OpenApiRequest, Params
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import CommonRequest
from darabonba.request import DaraRequest
from darabonba.runtime import RuntimeOptions
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.surfaces import listening
from watchword.surfaces.aliyun import signing
from watchword.surfaces.aliyun.signing import MethodUnknown, SignatureMalformed

VENDORS_WARNINGS = (
    "ignore:datetime.datetime.utcnow:DeprecationWarning:alibabacloud_tea_openapi.utils",
)
"""What the vendor's packages do that Python 3.12 and later warn of."""
pytestmark = [pytest.mark.filterwarnings(warning) for warning in VENDORS_WARNINGS]

AK, SK = "EXAMPLE-AK", "EXAMPLE-SK"
ACTION, VERSION = "SendVerificationCodeForBindSecureMobilePhone", "2022-04-19"
FORM = b"application/x-www-form-urlencoded"
HASH = b"x-acs-content-sha256"
REQUIRED = (
    b"host", b"x-acs-action", b"x-acs-version", b"x-acs-date", b"x-acs-signature-nonce", HASH,
)  # fmt: skip
ANSWER = b'{"RequestId": "2B2A2F8E-7E0B-4E0C-A2B3-0C0E3E0C0E3E"}'
EXAMPLES = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Arrival(listening.Arrival):
    """A request as the surface gets it, signed by EXAMPLE-AK in either way."""

    def claim(self):
        claim = signing.read_acs3(self.header(b"authorization"))
        assert claim.access_key == AK
        return claim

    def query(self):
        return signing.pairs(self.scope["query_string"])

    def parameters(self):
        """Of V1: the query's, then the form's."""
        is_form = dict(self.scope["headers"]).get(b"content-type") == FORM
        return self.query() + (signing.pairs(self.body) if is_form else [])

    def is_right(self, secret=SK):
        """Of ACS3: whatever the list lacks."""
        claim = self.claim()
        return signing.acs3_is_right(claim, self.scope, self.query(), self.body, secret.encode())

    def lacks(self):
        return signing.acs3_lacks(self.claim(), self.scope)

    def verifies(self, secret=SK):
        if b"authorization" not in dict(self.scope["headers"]):
            return self._verifies_v1(secret)
        try:
            return self.is_right(secret) and not self.lacks()
        except SignatureMalformed:
            return False

    def _verifies_v1(self, secret):
        parameters = self.parameters()
        signature = dict(parameters).get(b"Signature", b"").decode("utf-8", "surrogateescape")
        return signing.v1_is_right(self.scope["method"], parameters, signature, secret.encode())

    def signed_anew(self, *names, written=str):
        """The official signer signs it over just these headers, names in the query so written."""
        request = DaraRequest()
        request.method, request.pathname = self.scope["method"], self.scope["raw_path"].decode()
        request.query = {written(name.decode()): value.decode() for name, value in self.query()}
        request.headers = {name.decode(): self.header(name).decode("latin-1") for name in names}
        payload = hashlib.sha256(self.body).hexdigest()
        made = Official.get_authorization(request, "ACS3-HMAC-SHA256", payload, AK, SK)
        return self.but_header(b"authorization", made.encode())


class Tea:
    """The newer Python client."""

    def __init__(self, listener):
        self._listener = listener

    def sends(
        self, *, method="POST", query=None, form=None, headers=None, kind="formData", **config
    ):
        """As any operation is called: the parameters in the query, the form or both."""
        client = TeaClient(self._config(**config))
        operation = Params(
            action=ACTION, version=VERSION, protocol="HTTP", pathname="/", method=method,
            auth_type="AK", style="RPC", req_body_type=kind, body_type="json",
        )  # fmt: skip
        request = OpenApiRequest(query=query or {}, body=form, headers=headers or {})
        client.call_api(operation, request, RuntimeOptions())
        return self._listener.last

    def sends_typed(self, **fields):
        """As the product's own client calls it."""
        client = DirectoryClient(self._config())
        client.send_verification_code_for_bind_secure_mobile_phone(SendBind(**fields))
        return self._listener.last

    def _config(self, **config):
        return Config(
            access_key_id=AK, access_key_secret=SK, endpoint=self._listener.host, protocol="HTTP",
            **config,
        )  # fmt: skip


class Legacy:
    """The older Python client."""

    def __init__(self, listener):
        self._listener = listener
        self._client = AcsClient(AK, SK, "cn-hangzhou")

    def request(self, method="POST", query=(), form=()):
        request = CommonRequest(domain=self._listener.host, version=VERSION, action_name=ACTION)
        request.set_protocol_type("http")
        request.set_method(method)
        for name, value in dict(query).items():
            request.add_query_param(name, value)
        for name, value in dict(form).items():
            request.add_body_params(name, value)
        return request

    def sends(self, *asked, **more):
        return self.sends_as_it_is(self.request(*asked, **more))

    def sends_as_it_is(self, request):
        self._client.do_action_with_exception(request)
        return self._listener.last


class Node:
    """Both Node clients."""

    def __init__(self, node, listener):
        self._node, self._listener = node, listener
        self._usual = {"ak": AK, "sk": SK, "action": ACTION, "version": VERSION}

    def pops(self, method, params, **options):
        """As the older one sends it."""
        options = {"formatParams": False, **options}
        client = {"endpoint": self._listener.url, **self._usual}
        self._node("popCore", method=method, params=params, options=options, **client)
        return self._listener.last

    def sends(self, **what):
        """As the newer one sends it."""
        self._node("openapi", endpoint=self._listener.host, **self._usual, **what)
        return self._listener.last

    def sends_typed(self, operation, **request):
        """As the generated client of the 2020 edition sends it."""
        client = {"endpoint": self._listener.host, "ak": AK, "sk": SK}
        self._node("resourceManager", operation=operation, request=request, **client)
        return self._listener.last


@pytest.fixture(scope="module")
def listener():
    with listening.Listener(Arrival, ANSWER) as listener:
        yield listener


@pytest.fixture(scope="module")
def tea(listener):
    return Tea(listener)


@pytest.fixture(scope="module")
def legacy(listener):
    return Legacy(listener)


@pytest.fixture(scope="module")
def nodejs(node, listener):
    return Node(node, listener)


def alterations(arrival: Arrival) -> Iterator[tuple[str, Arrival]]:
    """Everything near to the request that its signature must not fit."""
    method = "GET" if arrival.scope["method"] == "POST" else "POST"
    yield "the method", arrival.but(method=method)
    for name, query in _altered(arrival.scope["query_string"]):
        yield f"{name} in the query", arrival.but(query_string=query)
    is_acs3 = b"authorization" in dict(arrival.scope["headers"])
    if arrival.body or is_acs3:  # of V1, what is no form is nothing
        for name, body in _altered(arrival.body):
            yield f"{name} in the body", arrival._replace(body=body)
    if is_acs3:
        yield from _altered_acs3(arrival)


def _altered(encoded: bytes) -> Iterator[tuple[str, bytes]]:
    pieces = encoded.split(b"&") if encoded else []
    yield "a pair more", b"&".join([*pieces, b"z="])
    for at, piece in enumerate(pieces):
        before, after = pieces[:at], pieces[at + 1 :]
        yield "another value", b"&".join([*before, piece + b"0", *after])
        yield "another name", b"&".join([*before, b"x" + piece, *after])
        yield "a pair less", b"&".join([*before, *after])
        yield "a pair twice", b"&".join([*before, piece, piece, *after])
    for at, (one, two) in enumerate(pairwise(pieces)):
        (name, _, value), (other, _, another) = one.partition(b"="), two.partition(b"=")
        if value != another:
            changed = [name + b"=" + another, other + b"=" + value]
            yield "two values swapped", b"&".join([*pieces[:at], *changed, *pieces[at + 2 :]])


def _altered_acs3(arrival):
    scope, claim = arrival.scope, arrival.claim()
    authorization, names = arrival.header(b"authorization"), b";".join(claim.headers)
    yield "the path", arrival.but(raw_path=scope["raw_path"] + b"x")
    body = arrival.body + b" "
    declared = hashlib.sha256(body).hexdigest().encode()
    yield "the body", arrival._replace(body=body)
    yield "the body and its hash", arrival._replace(body=body).but_header(HASH, declared)
    last = b"1" if authorization.endswith(b"0") else b"0"
    yield "the signature", arrival.but_header(b"authorization", authorization[:-1] + last)
    if b"x-acs-security-token" not in claim.headers:
        yield "an unsigned token", arrival.and_header(b"x-acs-security-token", b"t")
    for name in claim.headers:
        value = arrival.header(name)
        yield f"the value of {name!r}", arrival.but_header(name, value + b"x")
        yield f"no {name!r}", arrival.but_header(name)
        yield f"{name!r} twice", arrival.but_header(name, value, value)
        yield (
            f"{name!r} renamed",
            arrival.but_headers(
                lambda key, value, name=name: [(key + b"-" if key == name else key, value)]
            ),
        )
        others = b";".join(other for other in claim.headers if other != name)
        listed = authorization.replace(names, others)
        yield f"{name!r} not listed", arrival.but_header(b"authorization", listed)
    for other in (names + b";connection", names + b";" + claim.headers[0], names[::-1]):
        listed = authorization.replace(names, other)
        yield f"the list {other!r}", arrival.but_header(b"authorization", listed)


def assert_only_this_verifies(arrival):
    assert arrival.verifies()
    assert not arrival.verifies(SK + "x")
    assert [name for name, other in alterations(arrival) if other.verifies()] == []


# What the official clients send


anything = st.text(st.characters(exclude_categories=["Cs"]))
"""Any Unicode but lone surrogates, which have no UTF-8."""
spicy = st.text("aA0 /~*+%&=;?#!'()é中😀\uffff") | anything
some = st.dictionaries(spicy, spicy, max_size=4)
# The signers of ACS3 leave names bare: such as could be more than a name have a test of their own.
bare = st.text("aA0 /~*+;?#!'()é中😀\uffff") | st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="&=%")
)
OUT_OF_REACH = {"__proto__"}  # Node cannot set it
some_bare = st.dictionaries(bare, spicy, max_size=4)
latin = st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"])).map(str.strip)
headers = st.dictionaries(st.text("abc-", max_size=5).map("x-acs-t{}z".format), latin, max_size=2)
methods = st.sampled_from(["GET", "POST"])


def reachable(fields):
    return fields.filter(lambda given: not OUT_OF_REACH & given.keys())


def apart(query, form):
    """Names that are never in both: a signer of V1 that finds one there signs the form's value."""
    return {"q" + name: value for name, value in query.items()}, {
        "f" + name: value for name, value in form.items()
    }


@EXAMPLES
@given(query=some_bare, form=st.none() | some, headers=headers, token=st.sampled_from(["", "t+/="]))
def test_what_tea_signs_by_acs3_verifies_and_nothing_near_it(tea, query, form, headers, token):
    """Any Unicode, blanks and signs in query, form and headers; with a temporary key, too."""
    assert_only_this_verifies(
        tea.sends(query=query, form=form, headers=headers, security_token=token)
    )


@EXAMPLES
@given(query=some, form=some, security_token=st.none() | st.just("t+/="))
def test_what_tea_signs_by_v1_verifies_and_nothing_near_it(tea, query, form, security_token):
    query, form = apart(query, form)
    assert_only_this_verifies(
        tea.sends(
            query=query, form=form or None, signature_algorithm="v2", security_token=security_token
        )
    )


@EXAMPLES
@given(method=methods, query=some, form=some)
def test_what_the_legacy_client_sends_verifies_and_nothing_near_it(legacy, method, query, form):
    query, form = apart(query, form)
    assert_only_this_verifies(legacy.sends(method, query, form if method == "POST" else {}))


@EXAMPLES
@given(method=methods, params=reachable(some))
def test_what_pop_core_sends_verifies_and_nothing_near_it(nodejs, method, params):
    """Of a POST it is all in the body, the signature too."""
    assert_only_this_verifies(nodejs.pops(method, params))


@EXAMPLES
@given(
    query=reachable(some_bare),
    body=st.none() | reachable(some),
    headers=headers,
    token=st.sampled_from(["", "t+/="]),
)
def test_what_node_signs_by_acs3_verifies_and_nothing_near_it(nodejs, query, body, headers, token):
    """A form comes chunked."""
    form = {} if body is None else {"body": body}
    assert_only_this_verifies(
        nodejs.sends(query=query, headers=headers, securityToken=token, **form)
    )


@EXAMPLES
@given(query=some, form=some)
def test_what_node_signs_by_v1_verifies_and_nothing_near_it(nodejs, query, form):
    query, form = apart(query, form)
    body = {"body": form} if form else {}
    assert_only_this_verifies(nodejs.sends(query=query, signatureAlgorithm="v2", **body))


def test_what_the_products_own_clients_send_verifies(tea, nodejs):
    """The generated ones, of the editions of 2022 and 2020."""
    arrival = tea.sends_typed(secure_mobile_phone="1-5551234567", account_id="1234567890123456")
    assert dict(arrival.query()) == {
        b"SecureMobilePhone": b"1-5551234567",
        b"AccountId": b"1234567890123456",
    }
    assert arrival.header(b"x-acs-action") == ACTION.encode()
    assert_only_this_verifies(arrival)
    arrival = nodejs.sends_typed("getAccount", accountId="1234567890123456")
    assert arrival.header(b"x-acs-action") == b"GetAccount"
    assert_only_this_verifies(arrival)


@pytest.mark.parametrize("kind", ["json", "byte"])
def test_another_body_than_a_form_is_signed_by_acs3_all_the_same(tea, kind):
    body = {"a": "1"} if kind == "json" else b"a=1"
    arrival = tea.sends(form=body, kind=kind)
    assert arrival.body == (b"a=1" if kind == "byte" else arrival.body)
    assert arrival.is_right()
    assert not arrival._replace(body=arrival.body + b" ").is_right()


def test_names_are_sorted_as_each_client_sorts_them(tea, legacy, nodejs):
    """By code points in Python, by UTF-16 units in Node, in which these two change places."""
    names = {"\U0001f600": "1", "\uffff": "2"}
    for query in names, dict(reversed(names.items())):
        assert_only_this_verifies(tea.sends(query=query))
        assert_only_this_verifies(tea.sends(query=query, signature_algorithm="v2"))
        assert_only_this_verifies(legacy.sends(query=query))
        assert_only_this_verifies(nodejs.pops("GET", query))
        assert_only_this_verifies(nodejs.sends(query=query))


def test_each_client_signs_its_own_headers(tea, nodejs):
    """Python all that it sets; Node, as documented, what begins with x-acs, and two more."""
    assert {b"accept", b"user-agent", *REQUIRED} < set(tea.sends().claim().headers)
    names = nodejs.sends(body={"a": "1"}).claim().headers
    assert {b"content-type", *REQUIRED} < set(names)
    assert {b"accept", b"user-agent"}.isdisjoint(names)


# What is one to us, and what is not


@pytest.mark.parametrize(
    ("asked", "written"),
    [
        ("a b", b"a+b"),
        ("a b", b"a%20b"),
        ("é", b"%c3%a9"),
        ("é", "é".encode()),
        ("a=b", b"a=b"),
        ("/~*", b"/%7E*"),
        ("%", b"%"),
        ("%zz", b"%zz"),
        ("100%", b"100%"),
    ],
)
def test_a_query_verifies_however_it_is_escaped(tea, asked, written):
    """It is read once, and both we and the surface go by what was read."""
    for algorithm in (None, "v2"):
        arrival = tea.sends(query={"q": asked}, signature_algorithm=algorithm)
        usual = b"q=" + urlencode({"": asked})[1:].encode()
        query = arrival.scope["query_string"]
        assert usual in query
        assert arrival.but(query_string=query.replace(usual, b"q=" + written)).verifies()


@pytest.mark.parametrize(
    ("asked", "written"),
    [
        ({"q": "a+b"}, b"q=a+b"),
        ({"q": ""}, b""),
        ({"": ""}, b""),
        ({"q": "1&b=2"}, b"q=1&b=2"),
        ({"q": "1", "b": "2"}, b"q=1%26b%3D2"),
        ({"q": "%41"}, b"q=%41"),
        ({"q": "\ufffd"}, b"q=%FF"),
        ({"q": "%2B"}, b"q=%2B"),
        ({"q": "A"}, b"Q=A"),
    ],
)
def test_a_query_that_says_something_else_is_refused(tea, asked, written):
    for algorithm in (None, "v2"):
        arrival = tea.sends(query=asked, signature_algorithm=algorithm)
        assert arrival.verifies()
        usual, query = urlencode(asked).encode(), arrival.scope["query_string"]
        assert usual in query
        assert not arrival.but(query_string=query.replace(usual, written)).verifies()


@pytest.mark.parametrize("name", ["a=1&b", "a&b", "a=b", "a%20b", "a\nb", "\x00"])
def test_a_name_that_could_be_more_than_a_name_has_to_be_escaped(tea, nodejs, name):
    """Both clients of ACS3 sign names bare: of "a=1&b=2" nobody could tell what it was.

    So here we are stricter than they are. As V1 has it, and ACS3's documentation, it is fine.
    """
    assert not tea.sends(query={name: "2"}).verifies()
    assert not nodejs.sends(query={name: "2"}).verifies()
    assert_only_this_verifies(tea.sends(query={name: "2"}, signature_algorithm="v2"))
    arrival = tea.sends(query={name: "2"})
    assert_only_this_verifies(arrival.signed_anew(*REQUIRED, written=Escaped))


class Escaped(str):
    """Escaped, but sorted as before."""

    __slots__ = ()

    def __new__(cls, name):
        return super().__new__(cls, quote(name, safe="~"))

    def __lt__(self, other):
        return unquote(self).encode() < unquote(other).encode()


class EscapedInUTF16(Escaped):
    """As languages sort that count in its units."""

    __slots__ = ()

    def __lt__(self, other):
        return unquote(self).encode("utf-16-be") < unquote(other).encode("utf-16-be")


@EXAMPLES
@given(query=some, written=st.sampled_from([Escaped, EscapedInUTF16]))
@example(query={"\U0001f600": "1", "\uffff": "2"}, written=Escaped)
@example(query={"\U0001f600": "1", "\uffff": "2"}, written=EscapedInUTF16)
def test_names_may_be_escaped_in_acs3_as_documented(tea, query, written):
    """As the clients of other languages have it."""
    assert_only_this_verifies(tea.sends(query=query).signed_anew(*REQUIRED, written=written))


@EXAMPLES
@given(query=st.dictionaries(st.text("ab=&%26+\n"), st.text("ab=&%26+\n"), max_size=3))
def test_no_signature_fits_what_reads_like_the_signed_text(tea, query):
    """Whatever is in a bare name: of two readings of what was signed, one at most verifies."""
    arrival = tea.sends(query=query)
    text = "&".join(f"{name}={quote(query[name], safe='~')}" for name in sorted(query))
    for written in (text, text.replace("+", "%2B")):
        other = arrival.but(query_string=written.encode())
        if sorted(other.query()) != sorted(arrival.query()):
            assert not (arrival.verifies() and other.verifies())


def test_parameters_of_v1_may_change_places(tea):
    """From the query to a form, and among each other: only their names and values are signed."""
    arrival = tea.sends(query={"q": "1", "r": "2"}, signature_algorithm="v2")
    pieces = arrival.scope["query_string"].split(b"&")
    moved = (
        arrival.but(query_string=b"").but_header(b"content-type").and_header(b"content-type", FORM)
    )
    assert moved._replace(body=b"&".join(pieces)).verifies()
    assert arrival.but(query_string=b"&".join(reversed(pieces))).verifies()


def test_two_values_of_one_name_stay_in_their_order(tea):
    """Whoever signs them so; no official client sends a name twice."""
    arrival = tea.sends().but(query_string=b"b=2&b=1&a=0")
    for signed, right in ((b"a=0&b=2&b=1", True), (b"a=0&b=1&b=2", False)):
        pairs = signing.pairs(signed)
        text = signing.v1_string_to_sign("POST", pairs).encode()
        signature = b64encode(hmac.digest(SK.encode() + b"&", text, "sha1")).decode()
        assert signing.v1_is_right("POST", arrival.query(), signature, SK.encode()) is right


def test_blanks_around_a_header_are_nothing(tea):
    """The signers trim them. Inside they count."""
    arrival = tea.sends(headers={"x-note": "a b"})
    assert arrival.but_header(b"x-note", b"\t a b ").verifies()
    for other in (b"a  b", b"a b\xc2\xa0", b"a b\x0b"):
        assert not arrival.but_header(b"x-note", other).verifies()


def test_a_header_is_latin_1_as_the_clients_send_it(tea, nodejs):
    """And sign as UTF-8."""
    for arrival in tea.sends(headers={"x-acs-n": "é"}), nodejs.sends(headers={"x-acs-n": "é"}):
        assert arrival.header(b"x-acs-n") == b"\xe9"
        assert arrival.verifies()
        assert not arrival.but_header(b"x-acs-n", "é".encode()).verifies()


def test_several_values_of_a_header_are_signed_as_one(tea):
    """Sorted, with commas between them. It is a header that we do not act on."""
    arrival = tea.sends(headers={"x-note": "a,b"})
    for values in [b"a", b"b"], [b" b", b"a\t"]:
        assert arrival.but_header(b"x-note", *values).verifies()
    for values in [b"a"], [b"a", b"b", b""], [b"a,", b"b"]:
        assert not arrival.but_header(b"x-note", *values).verifies()


@pytest.mark.parametrize("name", [*REQUIRED, b"content-type", b"x-acs-security-token"])
def test_but_what_we_act_on_comes_once(tea, name):
    """Even if the signature fits: it does not say which of the two came first."""
    arrival = tea.sends(form={"a": "1"}, security_token="t")
    value = b"0," + arrival.header(name)
    signed = arrival.but_header(name, value).signed_anew(*arrival.claim().headers)
    once, twice = signed, signed.but_header(name, *value.split(b",", 1))
    assert once.is_right() is (name != HASH)
    assert not twice.is_right()


def test_two_of_a_header_that_is_not_signed_are_nothing_to_us(tea):
    """A proxy may have added them."""
    arrival = tea.sends().and_header(b"via", b"a").and_header(b"via", b"b")
    assert_only_this_verifies(arrival)


# What has to be signed


@pytest.mark.parametrize("name", REQUIRED)
def test_a_signature_covers_what_every_request_has(tea, name):
    """Who signs less is right, and told what it lacks; who takes it from the list is wrong."""
    arrival = tea.sends()
    names = [other for other in arrival.claim().headers if other != name]
    signed = arrival.signed_anew(*names)
    assert signed.is_right()
    assert signed.lacks()
    assert not signed.verifies()
    assert not arrival.lacks()
    assert not arrival.but_header(
        b"authorization", signed.header(b"authorization")[:-64] + b"0" * 64
    ).is_right()


@pytest.mark.parametrize("name", [b"x-acs-security-token", b"x-acs-accesskey-id", b"content-type"])
def test_a_signature_covers_what_more_we_act_on_where_it_came(tea, name):
    arrival = tea.sends(form={"a": "1"}, security_token="t")
    names = [other for other in arrival.claim().headers if other != name]
    assert arrival.signed_anew(*names).lacks()
    signed = arrival.but_header(name).signed_anew(*names)
    assert_only_this_verifies(signed)
    assert not signed.and_header(name, b"added").verifies()


def test_a_content_type_is_nothing_where_there_is_no_body(tea, nodejs):
    """Some HTTP libraries add one by themselves. A chunked body is a body."""
    assert tea.sends().and_header(b"content-type", FORM).verifies()
    chunked = nodejs.sends(body={"a": "1"})
    assert chunked.header(b"transfer-encoding") == b"chunked"
    names = [name for name in chunked.claim().headers if name != b"content-type"]
    assert chunked.signed_anew(*names).lacks()


def test_a_signature_may_cover_just_what_it_has_to(tea):
    arrival = tea.sends(query={"q": "1"}).signed_anew(*REQUIRED)
    assert_only_this_verifies(arrival)
    assert arrival.but_header(b"user-agent", b"elsewhere").verifies()


def test_the_declared_hash_is_that_of_the_body(tea):
    """However it is signed: in capitals, of another body, or as a word."""
    arrival = tea.sends(form={"a": "1"})
    names, real = arrival.claim().headers, arrival.header(HASH)
    for wrong in (real.upper(), hashlib.sha256(b"").hexdigest().encode(), b"UNSIGNED-PAYLOAD", b""):
        assert not arrival.but_header(HASH, wrong).signed_anew(*names).is_right()
    assert arrival.signed_anew(*names).is_right()


# What Authorization may say


CLAIM = (
    b"ACS3-HMAC-SHA256 Credential=EXAMPLE-AK,SignedHeaders=host;x-acs-date,Signature=" + b"0" * 64
)


def test_the_usual_claim_can_be_read():
    """So that each of those below fails by its one mistake."""
    claim = signing.Claim(AK, (b"host", b"x-acs-date"), "0" * 64)
    assert signing.read_acs3(CLAIM) == claim


@pytest.mark.parametrize(
    "authorization",
    [
        b"",
        b"ACS3",
        b"ACS3-HMAC-SHA256",
        b"Bearer token",
        b"acs " + AK.encode() + b":signature",
        CLAIM.lower(),
        CLAIM.replace(b"Credential", b"Access"),
        CLAIM.replace(b",", b", "),
        CLAIM.replace(b"EXAMPLE-AK", b""),
        CLAIM.replace(b"EXAMPLE-AK", b"a,b"),
        CLAIM.replace(b"EXAMPLE-AK", b"a b"),
        CLAIM.replace(b"EXAMPLE-AK", b"\xc3\xa9"),
        CLAIM.replace(b"EXAMPLE-AK", b"a" * 129),
        CLAIM.replace(b"host;x-acs-date", b""),
        CLAIM.replace(b"host", b"Host"),
        CLAIM.replace(b"host", b"host;host"),
        CLAIM.replace(b"host", b"ho:st"),
        CLAIM.replace(b"host", b"\xe9"),
        CLAIM[:-1],
        CLAIM + b"0",
        CLAIM[:-1] + b"A",
        CLAIM + b" ",
        CLAIM + b"\n",
        CLAIM + b"," + CLAIM,
    ],
)
def test_a_malformed_claim_is_refused(authorization):
    with pytest.raises(SignatureMalformed, match="does not conform to Aliyun standards"):
        signing.read_acs3(authorization)


@pytest.mark.parametrize("method", ["ACS3-HMAC-SM3", "ACS3-RSA-SHA256", "ACS3-HMAC-SHA1", "ACS3-"])
def test_another_method_is_refused(method):
    """Whatever follows it."""
    for authorization in (CLAIM.replace(b"ACS3-HMAC-SHA256", method.encode()), method.encode()):
        with pytest.raises(MethodUnknown, match="Specified signature method is not valid"):
            signing.read_acs3(authorization)


def test_the_chinese_hash_that_tea_can_sign_with_is_another_method(tea):
    with pytest.raises(MethodUnknown):
        tea.sends(signature_algorithm="ACS3-HMAC-SM3").claim()


@pytest.mark.parametrize("names", [(b"via",), (b"host", b"via")])
def test_a_header_that_did_not_come_signs_nothing(tea, names):
    """It does not count as an empty one."""
    arrival = tea.sends()
    claim = signing.Claim(AK, names, "0" * 64)
    text = signing.acs3_string_to_sign(claim, arrival.scope, [], b"").encode()
    signature = hmac.digest(SK.encode(), text, "sha256").hex()
    claim = signing.Claim(AK, names, signature)
    assert not signing.acs3_is_right(claim, arrival.scope, [], b"", SK.encode())


# What should have been signed


def test_the_string_to_sign_of_v1_is_the_legacy_clients_own(legacy):
    """A program that finds its own there knows that its secret is wrong."""
    request = legacy.request(query={"a b*": "é~/+", "Z": "", "\U0001f600": "1", "\uffff": "2"})
    arrival = legacy.sends_as_it_is(request)
    written = signing.v1_string_to_sign("POST", arrival.parameters())
    assert written == request.request.string_to_sign
    assert written.startswith("POST&%2F&AccessKeyId%3DEXAMPLE-AK%26Action%3D")


def test_the_string_to_sign_of_acs3_is_what_the_client_signed(tea):
    arrival = tea.sends(query={"q": "é *~"}, form={"a": "1"})
    claim, query = arrival.claim(), arrival.query()
    written = signing.acs3_string_to_sign(claim, arrival.scope, query, arrival.body)
    assert written.startswith("ACS3-HMAC-SHA256\n")
    assert hmac.digest(SK.encode(), written.encode(), "sha256").hex() == claim.signature


def test_the_string_to_sign_can_be_told_of_any_request(tea):
    """Of one whose headers did not come, or came twice, or whose names are nothing like names."""
    arrival = (
        tea.sends(query={"a=1&b": "\n"}).but_header(b"x-acs-date").and_header(b"host", b"\xff")
    )
    claim = arrival.claim()
    assert signing.acs3_string_to_sign(claim, arrival.scope, arrival.query(), b"x")
    assert signing.v1_string_to_sign("POST", [(b"\xff", b"\xfe\n"), (b"", b"")])


# V1


@pytest.mark.parametrize("signature", ["", "é", "\udcff", "=", "A" * 28])
def test_any_other_signature_of_v1_is_wrong(signature):
    assert not signing.v1_is_right("POST", [(b"a", b"1")], signature, SK.encode())


def test_two_signatures_are_none(tea):
    """Signature is not signed itself: so another one could be put before it, or after."""
    arrival = tea.sends(signature_algorithm="v2")
    query = arrival.scope["query_string"]
    assert arrival.verifies()
    for more in (b"Signature=", query[query.index(b"Signature=") :]):
        assert not arrival.but(query_string=query + b"&" + more).verifies()
        assert not arrival.but(query_string=more + b"&" + query).verifies()
    assert not arrival.but(query_string=query.replace(b"Signature=", b"signature=")).verifies()


def test_a_name_both_in_query_and_form_is_refused(tea, legacy):
    """The clients sign the form's value alone, and send both: the query's could be anything."""
    assert not tea.sends(query={"a": "1"}, form={"a": "2"}, signature_algorithm="v2").verifies()
    assert not legacy.sends(query={"a": "1"}, form={"a": "2"}).verifies()


# Pairs


@pytest.mark.parametrize(
    ("encoded", "pairs"),
    [
        (b"", []),
        (b"&&", []),
        (b"a", [(b"a", b"")]),
        (b"a=", [(b"a", b"")]),
        (b"=a", [(b"", b"a")]),
        (b"=", [(b"", b"")]),
        (b"a=1&a=2&b", [(b"a", b"1"), (b"a", b"2"), (b"b", b"")]),
        (b"a=1=2", [(b"a", b"1=2")]),
        (b"a+b=+%2B%20", [(b"a b", b" + ")]),
        (b"a%26b%3D=%25", [(b"a&b=", b"%")]),
        (b"a=%&b=%z1&c=%e", [(b"a", b"%"), (b"b", b"%z1"), (b"c", b"%e")]),
        (b"a=%ff\xff", [(b"a", b"\xff\xff")]),
        (b"a=1;b=2", [(b"a", b"1;b=2")]),
        (b"a=\n", [(b"a", b"\n")]),
    ],
)
def test_pairs_are_what_a_form_says(encoded, pairs):
    assert signing.pairs(encoded) == pairs


@EXAMPLES
@given(st.lists(st.tuples(spicy, spicy)))
def test_pairs_are_read_as_they_were_written(written):
    """By Python, with pluses, or by Node, without."""
    expected = [(name.encode(), value.encode()) for name, value in written]
    assert signing.pairs(urlencode(written).encode()) == expected
    assert signing.pairs(urlencode(written, safe="~", quote_via=quote).encode()) == expected
