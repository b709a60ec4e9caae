"""What is refused in Alibaba Cloud's world."""

from __future__ import annotations

from watchword.errors import RequestInvalid, WatchwordError


class Refused(WatchwordError):
    """This is refused."""


class InAnotherDirectory(Refused):
    """The account is in another resource directory, or no resource account."""


class AlreadyEnabled(Refused):
    """The account manages a resource directory already."""


class NotEnabled(Refused):
    """The account manages no resource directory."""


class NotInUse(Refused):
    """The account is in no resource directory."""


class AccountUnknown(Refused):
    """There is no such account in the resource directory."""


class CallerIsNoManager(Refused):
    """Only the account that manages the resource directory may do this."""


class NameMalformed(Refused, RequestInvalid):
    """A management account's name has another form."""


class NameTaken(Refused):
    """Another management account has this name."""


class DisplayNameMalformed(Refused, RequestInvalid):
    """A display name has single blanks between characters that show."""


class DisplayNameLength(DisplayNameMalformed):
    """A display name has 2 to 50 characters."""


class DisplayNameTaken(Refused):
    """Another account of the resource directory has this display name."""


class AccountNameMalformed(Refused, RequestInvalid):
    """An account name prefix has letters and digits, and single dots, hyphens or underscores."""


class AccountNameLength(AccountNameMalformed):
    """An account name prefix has 2 to 37 characters."""


class AccountNameTaken(Refused):
    """Another account has this name."""


class PhoneBound(Refused):
    """The member has a phone already."""


class PhoneMissing(Refused):
    """The member has no phone yet."""


class TypeMismatch(Refused):
    """The account is not of the type that this takes."""


class KeyInUse(Refused):
    """An access key of the account is still in use."""


class MembersExist(Refused):
    """The resource directory has members."""


class FolderMalformed(Refused, RequestInvalid):
    """A folder's id is r- or fd- and letters or digits."""


class FolderUnknown(Refused):
    """There is no such folder."""


class TooManyMembers(Refused):
    """The resource directory has as many members as it may."""
