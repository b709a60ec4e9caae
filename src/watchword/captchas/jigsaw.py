"""A picture with a gap, and the piece that belongs there: drag it to where it fits.

It has the measures, the key and the points of AJ-Captcha, so stock front ends show it. What it
stops and what it does not is told in docs/captcha.md.
"""

from __future__ import annotations

import binascii
import json
import math
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from watchword.captchas import _aes
from watchword.captchas._pool import Pool
from watchword.errors import ProviderUnavailable
from watchword.ports import DrawnCaptcha, Solution

if TYPE_CHECKING:
    from watchword.captchas._drawing import Drawn

_HEIGHT = 5.0  # the strip is as high as the picture; this is what AJ's front ends say of it
_TOLERANCE = 5
_LONGEST_TEXT = 128
_LONGEST_ANSWER = 192  # base64 of the longest text, encrypted
_TOO_FAR = 1 << 53
_REST_S = 0.005


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`ahead` pictures are kept drawn. Where all are gone, a request waits at most `patience_s`."""

    ahead: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 32
    patience_s: Annotated[float, msgspec.Meta(ge=0, le=10)] = 2.0


class _Secret(msgspec.Struct, frozen=True, array_like=True):
    x: int
    key: str


class Jigsaw:
    """A Captcha. Its pictures are drawn ahead by a thread that starts when the first is wanted."""

    name = "jigsaw"

    def __init__(self, settings: Settings | None = None) -> None:
        settings = settings or Settings()
        self._patience_s = settings.patience_s
        self._pool: Pool[Drawn] = Pool(_drawn, most=settings.ahead, rest_s=_REST_S, name=self.name)

    async def draw(self, token: str, *, effort: int, expires_at: datetime) -> DrawnCaptcha:
        """A picture that nobody else gets. Raises ProviderUnavailable where none came in time."""
        try:
            drawn = await self._pool.take(patience_s=self._patience_s)
        except TimeoutError:
            raise ProviderUnavailable("No picture was drawn in time.") from None
        key = _aes.new_key()
        return DrawnCaptcha(
            shown={"picture": _base64(drawn.picture), "piece": _base64(drawn.piece), "key": key},
            secret=msgspec.msgpack.encode(_Secret(drawn.x, key)),
        )

    async def judge(
        self, secret: bytes, answer: str, *, token: str, network: str, now: datetime
    ) -> Solution | None:
        """The point's text as it was written, where the point is within 5 pixels of the gap."""
        wanted = msgspec.msgpack.decode(secret, type=_Secret)
        text = _plain(answer, wanted.key)
        if text is None or not _is_near(text, wanted.x):
            return None
        return Solution(text=text, ciphered=_aes.encrypt(f"{token}---{text}", wanted.key))

    async def close(self) -> None:
        await self._pool.close()


def _drawn() -> Drawn:
    from watchword.captchas._drawing import draw  # Pillow is loaded only where it is used

    return draw()


def _plain(answer: str, key: str) -> str | None:
    if answer.startswith("{"):
        return answer
    return _aes.decrypt(answer, key) if len(answer) <= _LONGEST_ANSWER else None


def _is_near(text: str, x: int) -> bool:
    point = _point(text)
    # AJ-Captcha cuts off what is behind the point before it compares, and so do we.
    return point is not None and point[1] == _HEIGHT and abs(int(point[0]) - x) <= _TOLERANCE


def _point(text: str) -> tuple[float, float] | None:
    """x and y of a JSON object, whatever else it has; None where one is no finite number."""
    try:
        members = _members(text) if len(text) <= _LONGEST_TEXT and text.isascii() else {}
    except (ValueError, RecursionError):
        return None
    x, y = _finite(members.get("x")), _finite(members.get("y"))
    return None if x is None or y is None else (x, y)


def _members(text: str) -> dict[str, Any]:
    members = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    return members if isinstance(members, dict) else {}


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("A member is named twice.")
    return members


def _no_constant(name: str) -> float:
    raise ValueError(f"JSON has no {name}.")


def _finite(number: Any) -> float | None:
    if type(number) is int and abs(number) < _TOO_FAR:
        return float(number)
    return number if type(number) is float and math.isfinite(number) else None


def _base64(content: bytes) -> str:
    return binascii.b2a_base64(content, newline=False).decode()
