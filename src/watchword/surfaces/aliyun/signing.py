"""The two signatures of Alibaba Cloud's clients: ACS3-HMAC-SHA256, and V1 with HMAC-SHA1.

The rules are those of contracts/aliyun.md, sections 3 and 4. Both sign what a query or a form
says, not how it is escaped: so whoever acts on a request reads its parameters with `pairs`, as we
do. Where the official signers differ, each of their forms is right, unless it could be read in two
ways.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64encode
from collections.abc import Iterator
from operator import itemgetter
from typing import Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

import msgspec

from watchword.errors import AccessDenied
from watchword.surfaces.exchange import Headers, Scope

Pair = tuple[bytes, bytes]
Pairs = list[Pair]
"""Decoded names and values, in the order they came."""

_ALGORITHM = b"ACS3-HMAC-SHA256"
_AUTHORIZATION = re.compile(
    re.escape(_ALGORITHM) + rb" Credential=([!-+\--~]{1,128}),"
    rb"SignedHeaders=([!#$%&'*+.^_`|~0-9a-z;-]+),"
    rb"Signature=([0-9a-f]{64})"
)
_HASH = b"x-acs-content-sha256"
_ALWAYS_SIGNED = frozenset(
    (b"host", b"x-acs-action", b"x-acs-version", b"x-acs-date", b"x-acs-signature-nonce", _HASH)
)
_SIGNED_WHERE_IT_CAME = frozenset((b"x-acs-security-token", b"x-acs-accesskey-id"))
_ACTED_ON = _ALWAYS_SIGNED | _SIGNED_WHERE_IT_CAME | {b"content-type"}
_PLAIN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"
# What would end a name, its pair or the whole query where it is signed, or begins an escape.
_COULD_BE_MORE_THAN_A_NAME = re.compile(rb"[&=%\x00-\x1f]")


class SignatureMalformed(AccessDenied):
    """The request signature does not conform to Aliyun standards."""


class MethodUnknown(AccessDenied):
    """Specified signature method is not valid."""


def pairs(encoded: bytes) -> Pairs:
    """What a query or a form says: a plus is a blank, and a name may stand alone.

    A broken escape is taken as it is written.
    """
    return [_decoded(piece) for piece in encoded.replace(b"+", b" ").split(b"&") if piece]


def _decoded(piece: bytes) -> Pair:
    name, _, value = piece.partition(b"=")
    return (unquote_to_bytes(name), unquote_to_bytes(value)) if b"%" in piece else (name, value)


# ACS3


class Claim(msgspec.Struct, frozen=True):
    """What a request claims of its signature: whose key, and over which headers."""

    access_key: str
    headers: tuple[bytes, ...]
    signature: str


def read_acs3(authorization: bytes) -> Claim:
    """Raises MethodUnknown for another method of ACS3, and SignatureMalformed."""
    algorithm = authorization.partition(b" ")[0]
    if algorithm.startswith(b"ACS3-") and algorithm != _ALGORITHM:
        raise MethodUnknown
    claim = _AUTHORIZATION.fullmatch(authorization)
    if claim is None:
        raise SignatureMalformed
    names = tuple(claim[2].split(b";"))
    if len(names) != len(frozenset(names)):
        raise SignatureMalformed
    return Claim(claim[1].decode(), names, claim[3].decode())


def acs3_is_right(claim: Claim, scope: Scope, query: Pairs, body: bytes, secret: bytes) -> bool:
    """Whether this secret signed this request, whose query is read by `pairs`.

    The hash it declares has to be that of its body, and every header it lists has to have come.
    What it should have listed is for `acs3_lacks` to say.
    """
    headers = _joined(scope["headers"])
    real = hashlib.sha256(body).hexdigest().encode()
    if headers.get(_HASH, real) != real or not headers.keys() >= frozenset(claim.headers):
        return False
    if _could_be_either(scope["headers"], headers):
        return False
    return any(
        hmac.compare_digest(hmac.digest(secret, signed, "sha256").hex(), claim.signature)
        for signed in _acs3_strings(claim, scope, headers, query, real)
    )


def acs3_lacks(claim: Claim, scope: Scope) -> bool:
    """Whether something that we act on is not signed. Ask once the signature proved right.

    So that a header taken from the list is a plain mismatch. The content type counts where a body
    came: it says what the body is.
    """
    came = dict(scope["headers"])
    needed = _ALWAYS_SIGNED | (_SIGNED_WHERE_IT_CAME & came.keys())
    if b"content-type" in came and _has_body(came):
        needed |= {b"content-type"}
    return not needed <= frozenset(claim.headers)


def acs3_string_to_sign(claim: Claim, scope: Scope, query: Pairs, body: bytes) -> str:
    """What should have been signed, as most clients would write it. It is made of the request."""
    real = hashlib.sha256(body).hexdigest().encode()
    return next(_acs3_strings(claim, scope, _joined(scope["headers"]), query, real)).decode()


def _joined(headers: Headers) -> dict[bytes, bytes]:
    """By name; several values of one name are signed as one, sorted, with commas."""
    joined = dict(headers)
    if len(joined) == len(headers):
        return joined
    values: dict[bytes, list[bytes]] = {name: [] for name in joined}
    for name, value in headers:
        values[name].append(_trimmed(value))
    return {name: b",".join(sorted(several)) for name, several in values.items()}


def _could_be_either(headers: Headers, joined: dict[bytes, bytes]) -> bool:
    """Whether something that we act on came twice: it was signed as one, so which should it be?"""
    if len(joined) == len(headers):
        return False
    names = [name for name, _ in headers if name in _ACTED_ON]
    return len(names) != len(frozenset(names))


def _has_body(headers: dict[bytes, bytes]) -> bool:
    return headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers


def _acs3_strings(
    claim: Claim, scope: Scope, headers: dict[bytes, bytes], query: Pairs, body_hash: bytes
) -> Iterator[bytes]:
    before = b"%b\n%b\n" % (scope["method"].upper().encode(), scope["raw_path"] or b"/")
    lines = [b"%b:%b\n" % (name, _trimmed(headers.get(name, b""))) for name in claim.headers]
    after = b"\n%b\n%b\n%b" % (_as_signed(lines), b";".join(claim.headers), body_hash)
    for written in _acs3_queries(query):
        canonical = hashlib.sha256(before + written + after).hexdigest()
        yield b"%b\n%b" % (_ALGORITHM, canonical.encode())


def _trimmed(value: bytes) -> bytes:
    return value.strip(b" \t")


def _as_signed(lines: list[bytes]) -> bytes:
    """Clients send Latin-1, and sign UTF-8."""
    joined = b"".join(lines)
    return joined if joined.isascii() else joined.decode("latin-1").encode()


def _acs3_queries(query: Pairs) -> Iterator[bytes]:
    """Names escaped like values, as documented, or bare, as the Python and Node clients sign them.

    Bare names count only where they look like nothing else: of "a=1&b" nobody could tell whether
    it is one name, or a parameter and another name. And "a%20b" is a name with a blank, escaped.
    """
    quoted = [(name, _quoted(name), _quoted(value)) for name, value in query]
    for ordered in _orders(quoted):
        yield b"&".join([b"%b=%b" % (name, value) for _, name, value in ordered])
    if any(bare != name for bare, name, _ in quoted) and not any(
        _COULD_BE_MORE_THAN_A_NAME.search(bare) for bare, _, _ in quoted
    ):
        for ordered in _orders(quoted):
            yield b"&".join([b"%b=%b" % (name, value) for name, _, value in ordered])


# V1


def v1_is_right(method: str, pairs: Pairs, signature: str, secret: bytes) -> bool:
    """Whether this secret signed these parameters, those of the query before those of the form.

    They may hold Signature itself, which is not signed, once: of two, which should it be?
    """
    if sum(name == b"Signature" for name, _ in pairs) > 1:
        return False
    given, key = signature.encode("utf-8", "surrogatepass"), secret + b"&"
    return any(
        hmac.compare_digest(b64encode(hmac.digest(key, signed, "sha1")), given)
        for signed in _v1_strings(method, pairs)
    )


def v1_string_to_sign(method: str, pairs: Pairs) -> str:
    """What should have been signed, as most clients would write it."""
    return next(_v1_strings(method, pairs)).decode()


def _v1_strings(method: str, pairs: Pairs) -> Iterator[bytes]:
    quoted = [
        (name, b"%b=%b" % (_quoted(name), _quoted(value)))
        for name, value in pairs
        if name != b"Signature"
    ]
    for ordered in _orders(quoted):
        written = b"&".join([pair for _, pair in ordered])
        yield b"%b&%%2F&%b" % (method.upper().encode(), _quoted_again(written))


# What both have in common


def _quoted(value: bytes) -> bytes:
    """All but letters, digits and "-_.~" escaped."""
    if not value.strip(_PLAIN):
        return value
    return quote_from_bytes(value, safe="").encode()


def _quoted_again(written: bytes) -> bytes:
    """There is nothing else left in it to escape."""
    return written.replace(b"%", b"%25").replace(b"&", b"%26").replace(b"=", b"%3D")


def _orders(named: list[Any]) -> Iterator[list[Any]]:
    """By name: as code points, by which Python sorts, and as UTF-16 units, where those differ.

    What has the same name stays in the order it came in: so whoever swaps two values is found out.
    """
    by_code_points = sorted(named, key=itemgetter(0))  # UTF-8 sorts as they do
    yield by_code_points
    if all(one[0].isascii() for one in named):
        return
    by_units = sorted(named, key=_utf16_units)
    if by_units != by_code_points:
        yield by_units


def _utf16_units(named: tuple[bytes, *tuple[Any, ...]]) -> bytes:
    return named[0].decode("utf-8", "surrogateescape").encode("utf-16-be", "surrogatepass")
