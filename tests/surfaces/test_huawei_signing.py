"""Signatures as Huawei Cloud's own clients make them, on requests that really travelled.

Both clients send to a bare server, which keeps each request as uvicorn hands it on. What has to
verify, and what must not, is what came out there.
"""

import hashlib
import hmac
import string
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise

import pytest
from huaweicloudsdkbssintl.v2 import BssintlClient
from huaweicloudsdkcore.auth.credentials import GlobalCredentials
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer import signer as official
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.surfaces import listening
from watchword.surfaces.huawei import signing
from watchword.surfaces.huawei.signing import SignatureInvalid, SignatureStale

# The Python client asks for the time in a way that newer Pythons warn of.
pytestmark = pytest.mark.filterwarnings(
    "ignore:datetime.datetime.utc:DeprecationWarning:huaweicloudsdkcore"
)

AK, SK = "EXAMPLE-AK", "EXAMPLE-SK"
SEND = "/v2/bases/verificationcode/send"
JSON = "application/json"
DATE = "20260102T030405Z"
SIGNED_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
EXAMPLES = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Arrival(listening.Arrival):
    """A request as the surface gets it, signed by EXAMPLE-AK."""

    def signed_headers(self):
        signed = signing.read(self.scope)
        assert signed
        return signed.headers

    def verifies(self, secret=SK):
        try:
            signed = signing.read(self.scope)
        except SignatureInvalid:
            return False
        assert signed
        assert signed.access_key == AK
        return signing.is_right(signed, self.scope, self.body, secret.encode())


class Python:
    """The Python client."""

    def __init__(self, listener):
        self._listener = listener
        credentials = GlobalCredentials(AK, SK, domain_id="d0")
        building = BssintlClient.new_builder().with_credentials(credentials)
        self._client = building.with_endpoint(listener.url).build()

    def sends(self, method="POST", path=SEND, **what):
        """As a program has it sent."""
        expects = "SendVerificationMessageCodeResponse"
        self._client.do_http_request(method, path, response_type=expects, **what)
        return self._listener.last

    def signs(self, signer=official.Signer, method="POST", path=SEND, body=None, **headers):
        """As one of its signers signs it, with just these headers."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        request = SdkRequest(method, "http", self._listener.host, path, None, [], headers, body)
        signed = signer(GlobalCredentials(AK, SK)).sign(request)
        self._client.get_http_client().do_request_sync(signed)
        return self._listener.last


class NodeClient:
    """The Node client."""

    def __init__(self, node, listener):
        self._node, self._listener = node, listener

    def sends(self, method="POST", url=SEND, **request):
        request = {"method": method, "url": url, **request}
        client = {"endpoint": self._listener.url, "ak": AK, "sk": SK, "domainId": "d0"}
        self._node("send", **client, request=request)
        return self._listener.last


@pytest.fixture(scope="module")
def listener():
    with listening.Listener(Arrival) as listener:
        yield listener


@pytest.fixture(scope="module")
def python(listener):
    return Python(listener)


@pytest.fixture(scope="module")
def nodejs(node, listener):
    return NodeClient(node, listener)


def leaving_out(*names):
    """The official signer, but for these headers, which it does not sign."""

    def signer(credentials):
        made = official.Signer(credentials)
        usual = made._process_signed_headers
        made._process_signed_headers = lambda request: [
            name for name in usual(request) if name not in names
        ]
        return made

    return signer


def alterations(arrival: Arrival) -> Iterator[tuple[str, Arrival]]:
    """Everything near to the request that its signature must not fit."""
    scope = arrival.scope
    authorization = arrival.header(b"authorization")
    names = authorization.split(b"SignedHeaders=")[1].split(b",")[0]
    signed = names.split(b";")
    yield "the method", arrival.but(method="PATCH")
    yield "the path", arrival.but(raw_path=scope["raw_path"] + b"x")
    yield "a slash more", arrival.but(raw_path=b"/" + scope["raw_path"])
    yield "the body", arrival._replace(body=arrival.body + b" ")
    yield "another date", arrival.but_header(b"x-sdk-date", b"20260102T030406Z")
    yield "the signature twice", arrival.and_header(b"authorization", authorization)
    last = b"1" if authorization.endswith(b"0") else b"0"
    yield "the signature", arrival.but_header(b"authorization", authorization[:-1] + last)
    yield "an unsigned token", arrival.and_header(b"x-security-token", b"t")
    yield from _altered_queries(arrival, scope["query_string"])
    for name in signed:
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
    for other in (signed[1:], signed[1:] + signed[:1], [*signed, b"accept"], [*signed, signed[0]]):
        if other != signed:
            listed = authorization.replace(names, b";".join(other))
            yield f"the list {other}", arrival.but_header(b"authorization", listed)


def _altered_queries(arrival, query):
    pairs = query.split(b"&") if query else []
    yield "a pair more", arrival.but(query_string=b"&".join([*pairs, b"z="]))
    if pairs:
        yield "a pair less", arrival.but(query_string=b"&".join(pairs[1:]))
        yield "another value", arrival.but(query_string=query + b"0")
        yield "a pair twice", arrival.but(query_string=b"&".join([pairs[0], *pairs]))
    for at, (one, next_one) in enumerate(pairwise(pairs)):
        if one != next_one and one.split(b"=")[0] == next_one.split(b"=")[0]:
            swapped = [*pairs[:at], next_one, one, *pairs[at + 2 :]]
            yield "two values of a name", arrival.but(query_string=b"&".join(swapped))


def assert_only_this_verifies(arrival):
    assert arrival.verifies()
    assert not arrival.verifies(SK + "x")
    assert [name for name, other in alterations(arrival) if other.verifies()] == []


# The contract's vectors


BODY = b'{"receiver_type": 2, "email": "a@example.com"}'
VECTORS = {
    "a code": (
        Arrival(
            {
                "method": "POST",
                "raw_path": SEND.encode(),
                "query_string": b"",
                "headers": [
                    (b"host", b"127.0.0.1:8080"),
                    (b"user-agent", b"probe"),
                    (b"accept", b"*/*"),
                    (b"content-type", b"application/json"),
                    (b"x-domain-id", b"d0"),
                    (b"x-sdk-date", DATE.encode()),
                ],
            },
            BODY,
        ),
        "content-type;host;user-agent;x-domain-id;x-sdk-date",
        "ca15011c207baab1b5d747420f14f8f85a120c0629297d450dd7aba4480bc822",
    ),
    "domains": (
        Arrival(
            {
                "method": "GET",
                "raw_path": b"/v3/auth/domains",
                "query_string": b"",
                "headers": [
                    (b"host", b"127.0.0.1:8080"),
                    (b"user-agent", b"probe"),
                    (b"x-sdk-date", DATE.encode()),
                ],
            }
        ),
        "host;user-agent;x-sdk-date",
        "567c933719cc8b7abd5f8da66dce3ef6893c8495311059d957c1128a83d1f7f5",
    ),
}


@pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS)
def test_the_vectors_of_the_contract_verify(vector):
    """Section 2 has them from the official signer."""
    unsigned, names, signature = vector
    claim = f"SDK-HMAC-SHA256 Access={AK}, SignedHeaders={names}, Signature={signature}"
    arrival = unsigned.and_header(b"authorization", claim.encode())
    signed = signing.read(arrival.scope)
    assert signed
    assert signed.signed_at == SIGNED_AT
    assert signed.headers == tuple(names.encode().split(b";"))
    assert signed.signature == signature
    assert_only_this_verifies(arrival)


def test_the_hashes_of_the_contract_lead_to_its_signature():
    body = "767dd5cb0a3be13930fc67259194693ac2600f3a7e34a02a27902b5ae55f2ddb"
    canonical = "e2ff0b5b69d82b54003e83c72cad2896b17f8a8120891ee2f3f41e80591befeb"
    unsigned, names, signature = VECTORS["a code"]
    assert hashlib.sha256(BODY).hexdigest() == body
    lines = "".join(
        f"{name}:{unsigned.header(name.encode()).decode()}\n" for name in names.split(";")
    )
    written = f"POST\n{SEND}/\n\n{lines}\n{names}\n{body}"
    assert hashlib.sha256(written.encode()).hexdigest() == canonical
    to_sign = f"SDK-HMAC-SHA256\n{DATE}\n{canonical}"
    assert hmac.digest(SK.encode(), to_sign.encode(), "sha256").hex() == signature


def test_the_node_signer_makes_the_same_signature(node):
    """Of the vector without a body, which it would write without blanks."""
    _, names, signature = VECTORS["domains"]
    headers = {"X-Sdk-Date": DATE, "User-Agent": "probe"}
    request = {
        "method": "GET",
        "endpoint": "http://127.0.0.1:8080/v3/auth/domains",
        "headers": headers,
    }
    made = node("sign", ak=AK, sk=SK, request=request)
    assert made["Authorization"].endswith(f"SignedHeaders={names}, Signature={signature}")


# What the official clients send


anything = st.text(st.characters(exclude_categories=["Cs"]))
"""Any Unicode but lone surrogates, which have no UTF-8."""
spicy = st.text("aA0 /~*+%&=;?#é中😀\uffff").map(str.strip) | anything
in_a_header = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.just("\t"))
header_names = st.text(string.ascii_letters + string.digits + "-").map("X-T-{}x".format)
repeated = st.lists(spicy, max_size=3) | st.lists(st.integers(), max_size=3) | spicy | st.booleans()


def by_name(names, values):
    return st.dictionaries(names, values, max_size=4)


def headers_of(values):
    names = st.lists(header_names, max_size=3, unique_by=str.lower)
    return names.flatmap(lambda some: st.fixed_dictionaries(dict.fromkeys(some, values)))


segments = spicy.filter(
    lambda one: one not in {".", ".."}
)  # requests resolves dots; signers do not


@EXAMPLES
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
    path=st.fixed_dictionaries({"a": segments, "b": segments}),
    query=by_name(spicy, repeated),
    headers=headers_of(in_a_header),
    body=st.none() | anything | by_name(anything, anything),
)
def test_what_python_sends_verifies_and_nothing_near_it(python, method, path, query, headers, body):
    """Unicode, blanks, slashes and stars in path, query, headers and body, and repeated names."""
    pairs = [
        (name, one)
        for name, values in query.items()
        for one in (values if isinstance(values, list) else [values])
    ]
    assert_only_this_verifies(
        python.sends(
            method,
            "/v1/{a}/x/{b}",
            path_params=path,
            query_params=pairs,
            header_params=headers,
            body=body,
        )
    )


OUT_OF_REACH = {"__proto__", "constructor", "prototype"}  # axios drops these names
node_names = spicy.filter(lambda name: name not in OUT_OF_REACH)
# url.parse, by which the Node signer reads the path, escapes or cuts these, and signs the escapes.
node_segments = st.text(
    st.characters(
        exclude_categories=["Cs", "Cc", "Z"], exclude_characters="/?#%{}|\\^`<>\"'\ufeff"
    ),
    min_size=1,
).filter(lambda one: one not in {".", ".."})
# Node signs header values untrimmed and as UTF-8, and sends them trimmed and as Latin-1.
node_values = st.text(string.printable[:94] + " ").map(str.strip)
documents = st.recursive(
    anything | st.integers(-(2**53), 2**53) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(node_names, inner, max_size=3),
    max_leaves=5,
)


@EXAMPLES
@given(
    method=st.sampled_from(["GET", "POST", "PUT"]),
    path=st.lists(node_segments, min_size=1, max_size=3),
    query=by_name(node_names, st.lists(spicy, max_size=3) | spicy),
    headers=headers_of(node_values),
    data=by_name(node_names, documents) | st.lists(documents, max_size=3),
    without=st.sets(st.sampled_from(["data", "contentType"])),
)
def test_what_node_sends_verifies_and_nothing_near_it(
    nodejs, method, path, query, headers, data, without
):
    """As much Unicode as Node can send: where it cannot, its own server would refuse it too."""
    url = "/".join(["/v1", *path])
    asked = {"queryParams": query, "headers": headers, "data": data, "contentType": JSON}
    asked = {name: value for name, value in asked.items() if name not in without}
    assert_only_this_verifies(nodejs.sends(method, url, **asked))


def test_names_are_sorted_as_either_client_sorts_them(python, nodejs):
    """By code points, and by UTF-16 units, in which these two change places."""
    query = {"\U0001f600": "1", "\uffff": "2"}
    assert_only_this_verifies(python.sends(query_params=list(query.items())))
    assert_only_this_verifies(nodejs.sends(queryParams=query))
    assert_only_this_verifies(nodejs.sends(queryParams=dict(reversed(query.items()))))


def test_the_host_is_the_one_that_was_asked_for(python, listener):
    """With its port, and whatever we are called ourselves."""
    assert python.sends().header(b"host") == listener.host.encode()
    arrival = python.sends(header_params={"Host": "bss.example:8443"})
    assert arrival.header(b"host") == b"bss.example:8443"
    assert_only_this_verifies(arrival)


def test_a_signature_may_cover_the_date_alone(python):
    """Every other header is optional."""
    everything = ("host", "user-agent", "content-type")
    arrival = python.signs(leaving_out(*everything), User_Agent="probe", Content_Type=JSON)
    assert arrival.signed_headers() == (b"x-sdk-date",)
    assert arrival.but_header(b"host", b"elsewhere").verifies()
    assert_only_this_verifies(arrival)


# What is one to us, and what is not


def test_blanks_around_a_header_are_nothing(python):
    """The signers trim them. Inside they count."""
    arrival = python.sends(header_params={"X-Note": "a b"})
    assert arrival.but_header(b"x-note", b"\t a b ").verifies()
    assert not arrival.but_header(b"x-note", b"a  b").verifies()
    assert not arrival.but_header(b"x-note", b"a b\xc2\xa0").verifies()


@pytest.mark.parametrize(
    ("signed", "written"),
    [
        ("a b", b"a%20b"),
        ("é", b"%c3%a9"),
        ("a=b", b"a=b"),
        ("/~*", b"/%7E*"),
    ],
)
def test_a_query_verifies_however_it_is_escaped(python, signed, written):
    arrival = python.sends(query_params=[("q", signed), ("b", "")])
    assert arrival.but(query_string=b"q=" + written + b"&b=").verifies()


@pytest.mark.parametrize(
    ("signed", "written"),
    [
        (("q", "a b"), b"q=a+b"),
        (("q", "a+b"), b"q=a+b"),
        (("a+b", ""), b"a+b="),
        (("q", ""), b"q"),
        (("q", ""), b"q=&"),
        (("q", ""), b"&q="),
        (("", ""), b"&"),
        (("q", "1&b=2"), b"q=1&b=2"),
        (("q", "%"), b"q=%"),
        (("q", "%zz"), b"q=%zz"),
        (("q", "\ufffd"), b"q=%FF"),
        (("q", "%41"), b"q=%41"),
    ],
)
def test_a_query_that_could_mean_something_else_is_refused(python, signed, written):
    """A plus, a bare name, an empty pair, a broken escape, what is not UTF-8."""
    arrival = python.sends(query_params=[signed])
    assert arrival.verifies()
    assert not arrival.but(query_string=written).verifies()


@pytest.mark.parametrize("written", [b"/v1/a%2Fb", b"/v1/a%2fb", b"/v1/%61/b", b"/v1/a/b/"])
def test_a_path_is_what_it_decodes_to(python, written):
    """That is what the Python signer signs, and what routes go by; the last slash is nothing."""
    assert python.sends(path="/v1/a/b").but(raw_path=written).verifies()


@pytest.mark.parametrize(
    ("signed", "written"),
    [
        ("a/b", b"/v1/a//b"),
        ("a/b", b"/v1/a/b//"),
        ("a/b", b"/v1/a%252Fb"),
        ("a/b", b"/v1/./a/b"),
        ("\ufffd", b"/v1/%FF"),
        ("a b", b"/v1/a+b"),
    ],
)
def test_another_path_is_refused(python, signed, written):
    arrival = python.sends(path="/v1/{it}", path_params={"it": signed})
    assert arrival.verifies()
    assert not arrival.but(raw_path=written).verifies()


# What Authorization may say


def test_a_request_without_authorization_claims_nothing(python):
    assert signing.read(python.sends().but_header(b"authorization").scope) is None


def derived(credentials):
    """The derived one wants to know for which service and where."""
    signer = official.DerivationAKSKSigner(credentials)
    signer.sign = partial(signer.sign, derived_auth_service_name="bss", region_id="ap-southeast-1")
    return signer


@pytest.mark.parametrize(
    "signer",
    [official.SM3Signer, official.P256SHA256Signer, official.SM2SM3Signer, derived],
)
def test_other_algorithms_are_refused(python, signer):
    """Section 2: as a bad signature."""
    arrival = python.signs(signer, Content_Type=JSON, body=BODY)
    with pytest.raises(SignatureInvalid):
        signing.read(arrival.scope)


CLAIM = b"SDK-HMAC-SHA256 Access=EXAMPLE-AK, SignedHeaders=x-sdk-date, Signature=" + b"0" * 64


def claiming(authorization, *dates):
    headers = [(b"x-sdk-date", date) for date in dates or [DATE.encode()]]
    return {"headers": [(b"authorization", authorization), *headers]}


def test_the_usual_claim_can_be_read():
    """So that each of those below fails by its one mistake."""
    assert signing.read(claiming(CLAIM))


@pytest.mark.parametrize(
    "authorization",
    [
        b"",
        b"Bearer token",
        CLAIM.lower(),
        CLAIM.replace(b"SDK-HMAC-SHA256", b"SDK-HMAC-SM3"),
        CLAIM.replace(b"SDK-HMAC-SHA256", b"V11-HMAC-SHA256"),
        CLAIM.replace(b"Access", b"Credential"),
        CLAIM.replace(b", ", b","),
        CLAIM.replace(b"EXAMPLE-AK", b""),
        CLAIM.replace(b"EXAMPLE-AK", b"a,b"),
        CLAIM.replace(b"EXAMPLE-AK", b"\xc3\xa9"),
        CLAIM.replace(b"EXAMPLE-AK", b"a" * 129),
        CLAIM.replace(b"x-sdk-date", b""),
        CLAIM.replace(b"x-sdk-date", b"X-Sdk-Date"),
        CLAIM.replace(b"x-sdk-date", b"x-sdk-date;"),
        CLAIM.replace(b"x-sdk-date", b"x-sdk-date;x-sdk-date"),
        CLAIM.replace(b"x-sdk-date", b"x-sdk-date;host"),
        CLAIM.replace(b"x-sdk-date", b"authorization"),
        CLAIM[:-1],
        CLAIM + b"0",
        CLAIM[:-1] + b"A",
        CLAIM + b" ",
    ],
)
def test_a_malformed_claim_is_refused(authorization):
    with pytest.raises(SignatureInvalid):
        signing.read(claiming(authorization))


@pytest.mark.parametrize(
    "date",
    [
        b"",
        b"20260230T000000Z",
        b"20260102T030460Z",
        b"2026W011T030405Z",
        b"20260102T030405",
        b"20260102T030405+0000",
        b"2026-01-02T03:04:05Z",
        b"00000102T030405Z",
        b"2026010\xb2T030405Z",
        b"Fri, 02 Jan 2026 03:04:05 GMT",
    ],
)
def test_a_malformed_date_is_refused(date):
    with pytest.raises(SignatureInvalid):
        signing.read(claiming(CLAIM, date))


def test_the_date_has_to_be_signed_and_to_come_once(python):
    arrival = python.signs(leaving_out("x-sdk-date"))
    assert arrival.header(b"x-sdk-date")
    assert not arrival.verifies()
    with pytest.raises(SignatureInvalid):
        signing.read(claiming(CLAIM, DATE.encode(), DATE.encode()))


def test_a_security_token_has_to_be_signed(python):
    """It makes a temporary key; the client signs it."""
    assert_only_this_verifies(python.signs(X_Security_Token="t"))
    assert not python.signs(leaving_out("x-security-token"), X_Security_Token="t").verifies()


# When it was signed


@pytest.mark.parametrize("off", [timedelta(), signing.MOST_SKEW, -signing.MOST_SKEW])
def test_a_clock_may_be_15_minutes_off(off):
    signed = signing.read(claiming(CLAIM))
    assert signed
    signing.refuse_if_stale(signed, SIGNED_AT + off)


@pytest.mark.parametrize("sign", [1, -1])
def test_and_not_a_microsecond_more(sign):
    """The refusal says both times, in the gateway's words."""
    signed = signing.read(claiming(CLAIM))
    assert signed
    now = SIGNED_AT + sign * (timedelta(minutes=15) + timedelta(microseconds=1))
    with pytest.raises(SignatureStale, match=f"signature time:{DATE},server time:2026") as refused:
        signing.refuse_if_stale(signed, now)
    assert refused.value.signed_at == SIGNED_AT


# Bodies that are not signed


UNSIGNED = "UNSIGNED-PAYLOAD"
HASH = b"x-sdk-content-sha256"


def assert_its_body_is_unsigned(arrival):
    assert arrival.header(HASH) == UNSIGNED.encode()
    assert arrival.verifies()
    assert not arrival.verifies(SK + "x")
    altered = [name for name, other in alterations(arrival) if other.verifies()]
    assert set(altered) == {"the body"}


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/plain", "hello"),
        ("multipart/form-data", {"a": "1"}),
        ("application/x-www-form-urlencoded", {"a": "1"}),
    ],
)
def test_python_leaves_bodies_unsigned_that_are_not_json(python, content_type, body):
    arrival = python.sends(header_params={"Content-Type": content_type}, body=body)
    assert_its_body_is_unsigned(arrival)


def test_node_leaves_bodies_unsigned_that_are_not_json(nodejs):
    """Of a multipart body not even the type is signed, which the boundary is not known for."""
    assert_its_body_is_unsigned(nodejs.sends(contentType="text/plain", data="hello"))
    arrival = nodejs.sends(contentType="multipart/form-data", form={"a": "1"})
    assert b"content-type" not in arrival.signed_headers()
    assert_its_body_is_unsigned(arrival)


def test_an_empty_body_verifies_as_either_client_signs_it(python, nodejs):
    """Python signs the hash of nothing, so that nothing can be added; Node UNSIGNED-PAYLOAD."""
    arrival = python.sends(header_params={"Content-Type": "text/plain"})
    assert arrival.header(HASH) == UNSIGNED.encode()
    assert_only_this_verifies(arrival)
    assert_its_body_is_unsigned(nodejs.sends(contentType="text/plain"))


@pytest.mark.parametrize("content_type", [JSON, "application/json;charset=utf-8"])
def test_a_json_body_is_never_unsigned(python, content_type):
    """Stricter than the real gateway, and no official client asks for it."""
    asked = {"Content-Type": content_type, "X-Sdk-Content-Sha256": UNSIGNED}
    assert not python.sends(header_params=asked, body=BODY.decode()).verifies()


@pytest.mark.parametrize("content_type", ["Application/JSON", "text/json", "application/a+json"])
def test_whatever_calls_itself_json_is_json(python, content_type):
    """The Python client leaves these unsigned; nobody could tell what we would take them for."""
    headers = {"Content-Type": content_type}
    assert not python.sends(header_params=headers, body=BODY.decode()).verifies()


def test_an_unsigned_body_says_what_it_is(nodejs):
    """Node does not sign a multipart type: it may become another, but not JSON, nor nothing."""
    arrival = nodejs.sends(contentType="multipart/form-data", form={"a": "1"})
    assert not arrival.but_header(b"content-type", JSON.encode()).verifies()
    assert not arrival.but_header(b"content-type").verifies()
    assert not arrival.but_header(b"content-type", JSON.encode(), b"text/plain").verifies()


def test_only_a_signed_header_leaves_the_body_unsigned(python):
    """Else whoever sees a request could take its body for another."""
    signer = leaving_out("x-sdk-content-sha256")
    assert not python.signs(signer, Content_Type="text/plain", body=b"hello").verifies()
    signed = python.sends(header_params={"Content-Type": JSON}, body=BODY.decode())
    assert not signed.and_header(HASH, UNSIGNED.encode()).verifies()


def test_any_other_declared_hash_has_to_be_that_of_the_body(python):
    real = hashlib.sha256(BODY).hexdigest()
    arrival = python.signs(Content_Type=JSON, X_Sdk_Content_Sha256=real, body=BODY)
    assert_only_this_verifies(arrival)
    for wrong in (hashlib.sha256(b"").hexdigest(), real.upper(), "anything"):
        arrival = python.signs(Content_Type=JSON, X_Sdk_Content_Sha256=wrong, body=BODY)
        assert not arrival.verifies()
