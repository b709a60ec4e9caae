"""The texts as the settings and the store have them: ours, the operator's over ours, and over both
what an app has for itself. They are read, and tried, once, before anything is delivered."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from watchword import log
from watchword.bootstrap import carriers
from watchword.channels.texts import FOLDER, Texts, ours
from watchword.channels.texts.proofs import (
    SAMPLE_CODE,
    Proof,
    Speaker,
    gaps,
    proofread,
    wrong_with,
)
from watchword.channels.texts.reading import APPS, PARTS, of_apps
from watchword.config import Settings
from watchword.domain.app import App
from watchword.domain.message import Message, Words
from watchword.domain.purpose import Purpose
from watchword.errors import ConfigInvalid

WRONG = "The texts are wrong:"
_DEFAULT = Settings().texts.folder


class Wording(msgspec.Struct, frozen=True, kw_only=True):
    """All texts, and what was found in them. `texts` are not to be used where there are mistakes;
    `proofs` are those of everybody's texts and of each that an app has for itself."""

    texts: Texts
    proofs: tuple[Proof, ...] = ()
    mistakes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def texts(settings: Settings, apps: Sequence[App]) -> Texts:
    """Texts that may be used. Raises ConfigInvalid with every mistake in them."""
    found = wording(settings, apps)
    if found.mistakes:
        raise ConfigInvalid(found.mistakes, heading=WRONG)
    for note in found.notes:
        log.events().warning("texts_noted", reason=note)
    return found.texts


def wording(settings: Settings, apps: Sequence[App], *, only: str = "") -> Wording:
    """Read every text and try it; with `only`, those that this app says, and nobody else's."""
    reading = _Reading(settings, apps)
    everybody = reading.everybody()
    homes = reading.homes()
    if reading.mistakes or everybody is None:
        return Wording(texts=everybody or ours(), mistakes=reading.told())
    reading.compare(everybody, homes)
    by_app = {one: own for name, own in homes.items() for one in reading.ids(name)}
    proofs: list[Proof] = []
    if not only:
        proofs += proofread(everybody, Speaker())
    for app in apps:
        if app.id == only or (not only and app.id in by_app):
            proofs += proofread(by_app.get(app.id, everybody), speaker(app))
        if app.origin and only in ("", app.id):
            reading.mistakes += [
                f"App {app.id} ({app.name}): {m}" for m in wrong_with(speaker(app))
            ]
    reading.mistakes += [mistake for proof in proofs for mistake in proof.mistakes]
    return Wording(
        texts=Texts(*reading.folders(), apps=by_app) if by_app else everybody,
        proofs=tuple(proofs),
        mistakes=reading.told(),
        notes=tuple(reading.notes),
    )


def anybody() -> Speaker:
    """Who speaks where no app is named."""
    return Speaker(brand="Acme")


def speaker(app: App) -> Speaker:
    """Who an app is to those it writes to."""
    return Speaker(app=app.id, brand=app.brand or app.name, brands=app.brands, origin=app.origin)


def said(
    texts: Texts, who: Speaker, purpose: str, channel: str, language: str, *, minutes: int
) -> Message:
    """What a person would read, with a code of ours in it."""
    words = Words(
        code=SAMPLE_CODE, minutes=minutes, brand=who.brand, brands=who.brands, origin=who.origin
    )
    return texts.render(
        Purpose(purpose), channel, language, words, key="preview", to="", app=who.app
    )


class _Reading:
    """One reading of the folders, and what was found on the way."""

    def __init__(self, settings: Settings, apps: Sequence[App]) -> None:
        self._settings, self._apps = settings, apps
        self._own = settings.texts_folder
        self.mistakes: list[str] = []
        self.notes: list[str] = []

    def told(self) -> tuple[str, ...]:
        """Each mistake once: what everybody's folder has is in each app's, too."""
        return tuple(dict.fromkeys(self.mistakes))

    def folders(self, *homes: Path) -> list[Path]:
        return [*homes, *([self._own] if self._own.is_dir() else []), FOLDER]

    def everybody(self) -> Texts | None:
        if not self._own.is_dir():
            if self._settings.texts.folder != _DEFAULT:
                self.mistakes.append(f"texts.folder: there is no folder {self._own}.")
            return ours()
        return self._texts(*self.folders())

    def homes(self) -> dict[str, Texts]:
        """What each app has for itself, by the name of its folder."""
        found = {
            name: self._texts(*self.folders(home)) for name, home in of_apps(self._own).items()
        }
        return {name: own for name, own in found.items() if own is not None}

    def ids(self, name: str) -> list[str]:
        """Which app a folder is for: the one of this id, else the only one that is called so; as
        long as there is none, one that may yet come by this id."""
        if any(app.id == name for app in self._apps):
            return [name]
        return [app.id for app in self._apps if app.name == name] or [name]

    def compare(self, everybody: Texts, homes: dict[str, Texts]) -> None:
        """What the folders lack, and which of them are for nobody."""
        carried = carriers.chosen(self._settings)
        self.mistakes += gaps(everybody, self._settings.policy.languages, carried)
        for name, own in homes.items():
            place = f"{self._own / APPS / name}"
            for channel in PARTS:
                for language in sorted({*own.begun(channel)} - {*everybody.begun(channel)}):
                    self.mistakes.append(
                        f"{place}/{channel}/{language}: a language is for everybody; put its texts "
                        f"in {self._own}/{channel}/{language}, and here what is said otherwise."
                    )
            known = [app for app in self._apps if name in (app.id, app.name)]
            if not known:
                self.notes.append(f"{place}: no app has this id or name; its texts are for nobody.")
            elif len(self.ids(name)) > 1:
                ids = ", ".join(self.ids(name))
                self.mistakes.append(
                    f"{place}: several apps are called so; name the folder after an id ({ids})."
                )
        self._unoffered(everybody)

    def _unoffered(self, everybody: Texts) -> None:
        begun = sorted({language for channel in PARTS for language in everybody.begun(channel)})
        for language in begun:
            if self._own.is_dir() and language not in self._settings.policy.languages:
                self.notes.append(
                    f"{language} has words, but is not offered: name it in policy.languages."
                )

    def _texts(self, *folders: Path) -> Texts | None:
        try:
            return Texts(*folders)
        except ConfigInvalid as invalid:
            self.mistakes += invalid.mistakes
            return None
