"""Whoever calls Alibaba Cloud's dialect: requests put together here and signed by the vendor's own
signers, at the server's time, which tests may move."""

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4
from xml.etree import ElementTree

from alibabacloud_tea_openapi.utils import Utils
from darabonba.request import DaraRequest

from tests.surfaces.travel import Came, travel
from watchword.service.read_inbox import read_inbox

DEADLINE_S = 20
NEWER, OLDER = "2022-04-19", "2020-03-31"
SEND_RD = "SendVerificationCodeForEnableRD"
SEND_BIND = "SendVerificationCodeForBindSecureMobilePhone"
ENABLE, BIND = "EnableResourceDirectory", "BindSecureMobilePhone"
FORM = "application/x-www-form-urlencoded"
JSON, XML = "application/json;charset=utf-8", "text/xml;charset=utf-8"
DONE = (200, "OK")
ERROR_KEYS = {"RequestId", "HostId", "Code", "Message", "Recommend"}

_numbers = itertools.count(10_000)


class Reply(Came):
    """An answer of the dialect."""

    @property
    def is_xml(self) -> bool:
        return self.headers["content-type"] == XML

    @property
    def told(self) -> dict[str, Any]:
        """What it says, in either format; of XML, the children of the root as texts."""
        if self.is_xml:
            return {child.tag: child.text or "" for child in self.root}
        assert self.headers["content-type"] == JSON
        return dict(json.loads(self.body))

    @property
    def root(self) -> ElementTree.Element:
        assert self.is_xml
        return ElementTree.fromstring(self.body)  # noqa: S314  our own server's

    @property
    def success(self) -> dict[str, Any]:
        """What a success tells; none has a Code, for one client takes that for an error."""
        assert self.status == 200, self.body
        assert "Code" not in self.told
        assert self.told["RequestId"] == self.headers["x-acs-request-id"]
        return self.told

    @property
    def refusal(self) -> tuple[int, str]:
        """Status and code, of an answer that has all that an error of the dialect has."""
        told = self.told
        assert set(told) == ERROR_KEYS
        assert all(told.values()), told
        assert told["RequestId"] == told["RequestId"].upper() == self.headers["x-acs-request-id"]
        return self.status, told["Code"]


class Caller:
    """An account with an access key, which signs in either scheme."""

    def __init__(self, server: Any, account: Any, key: tuple[str, str, str] | None = None) -> None:
        self.server, self.account = server, account
        if key is None:
            made, sk, token = server.do(
                server.service.aliyun.credentials.create_key(account.id, server.clock())
            )
            key = made.id, sk, token
        self.ak, self.sk, self.token = key

    @property
    def id(self) -> str:
        return str(self.account.id)

    def temporary(self, ttl: timedelta) -> "Caller":
        """The same account with a key that ends, and its security token."""
        credentials = self.server.service.aliyun.credentials
        made, sk, token = self.server.do(
            credentials.create_key(self.account.id, self.server.clock(), ttl=ttl)
        )
        return Caller(self.server, self.account, (made.id, sk, token))

    def ask(self, action: str, version: str = NEWER, **parameters: Any) -> Reply:
        """As the Tea clients ask by default: ACS3, parameters in the query."""
        return self.send(self.signed(action, version, parameters))

    def ask_v1(
        self, action: str, version: str = NEWER, *, method: str = "POST", **parameters: Any
    ) -> Reply:
        """As older clients ask: V1, all in the query."""
        named = self.signed_v1(action, version, parameters, method=method)
        return self.send((method, f"/?{urlencode(named)}", {}, b""))

    def signed(
        self,
        action: str,
        version: str = NEWER,
        parameters: dict[str, Any] | None = None,
        *,
        form: dict[str, Any] | None = None,
        off: timedelta = timedelta(),
        nonce: str = "",
        method: str = "POST",
        **headers: str | None,
    ) -> tuple[str, str, dict[str, str], bytes]:
        """A request that the vendor's ACS3 signer signed, `off` from the server's time: method,
        target, headers, body. A header that is None is left out, before the signing."""
        body = urlencode(form or {}).encode()
        payload = sha256(body).hexdigest()
        request = DaraRequest()
        request.method, request.pathname = method, "/"
        request.query = {name: str(value) for name, value in (parameters or {}).items()}
        given: dict[str, str | None] = {
            "accept": "application/json",
            "host": self.server.url.removeprefix("http://"),
            "x-acs-action": action,
            "x-acs-version": version,
            "x-acs-date": dated(self.server.clock() + off),
            "x-acs-signature-nonce": nonce or uuid4().hex,
            "x-acs-content-sha256": payload,
            **({"content-type": FORM} if form else {}),
            **({"x-acs-security-token": self.token} if self.token else {}),
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        request.headers = {name: value for name, value in given.items() if value is not None}
        authorization = Utils.get_authorization(
            request, "ACS3-HMAC-SHA256", payload, self.ak, self.sk
        )
        target = f"/?{urlencode(request.query)}" if request.query else "/"
        return method, target, {**request.headers, "Authorization": authorization}, body

    def signed_v1(
        self,
        action: str,
        version: str = NEWER,
        parameters: dict[str, Any] | None = None,
        *,
        method: str = "POST",
        off: timedelta = timedelta(),
        **changes: str | None,
    ) -> dict[str, str]:
        """All parameters of a V1 request with its Signature, `off` from the server's time; one
        that is None is left out, before the signing."""
        given: dict[str, Any] = {
            "Action": action,
            "Version": version,
            "Format": "JSON",
            "AccessKeyId": self.ak,
            "SignatureMethod": "HMAC-SHA1",
            "SignatureVersion": "1.0",
            "SignatureNonce": uuid4().hex,
            "Timestamp": dated(self.server.clock() + off),
            **({"SecurityToken": self.token} if self.token else {}),
            **(parameters or {}),
            **changes,
        }
        named = {name: str(value) for name, value in given.items() if value is not None}
        return {**named, "Signature": Utils.get_rpcsignature(named, method, self.sk)}

    def send(self, request: tuple[str, str, dict[str, str], bytes]) -> Reply:
        """A request that was signed, sent as it is."""
        method, target, headers, body = request
        return travelled(self.server, method, target, headers.items(), body)


def manager(server: Any, **terms: Any) -> Caller:
    """Who manages a resource directory of its own."""
    caller = newcomer(server, **terms)
    server.do(server.service.aliyun.directories.enable(caller.id, server.clock()))
    return caller


def newcomer(server: Any, **terms: Any) -> Caller:
    """A cloud account in no directory."""
    accounts, name = server.service.aliyun.accounts, f"account-{next(_numbers)}"
    return Caller(server, server.do(accounts.create(name=name, now=server.clock(), **terms)))


def member_of(caller: Caller) -> str:
    """The id of a new member, without a phone, of the directory that the caller manages."""
    told = caller.ask("CreateResourceAccount", DisplayName=f"member-{next(_numbers)}").success
    return str(told["Account"]["AccountId"])


def phone() -> str:
    """One that no other test uses, of a kind that the virtual carrier serves well."""
    return f"1-2025{next(_numbers):05d}9"


def messages(server: Any, to: str) -> list[Any]:
    """All that came to a phone, oldest first."""
    return list(server.do(read_inbox(server.service.inbox, to)))


def code_for(server: Any, to: str) -> str:
    """The code that a phone was sent last, once it is there; for a server that delivers."""
    ((newest,),) = server.rows("SELECT max(id) FROM deliveries")
    service, within = server.service, timedelta(seconds=DEADLINE_S)
    server.do(service.outcomes.outcome(newest, service.store, within=within))
    return str(messages(server, to)[-1].code)


def enabling(caller: Caller, to: str) -> dict[str, str]:
    """What a new directory of this phone is made with; the code for it is sent and read there."""
    assert caller.ask(SEND_RD, SecureMobilePhone=to).success
    return {
        "EnableMode": "NewManagementAccount",
        "MAName": manager_name(),
        "MASecureMobilePhone": to,
        "VerificationCode": code_for(caller.server, to),
    }


def binding(caller: Caller, member_id: str, to: str) -> dict[str, str]:
    """What a phone is bound with; the code for it is sent and read there."""
    given = {"AccountId": member_id, "SecureMobilePhone": to}
    assert caller.ask(SEND_BIND, **given).success
    return {**given, "VerificationCode": code_for(caller.server, to)}


def manager_name() -> str:
    """One that no other test uses."""
    return f"boss-{next(_numbers)}@rdadmin.aliyunid.com"


def became(reply: Reply) -> tuple[int, str]:
    """DONE, or the refusal."""
    return DONE if reply.status == 200 and reply.success else reply.refusal


def at_once(calls: Iterable[Callable[[], Reply]], callers: int = 0) -> Counter[tuple[int, str]]:
    """What became of these calls, all made together, or by so many callers at a time."""
    calls = list(calls)
    with ThreadPoolExecutor(callers or len(calls)) as pool:
        return Counter(became(reply) for reply in pool.map(lambda call: call(), calls))


def dated(instant: Any) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}"


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10 ** len(code):0{len(code)}d}"


def travelled(
    server: Any,
    method: str,
    target: str,
    headers: Iterable[tuple[str, str | bytes]],
    body: bytes = b"",
) -> Reply:
    """One request over a connection of its own; `headers` are pairs, in their order."""
    return travel(server, method, target, headers, body, shape=Reply)
