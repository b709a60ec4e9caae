"""App: a tenant, what it is called, and on which terms it asks for codes."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from watchword.domain.policy import Policy, Resend
from watchword.domain.purpose import Purpose


class Scope(StrEnum):
    """What an API key may do."""

    SEND = "send"
    CHECK = "check"
    READ = "read"
    INBOX = "inbox"
    ADMIN = "admin"


class Terms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an app changes of a policy; what is None stays as it is."""

    length: int | None = None
    alphabet: str | None = None
    ttl_s: int | None = None
    max_attempts: int | None = None
    resend_interval_s: int | None = None
    resend: Resend | None = None

    def applied_to(self, policy: Policy) -> Policy:
        changes = {
            "length": self.length,
            "alphabet": self.alphabet,
            "ttl": _seconds(self.ttl_s),
            "max_attempts": self.max_attempts,
            "resend_interval": _seconds(self.resend_interval_s),
            "resend": self.resend,
        }
        return msgspec.structs.replace(
            policy, **{name: value for name, value in changes.items() if value is not None}
        )


def _seconds(amount: int | None) -> timedelta | None:
    return None if amount is None else timedelta(seconds=amount)


class TestNumber(msgspec.Struct, frozen=True, kw_only=True):
    """A destination with a fixed code, for store review and end-to-end tests.

    `code` is the digest of the fixed code, under `KeyRing.test_digest`. It skips send limits and
    carriers, nothing else, and ends at most 90 days after it was made.
    """

    destination: str
    """The keyed digest of (app, identity), hexadecimal."""
    masked: str
    code: bytes
    ends_at: datetime
    made_at: datetime | None = None
    """When its code was digested; None where an older watchword did."""


class App(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`origin` is the host that WebOTP binds codes to; `terms` override the policy by purpose,
    those under "*" for every purpose. `brands` is what messages call it in some languages, by
    their names; `brand` in all others."""

    id: str
    name: str
    brand: str = ""
    origin: str = ""
    language: str = ""
    terms: dict[str, Terms] = {}
    test_numbers: tuple[TestNumber, ...] = ()
    brands: dict[str, str] = {}

    def policy(self, purpose: Purpose, base: Policy) -> Policy:
        for key in ("*", purpose):
            if key in self.terms:
                base = self.terms[key].applied_to(base)
        return base

    def test_number(self, person: bytes, now: datetime) -> TestNumber | None:
        index = person.hex()
        return next(
            (t for t in self.test_numbers if t.destination == index and t.ends_at > now), None
        )


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A credential of an app. The secret itself is shown once, when the key is made."""

    id: str
    app_id: str
    digest: bytes
    scopes: tuple[Scope, ...]
    created_at: datetime
    note: str = ""
    demo: bool = False
