"""Which language to speak to somebody."""

from __future__ import annotations

from collections.abc import Sequence


def choose(asked: str | None, app_language: str, offered: Sequence[str]) -> str:
    """The language asked for, else the app's, else the first on offer.

    Of each wish the exact language comes first, then its base, then whatever shares its base:
    zh-TW takes zh-tw, zh or zh-cn; en_GB takes en-gb, en or en-us.
    """
    for wish in (asked, app_language):
        found = nearest(wish or "", offered)
        if found is not None:
            return found
    return offered[0]


def nearest(wish: str, offered: Sequence[str]) -> str | None:
    """What of the offer comes nearest to this language, None where nothing shares its base."""
    wish, base = _tag(wish), _base(wish)
    tags = [_tag(language) for language in offered]
    for tag in (wish, base):
        if tag in tags:
            return offered[tags.index(tag)]
    return next((language for language in offered if base and _base(language) == base), None)


def _tag(language: str) -> str:
    return language.strip().replace("_", "-").casefold()


def _base(language: str) -> str:
    return _tag(language).split("-")[0]
