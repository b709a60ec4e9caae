"""Programs written for Alibaba Cloud, over a socket: its own clients as they are installed."""

import json
import re
from datetime import timedelta
from http.client import HTTPConnection
from types import SimpleNamespace
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pytest
from alibabacloud_tea_openapi.exceptions import ClientException, ThrottlingException
from aliyunsdkcore.auth.algorithm import sha_hmac256
from aliyunsdkcore.request import RpcRequest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.whole.aliyun import VENDORS_WARNINGS, phone, running
from tests.whole.aliyun_clients import (
    BIND,
    CLIENTS,
    ENABLE,
    NEWER,
    NODE,
    SEND_BIND,
    SEND_RD,
    Core,
    Legacy,
    LegacyTyped,
    Made,
    Tea,
)
from tests.whole.conftest import DEADLINE_S, eventually
from tests.whole.trouble import counts

pytestmark = [pytest.mark.store("sqlite"), pytest.mark.filterwarnings(VENDORS_WARNINGS)]

A_DAY = 3
SETTINGS = f"""
[aliyun]
account = ["{A_DAY}/24h"]
members = 1000
"""
LOOK = "GetResourceDirectory"
REQUEST_ID = re.compile(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}")
INSTANT = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")
V1_MISMATCH = "Specified signature is not matched with our calculation. server string to sign is:"
ACS3_MISMATCH = (
    "Specified signature does not match our calculation. server StringToSign is [ACS3-HMAC-SHA256\n"
)


class Program:
    """One of the vendor's clients, by name, for whoever it is to call as."""

    def __init__(self, name: str, *more: Any) -> None:
        self.name, self._more = name, more

    def __call__(self, made: Made, place: Any) -> Any:
        return CLIENTS[self.name](made, place.endpoint, *self._more)

    @property
    def is_typed_legacy(self) -> bool:
        return CLIENTS[self.name] is LegacyTyped

    @property
    def signs_v1(self) -> bool:
        return "V1" in self.name or "legacy" in self.name or "pop-core" in self.name


@pytest.fixture(params=CLIENTS)
def program(request):
    more = (request.getfixturevalue("node"),) if request.param in NODE else ()
    return Program(request.param, *more)


@pytest.fixture(scope="module")
def place(new_house):
    with new_house() as house, running(house, SETTINGS) as place:
        yield place


@pytest.fixture(scope="module")
def newcomers(place):
    """By the client's name: each in no directory, and nobody has called as it."""
    return dict(zip(CLIENTS, place.newcomers(len(CLIENTS)), strict=True))


@pytest.fixture(scope="module")
def boss(place):
    """Who manages a directory: the demo's own."""
    return place.demo["management"]


@pytest.fixture(scope="module")
def spent(place):
    """A newcomer whose codes of today are used up, and a manager and its member whose are, too."""
    made, other = place.newcomer(), place.manager()
    member = place.member(other)
    caller, manager = Tea(made, place.endpoint), Tea(other, place.endpoint)
    for _ in range(A_DAY):
        caller.ask(SEND_RD, SecureMobilePhone=phone())
        manager.ask(SEND_BIND, AccountId=member, SecureMobilePhone=phone())
    return made, other, member


@pytest.fixture(scope="module")
def joined(place):
    """Who became a member, by a code."""
    made, to = place.newcomer(), phone()
    caller = Tea(made, place.endpoint)
    caller.ask(SEND_RD, SecureMobilePhone=to)
    enabled(caller, to, place.inbox.code(to))
    return made


def enabled(caller, to, code):
    """The directory that this code makes, with a manager of its own."""
    answer = caller.ask(
        ENABLE,
        EnableMode="NewManagementAccount",
        MAName=f"boss-{to}@rdadmin.aliyunid.com",
        MASecureMobilePhone=to,
        VerificationCode=code,
    )
    return answer["ResourceDirectory"]


def told(place, boss, member):
    """What GetAccount of the 2022 edition says of a member."""
    return Tea(boss, place.endpoint).ask("GetAccount", AccountId=member)["Account"]


# What codes are for


def test_a_member_gets_a_phone(place, boss, program):
    """A fresh member, its first phone by a code that came there, and GetAccount shows it."""
    caller, to = program(boss, place), phone()
    made = caller.ask("CreateResourceAccount", DisplayName=f"Member {to}")["Account"]
    member = made["AccountId"]
    before = told(place, boss, member)
    assert (before["HasSecureMobilePhone"], before["SecureMobilePhone"]) == (False, "")

    sent = caller.ask(SEND_BIND, AccountId=member, SecureMobilePhone=to)
    assert set(sent) == {"RequestId", "ExpirationDate"}
    assert INSTANT.fullmatch(sent["ExpirationDate"])
    code = place.printed_code(to)
    wrong = f"{(int(code) + 1) % 1_000_000:06}"
    binding = {"AccountId": member, "SecureMobilePhone": to}
    assert caller.refusal(BIND, **binding, VerificationCode=wrong)[:2] == (
        409,
        "Invalid.VerificationCode",
    )
    bound = caller.ask(BIND, **binding, VerificationCode=code)
    assert set(bound) == {"RequestId"}
    assert REQUEST_ID.fullmatch(bound["RequestId"])

    after = told(place, boss, member)
    assert (after["HasSecureMobilePhone"], after["SecureMobilePhone"]) == (True, to)
    seen = caller.ask("GetAccount", AccountId=member)["Account"]
    assert seen == {name: value for name, value in after.items() if name in seen}
    assert ("SecureMobilePhone" in seen) is (caller.version == NEWER)
    assert caller.refusal(BIND, **binding, VerificationCode=code)[:2] == (
        409,
        "AccountSecureMobileAlreadyExists",
    )


def test_a_newcomer_enables_a_directory(place, newcomers, program):
    """For a new account that manages it; the newcomer is a member then, and sends no more."""
    made, to = newcomers[program.name], phone()
    caller = program(made, place)
    assert caller.refusal(LOOK)[:2] == (404, "ResourceDirectoryNotInUse")
    sent = caller.ask(SEND_RD, SecureMobilePhone=to)
    assert set(sent) == {"RequestId"}
    assert REQUEST_ID.fullmatch(sent["RequestId"])
    directory = enabled(caller, to, place.inbox.code(to))
    assert directory["MasterAccountName"] == f"boss-{to}@rdadmin.aliyunid.com"
    assert directory["MasterAccountId"] != made["account_id"]
    seen = caller.ask(LOOK)["ResourceDirectory"]
    assert directory == {name: value for name, value in seen.items() if name in directory}
    assert caller.refusal(SEND_RD, SecureMobilePhone=to)[:2] == (
        409,
        "NotSupport.AccountInAnotherResourceDirectory",
    )


def test_a_send_that_names_no_phone_goes_to_the_callers_own(place):
    """As `account create --phone` bound it."""
    to = phone()
    made = place.created("--phone", to)
    Tea(made, place.endpoint).ask(SEND_RD)
    assert enabled(Legacy(made, place.endpoint), to, place.printed_code(to))


def test_the_new_manager_calls_once_it_has_a_key(place):
    """It came with none. It has members, to whom it binds phones, and sends to enable no more."""
    made, to = place.newcomer(), phone()
    caller = Tea(made, place.endpoint)
    caller.ask(SEND_RD, SecureMobilePhone=to)
    manager_id = enabled(caller, to, place.inbox.code(to))["MasterAccountId"]
    manager = Tea(place.account("key", manager_id, "--json"), place.endpoint)
    member = manager.ask("CreateResourceAccount", DisplayName="Ann")["Account"]["AccountId"]
    listed = manager.ask("ListAccounts")["Accounts"]["Account"]
    assert {each["AccountId"] for each in listed} == {made["account_id"], member}
    other = phone()
    manager.ask(SEND_BIND, AccountId=member, SecureMobilePhone=other)
    code = place.inbox.code(other)
    manager.ask(BIND, AccountId=member, SecureMobilePhone=other, VerificationCode=code)
    assert manager.refusal(SEND_RD)[:2] == (409, "EntityAlreadyExists.ResourceDirectory")


def test_the_demo_is_what_the_manual_says(house):
    """Two accounts that can be called as, one of which manages a member without a phone; and the
    newcomer, which has a phone and has sent nothing, enables a directory with it."""
    with running(house) as place:
        demo = place.demo
        assert set(demo) == {"endpoint", "management", "newcomer", "member_id"}
        assert set(demo["management"]) == {"account_id", "ak", "sk"}
        assert set(demo["newcomer"]) == {"account_id", "ak", "sk", "phone"}
        assert json.loads(place.house.run("demo", "--json").stdout)["aliyun"] == demo

        management, newcomer = demo["management"], demo["newcomer"]
        boss, ann = Tea(management, place.endpoint), Tea(newcomer, place.endpoint)
        directory = boss.ask(LOOK)["ResourceDirectory"]
        assert directory["MasterAccountId"] == management["account_id"]
        member = told(place, management, demo["member_id"])
        assert (member["Type"], member["HasSecureMobilePhone"]) == ("ResourceAccount", False)
        (only,) = boss.ask("ListAccounts")["Accounts"]["Account"]
        assert only["AccountId"] == demo["member_id"]
        assert ann.refusal(LOOK)[:2] == (404, "ResourceDirectoryNotInUse")
        assert counts(place.house)["challenges"] == 0
        assert place.house.run("inbox", "last", "--to", newcomer["phone"]).stdout == ""

        ann.ask(SEND_RD)
        enabled(ann, newcomer["phone"], place.printed_code(newcomer["phone"]))
        assert ann.refusal(SEND_RD)[:2] == (409, "NotSupport.AccountInAnotherResourceDirectory")


# How the seeds' four codes are read


class Told(NamedTuple):
    code: str
    message: str


ELSEWHERE = Told(
    "NotSupport.AccountInAnotherResourceDirectory",
    "The specified account is an Alibaba Cloud account or already exists in another resource "
    "directory.",
)
ENABLED = Told(
    "EntityAlreadyExists.ResourceDirectory",
    "The resource directory for the account is already enabled. We recommend that you do not "
    "enable the resource directory again.",
)
TOO_MANY = Told(
    "SendValidateCodeExceedsLimitForAccount",
    "For the same account, the number of verification codes sent exceeds the limit.",
)
COUNTRY = Told(
    "InvalidParameter.MobileCountryCode", "The current site does not support the country code."
)
CHINESE = "86-13800138000"


@pytest.mark.parametrize("is_told", [ELSEWHERE, ENABLED, TOO_MANY, COUNTRY], ids=lambda it: it.code)
@pytest.mark.parametrize("operation", [SEND_RD, SEND_BIND])
def test_every_client_reads_the_seeds_errors(
    place, boss, joined, spent, program, operation, is_told
):
    """Code, status, message and the request's id, of both sends; and nothing comes of it."""
    alone, manager, member = spent
    to = CHINESE if is_told is COUNTRY else phone()
    asked = {"SecureMobilePhone": to}
    caller, whose = {
        (SEND_RD, ELSEWHERE): (joined, ""),
        (SEND_RD, ENABLED): (boss, ""),
        (SEND_RD, TOO_MANY): (alone, ""),
        (SEND_RD, COUNTRY): (place.demo["newcomer"], ""),
        (SEND_BIND, ELSEWHERE): (boss, member),
        (SEND_BIND, ENABLED): (boss, boss["account_id"]),
        (SEND_BIND, TOO_MANY): (manager, member),
        (SEND_BIND, COUNTRY): (boss, place.demo["member_id"]),
    }[operation, is_told]
    before = counts(place.house)["challenges"]
    refusal = program(caller, place).refusal(
        operation, **asked, **({"AccountId": whose} if whose else {})
    )
    assert refusal[:3] == (409, *is_told)
    assert REQUEST_ID.fullmatch(refusal.request_id)
    assert counts(place.house)["challenges"] == before


def test_no_two_answers_share_a_request_id(place, boss, program):
    caller = program(boss, place)
    ids = [caller.ask(LOOK)["RequestId"], caller.ask(LOOK)["RequestId"]]
    ids += [caller.refusal(SEND_RD).request_id for _ in range(2)]
    assert len(set(ids)) == 4


# Keys that open nothing


class Keys:
    """Keys of accounts that were all right a moment ago."""

    def __init__(self, place):
        self.made, suspended = place.newcomers(2)
        disabled, revoked = self._more(place, None), self._more(place, None)
        self.whole, other = self._more(place, 600), self._more(place, 600)
        over = self._more(place, 1)
        place.change("disable", disabled["ak"])
        place.change("revoke", revoked["ak"])
        place.change("suspend", suspended["account_id"])
        bare = {name: value for name, value in self.whole.items() if name != "security_token"}
        self.kinds = {
            "unknown": self.made | {"ak": "LTAI" + "x" * 20},
            "of another secret": self.made | {"sk": self.made["sk"][::-1]},
            "of another's secret": self.made | {"sk": place.demo["management"]["sk"]},
            "disabled": disabled,
            "revoked": revoked,
            "suspended": suspended,
            "without its token": bare,
            "with another's token": self.whole | {"security_token": other["security_token"]},
            "with a token though it lasts": other | self.made,
            "with a malformed token": self.whole | {"security_token": "a b"},
            "over": over,
        }
        for kind in ("over", "disabled", "revoked", "suspended"):
            eventually(lambda kind=kind: self._is_denied(place, kind), f"{kind} is seen")

    def _more(self, place, ttl_s):
        """Another key of the same account."""

        async def made(service, now):
            ttl = ttl_s and timedelta(seconds=ttl_s)
            create = service.aliyun.credentials.create_key
            key, sk, token = await create(self.made["account_id"], now, ttl=ttl)
            return {"ak": key.id, "sk": sk} | ({"security_token": token} if token else {})

        return self.made | place.accounts.do(made)

    def _is_denied(self, place, kind):
        return Tea(self.kinds[kind], place.endpoint).refusal(LOOK)[:3] == DENIALS[kind]


@pytest.fixture(scope="module")
def keys(place):
    return Keys(place)


UNKNOWN = (404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
INACTIVE = (400, "InvalidAccessKeyId.Inactive", "Specified access key is disabled.")
MISMATCHED = (
    400,
    "InvalidSecurityToken.MismatchWithAccessKey",
    "Specified SecurityToken mismatches the AccessKeyId.",
)
DENIALS = {
    "unknown": UNKNOWN,
    "revoked": UNKNOWN,
    "disabled": INACTIVE,
    "suspended": INACTIVE,
    "without its token": (
        400,
        "MissingSecurityToken",
        "SecurityToken is mandatory for this action.",
    ),
    "with another's token": MISMATCHED,
    "with a token though it lasts": MISMATCHED,
    "with a malformed token": (
        400,
        "InvalidSecurityToken.Malformed",
        "Specified SecurityToken is malformed.",
    ),
    "over": (400, "InvalidSecurityToken.Expired", "Specified SecurityToken is expired."),
}


@pytest.mark.parametrize("kind", DENIALS)
def test_every_client_is_told_what_its_key_lacks(place, keys, program, kind):
    refusal = program(keys.kinds[kind], place).refusal(LOOK)
    assert refusal[:3] == DENIALS[kind]
    assert REQUEST_ID.fullmatch(refusal.request_id)


@pytest.mark.parametrize("kind", ["of another secret", "of another's secret"])
def test_every_client_is_told_of_a_wrong_secret(place, keys, program, kind):
    """With what the server signed; the older typed requests recognise it as their own, and blame
    the secret in the client's own words."""
    refusal = program(keys.kinds[kind], place).refusal(LOOK)
    assert refusal.status == 400
    assert REQUEST_ID.fullmatch(refusal.request_id)
    if program.is_typed_legacy:
        assert refusal.code == "InvalidAccessKeySecret"
        assert refusal.message.startswith("The AccessKeySecret is incorrect.")
        return
    assert refusal.code == "SignatureDoesNotMatch"
    assert refusal.message.startswith(V1_MISMATCH if program.signs_v1 else ACS3_MISMATCH)
    if program.signs_v1:
        signed = refusal.message.removeprefix(V1_MISMATCH)
        assert re.match(r"(GET|POST)&%2F&AccessKeyId%3D", signed)
    assert keys.made["sk"] not in refusal.message


def test_every_client_sends_the_token_of_a_temporary_key(place, keys, program):
    """Of an account that is in no directory: it is known for that."""
    refusal = program(keys.whole, place).refusal(LOOK)
    assert refusal[:2] == (404, "ResourceDirectoryNotInUse")


# What is missing, or is not here


@pytest.mark.parametrize("lacks", ["AccountId", "SecureMobilePhone"])
def test_every_client_is_told_which_parameter_is_missing(place, boss, program, lacks):
    whole = {"AccountId": place.demo["member_id"], "SecureMobilePhone": phone()}
    asked = {name: value for name, value in whole.items() if name != lacks}
    refusal = program(boss, place).refusal(SEND_BIND, **asked)
    assert refusal[:3] == (400, f"Missing{lacks}", f"{lacks} is mandatory for this action.")


def test_every_client_is_told_which_operation_is_not_here(place, boss, program):
    """One that the vendor has, so that typed clients have it, too."""
    refusal = program(boss, place).refusal("ListFoldersForParent")
    assert refusal[:3] == (
        404,
        "InvalidAction.NotFound",
        "Specified api is not found, please check your url and method.",
    )


def test_another_version_is_not_here(place, boss, node):
    """By each client that lets a program name one."""
    answer = (400, "InvalidVersion", "Specified parameter Version is not valid.")
    for core in (Core(boss, place.endpoint), Core(boss, place.endpoint, signature_algorithm="v2")):
        assert core.refused(LOOK, "2019-01-01")[:3] == answer
    for name in ("legacy GET", *(name for name in NODE if "typed" not in name)):
        client = CLIENTS[name](boss, place.endpoint, *((node,) if name in NODE else ()))
        client.version = "2019-01-01"
        assert client.refusal(LOOK)[:3] == answer


@pytest.mark.parametrize("name", ["pop-core GET", "pop-core POST"])
@pytest.mark.parametrize(
    "lacks", ["Action", "Version", "SignatureNonce", "Timestamp", "SignatureMethod", "AccessKeyId"]
)
def test_what_a_signature_needs_is_missed_by_name(place, boss, node, name, lacks):
    """By the client that lets a program put anything in its place, a blank, too."""
    client = CLIENTS[name](boss, place.endpoint, node)
    refusal = client.refusal(LOOK, **{lacks: ""})
    assert refusal[:3] == (400, f"Missing{lacks}", f"{lacks} is mandatory for this action.")


# How old, how often


@pytest.mark.parametrize(
    ("time", "answer"),
    [
        ("2020-01-01T00:00:00Z", (400, "InvalidTimeStamp.Expired")),
        ("2999-01-01T00:00:00Z", (400, "InvalidTimeStamp.Expired")),
        ("Wed, 01 Jan 2020 00:00:00 GMT", (400, "InvalidTimeStamp.Format")),
    ],
)
def test_a_request_is_of_now(place, boss, node, time, answer):
    """Signed right, by each client that lets a program set its time."""
    core = Core(boss, place.endpoint)
    assert core.refused(LOOK, headers={"x-acs-date": time})[:2] == answer
    core = Core(boss, place.endpoint, signature_algorithm="v2")
    assert core.refused(LOOK, query={"Timestamp": time})[:2] == answer
    for name in ("pop-core GET", "pop-core POST"):
        client = CLIENTS[name](boss, place.endpoint, node)
        assert client.refusal(LOOK, Timestamp=time)[:2] == answer


REPLAYED = (400, "SignatureNonceUsed", "Specified signature nonce was used already.")


def test_a_nonce_is_good_for_one_request(place, boss, node):
    """By each client that lets a program choose it, and whatever is asked with it then."""
    core = Core(boss, place.endpoint)
    once = {"x-acs-signature-nonce": "tea-1"}
    core.call(LOOK, headers=once)
    assert core.refused(LOOK, headers=once)[:3] == REPLAYED
    assert core.refused("ListAccounts", headers=once)[:3] == REPLAYED
    core = Core(boss, place.endpoint, signature_algorithm="v2")
    core.call(LOOK, query={"SignatureNonce": "tea-2"})
    assert core.refused(LOOK, query={"SignatureNonce": "tea-2"})[:3] == REPLAYED
    for name in ("pop-core GET", "pop-core POST"):
        client = CLIENTS[name](boss, place.endpoint, node)
        client.ask(LOOK, SignatureNonce=name)
        assert client.refusal(LOOK, SignatureNonce=name)[:3] == REPLAYED
        assert client.refusal("ListAccounts", SignatureNonce=name)[:3] == REPLAYED


def test_the_same_bytes_are_taken_once(place, boss):
    """As the older client signed them, sent again by whoever overheard them: no second code."""
    to = phone()
    client = Legacy(boss, place.endpoint)
    request = client.asks(
        SEND_BIND, {"AccountId": place.member(boss, f"Member {to}"), "SecureMobilePhone": to}
    )
    request.set_accept_format("JSON")
    request.trans_to_acs_request()
    target = request.get_url("cn-hangzhou", boss["ak"], boss["sk"])
    before = counts(place.house)["challenges"]
    first, again = got(place, target), got(place, target)
    assert first[0] == 200
    assert (again[0], json.loads(again[1])["Code"]) == REPLAYED[:2]
    assert counts(place.house)["challenges"] == before + 1


def got(place, target):
    """Status and body of what this target answers, by nobody's client."""
    connection = HTTPConnection(place.endpoint, timeout=DEADLINE_S)
    try:
        connection.request("GET", target)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


# Who comes without a key, or with none of ours


class IdToken:
    """A credential of a program's own, as the newer client lets it have one."""

    def get_credential(self):
        return SimpleNamespace(type="id_token", security_token="t", provider_name=None)


WITHOUT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nobody": ({}, {"auth": "Anonymous"}),
    "a bearer": ({"bearer_token": "t"}, {}),
    "an id token": ({"credential": IdToken()}, {}),
}


@pytest.mark.parametrize("signature", [None, "v2"])
@pytest.mark.parametrize("who", WITHOUT)
def test_without_a_key_nobody_gets_in(place, who, signature):
    """The client reads why, though it signed nothing."""
    config, call = WITHOUT[who]
    core = Core({}, place.endpoint, signature_algorithm=signature, **config)
    assert core.refused(LOOK, **call)[:3] == (
        400,
        "MissingAccessKeyId",
        "AccessKeyId is mandatory for this action.",
    )


def private_key():
    return (
        rsa.generate_private_key(65537, 2048)
        .private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        .decode()
    )


UNKNOWN_METHOD = (400, "InvalidSignatureMethod", "Specified signature method is not valid.")


def test_an_rsa_key_pair_is_of_no_use_here(place):
    """SHA256withRSA, as the older client signs with one."""
    base64 = "".join(private_key().splitlines()[1:-1])
    client = Legacy({"ak": "LTAI-public", "sk": base64}, place.endpoint)
    request = RpcRequest("ResourceManager", "2020-03-31", LOOK, signer=sha_hmac256)
    request.set_endpoint(place.endpoint)
    request.set_protocol_type("http")
    assert client.refused(request)[:3] == UNKNOWN_METHOD


@pytest.mark.parametrize("algorithm", ["ACS3-HMAC-SM3", "ACS3-RSA-SHA256"])
def test_of_the_newer_signature_there_is_one_method(place, boss, algorithm):
    signs = boss | ({"sk": private_key()} if "RSA" in algorithm else {})
    core = Core(signs, place.endpoint, signature_algorithm=algorithm)
    assert core.refused(LOOK)[:3] == UNKNOWN_METHOD


def test_of_the_older_signature_there_is_one_method(place, boss, node):
    pop = CLIENTS["pop-core GET"](boss, place.endpoint, node)
    assert pop.refusal(LOOK, SignatureMethod="HMAC-SHA256")[:3] == UNKNOWN_METHOD
    assert pop.refusal(LOOK, SignatureVersion="2.0")[:2] == (400, "InvalidSignatureVersion")


def test_a_key_that_is_no_key_makes_a_signature_incomplete(place, boss):
    """A comma in it is the newer signature's own."""
    refusal = Tea({**boss, "ak": "a,b"}, place.endpoint).refusal(LOOK)
    assert refusal[:3] == (
        400,
        "IncompleteSignature",
        "The request signature does not conform to Aliyun standards.",
    )


# What the rest of the gateway refuses


def test_other_methods_bodies_and_formats_are_refused_by_name(place, boss):
    core = Core(boss, place.endpoint)
    assert core.refused(LOOK, method="PUT")[:2] == (400, "UnsupportedHTTPMethod")
    assert core.refused(LOOK, kind="json", body={"a": "1"})[:2] == (400, "InvalidContentType")
    assert core.refused(LOOK, body={"a": "x" * 70_000})[:2] == (413, "RequestEntityTooLarge")
    assert core.refused(LOOK, query={"Format": "YAML"})[:2] == (400, "InvalidParameter.Format")
    legacy = Legacy(boss, place.endpoint, method="PUT")
    assert legacy.refusal(LOOK)[:2] == (400, "UnsupportedHTTPMethod")
    legacy = Legacy(boss, place.endpoint)
    request = legacy.asks(LOOK, {})
    request.set_accept_format("YAML")
    assert done(legacy, request).findtext("Code") == "InvalidParameter.Format"


@pytest.fixture(scope="module")
def hurried(new_house):
    """A server that grants each key one call within an hour."""
    rate = {"WATCHWORD_ALIYUN__RATE": '["1/1h"]'}
    with new_house() as house, running(house, "", **rate) as place:
        yield place, dict(zip(CLIENTS, place.newcomers(len(CLIENTS)), strict=True))


def test_every_client_is_told_that_it_calls_too_often(hurried, program):
    place, made = hurried
    client = program(made[program.name], place)
    assert client.refusal(LOOK)[:2] == (404, "ResourceDirectoryNotInUse")
    refusal = client.refusal(LOOK)
    assert refusal[:3] == (400, "Throttling.User", "Request was denied due to user flow control.")
    assert REQUEST_ID.fullmatch(refusal.request_id)


@pytest.mark.parametrize("signature", [None, "v2"])
def test_the_newer_client_knows_when_to_come_back(hurried, signature):
    """In milliseconds, as an exception of its own kind; what time does not help has none."""
    place, _ = hurried
    core = Core(place.newcomer(), place.endpoint, signature_algorithm=signature)
    with pytest.raises(ClientException) as refused:
        core.call(LOOK)
    assert refused.value.retry_after is None
    with pytest.raises(ThrottlingException) as throttled:
        core.call(LOOK)
    assert 3_500_000 < throttled.value.retry_after <= 3_600_000


# XML


def test_the_older_client_reads_xml_when_a_program_wants_it(place, boss):
    """By its older verb: it returns the body of success and error alike. Without a format it is
    XML, too, and the literal None that this client sends then is none."""
    client = Legacy(boss, place.endpoint)
    for wanted in ("XML", None):
        request = client.asks(LOOK, {})
        request.set_accept_format(wanted)
        root = done(client, request)
        assert root.tag == "GetResourceDirectoryResponse"
        assert REQUEST_ID.fullmatch(root.findtext("RequestId", ""))
        manager = root.findtext("ResourceDirectory/MasterAccountId")
        assert manager == boss["account_id"]
        request = client.asks(SEND_RD, {"SecureMobilePhone": phone()})
        request.set_accept_format(wanted)
        error = done(client, request)
        assert error.tag == "Error"
        assert (error.findtext("Code"), error.findtext("Message")) == ENABLED
        assert error.findtext("HostId") == place.endpoint


def done(client, request):
    with pytest.warns(DeprecationWarning, match="do_action"):
        body = client.client.do_action(request)
    return ElementTree.fromstring(body)  # noqa: S314  our own server's


def test_the_newer_client_reads_an_error_in_xml(place, boss):
    """Which it does for one spelling of its content type alone."""
    core = Core(boss, place.endpoint)
    refusal = core.refused(SEND_RD, query={"Format": "XML"})
    assert refusal[:3] == (409, *ENABLED)
    assert REQUEST_ID.fullmatch(refusal.request_id)
