"""How answers are written: JSON or XML, to the letter that each client needs, under a new id."""

import json
import re
import uuid

import pytest

from tests.surfaces.aliyun.bending import bent, raw, signed_acs3, signed_v1
from tests.surfaces.aliyun.calling import (
    ERROR_KEYS,
    FORM,
    JSON,
    NEWER,
    OLDER,
    XML,
    Caller,
    manager,
    member_of,
    newcomer,
    travelled,
)

pytestmark = pytest.mark.store("sqlite")

LOOK = "GetResourceDirectory"
UNSUPPORTED = (400, "UnsupportedHTTPMethod")
NOBODY = (400, "MissingAccessKeyId")
ID = re.compile(r"[0-9A-F]{8}-[0-9A-F]{4}-4[0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12}")
DECLARATION = b"<?xml version='1.0' encoding='UTF-8'?>"
BROWSER = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"


@pytest.fixture(scope="module")
def ann(server):
    """A manager."""
    return manager(server)


def asked_in(caller, scheme, form, action=LOOK, *pairs):
    """With this Format, None being none at all."""
    if scheme == "V1":
        return signed_v1(caller, action, list(pairs), Format=form)
    return signed_acs3(caller, action, [*pairs, *([] if form is None else [("Format", form)])])


# Which format


@pytest.mark.parametrize(
    ("form", "v1", "acs3"),
    [("JSON", JSON, JSON), ("json", JSON, JSON), ("Json", JSON, JSON), ("XML", XML, XML),
     ("xml", XML, XML), ("Xml", XML, XML), ("None", XML, JSON), ("none", XML, JSON),
     ("", XML, JSON), (None, XML, JSON)],
    ids=str,
)  # fmt: skip
def test_a_format_is_chosen_by_name_or_by_the_scheme(ann, form, v1, acs3):
    """An older client that names none, or the literal None, expects XML, a newer one JSON: of a
    success and of a refusal alike."""
    stranger = Caller(ann.server, ann.account, (ann.ak, "x", ""))
    for scheme, expected in [("V1", v1), ("ACS3", acs3)]:
        reply = ann.send(asked_in(ann, scheme, form))
        assert reply.success
        assert reply.headers["content-type"] == expected
        for refused in (
            ann.send(asked_in(ann, scheme, form, "No")),
            ann.send(asked_in(stranger, scheme, form)),
            ann.send(asked_in(ann, scheme, form, "")),
        ):
            assert refused.refusal
            assert refused.headers["content-type"] == expected


@pytest.mark.parametrize("form", ["yaml", "JSON ", "json,xml", "text/json", "0", "😀", "x" * 9000])
@pytest.mark.parametrize(("scheme", "content_type"), [("V1", XML), ("ACS3", JSON)])
def test_another_format_is_refused(server, ann, scheme, content_type, form):
    """In the one that the scheme has by itself."""
    before = server.digest()
    reply = ann.send(asked_in(ann, scheme, form))
    assert reply.refusal == (400, "InvalidParameter.Format")
    assert reply.told["Message"] == "Specified parameter format is not valid."
    assert reply.headers["content-type"] == content_type
    assert server.digest() == before


@pytest.mark.parametrize("scheme", ["V1", "ACS3"])
def test_two_formats_are_none(server, ann, scheme):
    before = server.digest()
    for second in ("JSON", "XML", ""):
        reply = ann.send(asked_in(ann, scheme, "JSON", LOOK, ("Format", second)))
        assert reply.refusal == (400, "InvalidFormat")
    assert server.digest() == before


def test_a_format_may_come_in_a_form(ann):
    """One client sends all it says in there."""
    for form, content_type in [("JSON", JSON), ("XML", XML)]:
        request = signed_v1(ann, LOOK, [], in_form=True, Format=form)
        assert ann.send(request).headers["content-type"] == content_type
        refused = ann.send(signed_v1(ann, "No", [], in_form=True, Format=form))
        assert refused.headers["content-type"] == content_type


def test_who_speaks_in_headers_and_has_no_key_reads_json(server):
    """Without any sign of the newer clients it is XML."""
    headers = {"x-acs-action": LOOK, "x-acs-version": NEWER}.items()
    assert travelled(server, "POST", "/", headers).headers["content-type"] == JSON
    assert travelled(server, "POST", "/?Format=XML", headers).headers["content-type"] == XML
    assert travelled(server, "POST", "/", {}).headers["content-type"] == XML
    assert travelled(server, "POST", "/?Format=json", {}).headers["content-type"] == JSON


# XML


def test_xml_has_the_root_of_its_operation(ann):
    """With the same fields as JSON, in the same order."""
    reply = ann.send(asked_in(ann, "V1", "XML"))
    assert reply.body.startswith(DECLARATION + b"<GetResourceDirectoryResponse><RequestId>")
    told = ann.ask(LOOK).success
    assert [child.tag for child in reply.root] == list(told)
    inner = reply.root.find("ResourceDirectory")
    assert {one.tag: one.text or "" for one in inner} == told["ResourceDirectory"]


def test_lists_in_xml_repeat_an_element(server):
    """Without an index or a wrapper of ours; true and false are in small letters."""
    boss = manager(server)
    for name in ("One", "Two"):
        tags = {"Tag.1.Key": "k", "Tag.1.Value": name, "Tag.2.Key": "l"}
        made = boss.ask("CreateResourceAccount", DisplayName=name, **tags).success["Account"]
    root = boss.send(asked_in(boss, "V1", "XML", "ListAccounts", ("IncludeTags", "true"))).root
    listed = root.findall("Accounts/Account")
    assert [one.findtext("DisplayName") for one in listed] == ["One", "Two"]
    assert [[one.findtext("Key") for one in each.findall("Tags/Tag")] for each in listed] == [
        ["k", "l"],
        ["k", "l"],
    ]
    asked = [("AccountId", made["AccountId"]), ("IncludeTags", "true")]
    root = boss.send(asked_in(boss, "V1", "XML", "GetAccount", *asked)).root
    assert [one.findtext("Value") for one in root.findall("Account/Tags")] == ["Two", ""]
    assert root.findtext("Account/HasSecureMobilePhone") == "false"


def test_an_empty_list_in_xml_is_an_empty_element(server):
    boss = manager(server)
    root = boss.send(asked_in(boss, "V1", "XML", "ListAccounts")).root
    assert root.findtext("TotalCount") == "0"
    assert (root.findtext("Accounts"), root.findall("Accounts/*")) == ("", [])


def test_an_error_in_xml_has_five_children(ann):
    """In the order of the vendor's."""
    reply = ann.send(asked_in(ann, "V1", "XML", "No"))
    assert reply.body.startswith(DECLARATION + b"<Error><RequestId>")
    order = ["RequestId", "HostId", "Code", "Message", "Recommend"]
    assert [child.tag for child in reply.root] == order
    assert set(order) == ERROR_KEYS
    assert list(json.loads(ann.send(asked_in(ann, "V1", "JSON", "No")).body)) == order


HOSTILE = ["<script>alert(1)</script>", "a&b;", "]]>", "'\"", "a\rb", "\0\x01\x1b", "\ufffe", "😀é",
           "\u2028", "&#0;", "<!DOCTYPE x>", "%0d%0a", "{}"]  # fmt: skip


@pytest.mark.parametrize("hostile", HOSTILE)
def test_what_a_caller_says_comes_back_whole(server, hostile):
    """Escaped, in either format; what XML has no way to say is replaced."""
    boss = manager(server)
    tag = [("Tag.1.Key", hostile), ("Tag.1.Value", f"={hostile}")]
    made = bent(boss, "V1 query", "CreateResourceAccount", [("DisplayName", "Ann"), *tag])
    account_id = boss.send(made).success["Account"]["AccountId"]
    asked = [("AccountId", account_id), ("IncludeTags", "true")]
    account = boss.send(asked_in(boss, "V1", "JSON", "GetAccount", *asked)).success["Account"]
    assert account["Tags"] == [{"Key": hostile, "Value": f"={hostile}"}]
    reply = boss.send(asked_in(boss, "V1", "XML", "GetAccount", *asked))
    shown = re.sub("[\0\x01\x1b\ufffe]", "\ufffd", hostile)
    assert [one.text for one in reply.root.findall("Account/Tags/*")] == [shown, f"={shown}"]


@pytest.mark.parametrize("form", ["JSON", "XML"])
@pytest.mark.parametrize(
    "host",
    ["<b>", "a&b", "]]></HostId>", "'\"", "a b", "{}", "${x}", "127.0.0.1:1", "x" * 255,
     "[::1]:8080", "resourcedirectory.aliyuncs.com"],
    ids=lambda host: host[:20],
)  # fmt: skip
def test_the_host_that_was_called_is_told(server, form, host):
    """Whatever it is: escaped, and as the caller wrote it."""
    reply = travelled(server, "POST", f"/?Format={form}", [("Host", host)])
    assert reply.refusal == (400, "MissingAction")
    assert reply.told["HostId"] == host


@pytest.mark.parametrize("form", ["JSON", "XML"])
@pytest.mark.parametrize("host", [b"", b"\xff\xfe", b"\xc3\xa9", b"a\tb", b"\xef\xbf\xbe"])
def test_a_host_that_cannot_be_told_is_left_empty(server, form, host):
    """The answer can be read all the same, and has the field."""
    reply = travelled(server, "POST", f"/?Format={form}", [("Host", host)])
    assert (reply.status, reply.told["Code"]) == (400, "MissingAction")
    assert set(reply.told) == ERROR_KEYS
    assert reply.told["HostId"] == ""


def test_a_long_host_is_cut(server):
    reply = travelled(server, "POST", "/", [("Host", "y" * 5000)])
    assert reply.told["HostId"] == "y" * 255


def test_a_request_may_have_no_host(server):
    answer = raw(server, b"POST / HTTP/1.0\r\ncontent-length: 0\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"<HostId></HostId><Code>MissingAction</Code>" in body


# What every answer has


def test_every_answer_has_an_id_of_its_own(ann):
    """A new UUID in capitals, in header and body, of a success and of a refusal."""
    request = ann.signed(LOOK)
    replies = [
        ann.send(request), ann.send(request), ann.send(request), ann.ask("No"),
        *[ann.send(asked_in(ann, "V1", form, "No")) for form in ("JSON", "XML", "no")],
        *[ann.send(asked_in(ann, "V1", form)) for form in ("JSON", "XML", "no")],
        *[travelled(ann.server, method, "/", {}) for method in ("GET", "POST", "PUT", "DELETE")],
    ]  # fmt: skip
    ids = [reply.told["RequestId"] for reply in replies]
    assert ids == [reply.headers["x-acs-request-id"] for reply in replies]
    assert all(ID.fullmatch(one) and str(uuid.UUID(one)).upper() == one for one in ids)
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("form", ["JSON", "XML"])
@pytest.mark.parametrize(
    ("version", "product"),
    [(NEWER, "ResourceDirectoryMaster"), (OLDER, "ResourceManager"), ("2019-01-01", "")],
)
def test_an_error_recommends_where_to_look(ann, form, version, product):
    """It names the code, the product of the version and the request."""
    replies = [
        ann.send(signed_v1(ann, "No", [], version, Format=form)),
        ann.send(signed_v1(ann, "No", [], version, in_form=True, Format=form)),
        ann.send(signed_acs3(ann, "No", [("Format", form)], version)),
    ]
    for reply in replies:
        told = reply.told
        assert reply.refusal == (
            (404, "InvalidAction.NotFound") if product else (400, "InvalidVersion")
        )
        assert told["Recommend"] == (
            f"https://api.aliyun.com/troubleshoot?q={told['Code']}&product={product}"
            f"&requestId={told['RequestId']}"
        )


def test_no_success_has_a_code(server):
    """One client takes it for an error whatever the status: not even where an account is told."""
    boss = manager(server)
    for action, asked in [
        (LOOK, {}),
        ("ListAccounts", {}),
        ("GetAccount", {"AccountId": boss.id}),
        ("CreateResourceAccount", {"DisplayName": "Code"}),
        ("CreateResourceAccount", {"DisplayName": "Codes", "DryRun": "true"}),
        ("UpdateAccount", {"AccountId": member_of(boss), "NewDisplayName": "Ann"}),
    ]:
        told = boss.ask(action, **asked).success
        assert "Code" not in told
        assert told["RequestId"]
    assert newcomer(server).ask("EnableResourceDirectory", EnableMode="CurrentAccount").success


# Methods and the index


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND"])
def test_other_methods_are_not_supported(server, ann, method):
    """Whatever else the request is; its format is honoured."""
    before = server.digest()
    for _, target, headers, body in (
        ann.signed(LOOK),
        signed_v1(ann, LOOK, []),
        signed_v1(ann, LOOK, [], Format="XML"),
        ("", "/", {"accept": BROWSER}, b""),
        ("", "/", {"content-type": FORM}, b"Format=JSON"),
    ):
        reply = travelled(server, method, target, headers.items(), body)
        assert reply.refusal == UNSUPPORTED
        assert reply.told["Message"] == "This http method not supported."
        assert reply.is_xml == ("Format=JSON" not in target and "Authorization" not in headers)
    assert server.digest() == before


def test_a_head_gets_the_head_of_that(server, ann):
    """Without a body; that of a browser gets the index's."""
    reply = travelled(server, "HEAD", ann.signed(LOOK)[1], ann.signed(LOOK)[2].items())
    assert (reply.status, reply.body, reply.headers["content-type"]) == (400, b"", JSON)
    assert ID.fullmatch(reply.headers["x-acs-request-id"])
    index = travelled(server, "HEAD", "/", [("accept", BROWSER)])
    assert (index.status, index.body) == (200, b"")
    assert index.headers["content-type"].startswith("text/html")


def test_get_and_post_are_both_served(ann):
    """In either scheme, as documented."""
    for method in ("GET", "POST"):
        assert ann.ask_v1(LOOK, method=method).success
        assert ann.send(ann.signed(LOOK, method=method)).success


@pytest.mark.parametrize("target", ["/", "/?", "/?a=b", "/?action=x", "/?Version=x"])
def test_a_browser_gets_the_index(server, target):
    reply = travelled(server, "GET", target, [("accept", BROWSER)])
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    ("method", "target", "headers", "expected"),
    [
        ("GET", "/?Action=x", {"accept": BROWSER}, (400, "MissingVersion")),
        ("GET", "/?Action", {"accept": BROWSER}, (400, "MissingAction")),
        ("GET", "/?a=b&%41ction=x", {"accept": BROWSER}, (400, "MissingVersion")),
        ("GET", "/", {"accept": BROWSER, "x-acs-action": LOOK}, NOBODY),
        ("GET", "/", {"accept": BROWSER, "X-Acs-Action": ""}, NOBODY),
        ("GET", "/", {"accept": "application/json"}, (400, "MissingAction")),
        ("GET", "/", {"accept": "*/*"}, (400, "MissingAction")),
        ("GET", "/", {}, (400, "MissingAction")),
        ("POST", "/", {"accept": BROWSER}, (400, "MissingAction")),
    ],
    ids=str,
)
def test_a_program_gets_an_answer_of_the_dialect(server, method, target, headers, expected):
    """Whatever it accepts, once it names an action; without one, unless it reads HTML."""
    assert travelled(server, method, target, headers.items()).refusal == expected


def test_a_signed_request_of_a_browser_is_served(ann):
    """Python's client signs its Accept, whatever that is."""
    assert ann.send(ann.signed(LOOK, accept=BROWSER, method="GET")).success
    named = signed_v1(ann, LOOK, [])[1]
    reply = travelled(ann.server, "GET", named, [("accept", BROWSER)])
    assert reply.refusal == (400, "SignatureDoesNotMatch")


@pytest.mark.parametrize("path", ["/index.html", "/x", "/x/", "/;x", "/.x"])
def test_the_dialect_has_one_path(server, path):
    """Everything else is another's, or nobody's."""
    reply = travelled(server, "POST", f"{path}?Action=x", {})
    assert reply.status == 404
    assert reply.headers["content-type"] == "application/problem+json"
