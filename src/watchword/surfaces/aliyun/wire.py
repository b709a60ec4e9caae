"""Alibaba Cloud's dialect on the wire: what may be asked, what is told, and what each means to us.

Everything is text: names and values come decoded, from the query or a form, and go back as JSON
or XML. What we do not know is not looked at, for the vendor's clients send more than the pages
name (contracts/aliyun.md, section 2).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from watchword.directory.aliyun.accounts import Account
from watchword.directory.aliyun.phones import Phone, phone
from watchword.directory.aliyun.resource_directories import ResourceDirectory
from watchword.errors import RequestInvalid
from watchword.surfaces.aliyun.signing import Pairs

CODE_LENGTH = 6
EDITIONS = {"2022-04-19": "ResourceDirectoryMaster", "2020-03-31": "ResourceManager"}
"""The product of each version."""
NEWER = "2022-04-19"
LARGEST_PAGE, USUAL_PAGE, LAST_PAGE = 100, 10, 1_000_000
MOST_TAGS, LONGEST_TAG = 20, 128

_ACCOUNT_ID = re.compile(r"[0-9]{16}", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)
_TAG = re.compile(rb"Tag\.[0-9]+\.(Key|Value)")
_TAGS = frozenset(
    b"Tag.%d.%b" % (n, part) for n in range(1, MOST_TAGS + 1) for part in (b"Key", b"Value")
)


class ParameterMissing(RequestInvalid):
    """A parameter that the action needs did not come."""


class ParameterInvalid(RequestInvalid):
    """A parameter is not what it has to be."""


class AccountIdMalformed(RequestInvalid):
    """The AccountId is invalid."""


class Parameters:
    """What came, by name. Names are case-sensitive; a name that came twice has no value."""

    def __init__(self, pairs: Pairs) -> None:
        self._values: dict[bytes, bytes] = dict(pairs)
        self._repeated: frozenset[bytes] = frozenset()
        if len(self._values) != len(pairs):
            counted = Counter(name for name, _ in pairs)
            self._repeated = frozenset(name for name, many in counted.items() if many > 1)

    def __repr__(self) -> str:
        return "Parameters(***)"

    def text(self, name: str) -> str:
        """Its value, "" where it did not come. Raises ParameterInvalid for one that is ambiguous
        or no text."""
        key = name.encode()
        value = self._values.get(key, b"")
        if key in self._repeated:
            raise ParameterInvalid(field=name)
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise ParameterInvalid(field=name) from None

    def first(self, name: str) -> str:
        """One of its values, or "": for what is said before anything is judged."""
        return self._values.get(name.encode(), b"").decode("latin-1")

    def required(self, name: str) -> str:
        """Raises ParameterMissing."""
        value = self.text(name)
        if not value:
            raise ParameterMissing(field=name)
        return value

    def one_of(self, name: str, *allowed: str) -> str:
        """Raises ParameterMissing, ParameterInvalid."""
        value = self.required(name)
        if value not in allowed:
            raise ParameterInvalid(field=name)
        return value

    def truth(self, name: str) -> bool:
        """As the clients of different languages write it: true, True. Raises ParameterInvalid."""
        value = self.text(name).lower()
        if value not in ("", "true", "false"):
            raise ParameterInvalid(field=name)
        return value == "true"

    def number(self, name: str, usual: int, most: int) -> int:
        """From 1 on. Raises ParameterInvalid."""
        value = self.text(name)
        if not value:
            return usual
        if not _NUMBER.fullmatch(value) or not 1 <= int(value) <= most:
            raise ParameterInvalid(field=name)
        return int(value)

    def phone(self, name: str = "SecureMobilePhone") -> Phone | None:
        """None where none came. Raises PhoneMalformed."""
        value = self.text(name)
        return phone(value) if value else None

    def account_id(self) -> str:
        """Raises ParameterMissing, AccountIdMalformed."""
        value = self.required("AccountId")
        if not _ACCOUNT_ID.fullmatch(value):
            raise AccountIdMalformed(field="AccountId")
        return value

    def tags(self) -> tuple[tuple[str, str], ...]:
        """Tag.1.Key, Tag.1.Value, Tag.2.Key ... Raises ParameterInvalid, for one too many, too."""
        named = {name for name in self._values if _TAG.fullmatch(name)}
        if not named:
            return ()
        if not named <= _TAGS:
            raise ParameterInvalid(field="Tag")
        found = []
        for number in range(1, MOST_TAGS + 1):
            key, value = self.text(f"Tag.{number}.Key"), self.text(f"Tag.{number}.Value")
            if len(key) > LONGEST_TAG or len(value) > LONGEST_TAG or (value and not key):
                raise ParameterInvalid(field=f"Tag.{number}")
            if key:
                found.append((key, value))
        return tuple(found)


def told_directory(directory: ResourceDirectory, manager: Account) -> dict[str, Any]:
    return {
        "ResourceDirectoryId": directory.id,
        "MasterAccountId": manager.id,
        "MasterAccountName": manager.name,
        "RootFolderId": directory.root_folder_id,
        "CreateTime": instant(directory.created_at),
    }


def told_account(
    account: Account,
    directory: ResourceDirectory,
    *,
    phone: str | None = None,
    with_tags: bool = False,
    status: str = "",
) -> dict[str, Any]:
    """`phone` is the one that is bound, "" for none; None says nothing of it. `status` is what has
    just become of the account."""
    told: dict[str, Any] = {
        "AccountId": account.id,
        "AccountName": account.name,
        "DisplayName": account.display_name,
        "Type": "ResourceAccount" if account.is_resource else "CloudAccount",
        "Status": status or ("InviteSuccess" if account.invited else "CreateSuccess"),
        "FolderId": directory.root_folder_id,
        "ResourceDirectoryId": directory.id,
        "ResourceDirectoryPath": f"{directory.id}/{directory.root_folder_id}/{account.id}",
        "JoinMethod": "invited" if account.invited else "created",
        "JoinTime": instant(account.joined_at or account.created_at),
        "ModifyTime": instant(account.modified_at or account.joined_at or account.created_at),
        "IdentityInformation": "",
        "Location": "",
        "EmailStatus": "",
    }
    if phone is not None:
        told["HasSecureMobilePhone"] = account.has_phone
        told["SecureMobilePhone"] = phone
    if with_tags:
        told["Tags"] = told_tags(account.tags)
    return told


def told_tags(tags: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags]


def instant(at: datetime) -> str:
    """UTC with milliseconds (contract, section 9)."""
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"
