"""Who is calling: the signature over the request, in either scheme, its time and its nonce.

The order of the checks is that of contracts/aliyun.md, section 8. A nonce is remembered once the
signature over it proved right, so that strangers cannot burn one.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from hashlib import sha256
from hmac import compare_digest

from watchword.directory.access_keys import AccessKey
from watchword.directory.aliyun import Aliyun as Directory
from watchword.directory.aliyun.accounts import Caller
from watchword.directory.aliyun.credentials import Signing
from watchword.errors import AccessDenied, QuotaExceeded
from watchword.surfaces.aliyun import signing
from watchword.surfaces.aliyun.request import Request
from watchword.surfaces.aliyun.signing import Claim, MethodUnknown, SignatureMalformed
from watchword.surfaces.aliyun.wire import ParameterInvalid
from watchword.surfaces.metrics import TALLY
from watchword.surfaces.untold import Untold

MOST_SKEW = timedelta(minutes=15)
NONCE_KEPT = 2 * MOST_SKEW
LONGEST_NONCE = 256

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", re.ASCII)
_ACCESS_KEY = re.compile(r"[!-~]{1,128}", re.ASCII)
_SECURITY_TOKEN = re.compile(r"[!-~]{1,4096}", re.ASCII)


class KeyAbsent(AccessDenied):
    """Specified access key is not found."""


class KeyInactive(AccessDenied):
    """Specified access key is disabled."""


class TokenAbsent(AccessDenied):
    """SecurityToken is mandatory for this action."""


class TokenMalformed(AccessDenied):
    """Specified SecurityToken is malformed."""


class TokenExpired(AccessDenied):
    """Specified SecurityToken is expired."""


class TokenMismatched(AccessDenied):
    """Specified SecurityToken mismatches the AccessKeyId."""


class SignatureMismatched(AccessDenied):
    """The signature is not that of this request.

    What the server signed is told: it is made of what the caller sent, and without the secret
    nobody can sign it.
    """


class TimeMalformed(AccessDenied):
    """Specified time stamp or date value is not well formatted."""


class TimeExpired(AccessDenied):
    """Specified time stamp or date value is expired."""


class Throttled(QuotaExceeded):
    """Request was denied due to user flow control."""


class Shown(Untold, frozen=True, kw_only=True):
    """What a request shows of its credential. `claim` is there in ACS3."""

    access_key: str
    signature: str
    signed_at: str
    nonce: str
    security_token: str
    claim: Claim | None


async def authenticate(request: Request, directory: Directory, now: datetime) -> Caller:
    """The caller whose key signed this request, now, for the first time.

    Raises ParameterMissing, ParameterInvalid, AccessDenied and its kin, Throttled,
    StoreUnavailable.
    """
    shown = _shown(request)
    known = await _known(shown, directory, now)
    _refuse_unless_signed(request, shown, known.secret)
    _refuse_if_stale(shown.signed_at, now)
    credentials = directory.credentials
    try:
        await credentials.refuse_over_rate(shown.access_key, now)
        # Kept to the end of the second in which the last copy of this request could be accepted.
        kept_until = now + NONCE_KEPT + timedelta(seconds=1)
        await credentials.claim_nonce(shown.access_key, shown.nonce, now, kept_until)
        await credentials.spend_rate(shown.access_key, now)
    except QuotaExceeded as error:
        TALLY.refused(known.caller.app.id, error.scope)
        raise Throttled(scope=error.scope, retry_in=error.retry_in) from None
    return known.caller


def _shown(request: Request) -> Shown:
    """Raises ParameterMissing, ParameterInvalid, MethodUnknown, SignatureMalformed."""
    claim = None
    if request.is_acs3:
        claim = signing.read_acs3(request.exchange.headers[b"authorization"])
        if request.said(b"x-acs-accesskey-id", "") not in ("", claim.access_key):
            raise SignatureMalformed
    else:
        _refuse_unknown_method(request)
    shown = Shown(
        access_key=claim.access_key if claim else request.asked.required("AccessKeyId"),
        signature=claim.signature if claim else request.asked.required("Signature"),
        signed_at=request.required(b"x-acs-date", "Timestamp"),
        nonce=request.required(b"x-acs-signature-nonce", "SignatureNonce"),
        security_token=request.said(b"x-acs-security-token", "SecurityToken"),
        claim=claim,
    )
    if len(shown.nonce) > LONGEST_NONCE:
        raise ParameterInvalid(field="SignatureNonce")
    return shown


def _refuse_unknown_method(request: Request) -> None:
    """V1 has one method and one version. Raises ParameterMissing first of all for AccessKeyId."""
    asked = request.asked
    asked.required("AccessKeyId")
    if asked.required("SignatureMethod") != "HMAC-SHA1":
        raise MethodUnknown
    if asked.text("SignatureType"):
        raise ParameterInvalid(field="SignatureType")
    if asked.required("SignatureVersion") != "1.0":
        raise ParameterInvalid(field="SignatureVersion")


async def _known(shown: Shown, directory: Directory, now: datetime) -> Signing:
    """The key, and for whom it speaks. Raises KeyAbsent, KeyInactive, and what is wrong with the
    token of a temporary one."""
    if not _ACCESS_KEY.fullmatch(shown.access_key):  # in V1 it may be any text: no store sees that
        raise KeyAbsent
    try:
        known = await directory.credentials.signing(shown.access_key, now)
    except AccessDenied:
        raise KeyAbsent from None
    if known.key.disabled or known.caller.account.suspended:
        raise KeyInactive
    _refuse_token(known.key, shown.security_token, now)
    return known


def _refuse_token(key: AccessKey, token: str, now: datetime) -> None:
    if key.is_temporary and not token:
        raise TokenAbsent
    if token and not _SECURITY_TOKEN.fullmatch(token):
        raise TokenMalformed
    if key.has_expired(now):
        raise TokenExpired
    digest = sha256(token.encode()).digest() if token else b""
    if not compare_digest(digest, key.security_token):
        raise TokenMismatched


def _refuse_unless_signed(request: Request, shown: Shown, secret: bytes) -> None:
    """Raises SignatureMismatched with what the server signed; SignatureMalformed where the right
    signature is not over all that counts."""
    scope = request.exchange.scope
    if shown.claim is None:
        pairs = [*request.query, *request.form]
        if not signing.v1_is_right(scope["method"], pairs, shown.signature, secret):
            signed = signing.v1_string_to_sign(scope["method"], pairs)
            # Of this very form: older clients look for the text after the first colon.
            raise SignatureMismatched(
                "Specified signature is not matched with our calculation. "
                f"server string to sign is:{signed}"
            )
        return
    if not signing.acs3_is_right(shown.claim, scope, request.query, request.body, secret):
        signed = signing.acs3_string_to_sign(shown.claim, scope, request.query, request.body)
        raise SignatureMismatched(
            f"Specified signature does not match our calculation. server StringToSign is [{signed}]"
        )
    if signing.acs3_lacks(shown.claim, scope):
        raise SignatureMalformed


def _refuse_if_stale(signed_at: str, now: datetime) -> None:
    """Raises TimeMalformed, and TimeExpired beyond 15 minutes, both ways."""
    try:
        at = datetime.fromisoformat(signed_at) if _TIME.fullmatch(signed_at) else None
    except ValueError:
        at = None
    if at is None:
        raise TimeMalformed
    if abs(now - at) > MOST_SKEW:
        raise TimeExpired
