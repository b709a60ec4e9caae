"""Codes: drawn without bias from the system's generator."""

from __future__ import annotations

import secrets

DIGITS = "0123456789"


def draw(alphabet: str, length: int) -> str:
    """Draw `length` characters, each equally likely (NIST SP 800-63B-4, 3.1.3.2; ASVS 6.5.3)."""
    if alphabet == DIGITS:
        return f"{secrets.randbelow(10**length):0{length}d}"
    return "".join(secrets.choice(alphabet) for _ in range(length))


def normalise(code: str) -> str:
    """Read a code as people type it: blanks and dashes do not count."""
    return code.strip().replace(" ", "").replace("-", "")
