"""The requests of the load as bytes, each for a person, a network and a device of its own."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import count

import msgspec

CONSTANT_PATH = "/bench/constant"
PLAIN_PATH = "/bench/plain"
FLOOR_PATH = "/bench/floor"
FLOOR_CODE = "000000"
"""The only one there: whoever checks has to know it."""
_OURS = "/v1/verifications"
_MAGIC_ENDINGS = 5
_PHONES_A_BLOCK = 10_000 - _MAGIC_ENDINGS


class Known(msgspec.Struct, frozen=True):
    """A challenge and the code that is right for it."""

    challenge_id: str
    code: str


class Traffic:
    """Requests of one app. `mailboxes` is the share of sends that go to a mailbox, 0 to 1."""

    def __init__(self, bearer_token: str, *, first: int = 0, mailboxes: float = 0.0) -> None:
        self._token = bearer_token
        self._serial = count(first)
        self._mailboxes = mailboxes
        self._dice = random.Random(first)

    def sends(self, path: str = _OURS) -> Iterator[bytes]:
        """Without end; no two for the same destination, network, device or idempotency key."""
        post = self._post(path)
        for serial in self._serial:
            yield post % (serial, _sized(self._send_body(serial)))

    def constants(self) -> Iterator[bytes]:
        """The same bytes as `sends`, for the route of the stack that always says the same."""
        return self.sends(CONSTANT_PATH)

    def plain_constants(self) -> Iterator[bytes]:
        """And for the one below the stack."""
        return self.sends(PLAIN_PATH)

    def checks(self, known: Sequence[Known], path: str = _OURS) -> Iterator[bytes]:
        """One for each challenge: a right code, a wrong one, a right one ..."""
        for place, (each, serial) in enumerate(zip(known, self._serial, strict=False)):
            code = wrong(each.code) if place % 2 else each.code
            post = self._post(f"{path}/{each.challenge_id}/check")
            body = b'{"code":"%b","client":{"ip":"%b","fingerprint":"%032x"}}' % (
                code.encode(),
                network(serial),
                serial,
            )
            yield post % (serial, _sized(body))

    def _post(self, path: str) -> bytes:
        return (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {self._token}\r\nIdempotency-Key: bench-%016x\r\n"
            "Content-Length: %b"
        ).encode()

    def _send_body(self, serial: int) -> bytes:
        by_mail = self._mailboxes > 0 and self._dice.random() < self._mailboxes
        return b'{"to":"%b","channel":"%b","purpose":"sign_in",' % (
            mailbox(serial) if by_mail else phone(serial),
            b"email" if by_mail else b"sms",
        ) + b'"client":{"ip":"%b","fingerprint":"%032x"}}' % (network(serial), serial)


def phone(serial: int) -> bytes:
    """A mobile number of its own; none with a last block that the virtual carrier acts upon."""
    block, ending = divmod(serial, _PHONES_A_BLOCK)
    return b"+8613%05d%04d" % (block, ending + _MAGIC_ENDINGS)


def mailbox(serial: int) -> bytes:
    return b"person%d@example.com" % serial


def network(serial: int) -> bytes:
    return b"%d.%d.%d.%d" % (
        20 + (serial >> 24),
        (serial >> 16) & 255,
        (serial >> 8) & 255,
        serial & 255,
    )


def wrong(code: str) -> str:
    """As long as the right one, and never the right one."""
    return f"{(int(code) + 1) % 10 ** len(code):0{len(code)}d}"


def _sized(body: bytes) -> bytes:
    return b"%d\r\n\r\n%b" % (len(body), body)
