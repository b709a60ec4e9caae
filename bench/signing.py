"""Sends of the Huawei dialect as bytes, signed as the vendor's Python SDK signs them.

By hand, in about as long as it takes to send them: the SDK itself would be slower than the server.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Iterator
from hashlib import sha256
from itertools import count

import msgspec

from bench.traffic import mailbox

_ALGORITHM = b"SDK-HMAC-SHA256"
_PATH = b"/v2/bases/verificationcode/send"
_TYPE, _HOST, _AGENT = (
    b"application/json",
    b"127.0.0.1",
    b"huaweicloud-usdk-python/3.0",
)
_SIGNED = b"content-type;host;user-agent;x-domain-id;x-sdk-date"


class Partner(msgspec.Struct, frozen=True):
    """Who sends: the domain id, and an access key with its secret."""

    domain_id: str
    ak: str
    sk: str


class SignedTraffic:
    """Requests of one partner, each for a mailbox of its own and signed when it is asked for."""

    def __init__(self, partner: Partner, *, first: int) -> None:
        domain_id = partner.domain_id.encode()
        self._secret = partner.sk.encode()
        self._serial = count(first)
        # With the date and the hash of the body, what is signed.
        self._canonical = (
            b"POST\n%b/\n\ncontent-type:%b\nhost:%b\nuser-agent:%b\nx-domain-id:%b\nx-sdk-date:"
            % (_PATH, _TYPE, _HOST, _AGENT, domain_id)
        ) + b"%%b\n\n%b\n%%b" % _SIGNED
        # With date, signature, length and body, what is sent.
        self._request = (
            b"POST %b HTTP/1.1\r\nHost: %b\r\nUser-Agent: %b\r\nContent-Type: %b\r\n"
            b"X-Domain-Id: %b\r\n" % (_PATH, _HOST, _AGENT, _TYPE, domain_id)
        ) + (
            b"X-Sdk-Date: %%b\r\nAuthorization: %b Access=%b, SignedHeaders=%b, Signature=%%b\r\n"
            b"Content-Length: %%d\r\n\r\n%%b" % (_ALGORITHM, partner.ak.encode(), _SIGNED)
        )

    def sends(self) -> Iterator[bytes]:
        """Without end."""
        for serial in self._serial:
            body = b'{"receiver_type": 2, "email": "%b"}' % mailbox(serial)
            date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()).encode()
            yield self._request % (date, self._signature(date, body), len(body), body)

    def _signature(self, date: bytes, body: bytes) -> bytes:
        canonical = self._canonical % (date, _hex_digest(body))
        to_sign = b"%b\n%b\n%b" % (_ALGORITHM, date, _hex_digest(canonical))
        return hmac.digest(self._secret, to_sign, "sha256").hex().encode()


def _hex_digest(content: bytes) -> bytes:
    return sha256(content).hexdigest().encode()
