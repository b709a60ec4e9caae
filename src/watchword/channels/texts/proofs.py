"""Every text tried before anybody gets it: said with the shortest and the longest of all it may be
given, and read as a phone, a browser and a carrier read it.

A mistake is what people would come to harm by: a code that is not there, a language that lacks half
its words, a line that leads autofill astray. A warning costs money; a note is worth knowing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import product

import msgspec
from jinja2 import TemplateError

from watchword.channels.texts import LONGEST_BRAND, Texts
from watchword.channels.texts.lifetime import is_known
from watchword.channels.texts.reading import PARTS
from watchword.domain import origin_bound
from watchword.domain.message import Message, Words
from watchword.domain.purpose import Purpose
from watchword.domain.segments import Cost, cost
from watchword.errors import ConfigInvalid

SAMPLE_CODE = "492817"
_SHORTEST_CODE, _LONGEST_CODE = "4928", "4928174928174928"
_MINUTES, _EVERY_MINUTE = (1, 10, 60), range(1, 61)
_USUAL_MINUTES = 10
_ORIGIN = "login.example.com"
_BRAND = "W" * LONGEST_BRAND
# An app is called otherwise from one minute to the next, and no text may come out too long then: of
# the widest characters there are, and of one that takes more than them once it is escaped.
_WIDEST_BRANDS = ("\U00020bb7" * LONGEST_BRAND, "'" * LONGEST_BRAND)
_MOST_SEGMENTS = 3
_TO = "+10000000000"


class Speaker(msgspec.Struct, frozen=True, kw_only=True):
    """Who speaks: an app, or, without an id, whoever it may be, under the longest brand."""

    app: str = ""
    brand: str = _BRAND
    brands: Mapping[str, str] = {}
    origin: str = ""

    def words(self, code: str, minutes: int, *, origin: str = "") -> Words:
        return Words(
            code=code,
            minutes=minutes,
            brand=self.brand,
            brands=self.brands,
            origin=origin or self.origin,
        )


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in one text. `encoding` and `segments` are an SMS's; `bytes` is what travels
    of it, and of a mail its subject and its bodies."""

    app: str
    channel: str
    language: str
    purpose: str
    encoding: str = ""
    segments: int = 0
    bytes: int = 0
    mistakes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def proofread(texts: Texts, speaker: Speaker) -> Iterator[Proof]:
    """Try every text that this speaker has."""
    for channel in PARTS:
        for language, purpose in product(texts.begun(channel), Purpose):
            if language in texts.languages(purpose, channel):
                yield _proof(texts, speaker, channel, language, purpose)


def gaps(texts: Texts, offered: Sequence[str], channels: Collection[str]) -> Iterator[str]:
    """What a language lacks, and which of the `offered` languages lacks all its words."""
    for channel in PARTS:
        begun = texts.begun(channel)
        for language in begun:
            if not is_known(language):
                yield (
                    f"{channel}/{language}: nobody knows this language; name the folder as in "
                    "de-de, by BCP 47."
                )
            elif lacking := texts.lacks(channel, language):
                yield (
                    f"{channel}/{language}: lacks {', '.join(lacking)}; add them to that folder, "
                    "or take it away."
                )
        for language in offered:
            if channel in channels and language not in begun:
                yield (
                    f"policy.languages: {language} has no words for {channel}; add them in "
                    f"{channel}/{language}, or take it off the list."
                )


def wrong_with(speaker: Speaker) -> Iterator[str]:
    """What of an app's own names would lead autofill astray, whatever the text."""
    for brand in {speaker.brand, *speaker.brands.values()}:
        if line := origin_bound.binds(brand):
            yield (
                f"the brand '{brand}' holds '{line}', which a browser takes for a bound code; "
                f"change it: watchword app brand {speaker.app} TEXT."
            )
    line = origin_bound.bound(speaker.origin, SAMPLE_CODE)
    if line and origin_bound.read(line) != (speaker.origin, SAMPLE_CODE):
        yield f"the origin '{speaker.origin}' is no host name, as in example.com."


def _proof(texts: Texts, speaker: Speaker, channel: str, language: str, purpose: Purpose) -> Proof:
    stem = f"{channel}/{language}/{purpose.value}"
    proof = Proof(app=speaker.app, channel=channel, language=language, purpose=purpose.value)
    try:
        tried = [
            _said(texts, speaker.words(code, minutes, origin=_ORIGIN), stem)
            for code in (_SHORTEST_CODE, _LONGEST_CODE)
            for minutes in (_EVERY_MINUTE if texts.may_choose_by_minutes else _MINUTES)
        ]
        usual = _said(texts, speaker.words(SAMPLE_CODE, _USUAL_MINUTES), stem)
        for brand in _WIDEST_BRANDS:
            _said(texts, Speaker(brand=brand).words(_LONGEST_CODE, _USUAL_MINUTES), stem)
    except (TemplateError, ConfigInvalid, TypeError, ValueError, RecursionError) as error:
        where = (
            "" if isinstance(error, ConfigInvalid) else f"{_place(texts, stem)}: cannot be said: "
        )
        return msgspec.structs.replace(proof, mistakes=(f"{where}{error}",))
    judge = _sms if channel == "sms" else _mail
    judged = [judge(message) for message in tried]
    mistakes = dict.fromkeys(f"{_place(texts, stem)}: {m}" for found in judged for m in found[0])
    notes = dict.fromkeys(note for found in judged for note in found[1])
    if usual.brand not in usual.text:
        notes["does not say the brand, so nobody sees who sent it"] = None
    proof = msgspec.structs.replace(proof, mistakes=tuple(mistakes), notes=tuple(notes))
    return _with_cost(proof, usual)


def _said(texts: Texts, words: Words, stem: str) -> Message:
    channel, language, purpose = stem.split("/")
    return texts.render(Purpose(purpose), channel, language, words, key="proof", to=_TO)


def _place(texts: Texts, stem: str) -> str:
    return texts.place(f"{stem}.txt")


def _sms(message: Message) -> tuple[list[str], list[str]]:
    """Mistakes and notes of an SMS that is bound to an origin."""
    mistakes, notes = [], []
    body = message.text.removesuffix(origin_bound.bound(_ORIGIN, message.code))
    if message.code not in body:
        mistakes.append("never says {{ code }}; whoever reads it has none to type.")
    elif body.count(message.code) > 1:
        notes.append("says the code more than once")
    if line := origin_bound.binds(body):
        mistakes.append(
            f"says '{_without(message, line)}', which binds the code: take it out; an app with "
            "an origin gets such a line."
        )
    elif origin_bound.read(message.text) != (_ORIGIN, message.code):
        mistakes.append("no browser finds the code in its last line.")
    for number in origin_bound.like_a_code(_without(message, body, brand="")):
        mistakes.append(
            f"says {number}, which a phone may offer in the code's place: take the number out."
        )
    return mistakes, notes


def _mail(message: Message) -> tuple[list[str], list[str]]:
    mistakes, notes = [], []
    for part, said in (("txt", message.text), ("html", message.html)):
        if said and message.code not in said:
            mistakes.append(f"as {part}, never says {{{{ code }}}}.")
        elif said.count(message.code) > 1:
            notes.append(f"as {part}, says the code more than once")
    if message.code in message.subject:
        mistakes.append(
            "its subject says the code: lock screens and the logs of mail servers show subjects."
        )
    if not message.subject and message.html:
        mistakes.append("its subject is empty.")
    return mistakes, notes


def _without(message: Message, text: str, *, brand: str | None = None) -> str:
    """The text with the code's name in the place of the code, and so of the brand."""
    if brand is not None:
        text = text.replace(message.brand, brand)
    return text.replace(message.code, "{{ code }}")


def _with_cost(proof: Proof, usual: Message) -> Proof:
    if proof.channel != "sms":
        parts = (usual.subject, usual.text, usual.html)
        return msgspec.structs.replace(proof, bytes=sum(len(part.encode()) for part in parts))
    counted = cost(usual.text)
    costly = tuple(_costly(counted))
    many = counted.segments > _MOST_SEGMENTS
    return msgspec.structs.replace(
        proof,
        encoding=counted.encoding,
        segments=counted.segments,
        bytes=counted.octets,
        warnings=costly if many else (),
        notes=(*proof.notes, *(() if many else costly)),
    )


def _costly(counted: Cost) -> Iterator[str]:
    if counted.segments > 1:
        yield (
            f"a carrier charges {counted.segments} messages for each ({counted.units} "
            f"{'septets' if counted.encoding == 'GSM-7' else 'units of UCS-2'})"
        )
