"""Whoever calls the CIAM dialect: a device that an application runs on, somewhere on the net."""

import base64
import itertools
import json
import socket
from contextlib import suppress
from datetime import timedelta
from typing import Any

from altcha import Challenge, v2

from tests.surfaces.travel import HERE, Came, travel
from watchword.config import Captcha, Confidential
from watchword.service.read_inbox import read_inbox

DEADLINE_S = 20
SDK = "/api/v2/sdk"
CAPTCHA, VERIFY = f"{SDK}/captcha", f"{SDK}/captcha/verify"
SEND, EMAIL_SEND = f"{SDK}/sms/send", f"{SDK}/email/send"
JUDGE, EMAIL_JUDGE = f"{SDK}/sms/verify", f"{SDK}/email/verify"
REGISTER = f"{SDK}/register/mobile-verify-code"
LOGIN, EMAIL_LOGIN = f"{SDK}/login/mobile-verify-code", f"{SDK}/login/email-verify-code"
PASSWORD, EMAIL_PASSWORD = f"{SDK}/pwd/update-by-mobile", f"{SDK}/pwd/update-by-email"
OWN_PASSWORD = f"{SDK}/pwd/change-by-mobile"
MOBILE, EMAIL = f"{SDK}/profile/update-mobile", f"{SDK}/profile/update-email"
COUNTRIES, JWKS = f"{SDK}/country-codes", f"{SDK}/jwks.json"
PREFIX = "IDAAS.SDK."
JSON = "application/json"
SCENES = (
    "REGISTER_SMS",
    "LOGIN_SMS",
    "FORGET_PWD_SMS",
    "UPDATE_PWD_SMS",
    "UPDATE_MOBILE_SMS",
    "BIND_MOBILE_SMS",
)
EMAIL_SCENES = (
    "REGISTER_EMS",
    "LOGIN_EMS",
    "FORGET_PWD_EMS",
    "UPDATE_PWD_EMS",
    "UPDATE_EMAIL_EMS",
    "BIND_EMAIL_EMS",
)
TERMS: dict[str, Any] = {
    "captcha": Captcha(
        altcha=Confidential(cost=1, tries=1), jigsaw=Confidential(ahead=1, patience_s=10)
    ),
    "trusted_proxies": (HERE,),
}
"""A server whose captchas take no time. Every device is behind a proxy, on a network of its own, so
that no test spends the limits of another."""

_numbers = itertools.count(10_000)


class Reply(Came):
    """An answer of the dialect."""

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def is_done(self) -> bool:
        """A success that says nothing: 200, and no byte (contract, section 2.1)."""
        return (self.status, self.body) == (200, b"")

    @property
    def refusal(self) -> tuple[int, str]:
        """Status and code, of an answer that has all that an error of the dialect has."""
        told = self.json
        assert self.headers["content-type"] == "application/json;charset=UTF-8"
        assert self.headers["cache-control"] == "no-store"
        assert list(told) == ["error_code", "error_msg"]
        assert 1 <= len(told["error_msg"]) <= 512
        assert told["error_code"].startswith(PREFIX)
        return self.status, told["error_code"].removeprefix(PREFIX)

    @property
    def code(self) -> str:
        """That of an error as the vendor's clients know them, which is 400 always."""
        status, code = self.refusal
        assert status == 400
        return code

    @property
    def wait(self) -> timedelta:
        return timedelta(seconds=int(self.headers["retry-after"]))

    @property
    def whole(self) -> tuple[int, dict[str, str], bytes]:
        """All of it, but for the names that the request and the second gave it."""
        ignored = ("date", "x-request-id")
        kept = {name: value for name, value in self.headers.items() if name not in ignored}
        return self.status, kept, self.body


class Device:
    """One on which an application runs: a fingerprint and a network that nobody else has."""

    def __init__(self, server: Any, client_id: str, **changes: str) -> None:
        number = next(_numbers)
        self.server, self.client_id = server, client_id
        self.fingerprint = changes.pop("fingerprint", f"fingerprint-{number}")
        self.network = changes.pop("network", f"10.{number >> 16 & 255}.{number >> 8 & 255}"
                                              f".{number & 255}")  # fmt: skip
        self._changes = changes

    def beside(self, **changes: str) -> "Device":
        """Another one, which differs in this and is the same in all else."""
        kept = {
            "client_id": self.client_id,
            "fingerprint": self.fingerprint,
            "network": self.network,
        }
        return Device(self.server, **{**kept, **self._changes, **changes})

    def headers(self, **changes: str | bytes | None) -> dict[str, str | bytes]:
        """As the contract has them; one that is None is left out. _ stands for a dash."""
        given: dict[str, str | bytes | None] = {
            "X-operating-sys-version": "windows10.1.1",
            "X-device-fingerprint": self.fingerprint,
            "X-agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 13_2_3 like Mac OS X)",
            "X-client-id": self.client_id,
            "X-L": "en",
            "X-Forwarded-For": self.network,
            "Content-Type": JSON,
        }
        names = {name.lower(): name for name in given}
        for name, value in {**self._changes, **changes}.items():
            dashed = name.replace("_", "-")
            given[names.get(dashed.lower(), dashed)] = value
        return {name: value for name, value in given.items() if value is not None}

    def ask(self, method: str, path: str, body: Any = b"", **headers: str | bytes | None) -> Reply:
        """A request sent as it is; what is no bytes is sent as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = self.headers(**headers)
        return travel(self.server, method, path, named.items(), content, shape=Reply)

    def post(self, path: str, body: Any = b"", **headers: str | bytes | None) -> Reply:
        return self.ask("POST", path, body, **headers)

    # The captcha

    def captcha(self) -> dict[str, Any]:
        reply = self.ask("GET", f"{CAPTCHA}?captchaType=altcha")
        assert reply.status == 200, reply.body
        shown: dict[str, Any] = reply.json
        return shown

    def verify(self, to: str, shown: dict[str, Any], text: str | None = None) -> Reply:
        """Answer a captcha, rightly unless `text` says otherwise."""
        answer = solved(shown) if text is None else text
        return self.post(VERIFY, {"point_json": answer, "token": shown["token"], "sender": to})

    def pass_for(self, to: str) -> str:
        reply = self.verify(to, self.captcha())
        assert reply.status == 200, reply.body
        return str(reply.json["captcha_token"])

    # Codes

    def send(self, to: str, scene: str = "LOGIN_SMS", captcha_token: str | None = None) -> Reply:
        """Have a code sent, with a new pass unless there is one."""
        token = self.pass_for(to) if captcha_token is None else captcha_token
        path, name = (EMAIL_SEND, "email") if "@" in to else (SEND, "mobile")
        return self.post(path, {name: to, "type": scene, "captcha_token": token})

    def judge(self, to: str, code: str, scene: str = "LOGIN_SMS") -> Reply:
        path, name = (EMAIL_JUDGE, "email") if "@" in to else (JUDGE, "mobile")
        return self.post(path, {name: to, "type": scene, "verify_code": code})

    def code(self, to: str, scene: str = "LOGIN_SMS") -> str:
        """A code that was sent now, read where it came."""
        reply = self.send(to, scene)
        assert reply.is_done, reply.body
        return code_for(self.server, to)

    def logged_in(self, to: str, **profile: Any) -> str:
        """The id_token of somebody new."""
        code = self.code(to, "REGISTER_SMS")
        reply = self.post(REGISTER, {"mobile": to, "verify_code": code, **profile})
        assert reply.status == 200, reply.body
        return str(reply.json["id_token"])


def device(server: Any, users: str = "elsewhere", **terms: Any) -> Device:
    """A device of an application that nobody else is."""
    made = server.service.ciam.clients.create(
        name=f"app-{next(_numbers)}", users=users, now=server.clock(), **terms
    )
    return Device(server, server.do(made).id)


def solved(shown: dict[str, Any]) -> str:
    """A challenge's answer, as a browser works it out."""
    solution = v2.solve_challenge(Challenge.from_dict(shown["challenge"]))
    assert solution
    told = {"challenge": shown["challenge"], "solution": solution.to_dict()}
    return base64.b64encode(json.dumps(told).encode()).decode()


def mobile() -> str:
    """A Chinese number that no other test uses, and that every carrier takes."""
    return f"152{next(_numbers):07d}9"


def mailbox() -> str:
    return f"ann{next(_numbers)}@example.com"


def messages(server: Any, to: str) -> list[Any]:
    """All that came to an address, oldest first."""
    return list(server.do(read_inbox(server.service.inbox, _full(to))))


def code_for(server: Any, to: str) -> str:
    """The code that an address was sent last, once it is there."""
    ((newest,),) = server.rows("SELECT max(id) FROM deliveries")
    ended(server, newest)
    return str(messages(server, to)[-1].code)


def ended(server: Any, number: int) -> Any:
    """How a message ended, once it has."""
    service, within = server.service, timedelta(seconds=DEADLINE_S)
    return server.do(service.outcomes.outcome(number, service.store, within=within))


def queued(server: Any) -> set[int]:
    """The messages that there are to deliver, or were and have not been swept."""
    return {number for (number,) in server.rows("SELECT id FROM deliveries")}


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10 ** len(code):0{len(code)}d}"


def raw(server: Any, *pieces: bytes, leaves: bool = False) -> bytes:
    """Send bytes as they are; all that comes until the server closes."""
    with socket.create_connection((HERE, server.port), DEADLINE_S) as connection:
        for piece in pieces:
            connection.sendall(piece)
        with suppress(OSError):
            if leaves:
                connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def _full(to: str) -> str:
    return to if "@" in to or to.startswith("+") else f"+86{to}"
