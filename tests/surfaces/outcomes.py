"""What a surface has to have an answer for."""

from watchword import errors
from watchword.domain.challenge import Verdict


def every_outcome(dialect):
    """Every verdict, and every error but those that another dialect's own places define."""
    found = [errors.WatchwordError]
    for error in found:
        found += [child for child in error.__subclasses__() if child not in found]
    return [*(error for error in found if _is_met_in(dialect, error)), *Verdict]


def _is_met_in(dialect, error):
    match error.__module__.split("."):
        case ["watchword", "surfaces" | "directory", owner, _]:
            return owner == dialect
        case [package, *_]:
            return package == "watchword"
