"""JSON read strictly: what two readers could understand differently, we refuse to understand.

Duplicate members, NaN, lone surrogates, other encodings and unknown members are refused; each
mistake in a well-formed body is reported at its JSON pointer (RFC 6901).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any, Literal, TypeVar, get_args, get_origin

import msgspec
from msgspec import UNSET

from watchword.errors import RequestInvalid
from watchword.surfaces.exchange import BodyMalformed, MediaTypeUnsupported

T = TypeVar("T", bound=msgspec.Struct)

_USUAL_TYPES = frozenset(
    {b"application/json", b"application/json; charset=utf-8", b"application/json;charset=utf-8"}
)
_UTF_8 = frozenset({b"charset=utf-8", b'charset="utf-8"', b"charset=utf8"})
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_LONGEST_ECHO = 64
_TOO_DEEP = "The body is nested too deep."


def require_json(content_type: bytes | None) -> None:
    """Raises MediaTypeUnsupported, or BodyMalformed for an encoding that is not UTF-8."""
    if content_type not in _USUAL_TYPES:
        _require_unusual(content_type or b"")


def decode(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Raises BodyMalformed, or RequestInvalid at the member that is wrong."""
    try:
        value = decoder.decode(body)
    except msgspec.ValidationError as error:
        _require_well_formed(body)
        raise _pointed(str(error), decoder.type) from None
    except msgspec.DecodeError as error:
        raise BodyMalformed(f"{error}.") from None
    except UnicodeDecodeError:
        raise BodyMalformed("JSON comes in UTF-8.") from None
    except RecursionError:
        raise BodyMalformed(_TOO_DEEP) from None
    # Every member has its colon. As many colons as members leave no room for a second member of
    # the same name; more may stand in strings, and then a slower reader looks.
    if body.count(b":") != _members(value):
        _require_well_formed(body)
    return value


def _require_unusual(content_type: bytes) -> None:
    essence, *parameters = content_type.lower().split(b";")
    if essence.strip() != b"application/json":
        raise MediaTypeUnsupported
    for parameter in parameters:
        if parameter.strip() not in _UTF_8:
            raise BodyMalformed("JSON comes in UTF-8 and takes no other parameter.")


def _members(value: msgspec.Struct) -> int:
    count = 0
    for field in msgspec.structs.astuple(value):
        if type(field) is str:
            count += 1
        elif field is not UNSET and field is not None:
            count += 1
            if isinstance(field, dict):
                count += len(field)
            elif isinstance(field, msgspec.Struct):
                count += _members(field)
    return count


def _require_well_formed(body: bytes) -> None:
    try:
        json.loads(body.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError:
        raise BodyMalformed(_TOO_DEEP) from None
    except json.JSONDecodeError as error:
        raise BodyMalformed(f"JSON is malformed (character {error.pos}).") from None
    except ValueError:
        raise BodyMalformed from None


def _unique(members: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(members)
    if len(unique) != len(members):
        raise BodyMalformed("A member is named twice in one object.")
    return unique


def _no_constant(name: str) -> None:
    raise BodyMalformed(f"JSON has no {name}.")


def _pointed(complaint: str, wanted: Any) -> RequestInvalid:
    """What msgspec complained of, at a JSON pointer, in words that repeat nothing but names."""
    what, _, place = complaint.rpartition(" - at ")
    what, path = (what, _pointer(place)) if what else (place, "")
    if unknown := _UNKNOWN.fullmatch(what):
        name = unknown[1][:_LONGEST_ECHO].replace("~", "~0").replace("/", "~1")
        return RequestInvalid("There is no such member.", field=f"{path}/{name}")
    if missing := _MISSING.fullmatch(what):
        return RequestInvalid("This member is required.", field=f"{path}/{missing[1]}")
    if what.startswith("Invalid enum value"):
        allowed = ", ".join(_allowed(wanted, path.split("/")[1:]))
        return RequestInvalid(f"Allowed are: {allowed}.", field=path)
    return RequestInvalid(f"{what.replace('`', '')}.", field=path)


def _allowed(kind: Any, names: Sequence[str]) -> Iterator[str]:
    """The values that an enumeration takes, `names` deep inside this type."""
    for one in get_args(kind) or (kind,):
        if isinstance(one, str):
            yield one
        elif get_origin(one) is Literal and not names:
            yield from get_args(one)
        elif isinstance(one, type) and issubclass(one, Enum):
            yield from (str(member.value) for member in one)
        elif isinstance(one, type) and issubclass(one, msgspec.Struct) and names:
            for field in msgspec.structs.fields(one):
                if field.encode_name == names[0]:
                    yield from _allowed(field.type, names[1:])


def _pointer(place: str) -> str:
    """`$.client.ip` -> /client/ip; a key or value of a map counts as the map itself."""
    path = place.rpartition("`$")[2].rstrip("`")
    return path.replace("[...]", "").replace(".", "/")
