"""Every outcome and its answer, in one table: contracts/aliyun.md, sections 7 to 10.

All of the vendor's clients read Code, and one reads nothing else: every error has one, and no
success does.
"""

from __future__ import annotations

import math
import re
from typing import Any
from xml.sax.saxutils import escape

import msgspec

from watchword import errors
from watchword.directory.aliyun import credentials, phones, refusals
from watchword.domain.challenge import Verdict
from watchword.surfaces import exchange
from watchword.surfaces.aliyun import auth, calls, codes, members, request, signing, wire
from watchword.surfaces.aliyun.request import Style
from watchword.surfaces.exchange import Answer, Headers
from watchword.surfaces.problems import retry_after

_JSON = (b"content-type", b"application/json;charset=utf-8")
# To the letter: for this text alone does the vendor's Tea client read an error in XML.
_XML = (b"content-type", b"text/xml;charset=utf-8")
_DECLARATION = "<?xml version='1.0' encoding='UTF-8'?>"
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_READ_OTHERWISE = {"\r": "&#13;"}
"""A bare carriage return is read as a line feed."""
_RECOMMEND = "https://api.aliyun.com/troubleshoot?q={}&product={}&requestId={}"

encode = msgspec.json.Encoder().encode


class Reply(msgspec.Struct, frozen=True):
    """`says` None tells what the error itself says; {} is the parameter that it is about."""

    status: int
    code: str
    says: str | None = None


_AWAY = Reply(
    503,
    "ServiceUnavailable",
    "The request has failed due to a temporary failure of the server.",
)
_DEFECT = Reply(
    500,
    "InternalError",
    "The request processing has failed due to some unknown error, exception or failure.",
)
_CODE = Reply(409, "Invalid.VerificationCode", "The verification code is invalid.")
_LIMIT = Reply(
    409,
    "SendValidateCodeExceedsLimitForAccount",
    "For the same account, the number of verification codes sent exceeds the limit.",
)
_PHONE = Reply(400, "InvalidParameter.SecureMobilePhone")
_INVALID = Reply(400, "Invalid{}", "Specified parameter {} is not valid.")
_INCOMPLETE = Reply(400, "IncompleteSignature")

REPLIES: dict[type[errors.WatchwordError] | Verdict, Reply] = {
    Verdict.MATCH: Reply(200, "OK"),
    Verdict.MISMATCH: _CODE,
    Verdict.ALREADY_USED: _CODE,
    Verdict.EXHAUSTED: _CODE,
    Verdict.EXPIRED: _CODE,
    Verdict.CANCELLED: _CODE,
    errors.WatchwordError: _DEFECT,
    errors.RequestInvalid: _INVALID,
    exchange.BodyMalformed: Reply(400, "InvalidBody"),
    exchange.BodyTooLarge: Reply(413, "RequestEntityTooLarge"),
    exchange.BodyTooSlow: Reply(408, "RequestTimeout"),
    exchange.HeaderInvalid: _INCOMPLETE,
    exchange.MediaTypeUnsupported: Reply(
        400, "InvalidContentType", "Parameters come in the query or as a signed form."
    ),
    wire.ParameterMissing: Reply(400, "Missing{}", "{} is mandatory for this action."),
    wire.ParameterInvalid: _INVALID,
    request.TooManyParameters: Reply(400, "TooManyParameters"),
    request.FormatUnknown: Reply(400, "InvalidParameter.Format"),
    phones.PhoneMalformed: _PHONE,
    phones.PhoneUnknown: _PHONE,
    wire.AccountIdMalformed: Reply(400, "InvalidParameter.AccountId"),
    request.MethodUnsupported: Reply(400, "UnsupportedHTTPMethod"),
    request.CredentialAbsent: Reply(400, "MissingAccessKeyId"),
    calls.ActionUnknown: Reply(404, "InvalidAction.NotFound"),
    calls.VersionUnknown: Reply(400, "InvalidVersion"),
    auth.KeyAbsent: Reply(404, "InvalidAccessKeyId.NotFound"),
    auth.KeyInactive: Reply(400, "InvalidAccessKeyId.Inactive"),
    auth.TokenAbsent: Reply(400, "MissingSecurityToken"),
    auth.TokenMalformed: Reply(400, "InvalidSecurityToken.Malformed"),
    auth.TokenExpired: Reply(400, "InvalidSecurityToken.Expired"),
    auth.TokenMismatched: Reply(400, "InvalidSecurityToken.MismatchWithAccessKey"),
    auth.SignatureMismatched: Reply(400, "SignatureDoesNotMatch"),
    auth.TimeMalformed: Reply(400, "InvalidTimeStamp.Format"),
    auth.TimeExpired: Reply(400, "InvalidTimeStamp.Expired"),
    auth.Throttled: Reply(400, "Throttling.User"),
    signing.SignatureMalformed: _INCOMPLETE,
    signing.MethodUnknown: Reply(400, "InvalidSignatureMethod"),
    credentials.NonceUsed: Reply(400, "SignatureNonceUsed"),
    errors.AccessDenied: Reply(404, "InvalidAccessKeyId.NotFound"),
    errors.ScopeMissing: Reply(403, "NoPermission"),
    refusals.Refused: _DEFECT,
    refusals.InAnotherDirectory: Reply(
        409,
        "NotSupport.AccountInAnotherResourceDirectory",
        "The specified account is an Alibaba Cloud account or already exists in another "
        "resource directory.",
    ),
    refusals.AlreadyEnabled: Reply(
        409,
        "EntityAlreadyExists.ResourceDirectory",
        "The resource directory for the account is already enabled. We recommend that you do not "
        "enable the resource directory again.",
    ),
    refusals.NotEnabled: Reply(
        404,
        "EntityNotExists.ResourceDirectory",
        "The resource directory for the account is not enabled. We recommend that you first "
        "enable the resource directory for the account.",
    ),
    refusals.NotInUse: Reply(
        404,
        "ResourceDirectoryNotInUse",
        "The specified account is not an Alibaba Cloud account or a member account of the "
        "resource directory.",
    ),
    refusals.AccountUnknown: Reply(
        404, "EntityNotExists.Account", "This resource directory account does not exist."
    ),
    refusals.CallerIsNoManager: Reply(
        409,
        "CallerIdentityError",
        "Please use the RAM user or role of the Management Account.",
    ),
    refusals.NameMalformed: Reply(
        409,
        "InvalidParameter.ManagementAccountName",
        "The management account name is in the wrong format.",
    ),
    refusals.NameTaken: Reply(
        409,
        "InvalidParameter.ManagementAccountName.AlreadyUsed",
        "The ManagementAccountName has been used.",
    ),
    refusals.PhoneBound: Reply(
        409,
        "AccountSecureMobileAlreadyExists",
        "The secure mobile number of the member already exists.",
    ),
    refusals.PhoneMissing: Reply(
        409,
        "MissingSecurityInfo",
        "Security info is missing.",
    ),
    refusals.TypeMismatch: Reply(
        409,
        "AccountTypeMismatch",
        "The type or status of the member account cannot satisfy the current operation.",
    ),
    refusals.MembersExist: Reply(
        409,
        "DeleteConflict.ResourceDirectory.Account",
        "Failed to delete the resource directory because one or more member accounts exist. We "
        "recommend that you first remove these member accounts.",
    ),
    refusals.FolderMalformed: Reply(400, "InvalidParameter.ParentFolderId"),
    refusals.FolderUnknown: Reply(404, "EntityNotExists.Folder"),
    refusals.TooManyMembers: Reply(409, "LimitExceeded.Account"),
    refusals.KeyInUse: Reply(409, "PrimaryAkInUse"),
    refusals.DisplayNameMalformed: Reply(400, "InvalidParameter.Account.DisplayName"),
    refusals.DisplayNameLength: Reply(400, "InvalidParameter.Account.DisplayName.Length"),
    refusals.DisplayNameTaken: Reply(409, "InvalidParameter.Account.DisplayName.AlreadyUsed"),
    refusals.AccountNameMalformed: Reply(400, "InvalidParameter.Account.AccountNamePrefix"),
    refusals.AccountNameLength: Reply(400, "InvalidParameter.Account.AccountNamePrefix.Length"),
    refusals.AccountNameTaken: Reply(409, "InvalidParameter.Account.AccountNamePrefix.AlreadyUsed"),
    codes.CountryUnsupported: Reply(409, "InvalidParameter.MobileCountryCode"),
    codes.SiteUnsupported: Reply(400, "NotSupport.Site.Action"),
    codes.PhoneAbsent: Reply(409, "MissingSecureMobilePhone"),
    codes.SecurityInfoAbsent: Reply(409, "MissingSecurityInfo"),
    codes.SecurityInfoInvalid: Reply(409, "InvalidParameter.ManagementAccountSecurityInfo"),
    codes.CodeInvalid: _CODE,
    members.NothingToUpdate: Reply(409, "MissingDisplayNameOrAccountType"),
    errors.ChallengeNotFound: _CODE,
    errors.ChallengeClosed: _CODE,
    errors.QuotaExceeded: _LIMIT,
    errors.ResendTooSoon: _LIMIT,
    errors.FailureBudgetSpent: _LIMIT,
    errors.IdempotencyKeyReused: _DEFECT,
    errors.RecordConflict: _AWAY,
    errors.DeliveryFailed: _AWAY,
    errors.ProviderRefused: _AWAY,
    errors.ProviderUnavailable: _AWAY,
    errors.OutcomeUnknown: _AWAY,
    errors.ChannelUnavailable: _AWAY,
    errors.StoreUnavailable: _AWAY,
    errors.KeyUnknown: _AWAY,
    errors.ConfigInvalid: _DEFECT,
}


def told(operation: str, fields: dict[str, Any], style: Style) -> Answer:
    """Success: the operation's fields, and the request's id."""
    content = {"RequestId": style.request_id, **fields}
    return Answer(200, _headers(style), _written(f"{operation}Response", content, style))


def refused(error: Exception, reply: Reply, style: Style) -> tuple[Answer, str]:
    """The answer to a request that is refused, and its code. It says when to come back where time
    helps."""
    about = error.field if isinstance(error, errors.RequestInvalid) else ""
    code = reply.code.format(about)
    content = {
        "RequestId": style.request_id,
        "HostId": style.host,
        "Code": code,
        "Message": str(error) if reply.says is None else reply.says.format(about),
        "Recommend": _RECOMMEND.format(code, style.product, style.request_id),
    }
    headers = _headers(style)
    if isinstance(error, errors.QuotaExceeded | errors.StoreUnavailable):
        headers.append(retry_after(error.retry_in))
    if isinstance(error, auth.Throttled):
        milliseconds = math.ceil(error.retry_in.total_seconds() * 1000)
        headers.append((b"x-acs-retry-after", b"%d" % milliseconds))
    if isinstance(error, exchange.BodyTooSlow):
        headers.append((b"connection", b"close"))
    return Answer(reply.status, headers, _written("Error", content, style)), code


def _headers(style: Style) -> Headers:
    return [
        _XML if style.is_xml else _JSON,
        (b"x-acs-request-id", style.request_id.encode()),
    ]


def _written(root: str, content: dict[str, Any], style: Style) -> bytes:
    if not style.is_xml:
        return encode(content)
    return (_DECLARATION + _element(root, content)).encode()


def _element(name: str, value: Any) -> str:
    """XML without indices: a list repeats its element."""
    if isinstance(value, list):
        return "".join(_element(name, each) for each in value)
    if isinstance(value, dict):
        inner = "".join(_element(each, its) for each, its in value.items())
    elif isinstance(value, bool):
        inner = str(value).lower()
    else:
        inner = escape(_NOT_XML.sub("\ufffd", str(value)), _READ_OTHERWISE)
    return f"<{name}>{inner}</{name}>"
