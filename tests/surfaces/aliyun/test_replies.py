"""Every outcome has an answer, in the contract's words, and the manual has every answer."""

import inspect
import re
from datetime import timedelta

import msgspec
import pytest

from tests.surfaces.outcomes import every_outcome
from watchword import errors
from watchword.domain.challenge import Verdict
from watchword.errors import QuotaExceeded, RequestInvalid, WatchwordError
from watchword.surfaces import exchange
from watchword.surfaces.aliyun import auth
from watchword.surfaces.aliyun.replies import REPLIES, refused
from watchword.surfaces.aliyun.request import Style

pytestmark = pytest.mark.store("sqlite")

GATEWAY = {
    (400, "Missing{}"): "{} is mandatory for this action.",
    (400, "MissingAccessKeyId"): "AccessKeyId is mandatory for this action.",
    (400, "MissingSecurityToken"): "SecurityToken is mandatory for this action.",
    (400, "Invalid{}"): "Specified parameter {} is not valid.",
    (400, "InvalidParameter.Format"): "Specified parameter format is not valid.",
    (404, "InvalidAccessKeyId.NotFound"): "Specified access key is not found.",
    (400, "InvalidAccessKeyId.Inactive"): "Specified access key is disabled.",
    (400, "SignatureDoesNotMatch"): None,  # test_entering has its two forms
    (400, "IncompleteSignature"): "The request signature does not conform to Aliyun standards.",
    (400, "InvalidSignatureMethod"): "Specified signature method is not valid.",
    (400, "SignatureNonceUsed"): "Specified signature nonce was used already.",
    (400, "InvalidTimeStamp.Expired"): "Specified time stamp or date value is expired.",
    (400, "InvalidTimeStamp.Format"): "Specified time stamp or date value is not well formatted.",
    (404, "InvalidAction.NotFound"):
        "Specified api is not found, please check your url and method.",
    (400, "InvalidVersion"): "Specified parameter Version is not valid.",
    (400, "UnsupportedHTTPMethod"): "This http method not supported.",
    (400, "Throttling.User"): "Request was denied due to user flow control.",
    (403, "NoPermission"): None,
    (503, "ServiceUnavailable"):
        "The request has failed due to a temporary failure of the server.",
    (500, "InternalError"):
        "The request processing has failed due to some unknown error, exception or failure.",
    (400, "InvalidSecurityToken.Malformed"): "Specified SecurityToken is malformed.",
    (400, "InvalidSecurityToken.Expired"): "Specified SecurityToken is expired.",
    (400, "InvalidSecurityToken.MismatchWithAccessKey"):
        "Specified SecurityToken mismatches the AccessKeyId.",
}  # fmt: skip
"""Sections 5 and 8."""
SENDS = {
    (409, "NotSupport.AccountInAnotherResourceDirectory"):
        "The specified account is an Alibaba Cloud account or already exists in another resource "
        "directory.",
    (409, "EntityAlreadyExists.ResourceDirectory"):
        "The resource directory for the account is already enabled. We recommend that you do not "
        "enable the resource directory again.",
    (409, "SendValidateCodeExceedsLimitForAccount"):
        "For the same account, the number of verification codes sent exceeds the limit.",
    (409, "InvalidParameter.MobileCountryCode"):
        "The current site does not support the country code.",
    (400, "InvalidParameter.SecureMobilePhone"):
        None,  # malformed, or nobody's: see test_sending
}  # fmt: skip
"""Section 9; the last is a name of our own, in our words."""
NEIGHBOURS = {
    (409, "Invalid.VerificationCode"): "The verification code is invalid.",
    (409, "InvalidParameter.ManagementAccountName"):
        "The management account name is in the wrong format.",
    (409, "InvalidParameter.ManagementAccountName.AlreadyUsed"):
        "The ManagementAccountName has been used.",
    (409, "InvalidParameter.ManagementAccountSecurityInfo"):
        "The parameter management account secure mobile phone is invalid.",
    (409, "MissingSecureMobilePhone"): "Secure mobile phone is missing.",
    (409, "MissingSecurityInfo"): "Security info is missing.",
    (400, "NotSupport.Site.Action"): "Site does not allow current action.",
    (409, "AccountSecureMobileAlreadyExists"):
        "The secure mobile number of the member already exists.",
    (409, "AccountTypeMismatch"):
        "The type or status of the member account cannot satisfy the current operation.",
    (409, "CallerIdentityError"): "Please use the RAM user or role of the Management Account.",
    (400, "InvalidParameter.AccountId"): "The AccountId is invalid.",
    (404, "EntityNotExists.Account"): "This resource directory account does not exist.",
    (404, "EntityNotExists.ResourceDirectory"):
        "The resource directory for the account is not enabled. We recommend that you first "
        "enable the resource directory for the account.",
    (404, "ResourceDirectoryNotInUse"):
        "The specified account is not an Alibaba Cloud account or a member account of the "
        "resource directory.",
    (409, "DeleteConflict.ResourceDirectory.Account"):
        "Failed to delete the resource directory because one or more member accounts exist. We "
        "recommend that you first remove these member accounts.",
    # The contract has these without a sentence.
    (400, "InvalidParameter.Account.DisplayName"): None,
    (409, "InvalidParameter.Account.DisplayName.AlreadyUsed"): None,
    (400, "InvalidParameter.Account.AccountNamePrefix"): None,
    (400, "InvalidParameter.Account.DisplayName.Length"): None,
    (400, "InvalidParameter.Account.AccountNamePrefix.Length"): None,
    (400, "InvalidParameter.ParentFolderId"): None,
    (404, "EntityNotExists.Folder"): None,
    (409, "LimitExceeded.Account"): None,
    (409, "MissingDisplayNameOrAccountType"): None,
    (409, "PrimaryAkInUse"): None,
}  # fmt: skip
"""Section 10."""
OURS = {
    (400, "InvalidBody"): None,
    (400, "InvalidContentType"): None,
    (400, "TooManyParameters"): None,
    (413, "RequestEntityTooLarge"): None,
    (408, "RequestTimeout"): None,
    (409, "InvalidParameter.Account.AccountNamePrefix.AlreadyUsed"): None,
}
"""Where the contract is silent."""
CONTRACT = GATEWAY | SENDS | NEIGHBOURS
NOT_EMULATED = {
    "MissingParameter": "older products say it; ours say Missing<Parameter>",
    "MissingParameter.AccountId": "the gateway's MissingAccountId comes first",
    "MissingParameter.Account.DisplayName": "the gateway's MissingDisplayName comes first",
    "InvalidApi.NotFound": "InvalidAction.NotFound is the other name of the same",
    "InvalidAccessKeyId": "newer hosts' name of InvalidAccessKeyId.NotFound",
    "InvalidProtocol.NeedSsl": "a server of one's own may speak http",
    "Throttling": "only a key's own rate is bounded",
    "Throttling.Api": "only a key's own rate is bounded",
    "Forbidden.RAM": "there are no RAM users: a key is its account",
    "Invalid.EnterpriseName": "nobody is verified as an enterprise",
    "EnterpriseRealNameVerificationError": "nobody is verified as an enterprise",
    "LegalEntityDifferent": "accounts have no legal entity",
}
"""Codes of the contract that no call of ours ends in, and why."""
NEVER_MET = {(403, "NoPermission"), (400, "InvalidBody")}
"""In the table for the family's sake: no key lacks a right, and no form is malformed."""
ROW = re.compile(r"^\| (\d{3} `[^|]*) \|", re.MULTILINE)
STYLE = Style(is_xml=False, request_id="R", host="h", product="p")


def made(error):
    """One of its kind, as it says what it says by default."""
    if issubclass(error, QuotaExceeded):
        return error(scope="account", retry_in=timedelta(seconds=90))
    if issubclass(error, RequestInvalid):
        return error(field="Some")
    if issubclass(error, errors.ConfigInvalid):
        return error(["a mistake"])
    needed = [
        one for one in inspect.signature(error).parameters.values() if one.default is one.empty
    ]
    return error(*["x" for one in needed if one.kind is one.POSITIONAL_OR_KEYWORD])


REFUSALS = [
    pytest.param(outcome, reply, id=getattr(outcome, "__name__", str(outcome)))
    for outcome, reply in REPLIES.items()
    if outcome is not Verdict.MATCH
]


def codes():
    """The status and code of every refusal."""
    return {(reply.status, reply.code) for outcome, reply in REPLIES.items()
            if outcome is not Verdict.MATCH}  # fmt: skip


@pytest.mark.parametrize("outcome", every_outcome("aliyun"))
def test_every_outcome_has_a_reply(outcome):
    """The surface never has to invent an answer."""
    assert outcome in REPLIES


def test_the_codes_are_the_contracts_and_few_of_our_own():
    assert codes() == set(CONTRACT) | set(OURS)


def test_what_is_not_emulated_is_not_told():
    assert not {code for _, code in codes()} & set(NOT_EMULATED)


@pytest.mark.parametrize(("outcome", "reply"), REFUSALS)
def test_an_answer_is_in_the_contracts_words(outcome, reply):
    """Where it has any; and no answer is without a code and a sentence."""
    error = WatchwordError() if isinstance(outcome, Verdict) else made(outcome)
    answer, code = refused(error, reply, STYLE)
    told = msgspec.json.decode(answer.body)
    assert (answer.status, told["Code"]) == (reply.status, code)
    assert re.fullmatch(r"[A-Z][A-Za-z.]+", code)
    words = CONTRACT.get((reply.status, reply.code))
    # A header that came twice is named; an account that is gone is told as any credential is.
    told_otherwise = outcome in (errors.AccessDenied, exchange.HeaderInvalid)
    if words and not told_otherwise:
        assert told["Message"] == words.format("Some")
    assert told["Message"]


@pytest.mark.parametrize(("outcome", "reply"), REFUSALS)
def test_whoever_may_come_back_hears_when(outcome, reply):
    """Retry-After where time helps, and the milliseconds that Tea reads for a rate alone: by them
    it takes an error for a throttled one."""
    if isinstance(outcome, Verdict):
        return
    headers = dict(refused(made(outcome), reply, STYLE)[0].headers)
    waits = issubclass(outcome, QuotaExceeded | errors.StoreUnavailable)
    assert (b"retry-after" in headers) is waits
    assert headers.get(b"x-acs-retry-after") == (b"90000" if outcome is auth.Throttled else None)


@pytest.mark.parametrize(("outcome", "reply"), REFUSALS)
def test_only_our_own_failures_are_a_5xx(outcome, reply):
    """A 5xx tells a caller to come back with the same: nothing that a caller sends is one."""
    is_ours = isinstance(outcome, type) and not issubclass(
        outcome, RequestInvalid | errors.AccessDenied | QuotaExceeded
    )
    assert reply.status < 500 or is_ours


def test_the_manual_has_every_code(request):
    """docs/aliyun.md is true: each code that can be met with its status, and no other."""
    manual = (request.config.rootpath / "docs" / "aliyun.md").read_text(encoding="utf-8")
    kept = {(status, code.format("...")) for status, code in codes() - NEVER_MET}
    assert {each for cell in ROW.findall(manual) for each in _each(cell, kept)} == kept


def _each(cell, kept):
    """400 `A.B`, `.C`, 409 `D` are three of them; the second is A.B.C where there is one, else
    A.C."""
    status, before = 0, ""
    for given, code in re.findall(r"(?:(\d{3}) )?`([^`]+)`", cell):
        status, whole = int(given or status), code
        if code.startswith("."):
            whole = before + code
            if (status, whole) not in kept:
                whole = before.rpartition(".")[0] + code
        before = whole
        yield status, whole
