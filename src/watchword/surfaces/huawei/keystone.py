"""Keystone's part of the dialect: who a caller is, and tokens (contract, sections 2 and 3)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Literal

import msgspec

from watchword.directory.huawei.accounts import Account, Caller
from watchword.errors import AccessDenied, QuotaExceeded, RequestInvalid
from watchword.surfaces.exchange import Answer
from watchword.surfaces.huawei import auth, replies, wire
from watchword.surfaces.huawei.calls import Call
from watchword.surfaces.untold import Untold


class Name(msgspec.Struct, frozen=True, kw_only=True):
    """A Keystone reference, by name or id."""

    id: str | None = None
    name: str | None = None


class LoggingIn(Untold, frozen=True, kw_only=True):
    """Somebody by id, or by name and domain."""

    id: str | None = None
    name: str | None = None
    domain: Name | None = None
    password: str | None = None


class ByPassword(msgspec.Struct, frozen=True, kw_only=True):
    user: LoggingIn


class Key(Untold, frozen=True, kw_only=True):
    key: str


class ByAccessKey(msgspec.Struct, frozen=True, kw_only=True):
    access: Key
    secret: Key


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    methods: tuple[str, ...]
    password: ByPassword | None = None
    hw_ak_sk: ByAccessKey | None = None


class Project(Name, frozen=True, kw_only=True):
    """There are none here, so any is taken as it is written, within the caller's own domain."""

    domain: Name | None = None


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What a token is for; none of it where the caller left it out."""

    domain: Name | None = None
    project: Project | None = None

    @property
    def of(self) -> Name | None:
        """The domain that it names in either way."""
        return self.domain or (self.project and self.project.domain)


class Auth(msgspec.Struct, frozen=True, kw_only=True):
    identity: Identity
    scope: Scope | Literal["unscoped"] | None = None

    @property
    def wanted(self) -> Scope:
        """Keystone's "unscoped" wants no scope, where to leave it out may mean a default one."""
        return self.scope if isinstance(self.scope, Scope) else Scope()


class TokenWanted(msgspec.Struct, frozen=True, kw_only=True):
    """Keystone's request for a token (contract, section 3)."""

    auth: Auth


LogIn = Callable[[Call, Identity], Awaitable[Caller]]


async def tell_version(call: Call) -> Answer:
    """Which Keystone this is: its generic clients ask before they log in."""
    links = [{"rel": "self", "href": f"{_endpoint(call)}/v3/"}]
    version = {"id": "v3.14", "status": "stable", "links": links}
    return replies.told(wire.encode({"version": version}))


async def list_domains(call: Call) -> Answer:
    """The one domain that a caller works in: the vendor's clients look it up before they send."""
    return replies.told(_domains(call.known.account, _endpoint(call)))


async def make_token(call: Call) -> Answer:
    """Log somebody in by password or by access key, and give a token for 24 hours."""
    asked: Auth = call.asked.auth
    caller = await _logged_in(call, asked.identity)
    _refuse_another_domain(caller, asked.wanted)
    token, ends_at = await call.directory.credentials.issue_token(caller, call.now)
    body = _told(caller, asked.wanted, asked.identity.methods, call.now, ends_at)
    return replies.told(body, (b"x-subject-token", token.encode()), status=201)


async def _logged_in(call: Call, identity: Identity) -> Caller:
    """Raises LogInFailed, LogInLocked, RequestInvalid for another method."""
    log_in = _LOG_INS.get(identity.methods)
    if log_in is None:
        raise RequestInvalid("methods is one of password and hw_ak_sk.", field="/auth")
    try:
        return await log_in(call, identity)
    except AccessDenied:
        raise auth.LogInFailed from None
    except QuotaExceeded as error:
        raise auth.LogInLocked(scope=error.scope, retry_in=error.retry_in) from None


async def _by_access_key(call: Call, identity: Identity) -> Caller:
    pair = identity.hw_ak_sk
    if pair is None:
        raise RequestInvalid("hw_ak_sk is required by its method.", field="/auth")
    return await call.directory.credentials.log_in_by_key(
        pair.access.key, pair.secret.key, call.network, call.now
    )


async def _by_password(call: Call, identity: Identity) -> Caller:
    if identity.password is None:
        raise RequestInvalid("password is required by its method.", field="/auth")
    user = identity.password.user
    domain = user.domain or Name()
    return await call.directory.credentials.log_in(
        user_id=user.id or "",
        user_name=user.name or "",
        account_name=domain.name or "",
        account_id=domain.id or "",
        password=user.password or "",
        network=call.network,
        now=call.now,
    )


_LOG_INS: dict[tuple[str, ...], LogIn] = {
    ("password",): _by_password,
    ("hw_ak_sk",): _by_access_key,
}


def _refuse_another_domain(caller: Caller, scope: Scope) -> None:
    if (asked := scope.of) is None:
        return
    account = caller.account
    domain_id, name = asked.id or account.id, asked.name or account.name
    if (domain_id, name.casefold()) != (account.id, account.name.casefold()):
        raise auth.LogInFailed


def _endpoint(call: Call) -> str:
    """Where the caller has reached us."""
    host = (call.exchange.header(b"host") or b"").decode("latin-1")
    return f"{call.exchange.scope['scheme']}://{host}"


def _domains(account: Account, endpoint: str) -> bytes:
    """Keystone's list of the domains that a caller may work in: its own."""
    here = f"{endpoint}/v3/auth/domains"
    domain = {
        "id": account.id,
        "name": account.name,
        "enabled": not account.suspended,
        "description": "",
        "links": {"self": f"{endpoint}/v3/domains/{account.id}"},
    }
    links = {"self": here, "previous": None, "next": None}
    return wire.encode({"domains": [domain], "links": links})


def _told(
    caller: Caller, scope: Scope, methods: tuple[str, ...], issued_at: datetime, ends_at: datetime
) -> bytes:
    """What Keystone says of a token; the token itself goes into a header."""
    domain = {"id": caller.account.id, "name": caller.account.name}
    told: dict[str, Any] = {
        "methods": methods,
        "issued_at": _instant(issued_at),
        "expires_at": _instant(ends_at),
        "user": {"id": caller.user.id, "name": caller.user.name, "domain": domain},
        "roles": [{"id": "0", "name": "te_admin"}],
        "catalog": [],
    }
    if scope.project is not None:
        project = scope.project
        told["project"] = {
            "id": project.id or project.name or "",
            "name": project.name or project.id or "",
            "domain": domain,
        }
    elif scope.domain is not None:
        told["domain"] = domain
    return wire.encode({"token": told})


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S.%f}Z"
