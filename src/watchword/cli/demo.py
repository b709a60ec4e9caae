"""`watchword demo`: credentials of every dialect to try things with, made once and kept."""

from __future__ import annotations

import fcntl
import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from hmac import compare_digest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from cyclopts import Parameter

from watchword.cli import accounts_aliyun, accounts_huawei
from watchword.cli.places import DEMO, HERE, Where, base_url, running, write
from watchword.cli.printing import AsJson, print_json
from watchword.cli.serve import refuse_strangers
from watchword.config import Settings

if TYPE_CHECKING:
    from watchword.bootstrap import Service

NAME = "demo"
NEWCOMERS_PHONE = "1-2025550123"
"""Of a block that belongs to nobody, and none of the virtual carrier's that misbehave."""
Kept = Mapping[str, Any]
_CLIENTS: Mapping[str, Literal["elsewhere", "here"]] = {
    "client_id": "elsewhere",
    "client_id_2": "here",
}
"""Where each of the CIAM clients keeps its users."""


def demo(
    *,
    dialect: Annotated[
        Literal["native", "huawei", "aliyun", "ciam"], Parameter(help="Whose environment to print.")
    ] = "native",
    json: AsJson = False,
    where: Where = HERE,
) -> int:
    """Make demo credentials of every dialect, once, and print them each time.

    A server that others can reach refuses to run with them, unless the settings say sandbox.
    """
    settings = where.settings()
    kept, url = credentials(settings), base_url(settings)
    if running(settings.folder) is None:
        print(f"No server runs on {settings.folder}: start watchword serve there.", file=sys.stderr)
    if json:
        print_json(
            {
                "native": {"base_url": url, **kept["native"]},
                "huawei": {"endpoint": url, **kept["huawei"]},
                "aliyun": {"endpoint": urlsplit(url).netloc, **kept["aliyun"]},
                "ciam": {"base_url": url, **kept["ciam"]},
            }
        )
        return 0
    for name, value in _ENVIRONMENTS[dialect](url, kept[dialect]).items():
        print(f"export {name}={value}")
    return 0


def _native(url: str, kept: Kept) -> dict[str, str]:
    return {"WATCHWORD_URL": url, "WATCHWORD_KEY": kept["api_key"]}


def _huawei(url: str, kept: Kept) -> dict[str, str]:
    """What the vendor's SDK reads; an unmodified program is redirected by it."""
    return {
        "HUAWEICLOUD_SDK_AK": kept["ak"],
        "HUAWEICLOUD_SDK_SK": kept["sk"],
        "HUAWEICLOUD_SDK_DOMAIN_ID": kept["domain_id"],
        "HUAWEICLOUD_SDK_REGION_BSSINTL_AP_SOUTHEAST_1": url,
        "HUAWEICLOUD_SDK_REGION_BSSINTL_EU_WEST_101": url,
        "HUAWEICLOUD_SDK_REGION_BSS_CN_NORTH_1": url,
        "HUAWEICLOUD_SDK_IAM_ENDPOINT": url,
    }


def _aliyun(url: str, kept: Kept) -> dict[str, str]:
    """The pair is what the vendor's clients read; an endpoint they take from the program alone."""
    newcomer, management = kept["newcomer"], kept["management"]
    return {
        "ALIBABA_CLOUD_ACCESS_KEY_ID": management["ak"],
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": management["sk"],
        "ALIYUN_ENDPOINT": urlsplit(url).netloc,
        "ALIYUN_MEMBER_ID": kept["member_id"],
        "ALIYUN_NEWCOMER_AK": newcomer["ak"],
        "ALIYUN_NEWCOMER_SK": newcomer["sk"],
    }


def _ciam(url: str, kept: Kept) -> dict[str, str]:
    return {
        "CIAM_BASE_URL": url,
        "CIAM_CLIENT_ID": kept["client_id"],
        "CIAM_CLIENT_ID_2": kept["client_id_2"],
    }


_ENVIRONMENTS: dict[str, Callable[[str, Kept], dict[str, str]]] = {
    "native": _native,
    "huawei": _huawei,
    "aliyun": _aliyun,
    "ciam": _ciam,
}


def credentials(settings: Settings) -> dict[str, Kept]:
    """The demo credentials: those kept in demo.json while the store knows them, else new ones."""
    from watchword.cli.opened import Deed, ask

    refuse_a_demo_in_public(settings)
    with _alone(settings.folder):
        before = _kept(settings.folder)

        async def known_or_made(service: Service) -> dict[str, Kept]:
            return {
                dialect: kept
                if (kept := before.get(dialect)) and await is_known(service, kept)
                else await make(service)
                for dialect, (is_known, make) in _MAKERS.items()
            }

        now = ask(
            settings, known_or_made, doing=lambda now: [Deed("demo")] if now != before else []
        )
        if now != before:
            write(settings.folder / DEMO, now)
    return now


def refuse_a_demo_in_public(settings: Settings) -> None:
    """Where others reach the server that runs here, or would."""
    serving = running(settings.folder)
    refuse_strangers(settings, "a demo credential is active", host=serving.host if serving else "")


def kept_key(folder: Path) -> str | None:
    """The native key that demo.json holds."""
    return _kept(folder).get("native", {}).get("api_key")


def _kept(folder: Path) -> dict[str, Kept]:
    try:
        kept = json.loads((folder / DEMO).read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(kept, dict):
        return {}
    return {dialect: each for dialect, each in kept.items() if _is_whole(each, dialect)}


def _is_whole(each: object, dialect: str) -> bool:
    """Whether it holds texts, and sections of texts where the dialect has any."""
    shape: Any = dict[str, str | dict[str, str]] if dialect == "aliyun" else dict[str, str]
    try:
        msgspec.convert(each, shape)
    except msgspec.ValidationError:
        return False
    return True


async def _is_known_key(service: Service, kept: Kept) -> bool:
    from watchword.errors import AccessDenied

    try:
        await service.apps.authenticate(kept["api_key"], service.clock())
    except (AccessDenied, KeyError):
        return False
    return True


async def _made_key(service: Service) -> Kept:
    from watchword.domain.app import Scope

    now = service.clock()
    app = await service.apps.create(name=NAME, brand="Demo", now=now)
    scopes = (Scope.SEND, Scope.CHECK, Scope.READ, Scope.INBOX)
    _, key = await service.apps.create_key(
        app.id, scopes, note="watchword demo", demo=True, now=now
    )
    return {"api_key": key}


async def _is_known_partner(service: Service, kept: Kept) -> bool:
    from watchword.directory import passwords
    from watchword.errors import AccessDenied

    try:
        known = await service.huawei.credentials.signing(kept["ak"], service.clock())
    except (AccessDenied, KeyError):
        return False
    user, account = known.caller.user, known.caller.account
    names = {"domain_id": account.id, "domain": account.name, "user": user.name}
    if user.disabled or account.suspended or not names.items() <= kept.items():
        return False
    is_right = compare_digest(known.secret, kept.get("sk", "").encode("utf-8", "surrogatepass"))
    return is_right and await passwords.is_right(user.password, kept.get("password", ""))


async def _made_partner(service: Service) -> Kept:
    name = await _free_name(service.huawei.accounts.by_name, NAME, service.clock())
    made = await accounts_huawei.create(service, name, brand="Demo", demo=True)
    return {each: value for each, value in made.items() if each != "user_id"}


async def _are_known_accounts(service: Service, kept: Kept) -> bool:
    """Whether both can still be called as, and the member is still one."""
    from watchword.errors import AccessDenied

    try:
        for pair in (kept["management"], kept["newcomer"]):
            known = await service.aliyun.credentials.signing(pair["ak"], service.clock())
            account = known.caller.account
            if known.key.disabled or account.suspended or account.id != pair["account_id"]:
                return False
            if not compare_digest(known.secret, pair["sk"].encode("utf-8", "surrogatepass")):
                return False
        await service.aliyun.accounts.account(kept["member_id"], service.clock())
    except (AccessDenied, KeyError, TypeError, AttributeError):
        return False
    return True


async def _made_accounts(service: Service) -> Kept:
    """Who manages a resource directory with one member, and who has none yet."""
    accounts, directories = service.aliyun.accounts, service.aliyun.directories
    made = {}
    for role, phone in (("management", ""), ("newcomer", NEWCOMERS_PHONE)):
        name = await _free_name(accounts.by_name, f"{NAME}-{role}", service.clock())
        made[role] = await accounts_aliyun.create(
            service, name, brand="Demo", phone=phone, demo=True
        )
        del made[role]["name"]
    manager_id = made["management"]["account_id"]
    await directories.enable(manager_id, service.clock())
    added = await directories.create_member(manager_id, "Member", "", "", (), service.clock())
    return {**made, "member_id": added.account.id}


async def _are_known_clients(service: Service, kept: Kept) -> bool:
    """Whether each may call, and keeps its users where it did."""
    from watchword.errors import AccessDenied

    try:
        for name, users in _CLIENTS.items():
            client, _ = await service.ciam.clients.known(kept[name], service.clock())
            if client.users != users:
                return False
    except (AccessDenied, KeyError):
        return False
    return True


async def _made_clients(service: Service) -> Kept:
    made = {}
    for name, users in _CLIENTS.items():
        client = await service.ciam.clients.create(
            name=f"{NAME}-{users}", brand="Demo", users=users, demo=True, now=service.clock()
        )
        made[name] = client.id
    return made


async def _free_name(
    by_name: Callable[[str, datetime], Awaitable[object]], name: str, now: datetime
) -> str:
    """A demo that was suspended keeps its name."""
    number, free = 1, name
    while await by_name(free, now):
        number += 1
        free = f"{name}-{number}"
    return free


_MAKERS: dict[
    str,
    tuple[Callable[[Service, Kept], Awaitable[bool]], Callable[[Service], Awaitable[Kept]]],
] = {
    "native": (_is_known_key, _made_key),
    "huawei": (_is_known_partner, _made_partner),
    "aliyun": (_are_known_accounts, _made_accounts),
    "ciam": (_are_known_clients, _made_clients),
}


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One at a time on a data folder, so that two first calls do not make two demos."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
