"""Sends of the vendors' dialects as bytes, signed as their Python SDKs sign them.

By hand, in about as long as it takes to send them: the SDKs themselves would be slower than the
server.
"""

from __future__ import annotations

import hmac
import time
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from itertools import count
from typing import Protocol
from urllib.parse import quote

import msgspec

from bench.traffic import mailbox, phone

_ALGORITHM = b"SDK-HMAC-SHA256"
_PATH = b"/v2/bases/verificationcode/send"
_TYPE, _HOST, _AGENT = (
    b"application/json",
    b"127.0.0.1",
    b"huaweicloud-usdk-python/3.0",
)
_ACTION, _VERSION = b"SendVerificationCodeForEnableRD", b"2022-04-19"
_SIGNED = b"content-type;host;user-agent;x-domain-id;x-sdk-date"


class Partner(msgspec.Struct, frozen=True):
    """Who sends: the domain id, and an access key with its secret."""

    domain_id: str
    ak: str
    sk: str


class CloudAccount(msgspec.Struct, frozen=True):
    """Who sends in the Alibaba Cloud dialect: an access key with its secret."""

    ak: str
    sk: str


class Signed(Protocol):
    """Requests that are signed when they are asked for."""

    def sends(self) -> Iterator[bytes]:
        """Without end."""


class HuaweiTraffic:
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


class Acs3Traffic:
    """Requests of one Alibaba Cloud account as its newer clients sign them, each for a phone of its
    own."""

    def __init__(self, account: CloudAccount, *, first: int) -> None:
        self._secret = account.sk.encode()
        self._serial = count(first)
        empty = _hex_digest(b"")
        lines = (
            (b"accept", b"application/json"),
            (b"host", _HOST),
            (b"user-agent", b"AlibabaCloud (Linux; x86_64) Python/3 Core/1 TeaDSL/1"),
            (b"x-acs-action", _ACTION),
            (b"x-acs-content-sha256", empty),
            (b"x-acs-date", b"%b"),
            (b"x-acs-signature-nonce", b"%b"),
            (b"x-acs-version", _VERSION),
        )
        names = b";".join(name for name, _ in lines)
        # With the query, date and nonce, what is signed.
        self._canonical = (
            b"POST\n/\n%b\n"
            + b"".join(b"%b:%b\n" % (name, value) for name, value in lines)
            + b"\n%b\n%b" % (names, empty)
        )
        # With the query, date, nonce and signature, what is sent.
        self._request = (
            b"POST /?%b HTTP/1.1\r\n"
            + b"".join(b"%b: %b\r\n" % (name, value) for name, value in lines)
            + b"Authorization: ACS3-HMAC-SHA256 Credential=%b,SignedHeaders=%b,Signature="
            % (account.ak.encode(), names)
            + b"%b\r\nContent-Length: 0\r\n\r\n"
        )

    def sends(self) -> Iterator[bytes]:
        for serial in self._serial:
            query = b"SecureMobilePhone=" + _written(serial)
            date, nonce = _date(), b"%032x" % serial
            digest = _hex_digest(self._canonical % (query, date, nonce))
            to_sign = b"ACS3-HMAC-SHA256\n" + digest
            signature = hmac.digest(self._secret, to_sign, "sha256").hex().encode()
            yield self._request % (query, date, nonce, signature)


class V1Traffic:
    """The same as its older clients sign them."""

    def __init__(self, account: CloudAccount, *, first: int) -> None:
        self._secret = account.sk.encode() + b"&"
        self._ak = account.ak.encode()
        self._serial = count(first)

    def sends(self) -> Iterator[bytes]:
        for serial in self._serial:
            query = (
                b"AccessKeyId=%b&Action=%b&Format=JSON&RegionId=cn-hangzhou&SecureMobilePhone=%b"
                b"&SignatureMethod=HMAC-SHA1&SignatureNonce=%032x&SignatureType="
                b"&SignatureVersion=1.0&Timestamp=%b&Version=%b"
            ) % (self._ak, _ACTION, _written(serial), serial, quote(_date()).encode(), _VERSION)
            to_sign = b"POST&%2F&" + quote(query, safe="").encode()
            signature = b64encode(hmac.digest(self._secret, to_sign, "sha1"))
            yield (b"POST /?%b&Signature=%b HTTP/1.1\r\nHost: %b\r\nContent-Length: 0\r\n\r\n") % (
                query,
                quote(signature, safe="").encode(),
                _HOST,
            )


def _written(serial: int) -> bytes:
    """The phone as Alibaba Cloud writes it."""
    return b"86-" + phone(serial).removeprefix(b"+86")


def _date() -> bytes:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()).encode()


def _hex_digest(content: bytes) -> bytes:
    return sha256(content).hexdigest().encode()
