"""Resource directories and their members: who is there, made, renamed, switched, ended."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Sequence
from typing import Any

from watchword.directory.aliyun.accounts import Account
from watchword.directory.aliyun.refusals import Refused
from watchword.surfaces.aliyun import wire
from watchword.surfaces.aliyun.calls import Call
from watchword.surfaces.aliyun.wire import ParameterInvalid

_SETTINGS = {
    "ControlPolicyStatus": "Disabled",
    "MemberDeletionStatus": "Disabled",
    "IdentityInformation": "",
    "MemberAccountDisplayNameSyncStatus": "Disabled",
}
"""What a resource directory has beside its members, none of which is emulated."""


class NothingToUpdate(Refused):
    """Specify either NewDisplayName or NewAccountType."""


async def get_resource_directory(call: Call) -> dict[str, Any]:
    account = await call.directory.accounts.account(call.account_id, call.now)
    directory, manager = await call.directory.directories.of(account, call.now)
    return {"ResourceDirectory": {**wire.told_directory(directory, manager), **_SETTINGS}}


async def destroy_resource_directory(call: Call) -> dict[str, Any]:
    await call.directory.directories.destroy(call.account_id, call.now)
    return {}


async def create_resource_account(call: Call) -> dict[str, Any]:
    asked = call.asked
    made = await call.directory.directories.create_member(
        call.account_id,
        asked.required("DisplayName"),
        asked.text("AccountNamePrefix"),
        asked.text("ParentFolderId"),
        asked.tags(),
        call.now,
        dry_run=call.is_dry_run,
    )
    if call.is_dry_run:
        return {}
    return {"Account": wire.told_account(made.account, made.directory)}


async def get_account(call: Call) -> dict[str, Any]:
    with_tags = call.asked.truth("IncludeTags")
    account, directory = await call.directory.directories.member(
        call.account_id, call.asked.account_id(), call.now
    )
    phone = call.directory.accounts.phone(account) if call.is_newer else None
    return {"Account": wire.told_account(account, directory, phone=phone, with_tags=with_tags)}


async def list_accounts(call: Call) -> dict[str, Any]:
    """A page by its number, or what comes after a token."""
    asked = call.asked
    wanted, with_tags = asked.tags(), asked.truth("IncludeTags")
    keyword = asked.text("QueryKeyword") if call.is_newer else ""
    by_token = call.is_newer and bool(asked.text("MaxResults") or asked.text("NextToken"))
    size = asked.number(
        "MaxResults" if by_token else "PageSize", wire.USUAL_PAGE, wire.LARGEST_PAGE
    )
    number = 1 if by_token else asked.number("PageNumber", 1, wire.LAST_PAGE)
    directory, members = await call.directory.directories.members(call.account_id, call.now)
    found = [one for one in members if _is_meant(one, keyword, wanted)]
    start = _after(found, asked.text("NextToken")) if by_token else (number - 1) * size
    page = found[start : start + size]
    listed = []
    for account in page:
        told = wire.told_account(account, directory)
        if with_tags:
            told["Tags"] = {"Tag": wire.told_tags(account.tags)}
        listed.append(told)
    told_page = (
        {"NextToken": _token(page[-1]) if start + size < len(found) else ""}
        if by_token
        else {"PageNumber": number, "PageSize": size}
    )
    return {"TotalCount": len(found), **told_page, "Accounts": {"Account": listed}}


async def update_account(call: Call) -> dict[str, Any]:
    """A new display name or another type, never both."""
    account_id = call.asked.account_id()
    display_name = call.asked.text("NewDisplayName")
    if bool(display_name) is bool(call.asked.text("NewAccountType")):
        raise NothingToUpdate
    directories, status = call.directory.directories, ""
    if display_name:
        changed = await directories.rename(
            call.account_id, account_id, display_name, call.now, dry_run=call.is_dry_run
        )
    else:
        kind = call.asked.one_of("NewAccountType", "ResourceAccount", "CloudAccount")
        changed = await directories.switch(
            call.account_id,
            account_id,
            kind == "ResourceAccount",
            call.now,
            has_keys=lambda: _has_keys(call, account_id),
            dry_run=call.is_dry_run,
        )
        status = "SwitchSuccess"
    if call.is_dry_run:
        return {}
    return {"Account": wire.told_account(changed.account, changed.directory, status=status)}


async def _has_keys(call: Call, account_id: str) -> bool:
    keys = await call.directory.credentials.keys(call.now)
    return any(key.account_id == account_id and not key.has_expired(call.now) for key in keys)


def _is_meant(account: Account, keyword: str, wanted: Sequence[tuple[str, str]]) -> bool:
    said = f"{account.id}\n{account.name}\n{account.display_name}".casefold()
    return keyword.casefold() in said and all(
        any(key == tag and value in ("", its) for tag, its in account.tags) for key, value in wanted
    )


def _token(account: Account) -> str:
    return urlsafe_b64encode(account.id.encode()).decode()


def _after(accounts: Sequence[Account], token: str) -> int:
    """Where the page after this token begins. Raises ParameterInvalid."""
    if not token:
        return 0
    for place, account in enumerate(accounts):
        if _token(account) == token:
            return place + 1
    raise ParameterInvalid(field="NextToken")
