"""SDK-HMAC-SHA256, the signature that every official SDK puts on a request.

The rules are those of contracts/huawei.md, section 2. They read the request as it came, byte for
byte. What two requests share when one signature fits both is their meaning: a wire form that could
be read in two ways is refused.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import product
from urllib.parse import quote_from_bytes, unquote_to_bytes

import msgspec

from watchword.errors import AccessDenied
from watchword.surfaces.exchange import Headers, Scope

MOST_SKEW = timedelta(minutes=15)
_ALGORITHM = b"SDK-HMAC-SHA256"
_AUTHORIZATION = re.compile(
    re.escape(_ALGORITHM) + rb" Access=([!-+\--~]{1,128}),"
    rb" SignedHeaders=([!#$%&'*+.^_`|~0-9a-z;-]+),"
    rb" Signature=([0-9a-f]{64})"
)
_DATE = re.compile(r"[0-9]{8}T[0-9]{6}Z")
# To some readers a plus is a blank, and a name without "=" is nothing; no official signer writes
# either, nor a broken escape.
_PAIR = rb"(?:[^&=+%]|%[0-9A-Fa-f]{2})*=(?:[^&+%]|%[0-9A-Fa-f]{2})*"
_QUERY = re.compile(_PAIR + rb"(?:&" + _PAIR + rb")*")
_UNSIGNED = b"UNSIGNED-PAYLOAD"

Pair = tuple[bytes, bytes]


class SignatureInvalid(AccessDenied):
    """The signature is not that of this request."""


class SignatureStale(AccessDenied):
    """The request was signed over 15 minutes from now."""

    def __init__(self, signed_at: datetime, now: datetime) -> None:
        """The words are the real gateway's, by which people find their wrong clock."""
        super().__init__(
            "Incorrect IAM authentication information: calc aksk signature fail:signature expired,"
            f" signature time:{signed_at:%Y%m%dT%H%M%SZ},server time:{now:%Y%m%dT%H%M%SZ}"
        )
        self.signed_at = signed_at


class Signed(msgspec.Struct, frozen=True):
    """What a request claims of its signature: whose key, when, and over which headers."""

    access_key: str
    signed_at: datetime
    headers: tuple[bytes, ...]
    signature: str


def read(scope: Scope) -> Signed | None:
    """The claim in Authorization; None without one. Raises SignatureInvalid.

    X-Sdk-Date has to be among the signed headers, and X-Security-Token where it came: a temporary
    key counts only with the token that its holder signed.
    """
    headers: Headers = scope["headers"]
    given = [value for name, value in headers if name == b"authorization"]
    if not given:
        return None
    claim = _AUTHORIZATION.fullmatch(given[0])
    if claim is None or len(given) > 1:
        raise SignatureInvalid
    names = tuple(claim[2].split(b";"))
    values = _signed_values(headers, names)
    return Signed(claim[1].decode(), _instant(values), names, claim[3].decode())


def refuse_if_stale(signed: Signed, now: datetime) -> None:
    """Raises SignatureStale beyond 15 minutes, both ways."""
    if abs(now - signed.signed_at) > MOST_SKEW:
        raise SignatureStale(signed.signed_at, now)


def is_right(signed: Signed, scope: Scope, body: bytes, secret: bytes) -> bool:
    """Whether this secret signed this request, which is the one that `signed` was read from."""
    headers = dict(scope["headers"])
    date = headers[b"x-sdk-date"]
    return any(
        hmac.compare_digest(_signature(date, canonical, secret), signed.signature)
        for canonical in _canonical_requests(signed, scope, headers, body)
    )


def _signed_values(headers: Headers, names: tuple[bytes, ...]) -> dict[bytes, bytes]:
    """Every signed header came, once, and none came unsigned that has to be signed."""
    signed = frozenset(names)
    came = [(name, value) for name, value in headers if name in signed]
    values = dict(came)
    if not len(came) == len(values) == len(names):
        raise SignatureInvalid
    if b"x-security-token" not in values and b"x-security-token" in dict(headers):
        raise SignatureInvalid
    return values


def _instant(values: dict[bytes, bytes]) -> datetime:
    written = values.get(b"x-sdk-date", b"").decode("latin-1")
    try:
        if _DATE.fullmatch(written):
            return datetime.fromisoformat(written)
    except ValueError:
        pass
    raise SignatureInvalid


def _signature(date: bytes, canonical: bytes, secret: bytes) -> str:
    digest = hashlib.sha256(canonical).hexdigest().encode()
    return hmac.digest(secret, b"\n".join((_ALGORITHM, date, digest)), "sha256").hex()


def _canonical_requests(
    signed: Signed, scope: Scope, headers: dict[bytes, bytes], body: bytes
) -> Iterator[bytes]:
    """What was signed, if the signature is right. There are two only where the signers differ."""
    method = scope["method"].upper().encode()
    path = _path(scope["raw_path"])
    lines = b"".join(b"%b:%b\n" % (name, headers[name].strip(b" \t")) for name in signed.headers)
    names = b";".join(signed.headers)
    payloads = _payloads(signed, scope, headers, body)
    for query, payload in product(_queries(scope["query_string"]), payloads):
        yield b"\n".join((method, path, query, lines, names, payload))


def _path(raw: bytes) -> bytes:
    """Decoded and encoded anew, with a slash at its end.

    So "%2F" is a slash, here as in the Python signer and in the path that routes go by.
    """
    path = quote_from_bytes(unquote_to_bytes(raw), safe="/").encode()
    return path if path.endswith(b"/") else path + b"/"


def _queries(query: bytes) -> set[bytes]:
    """The pairs, sorted by name: by code points in Python, by UTF-16 units in Node.

    The values of one name stay in the order they came in, and both signers sent them in the order
    they signed: so whoever swaps two of them is found out. Empty when the query is ambiguous.
    """
    if not query:
        return {b""}
    if not _QUERY.fullmatch(query):
        return set()
    pairs = [_decoded(pair) for pair in query.split(b"&")]
    return {_encoded(sorted(pairs, key=order)) for order in (_code_points, _utf16_units)}


def _decoded(pair: bytes) -> Pair:
    name, _, value = pair.partition(b"=")
    return unquote_to_bytes(name), unquote_to_bytes(value)


def _encoded(pairs: list[Pair]) -> bytes:
    quoted = (f"{quote_from_bytes(k, safe='')}={quote_from_bytes(v, safe='')}" for k, v in pairs)
    return "&".join(quoted).encode()


def _code_points(pair: Pair) -> bytes:
    return pair[0]  # UTF-8 sorts as they do


def _utf16_units(pair: Pair) -> bytes:
    return pair[0].decode("utf-8", "surrogateescape").encode("utf-16-be", "surrogatepass")


def _payloads(
    signed: Signed, scope: Scope, headers: dict[bytes, bytes], body: bytes
) -> tuple[bytes, ...]:
    """What may stand for the body: its hash, or UNSIGNED-PAYLOAD where that is honoured.

    Of an empty body, Python signs the hash whatever the header says; Node signs what it says.
    """
    declared = headers.get(b"x-sdk-content-sha256")
    real = hashlib.sha256(body).hexdigest().encode()
    if declared == _UNSIGNED and _may_be_unsigned(signed, scope):
        return (_UNSIGNED,) if body else (real, _UNSIGNED)
    return (real,) if not body or declared in (None, real) else ()


def _may_be_unsigned(signed: Signed, scope: Scope) -> bool:
    """Only by a signed header, and never JSON: that is stricter than the real gateway.

    All that we act on is JSON, so nobody makes us act on a body that was not signed.
    """
    types = [value.lower() for name, value in scope["headers"] if name == b"content-type"]
    is_json = len(types) != 1 or b"json" in types[0]
    return b"x-sdk-content-sha256" in signed.headers and not is_json
