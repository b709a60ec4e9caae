"""The words we send: templates by channel, language and purpose.

A template is `templates/<channel>/<language>/<purpose>.<part>`, where the part is `txt` for what an
SMS says, and `subject`, `txt` and `html` for a mail; what starts with `_` is a frame that others
extend. A template may say `brand`, `code`, `minutes`, `language` and, in `html`, `subject`, and may
choose by them. It has no loops, calls, filters or arithmetic, so that what it says is bounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path

from jinja2 import FileSystemLoader, StrictUndefined, Template, TemplateError, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from watchword.domain.language import choose
from watchword.domain.message import Message, Words, one_line
from watchword.domain.purpose import Purpose
from watchword.errors import ChannelUnavailable, ConfigInvalid

FOLDER = Path(__file__).with_name("templates")
LONGEST_BRAND = 64
MOST_BYTES = 4096

_SAYS = frozenset({"brand", "code", "minutes", "language", "subject"})
_ALLOWED: frozenset[type[nodes.Node]] = frozenset(
    {
        *(nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.Extends, nodes.Block),
        *(nodes.If, nodes.CondExpr, nodes.Compare, nodes.Operand),
    }
)


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
    """Every template of a folder, read and compiled once. Raises ConfigInvalid with every mistake
    in them: a template that loops, calls or says what it is not given never comes into use."""

    def __init__(self, folder: Path) -> None:
        self._templates = _compiled(folder)
        self._languages = _languages(self._templates)

    def languages(self, purpose: Purpose, channel: str) -> tuple[str, ...]:
        """The languages that this purpose has words in on this channel, by name."""
        return self._languages.get((channel, f"{purpose.value}.txt"), ())

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
    ) -> Message:
        """Say the code in this language, or in the nearest one that there are words for.

        An SMS ends in the line that binds the code to the app's web origin (WebOTP), when it has
        one. Raises ChannelUnavailable where there are no words for the channel, and ConfigInvalid
        when a text comes out longer than 4 KiB.
        """
        offered = self.languages(purpose, channel)
        if not offered:
            raise ChannelUnavailable
        language = choose(language, "", offered)
        brand = one_line(words.brand)[:LONGEST_BRAND].rstrip() or "watchword"
        said = self._parts(
            f"{channel}/{language}/{purpose.value}",
            {"brand": brand, "code": words.code, "minutes": words.minutes, "language": language},
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
                said[part] = _say(template, values | said)
        if "subject" in said:
            said["subject"] = one_line(said["subject"])
        return said


def _binding(words: Words) -> str:
    """The last line of an SMS by which a browser gives the code to this origin only.

    https://wicg.github.io/sms-one-time-codes/: it must be last, and nothing may follow it.
    """
    host = "".join(one_line(words.origin).split())
    return f"\n\n@{host} #{words.code}" if host else ""


def _say(template: Template, values: Mapping[str, str | int]) -> str:
    said = template.render(values).strip()
    if len(said.encode()) > MOST_BYTES:
        raise ConfigInvalid([f"The text '{template.name}' is longer than {MOST_BYTES} bytes."])
    return said


def _compiled(folder: Path) -> dict[str, Template]:
    loader = FileSystemLoader(folder)
    surroundings = ImmutableSandboxedEnvironment(
        loader=loader,
        undefined=StrictUndefined,
        autoescape=lambda name: name is not None and name.endswith(".html"),
        trim_blocks=True,
        lstrip_blocks=True,
        cache_size=-1,
        auto_reload=False,
    )
    names = loader.list_templates()
    if mistakes := [mistake for name in names for mistake in _mistakes(surroundings, name)]:
        raise ConfigInvalid(mistakes)
    purposes = [name for name in names if not name.rsplit("/", 1)[-1].startswith("_")]
    return {name: surroundings.get_template(name) for name in purposes}


def _languages(names: Iterable[str]) -> dict[tuple[str, str], tuple[str, ...]]:
    languages: dict[tuple[str, str], tuple[str, ...]] = {}
    for name in sorted(names):
        channel, language, file = name.split("/")
        languages[channel, file] = (*languages.get((channel, file), ()), language)
    return languages


def _mistakes(surroundings: ImmutableSandboxedEnvironment, name: str) -> Iterator[str]:
    """What is wrong with a template, found before it is ever used."""
    try:
        tree = surroundings.parse(surroundings.loader.get_source(surroundings, name)[0], name)  # type: ignore[union-attr]
        surroundings.compile(tree, name)
    except TemplateError as error:
        yield f"The text '{name}' cannot be read: {error.message}"
        return
    for node in tree.find_all(nodes.Node):
        if type(node) not in _ALLOWED:
            yield f"The text '{name}' may not use {type(node).__name__} (line {node.lineno})."
    for variable in sorted(meta.find_undeclared_variables(tree) - _SAYS):
        yield f"The text '{name}' says '{variable}', which it is not given."
