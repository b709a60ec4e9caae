"""The words we send: templates by channel, language and purpose.

A template is `<channel>/<language>/<purpose>.<part>`, where the part is `txt` for what an SMS says,
and `subject`, `txt` and `html` for a mail; what starts with `_` is a frame that others extend. A
template may say `brand`, `code`, `lifetime`, `minutes`, `language` and, in `html`, `subject`, and
may choose by them. An operator's own folder is laid over ours, and an app's own over that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path

from jinja2 import DictLoader, StrictUndefined, Template
from jinja2.sandbox import ImmutableSandboxedEnvironment

from watchword.channels.texts import grammar
from watchword.channels.texts.lifetime import lifetime
from watchword.channels.texts.reading import PARTS, Source, read
from watchword.domain.language import choose, nearest
from watchword.domain.message import Message, Words, one_line
from watchword.domain.origin_bound import bound
from watchword.domain.purpose import Purpose
from watchword.errors import ChannelUnavailable, ConfigInvalid

FOLDER = Path(__file__).parent.with_name("templates")
LONGEST_BRAND = 64
MOST_BYTES = 4096


def render(
    purpose: Purpose, channel: str, language: str, words: Words, *, key: str, to: str
) -> Message:
    """Say what this code is for, in our own texts: see `Texts.render`."""
    return ours().render(purpose, channel, language, words, key=key, to=to)


@cache
def ours() -> Texts:
    """The texts that come with watchword, compiled once."""
    return Texts(FOLDER)


class Texts:
    """Every template of some folders, the first laid over the others, read and compiled once;
    `apps` have their own. Raises ConfigInvalid with every mistake in them: a template that loops,
    calls or says what it is not given never comes into use."""

    def __init__(self, *folders: Path, apps: Mapping[str, Texts] | None = None) -> None:
        self._sources = _laid_over(folders)
        self._templates = _compiled(self._sources)
        self._languages = _languages(self._templates)
        self._apps = apps or {}
        self.may_choose_by_minutes = any(
            "if" in source.text and "minutes" in source.text for source in self._sources.values()
        )
        """Whether some text may be another one for another lifetime; never False where one is."""

    def languages(self, purpose: Purpose, channel: str) -> tuple[str, ...]:
        """The languages that this purpose has words in on this channel, by name."""
        return self._languages.get((channel, f"{purpose.value}.txt"), ())

    def begun(self, channel: str) -> tuple[str, ...]:
        """The languages that there is any text in on this channel, by name."""
        found = {names for (where, _), names in self._languages.items() if where == channel}
        return tuple(sorted({language for names in found for language in names}))

    def lacks(self, channel: str, language: str) -> tuple[str, ...]:
        """The texts without which this language cannot be spoken on this channel."""
        return tuple(
            f"{purpose.value}.{part}"
            for purpose in Purpose
            for part in PARTS[channel]
            if f"{channel}/{language}/{purpose.value}.{part}" not in self._templates
        )

    def place(self, name: str) -> str:
        """Where a text lies."""
        return self._sources[name].place

    def render(
        self,
        purpose: Purpose,
        channel: str,
        language: str,
        words: Words,
        *,
        key: str,
        to: str,
        expires_at: datetime | None = None,
        app: str = "",
    ) -> Message:
        """Say the code as this app does, in this language or in the nearest one that there are
        words for, under the brand that the app has in it.

        An SMS ends in the line that binds the code to the app's web origin (WebOTP), when it has
        one. Raises ChannelUnavailable where there are no words for the channel, and ConfigInvalid
        when a text comes out longer than 4 KiB.
        """
        if app in self._apps:
            return self._apps[app].render(
                purpose, channel, language, words, key=key, to=to, expires_at=expires_at
            )
        offered = self.languages(purpose, channel)
        if not offered:
            raise ChannelUnavailable
        language = choose(language, "", offered)
        brand = _brand(words, language)
        said = self._parts(
            f"{channel}/{language}/{purpose.value}",
            {
                "brand": brand,
                "code": words.code,
                "lifetime": lifetime(words.minutes, language),
                "minutes": words.minutes,
                "language": language,
            },
        )
        said["txt"] += _binding(words) if channel == "sms" else "\n"
        return Message(
            key=key,
            channel=channel,
            to=to,
            text=said["txt"],
            subject=said.get("subject", ""),
            html=said.get("html", ""),
            language=language,
            brand=brand,
            code=words.code,
            expires_at=expires_at,
        )

    def _parts(self, stem: str, values: dict[str, str | int]) -> dict[str, str]:
        """What each part says; the subject comes first, because a page repeats it as its title."""
        said: dict[str, str] = {}
        for part in ("subject", "txt", "html"):
            if template := self._templates.get(f"{stem}.{part}"):
                said[part] = self._say(template, values | said)
        if "subject" in said:
            said["subject"] = one_line(said["subject"])
        return said

    def _say(self, template: Template, values: Mapping[str, str | int]) -> str:
        said = template.render(values).strip()
        if len(said.encode()) > MOST_BYTES:
            place = self.place(template.name or "")
            raise ConfigInvalid([f"{place}: comes out longer than {MOST_BYTES} bytes."])
        return said


def _brand(words: Words, language: str) -> str:
    """What the app is called in this language: there, in the nearest, or everywhere."""
    found = nearest(language, list(words.brands))
    brand = words.brands[found] if found is not None else words.brand
    return one_line(brand)[:LONGEST_BRAND].rstrip() or "watchword"


def _binding(words: Words) -> str:
    return bound("".join(one_line(words.origin).split()), words.code)


def _laid_over(folders: Iterable[Path]) -> dict[str, Source]:
    mistakes: list[str] = []
    sources: dict[str, Source] = {}
    for folder in folders:
        sources = {**read(folder, mistakes), **sources}
    if mistakes:
        raise ConfigInvalid(mistakes)
    return sources


def _compiled(sources: Mapping[str, Source]) -> dict[str, Template]:
    surroundings = ImmutableSandboxedEnvironment(
        loader=DictLoader({name: source.text for name, source in sources.items()}),
        undefined=StrictUndefined,
        autoescape=lambda name: name is not None and name.endswith(".html"),
        trim_blocks=True,
        lstrip_blocks=True,
        cache_size=-1,
        auto_reload=False,
    )
    if mistakes := list(grammar.mistakes(surroundings, sources)):
        raise ConfigInvalid(mistakes)
    purposes = [name for name in sources if not name.rsplit("/", 1)[-1].startswith("_")]
    return {name: surroundings.get_template(name) for name in purposes}


def _languages(names: Iterable[str]) -> dict[tuple[str, str], tuple[str, ...]]:
    languages: dict[tuple[str, str], tuple[str, ...]] = {}
    for name in sorted(names):
        channel, language, file = name.split("/")
        languages[channel, file] = (*languages.get((channel, file), ()), language)
    return languages
