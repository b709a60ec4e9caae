"""Folders of texts, read whole: the name of each text, what it says, and where it lies.

A folder laid over another takes the place of what it names too, text by text; all else shows
through. An operator's own folder is read more strictly than ours: a misspelled name would be a text
that nobody ever gets.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from watchword.domain.purpose import Purpose

APPS = "apps"
PARTS: Mapping[str, tuple[str, ...]] = {"sms": ("txt",), "email": ("subject", "txt", "html")}
"""What a message says on each channel."""
_PURPOSES = tuple(purpose.value for purpose in Purpose)
_PASSED_OVER = (".", "README")


class Source(msgspec.Struct, frozen=True):
    """What a text says, and where it lies."""

    text: str
    place: str


def read(folder: Path, mistakes: list[str]) -> dict[str, Source]:
    """Every text of a folder, by name. What an app has for itself is not among them."""
    found = {}
    for name, path in sorted(_files(folder)):
        if name.startswith(f"{APPS}/"):
            continue
        if wrong := _misnamed(name):
            mistakes.append(f"{path}: {wrong}")
            continue
        try:
            found[name] = Source(path.read_text("utf-8-sig"), str(path))
        except OSError as error:
            mistakes.append(f"{path}: cannot be read ({error.strerror}).")
        except UnicodeDecodeError:
            mistakes.append(f"{path}: is not UTF-8; save it as that.")
    return found


def of_apps(folder: Path) -> dict[str, Path]:
    """The folders that apps have for themselves, by name."""
    place = folder / APPS
    if not place.is_dir():
        return {}
    return {one.name: one for one in sorted(place.iterdir()) if one.is_dir() and _counts(one.name)}


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for place, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if _counts(name)]
        for name in filter(_counts, files):
            path = Path(place) / name
            yield path.relative_to(folder).as_posix(), path


def _counts(name: str) -> bool:
    """What editors, people and version control leave beside the texts is no text."""
    return not name.startswith(_PASSED_OVER) and not name.endswith("~")


def _misnamed(name: str) -> str:
    """What is wrong with the name of a text, "" where nothing is."""
    *folders, file = name.split("/")
    if not folders or folders[0] not in PARTS:
        return f"a text lies in {_or(PARTS)}, in the folder of a language, as in sms/en-us."
    channel, *folders = folders
    stem, _, part = file.rpartition(".")
    if part not in PARTS[channel]:
        ends = _or(f".{one}" for one in PARTS[channel])
        return f"a text of {channel} ends in {ends}."
    if stem.startswith("_"):
        return "" if len(folders) < 2 else "a frame lies beside the texts, or one folder above."
    if len(folders) != 1:
        return f"a text lies in the folder of a language, as {channel}/en-us/{file}."
    if stem not in _PURPOSES:
        near = difflib.get_close_matches(stem, _PURPOSES, 1)
        hint = f"did you mean {near[0]}.{part}?" if near else f"there is {_or(_PURPOSES)}."
        return f"no purpose is called '{stem}'; {hint}"
    if folders[0] != folders[0].lower() or "_" in folders[0]:
        right = folders[0].lower().replace("_", "-")
        return f"write the language as {right}, in small letters and with a hyphen."
    return ""


def _or(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last
