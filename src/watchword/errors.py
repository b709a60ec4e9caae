"""Everything watchword refuses, as one family. What it merely expects is a value, not an error.

WatchwordError
├── RequestInvalid            the caller must change the request; knows the field
├── AccessDenied              the credential is missing, unknown or revoked
│   └── ScopeMissing          it is known, but may not do this
├── ChallengeNotFound         no such challenge for this app
├── ChallengeClosed           it can take no more sends; knows why
├── QuotaExceeded             a limit is spent; knows `retry_in`
│   ├── ResendTooSoon         the resend interval has not passed
│   └── FailureBudgetSpent    too many wrong codes for this destination
├── IdempotencyKeyReused      the same key came with another request
├── RecordConflict            a conditional write found another state; knows which write
├── DeliveryFailed
│   ├── ProviderRefused       final: this message will never be taken
│   ├── ProviderUnavailable   not now: another try may succeed; knows whether `for_all`
│   └── OutcomeUnknown        it may have been taken: another try could deliver it twice
├── ChannelUnavailable        no provider carries this channel
├── StoreUnavailable          not done, or nobody can tell; try again; knows `retry_in`
├── KeyUnknown                something was made under a key that the ring does not hold
└── ConfigInvalid             the settings are wrong; knows every mistake

None of them knows HTTP. A class's docstring is its default message.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta


class WatchwordError(Exception):
    """Something went wrong."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").splitlines()[0])


class RequestInvalid(WatchwordError):
    """The request is not valid."""

    def __init__(self, message: str | None = None, *, field: str = "") -> None:
        """`field` is a JSON pointer into the request, "" for the whole of it."""
        super().__init__(message)
        self.field = field


class AccessDenied(WatchwordError):
    """The credential is missing, unknown or revoked."""


class ScopeMissing(AccessDenied):
    """This credential may not do that."""

    def __init__(self, scope: str) -> None:
        super().__init__(f"This key lacks the scope '{scope}'.")
        self.scope = scope


class ChallengeNotFound(WatchwordError):
    """There is no such verification."""


class ChallengeClosed(WatchwordError):
    """This verification is closed."""

    def __init__(self, state: str) -> None:
        """`state` is a value of `domain.challenge.State`."""
        super().__init__(f"This verification is {state}.")
        self.state = state


class QuotaExceeded(WatchwordError):
    """A limit is reached."""

    def __init__(
        self, *, scope: str, retry_in: timedelta, amount: int = 0, window: timedelta = timedelta()
    ) -> None:
        limit = f"The limit per {scope} is reached." if type(self) is QuotaExceeded else None
        super().__init__(limit)
        self.scope = scope
        self.retry_in = retry_in
        self.amount = amount
        self.window = window


class ResendTooSoon(QuotaExceeded):
    """A code was sent a moment ago."""


class FailureBudgetSpent(QuotaExceeded):
    """Too many wrong codes were given for this destination."""


class IdempotencyKeyReused(WatchwordError):
    """This idempotency key was used with another request."""


class RecordConflict(WatchwordError):
    """A record was not in the state that a write asked for."""

    def __init__(self, kind: str, key: str) -> None:
        """Name the write that was refused, so that its owner can say why."""
        super().__init__(f"The {kind} '{key}' is not in the expected state.")
        self.kind = kind
        self.key = key


class DeliveryFailed(WatchwordError):
    """The message was not delivered."""


class ProviderRefused(DeliveryFailed):
    """The provider refuses this message for good."""


class ProviderUnavailable(DeliveryFailed):
    """The provider cannot take the message now."""

    def __init__(self, message: str | None = None, *, for_all: bool = True) -> None:
        """Not `for_all` where the provider is well, and it is this recipient who cannot be served
        now."""
        super().__init__(message)
        self.for_all = for_all


class OutcomeUnknown(DeliveryFailed):
    """Whether the provider took the message is not known."""


class ChannelUnavailable(WatchwordError):
    """No provider carries this channel."""


class StoreUnavailable(WatchwordError):
    """The store cannot answer now; try again."""

    retry_in = timedelta(seconds=1)


class KeyUnknown(WatchwordError):
    """The key ring does not hold this key."""


class ConfigInvalid(WatchwordError):
    """The settings are wrong."""

    def __init__(
        self, mistakes: Sequence[str], *, heading: str = "The settings are wrong:"
    ) -> None:
        """`heading` is what a person reads above them."""
        super().__init__("\n".join(mistakes))
        self.mistakes = tuple(mistakes)
        self.heading = heading
