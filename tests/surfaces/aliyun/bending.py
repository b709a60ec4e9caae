"""Requests that no official client could make: any bytes, any number of times, signed right all the
same, by the rules of contracts/aliyun.md and by no code of ours."""

import hmac
import socket
from base64 import b64encode
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import quote, urlencode
from uuid import uuid4

from tests.surfaces.aliyun.calling import DEADLINE_S, FORM, NEWER, Caller, dated
from tests.surfaces.conftest import Clock
from tests.surfaces.travel import HERE

WAYS = ("ACS3 query", "ACS3 form", "V1 query", "V1 form")
"""Scheme, and where the parameters are."""

Pairs = Sequence[tuple[str, str | bytes]]
Request = tuple[str, str, dict[str, str], bytes]


class Still(Clock):
    """A clock that stands on a whole second until a test lets time pass."""

    def __init__(self) -> None:
        super().__init__()
        self._began = datetime.now(UTC).replace(microsecond=0)

    def __call__(self) -> datetime:
        return self._began + self.ahead


def bent(caller: Caller, way: str, action: str, pairs: Pairs, version: str = NEWER) -> Request:
    """A request of this scheme with these parameters, in their order."""
    scheme, place = way.split()
    sign = signed_acs3 if scheme == "ACS3" else signed_v1
    return sign(caller, action, pairs, version, in_form=place == "form")


def signed_acs3(
    caller: Caller,
    action: str,
    pairs: Pairs,
    version: str = NEWER,
    *,
    in_form: bool = False,
    **changes: str | None,
) -> Request:
    """`changes` are headers; one that is None is left out, before the signing."""
    body = urlencode(pairs).encode() if in_form else b""
    given: dict[str, str | None] = {
        "host": caller.server.url.removeprefix("http://"),
        "x-acs-action": action,
        "x-acs-version": version,
        "x-acs-date": dated(caller.server.clock()),
        "x-acs-signature-nonce": uuid4().hex,
        "x-acs-content-sha256": sha256(body).hexdigest(),
        **({"content-type": FORM} if in_form else {}),
        **({"x-acs-security-token": caller.token} if caller.token else {}),
        **{name.replace("_", "-"): value for name, value in changes.items()},
    }
    headers = {name: value for name, value in sorted(given.items()) if value is not None}
    query = [] if in_form else pairs
    target = f"/?{urlencode(query)}" if query else "/"
    return signed_acs3_anew(caller, ("POST", target, headers, body), query)


def signed_acs3_anew(caller: Caller, request: Request, query: Pairs) -> Request:
    """The same with a signature over all of its headers, but for its old Authorization."""
    method, target, named, body = request
    headers = {name: value for name, value in sorted(named.items()) if name != "Authorization"}
    listed = ";".join(headers)
    lines = "".join(f"{name}:{value.strip()}\n" for name, value in headers.items())
    whole = "\n".join([method, "/", canonical(query), lines, listed, sha256(body).hexdigest()])
    text = f"ACS3-HMAC-SHA256\n{sha256(whole.encode()).hexdigest()}"
    signature = hmac.digest(caller.sk.encode(), text.encode(), "sha256").hex()
    claim = f"ACS3-HMAC-SHA256 Credential={caller.ak},SignedHeaders={listed},Signature={signature}"
    return method, target, {**headers, "Authorization": claim}, body


def signed_v1(
    caller: Caller,
    action: str,
    pairs: Pairs,
    version: str = NEWER,
    *,
    in_form: bool = False,
    **changes: str | bytes | None,
) -> Request:
    """`changes` are the scheme's own parameters; one that is None is left out, before the
    signing."""
    given: dict[str, str | bytes | None] = {
        "Action": action,
        "Version": version,
        "Format": "JSON",
        "AccessKeyId": caller.ak,
        "SignatureMethod": "HMAC-SHA1",
        "SignatureVersion": "1.0",
        "SignatureNonce": uuid4().hex,
        "Timestamp": dated(caller.server.clock()),
        **({"SecurityToken": caller.token} if caller.token else {}),
        **changes,
    }
    said = [(name, value) for name, value in given.items() if value is not None]
    all_of_it = [*said, *pairs]
    text = v1_text("POST", all_of_it)
    signature = b64encode(hmac.digest(f"{caller.sk}&".encode(), text.encode(), "sha1"))
    encoded = urlencode([*all_of_it, ("Signature", signature)])
    if in_form:
        return "POST", "/", {"content-type": FORM}, encoded.encode()
    return "POST", f"/?{encoded}", {}, b""


def v1_text(method: str, pairs: Iterable[tuple[str, str | bytes]]) -> str:
    """The string that V1 signs (contract, section 3)."""
    return f"{method}&%2F&{quote(canonical(pairs), safe='')}"


def canonical(pairs: Iterable[tuple[str, str | bytes]]) -> str:
    ordered = sorted(pairs, key=lambda pair: pair[0].encode())
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in ordered)


def kept(server: Any) -> dict[str, set[str]]:
    """What the store holds, but for the nonces of requests that were signed right."""
    contents: dict[str, set[str]] = server.place.contents()
    contents["records"] = {row for row in contents["records"] if "'aliyun_nonce'" not in row}
    return contents


def raw(server: Any, *pieces: bytes, leaves: bool = False) -> bytes:
    """Send bytes as they are; all that comes until the server closes."""
    with socket.create_connection((HERE, server.port), DEADLINE_S) as connection:
        for piece in pieces:
            connection.sendall(piece)
        with suppress(OSError):
            if leaves:
                connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def head(*lines: str, target: str = "/", method: str = "POST") -> bytes:
    return "\r\n".join([f"{method} {target} HTTP/1.1", "host: x", *lines, "", ""]).encode()
