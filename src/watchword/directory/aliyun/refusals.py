"""What is refused in Alibaba Cloud's world, in the vendor's sentences (contract, section 10)."""

from __future__ import annotations

from watchword.errors import RequestInvalid, WatchwordError


class Refused(WatchwordError):
    """This is refused."""


class InAnotherDirectory(Refused):
    """The specified account is an Alibaba Cloud account or already exists in another resource directory."""  # noqa: E501


class AlreadyEnabled(Refused):
    """The resource directory for the account is already enabled. We recommend that you do not enable the resource directory again."""  # noqa: E501


class NotEnabled(Refused):
    """The resource directory for the account is not enabled. We recommend that you first enable the resource directory for the account."""  # noqa: E501


class NotInUse(Refused):
    """The specified account is not an Alibaba Cloud account or a member account of the resource directory."""  # noqa: E501


class AccountUnknown(Refused):
    """This resource directory account does not exist."""


class CallerIsNoManager(Refused):
    """Please use the RAM user or role of the Management Account."""


class NameMalformed(Refused, RequestInvalid):
    """The management account name is in the wrong format."""


class NameTaken(Refused):
    """The ManagementAccountName has been used."""


class DisplayNameMalformed(Refused, RequestInvalid):
    """A display name has single blanks between characters that show."""


class DisplayNameLength(DisplayNameMalformed):
    """A display name has 2 to 50 characters."""


class DisplayNameTaken(Refused):
    """The display name is that of another account of the resource directory."""


class AccountNameMalformed(Refused, RequestInvalid):
    """An account name prefix has letters, digits, dots, hyphens or underscores, a letter or a digit at both ends and next to each of the others."""  # noqa: E501


class AccountNameLength(AccountNameMalformed):
    """An account name prefix has 2 to 37 characters."""


class AccountNameTaken(Refused):
    """The account name has been used."""


class PhoneBound(Refused):
    """The secure mobile number of the member already exists."""


class PhoneMissing(Refused):
    """Security info is missing."""


class TypeMismatch(Refused):
    """The type or status of the member account cannot satisfy the current operation."""


class KeyInUse(Refused):
    """An access key of the account is still in use."""


class MembersExist(Refused):
    """Failed to delete the resource directory because one or more member accounts exist. We recommend that you first remove these member accounts."""  # noqa: E501


class FolderMalformed(Refused, RequestInvalid):
    """A folder's id is r- or fd- and letters or digits."""


class FolderUnknown(Refused):
    """The folder does not exist."""


class TooManyMembers(Refused):
    """The number of members in the resource directory has reached its limit."""
