"""Every outcome and its answer, in one table: contracts/huawei.md, sections 1, 4 and 5.

A client of the vendor reads error_code and error_msg, and needs both. What Keystone's paths refuse
has Keystone's shape.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

import msgspec

from watchword import errors
from watchword.directory.huawei import customers
from watchword.domain.challenge import Verdict
from watchword.surfaces import exchange
from watchword.surfaces.exchange import Answer, Headers
from watchword.surfaces.huawei import auth, wire
from watchword.surfaces.huawei.signing import SignatureInvalid, SignatureStale
from watchword.surfaces.problems import retry_after

LONGEST_MESSAGE = 1024
_AKSK = "Incorrect IAM authentication information: "
_JSON = (b"content-type", b"application/json;charset=UTF-8")


class Reply(msgspec.Struct, frozen=True):
    """`says` None tells what the error itself says; nothing of ours is told with a 5xx."""

    status: int
    code: str
    says: str | None = None


_PARAMETER = Reply(400, "CBC.0100")
_EXPIRED = Reply(400, "CBC.99004008", "The verification code has expired.")
_LIMIT = Reply(400, "CBC.99004015", "The number of verification codes sent exceeds the limit.")
_UNSENT = Reply(400, "CBC.99004003", "The verification code could not be sent.")
_OTHER = Reply(500, "CBC.0999", "Other errors.")
_AWAY = Reply(500, "CBC.0999", "Other errors: try again later.")
NOT_FOUND = Reply(404, "APIGW.0101", "The API does not exist or has not been published.")

REPLIES: dict[type[errors.WatchwordError] | Verdict, Reply] = {
    Verdict.MATCH: Reply(200, "CBC.0000", "Success."),
    Verdict.MISMATCH: Reply(400, "CBC.99004010", "The verification code is incorrect."),
    Verdict.ALREADY_USED: _EXPIRED,
    Verdict.EXHAUSTED: Reply(
        400, "CBC.99004009", "The verification code has been entered incorrectly too many times."
    ),
    Verdict.EXPIRED: _EXPIRED,
    Verdict.CANCELLED: _EXPIRED,
    errors.WatchwordError: _OTHER,
    errors.RequestInvalid: _PARAMETER,
    exchange.BodyMalformed: _PARAMETER,
    exchange.HeaderInvalid: _PARAMETER,
    exchange.MediaTypeUnsupported: _PARAMETER,
    exchange.BodyTooSlow: Reply(408, "CBC.0100"),
    exchange.BodyTooLarge: Reply(413, "APIGW.0201", "Request entity too large"),
    wire.EmailMalformed: Reply(400, "CBC.99004004"),
    wire.PhoneMalformed: Reply(400, "CBC.5017"),
    wire.ValueUnknown: Reply(400, "CBC.0101"),
    wire.ResellerDenied: Reply(400, "CBC.99000037"),
    customers.NameMalformed: Reply(400, "CBC.99000031"),
    customers.PasswordWeak: Reply(400, "CBC.99000036"),
    errors.AccessDenied: Reply(401, "APIGW.0301", f"{_AKSK}no credentials"),
    auth.KeyAbsent: Reply(401, "APIGW.0301", f"{_AKSK}ak not exist"),
    auth.KeyLocked: Reply(
        401, "APIGW.0301", f"{_AKSK}AK access failed to reach the limit,forbidden"
    ),
    SignatureInvalid: Reply(401, "APIGW.0301", f"{_AKSK}verify aksk signature fail"),
    SignatureStale: Reply(401, "APIGW.0301"),
    auth.TokenInvalid: Reply(401, "CBC.0154", "The token is invalid or has expired."),
    auth.LogInFailed: Reply(401, "APIGW.0301"),
    auth.LogInLocked: Reply(429, "APIGW.0308"),
    errors.ScopeMissing: Reply(403, "CBC.0151", "Access denied."),
    auth.NotAPartner: Reply(403, "CBC.0151", "Access denied."),
    auth.PartnerSuspended: Reply(400, "CBC.99000035", "You are not a customer of a partner."),
    errors.ChallengeNotFound: _EXPIRED,
    errors.ChallengeClosed: _EXPIRED,
    errors.QuotaExceeded: _LIMIT,
    errors.ResendTooSoon: _LIMIT,
    errors.FailureBudgetSpent: _LIMIT,
    errors.IdempotencyKeyReused: _PARAMETER,
    errors.RecordConflict: _OTHER,
    errors.DeliveryFailed: _UNSENT,
    errors.ProviderRefused: _UNSENT,
    errors.ProviderUnavailable: _AWAY,
    errors.OutcomeUnknown: _AWAY,
    errors.ChannelUnavailable: _UNSENT,
    errors.StoreUnavailable: _AWAY,
    errors.KeyUnknown: Reply(400, "CBC.99004002", "The verification code could not be generated."),
    errors.ConfigInvalid: _OTHER,
}

TAKEN = {
    customers.NAME: Reply(400, "CBC.99000038", "The customer login name already exists."),
    customers.XACCOUNT: Reply(400, "CBC.99000039", "The xaccount_id already exists."),
    customers.PHONE: Reply(400, "CBC.99000029", "The mobile number already exists."),
}
"""What a refused record of a new customer was about."""
BUSY = Reply(429, "APIGW.0308", "Too many requests. Try again later.")
TOO_MANY = Reply(400, "CBC.99000030", "The mobile number has been registered too many times.")
GUESSED = REPLIES[Verdict.EXHAUSTED]
"""A check that comes after too many wrong ones for the same address, whatever the code."""

Shape = Callable[[Reply, str, str], bytes]


def told(body: bytes, *headers: tuple[bytes, bytes], status: int = 200) -> Answer:
    return Answer(status, [_JSON, *headers], body)


def done() -> Answer:
    """204 has no body, and so neither type nor length."""
    return Answer(204, [], b"")


def service_error(reply: Reply, message: str, request_id: str) -> bytes:
    return wire.encode({"error_code": reply.code, "error_msg": message, "request_id": request_id})


def keystone_error(reply: Reply, message: str, request_id: str) -> bytes:
    title = HTTPStatus(reply.status).phrase
    return wire.encode({"error": {"code": reply.status, "message": message, "title": title}})


def refused(reply: Reply, error: Exception | None, request_id: str, shape: Shape) -> Answer:
    """The answer to a request that is refused; it says when to come back where time helps."""
    message = _said(error) if reply.says is None and error else reply.says or ""
    headers: Headers = [_JSON]
    if isinstance(error, errors.QuotaExceeded | errors.StoreUnavailable):
        headers.append(retry_after(error.retry_in))
    if isinstance(error, exchange.BodyTooSlow):
        headers.append((b"connection", b"close"))
    return Answer(reply.status, headers, shape(reply, message[:LONGEST_MESSAGE], request_id))


def _said(error: Exception) -> str:
    """The error in its own words, after the parameter that it is about."""
    name = error.field.removeprefix("/") if isinstance(error, errors.RequestInvalid) else ""
    said = str(error)
    return said if name in said else f"{name}: {said}"
