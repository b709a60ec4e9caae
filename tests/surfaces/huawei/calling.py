"""Whoever calls Huawei Cloud's dialect: by the vendor's own clients, or with its own signer where
bytes matter. All sign at the server's time, which tests may move."""

import itertools
import json
import socket
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from huaweicloudsdkbss.v2 import BssClient
from huaweicloudsdkbss.v2 import CreateCustomerV2Req as ChineseCustomer
from huaweicloudsdkbss.v2 import CreateSubCustomerRequest as CreateChinese
from huaweicloudsdkbss.v2 import SendVerificationCodeV2Req as ChineseCode
from huaweicloudsdkbss.v2 import SendVerificationMessageCodeRequest as SendChinese
from huaweicloudsdkbssintl.v2 import (
    BssintlClient,
    CheckSubcustomerUserReq,
    CheckUserIdentityRequest,
    CreateCustomerV2Req,
    CreateSubCustomerRequest,
    SendVerificationCodeV2Req,
    SendVerificationMessageCodeRequest,
)
from huaweicloudsdkcore.auth.credentials import GlobalCredentials
from huaweicloudsdkcore.exceptions.exceptions import ServiceResponseException
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer

from tests.surfaces.travel import HERE, Came, travel
from watchword.service.read_inbox import read_inbox

DEADLINE_S = 20
SEND = "/v2/bases/verificationcode/send"
CREATE = "/v2/partners/sub-customers"
IDENTITY = "/v2/partners/sub-customers/users/check-identity"
DOMAINS = "/v3/auth/domains"
TOKENS = "/v3/auth/tokens"
JSON = "application/json"
THERE = "127.0.0.2"
PASSWORD = "Tr0ub4dor&3"
NO_MOBILES = ("12345", "10086", "1380013800", "138001380000", "23800138000", "12800138000")
"""Too short, too long, and such as no Chinese mobile begins with."""
VENDORS_WARNINGS = (
    "ignore:datetime.datetime.utcnow:DeprecationWarning:huaweicloudsdkcore.signer.signer",
)
"""What the vendor's packages do that Python 3.12 and later warn of."""

_numbers = itertools.count(10_000)


class Reply(Came):
    """An answer of the dialect."""

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def refusal(self) -> tuple[int, str]:
        """Status and code, of an answer that has all that an error of the dialect has."""
        told = self.json
        assert self.headers["content-type"] == "application/json;charset=UTF-8"
        assert set(told) == {"error_code", "error_msg", "request_id"}
        assert told["request_id"] == self.headers["x-request-id"]
        assert 1 <= len(told["error_code"]) <= 16
        assert 1 <= len(told["error_msg"]) <= 1024
        return self.status, told["error_code"]


class Caller:
    """A user of an account, with a password, an access key, and all the clients."""

    def __init__(self, server: Any, account: Any, name: str = "admin") -> None:
        self.server, self.account = server, account
        directory, now = server.service.huawei, server.clock()
        self.user = server.do(directory.accounts.create_user(account.id, name, now))
        key, self.sk, _ = server.do(directory.credentials.create_key(self.user.id, now))
        self.ak = key.id
        self.credentials = GlobalCredentials(self.ak, self.sk, account.id)
        self._intl = self.client(BssintlClient)
        self._china = self.client(BssClient)

    def client(self, kind: Any, credentials: Any = None) -> Any:
        building = kind.new_builder().with_credentials(credentials or self.credentials)
        return building.with_endpoint(self.server.url).build()

    def at_its_time(self, client: Any) -> Any:
        """The client, which is going to sign at the server's time."""
        client.preset_headers["X-Sdk-Date"] = dated(self.server.clock())
        return client

    @property
    def intl(self) -> Any:
        return self.at_its_time(self._intl)

    @property
    def china(self) -> Any:
        return self.at_its_time(self._china)

    def send(self, email: str | None, **more: Any) -> Any:
        wanted = SendVerificationCodeV2Req(**{"receiver_type": 2, "email": email, **more})
        return self.intl.send_verification_message_code(
            SendVerificationMessageCodeRequest(body=wanted)
        )

    def text(self, phone: str | None, **more: Any) -> Any:
        """Send a code in the China edition."""
        wanted = ChineseCode(**{"receiver_type": 1, "mobile_phone": phone, **more})
        return self.china.send_verification_message_code(SendChinese(body=wanted))

    def register(self, **changes: Any) -> Any:
        wanted = CreateCustomerV2Req(**customer(**changes))
        return self.intl.create_sub_customer(CreateSubCustomerRequest(body=wanted))

    def register_chinese(self, **changes: Any) -> Any:
        wanted = customer(domain_area=None, **changes)
        del wanted["domain_area"]
        return self.china.create_sub_customer(CreateChinese(body=ChineseCustomer(**wanted)))

    def look_for(self, search_type: str | None, search_value: str | None) -> Any:
        wanted = CheckSubcustomerUserReq(search_type=search_type, search_value=search_value)
        return self.intl.check_user_identity(CheckUserIdentityRequest(body=wanted))

    def signed(
        self,
        method: str = "POST",
        path: str = SEND,
        body: bytes = b"",
        *,
        off: timedelta = timedelta(),
        **headers: str | None,
    ) -> dict[str, str]:
        """The headers of a request that the vendor's signer signed, `off` from the server's time.

        One that is None is left out.
        """
        given = {
            "Content-Type": JSON,
            "X-Sdk-Date": dated(self.server.clock() + off),
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        named = {name: value for name, value in given.items() if value is not None}
        host = self.server.url.removeprefix("http://")
        request = SdkRequest(method, "http", host, path, None, [], named, body)
        return dict(Signer(self.credentials).sign(request).header_params)

    def ask(
        self,
        method: str = "POST",
        path: str = SEND,
        body: Any = b"",
        *,
        source: str = HERE,
        off: timedelta = timedelta(),
        **headers: str | None,
    ) -> Reply:
        """A signed request, sent as it is."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        signed = self.signed(method, path, content, off=off, **headers)
        return travelled(self.server, method, path, content, signed.items(), source=source)

    def domains(self, source: str = HERE) -> Reply:
        """What needs nothing but a right signature, and changes nothing."""
        return self.ask("GET", DOMAINS, source=source)


def partner(server: Any, **terms: Any) -> Caller:
    """A partner of its own, and its user."""
    accounts, name = server.service.huawei.accounts, f"partner-{next(_numbers)}"
    made = accounts.create_partner(name=name, now=server.clock(), **terms)
    return Caller(server, server.do(made))


def nobody(server: Any) -> Caller:
    """A user whose account is not a partner's."""
    accounts, name = server.service.huawei.accounts, f"other-{next(_numbers)}"
    return Caller(server, server.do(accounts.create_other(name=name, now=server.clock())))


def dated(instant: Any) -> str:
    return f"{instant:%Y%m%dT%H%M%SZ}"


def mailbox() -> str:
    """One that no other test uses."""
    return f"ann{next(_numbers)}@example.com"


def phone() -> str:
    return f"138{next(_numbers):07d}9"


def wanted(email: str | None) -> dict[str, Any]:
    """A send, as it is written."""
    return {"receiver_type": 2, "email": email}


def customer(**changes: Any) -> dict[str, Any]:
    """A registration; what is None is left out by the clients."""
    return {
        "domain_area": "SG", "xaccount_id": f"x{next(_numbers)}", "xaccount_type": "shop", **changes
    }  # fmt: skip


def refused(call: Any, *args: Any, **kwargs: Any) -> tuple[int, str]:
    """Status and code of what the vendor's client raises."""
    error = raised(call, *args, **kwargs)
    return error.status_code, error.error_code


def raised(call: Any, *args: Any, **kwargs: Any) -> Any:
    with pytest.raises(ServiceResponseException) as caught:
        call(*args, **kwargs)
    error = caught.value
    assert error.request_id
    assert 1 <= len(str(error.error_code)) <= 16
    assert 1 <= len(error.error_msg) <= 1024
    return error


def messages(server: Any, to: str) -> list[Any]:
    """All that came to an address, oldest first."""
    return list(server.do(read_inbox(server.service.inbox, to)))


def code_for(server: Any, to: str) -> str:
    return str(messages(server, to)[-1].code)


def sent(shop: Caller, to: str) -> str:
    """Have a mailbox sent a code, and read it there."""
    shop.send(to)
    return code_for(shop.server, to)


def texted(shop: Caller, to: str) -> str:
    """Have a Chinese phone sent a code, and read it there."""
    shop.text(to)
    return code_for(shop.server, f"+86{to}")


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10 ** len(code):0{len(code)}d}"


def with_password(caller: Caller, password: str = PASSWORD) -> Caller:
    """Whose password this is now."""
    accounts = caller.server.service.huawei.accounts
    caller.server.do(accounts.set_password(caller.user.id, password, caller.server.clock()))
    return caller


def by_password(
    caller: Caller, password: str = PASSWORD, scope: Any = None, **user: Any
) -> dict[str, Any]:
    """Keystone's request for a token, which `user` may bend."""
    named = {"name": "admin", "domain": {"name": caller.account.name}, **user}
    identity = {"methods": ["password"], "password": {"user": {**named, "password": password}}}
    return {"auth": {"identity": identity, **({"scope": scope} if scope else {})}}


def by_key(caller: Caller, sk: str = "") -> dict[str, Any]:
    pair = {"access": {"key": caller.ak}, "secret": {"key": sk or caller.sk}}
    return {"auth": {"identity": {"methods": ["hw_ak_sk"], "hw_ak_sk": pair}}}


def log_in(
    server: Any, body: Any, *, source: str = HERE, path: str = TOKENS, **headers: str
) -> Reply:
    named = {"Content-Type": "application/json;charset=utf-8", **headers}
    return travelled(server, "POST", path, json.dumps(body).encode(), named.items(), source=source)


def token_of(caller: Caller) -> str:
    reply = log_in(caller.server, by_password(caller))
    assert reply.status == 201
    return reply.headers["x-subject-token"]


def opened_by(server: Any, token: str, path: str = IDENTITY, **headers: str) -> Reply:
    """A call with a token and nothing else."""
    body = b'{"search_type": "name", "search_value": "nobody"}'
    named = {"Content-Type": JSON, "X-Auth-Token": token, **headers}
    return travelled(server, "POST", path, body, named.items())


def travelled(
    server: Any, method: str, path: str, body: bytes, headers: Any, *, source: str = HERE
) -> Reply:
    """One request over a connection of its own; `headers` are pairs, in their order."""
    return travel(server, method, path, headers, body, shape=Reply, source=source)


def raw(server: Any, *pieces: bytes, leaves: bool = False, source: str = HERE) -> bytes:
    """Send bytes as they are; all that comes until the server closes."""
    there = (HERE, server.port)
    with socket.create_connection(there, DEADLINE_S, (source, 0)) as connection:
        for piece in pieces:
            connection.sendall(piece)
        with suppress(OSError):
            if leaves:
                connection.shutdown(socket.SHUT_WR)
        answer = b""
        # Who is refused before all was read may be cut off behind the answer.
        with suppress(ConnectionResetError):
            while part := connection.recv(65536):
                answer += part
        return answer
