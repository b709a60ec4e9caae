"""How long a code lives, in words: "10 minutes", "10 分钟", "5 минут"."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from babel import Locale

_HOUR = 60
# CLDR sets a number off with a blank that does not break, which would cost an SMS its encoding.
_STIFF = re.compile("[\u00a0\u202f\u2009]")
_NUMBER_THEN_HAN = re.compile(r"(?<=\d)(?=[\u4e00-\u9fff])")


@cache
def lifetime(minutes: int, language: str) -> str:
    """The span in the words and the plural of this language. Raises ValueError where nobody knows
    its words.

    Whole hours are hours from two on; all else is minutes, so that nothing is ever rounded.
    """
    from babel.dates import format_timedelta  # it takes its time, and only who renders needs it

    is_hours = minutes >= 2 * _HOUR and minutes % _HOUR == 0
    said = format_timedelta(
        timedelta(minutes=minutes),
        granularity="hour" if is_hours else "minute",
        threshold=float("inf"),
        locale=_locale(language),
    )
    # CLDR writes Chinese of the mainland close, other Chinese apart; our texts are set apart.
    return _NUMBER_THEN_HAN.sub(" ", _STIFF.sub(" ", said))


def is_known(language: str) -> bool:
    """Whether there is such a language, by its BCP 47 name, as far as its words are known."""
    try:
        _locale(language)
    except ValueError:
        return False
    return True


def _locale(language: str) -> Locale:
    from babel import Locale, UnknownLocaleError

    try:
        return Locale.parse(language, sep="-")
    except UnknownLocaleError:
        raise ValueError(f"nobody knows a language '{language}'") from None
