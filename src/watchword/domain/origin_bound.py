"""The last line of an SMS, by which a browser gives the code to one web origin only (WebOTP).

https://wicg.github.io/sms-one-time-codes/: `@host #code` is the last line, and nothing follows it.
Chrome takes the first of the kind that stands anywhere in a message, so there must be only one.
"""

from __future__ import annotations

import re

_ANYWHERE = re.compile(r"(?:^|\s)@([a-zA-Z0-9.-]+) #([^#\s]+)")
_LAST_LINE = re.compile(r"@(\S+) #(\S+)(?: %\S+)?")
# As long as a code may be, however it is broken up: a hot line, a year, an amount.
_LIKE_A_CODE = re.compile(r"(?<![0-9A-Za-z])\+?\d(?:[ \u00a0./()-]?\d){3,}(?![0-9A-Za-z])")


def bound(host: str, code: str) -> str:
    """The line, with the empty one that stands before it; "" where there is no host."""
    return f"\n\n@{host} #{code}" if host else ""


def read(text: str) -> tuple[str, str] | None:
    """Host and code as every browser reads them, None where they disagree or find nothing."""
    anywhere, last = _ANYWHERE.search(text), _LAST_LINE.fullmatch(_lines(text)[-1])
    if anywhere is None or last is None or anywhere.groups() != last.groups():
        return None
    return last[1], last[2]


def binds(text: str) -> str:
    """What a browser takes for such a line in this text, "" where there is nothing of the kind."""
    found = _ANYWHERE.search(text)
    return found[0].strip() if found else ""


def like_a_code(text: str) -> tuple[str, ...]:
    """The numbers in it that a phone may take for a code: it offers the first it likes, also where
    a message is bound to no origin."""
    return tuple(dict.fromkeys(match[0] for match in _LIKE_A_CODE.finditer(text)))


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
