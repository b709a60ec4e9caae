"""What a command says when it cannot do what was asked: a sentence, and what to do."""

from __future__ import annotations

from watchword.errors import ConfigInvalid, WatchwordError


class Refused(Exception):
    """The command failed, and this sentence says why and what to do."""


class Misused(Exception):
    """The command was called in a way that cannot be meant."""


def explained(error: BaseException) -> str | None:
    """The sentence for an error that a person can mend; None for a fault of ours."""
    match error:
        case ConfigInvalid():
            return "\n  ".join([error.heading, *error.mistakes])
        case WatchwordError() | Refused():
            return str(error)
        case OSError(filename=str(name), strerror=str(reason)):
            return f"{name}: {reason}."
        case OSError():
            return f"{error}."
    # Known by name: the commands that open no store load no SQLite.
    return f"{error}." if type(error).__module__ == "apsw" else None
