"""Which names managers, members and folders may have (contract, section 10)."""

from __future__ import annotations

import re
from string import ascii_lowercase, digits

from watchword.directory.access_keys import random
from watchword.directory.aliyun.refusals import (
    AccountNameLength,
    AccountNameMalformed,
    DisplayNameLength,
    DisplayNameMalformed,
    FolderMalformed,
    NameMalformed,
)
from watchword.domain.message import one_line

SHORTEST, LONGEST_DISPLAY_NAME, LONGEST_MANAGERS, LONGEST_MEMBERS = 2, 50, 50, 37

_LETTERS = ascii_lowercase + digits
_MANAGERS = "@rdadmin.aliyunid.com"
_PREFIX = re.compile(r"[A-Za-z0-9]+([_.-][A-Za-z0-9]+)*")
_FOLDER = re.compile(r"(?:r|fd)-[A-Za-z0-9]{1,32}")


def drawn(length: int) -> str:
    """Small letters and digits."""
    return random(_LETTERS, length)


def refuse_as_managers(name: str) -> None:
    """Raises NameMalformed for what is not <prefix>@rdadmin.aliyunid.com."""
    prefix = name.removesuffix(_MANAGERS)
    is_long_enough = SHORTEST <= len(prefix) <= LONGEST_MANAGERS
    if prefix == name or not is_long_enough or not _PREFIX.fullmatch(prefix):
        raise NameMalformed(field="/name")


def refuse_as_prefix(prefix: str) -> None:
    """Raises AccountNameMalformed for what does not begin a member's name: letters and digits, with
    single dots, hyphens or underscores between them."""
    if not SHORTEST <= len(prefix) <= LONGEST_MEMBERS:
        raise AccountNameLength(field="/prefix")
    if not _PREFIX.fullmatch(prefix):
        raise AccountNameMalformed(field="/prefix")


def refuse_as_display_name(name: str) -> None:
    """Raises DisplayNameMalformed for one that cannot be told from another by looking at it."""
    if not SHORTEST <= len(name) <= LONGEST_DISPLAY_NAME:
        raise DisplayNameLength(field="/display_name")
    if not name.isprintable() or one_line(name) != name:
        raise DisplayNameMalformed(field="/display_name")


def refuse_as_folder(folder_id: str) -> None:
    """Raises FolderMalformed for what is no folder's id."""
    if not _FOLDER.fullmatch(folder_id):
        raise FolderMalformed(field="/folder_id")
