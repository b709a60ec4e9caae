"""What the settings name of the world outside: carriers of messages, and captchas."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from watchword.channels import email, sms
from watchword.config import Settings, section
from watchword.domain.keys import KeyRing
from watchword.errors import ConfigInvalid
from watchword.ports import Captcha, Clock, Provider
from watchword.providers import smtp, virtual

INBOX = "inbox.db"
CHANNELS = {channel.CHANNEL.name: channel.CHANNEL for channel in (sms, email)}
_SETTINGS: dict[str, type[msgspec.Struct]] = {"virtual": virtual.Settings, "smtp": smtp.Settings}
CARRIES = {"virtual": frozenset(CHANNELS), "smtp": frozenset({"email"})}


def chosen(settings: Settings) -> dict[str, str]:
    """Which provider carries which channel.

    The virtual carrier is there by default only while no real one is: a forgotten setting must
    not swallow people's codes. Raises ConfigInvalid.
    """
    mistakes, carriers = [], {}
    real = {*settings.providers, settings.channels.sms, settings.channels.email} - {"", "virtual"}
    for channel in CHANNELS:
        name = getattr(settings.channels, channel) or _default(channel, real)
        if name and channel not in CARRIES.get(name, ()):
            mistakes.append(f"channels.{channel}: '{name}' carries no {channel}.")
        elif name and name != "virtual" and name not in settings.providers:
            mistakes.append(f"providers.{name}: settings are missing.")
        elif name:
            carriers[channel] = name
    if mistakes:
        raise ConfigInvalid(mistakes)
    return carriers


def providers(
    settings: Settings, carriers: Mapping[str, str], keys: KeyRing, clock: Clock
) -> dict[str, Provider]:
    made: dict[str, Provider] = {}
    for name in sorted(set(carriers.values())):
        given: Mapping[str, object] = settings.providers.get(name, {})
        if name == "virtual":
            terms = section(f"providers.{name}", given, virtual.Settings)
            made[name] = virtual.Virtual(settings.folder / INBOX, keys, clock=clock, settings=terms)
        else:
            made[name] = smtp.Smtp(section(f"providers.{name}", given, smtp.Settings), clock=clock)
    return {channel: made[name] for channel, name in carriers.items()}


def captcha_settings(settings: Settings) -> dict[str, msgspec.Struct]:
    """Those of each kind on offer. Raises ConfigInvalid."""
    given = settings.captcha
    return {
        kind: section(f"captcha.{kind}", getattr(given, kind), _captcha(kind)[0])
        for kind in given.kinds
    }


def check(settings: Settings) -> None:
    """Raises ConfigInvalid with every mistake in what carriers and captchas are given."""
    mistakes: list[str] = []
    try:
        named = set(chosen(settings).values())
    except ConfigInvalid as invalid:
        mistakes += invalid.mistakes
        named = set()
    kinds = {f"providers.{name}": _SETTINGS[name] for name in sorted(named)}
    given: dict[str, Mapping[str, Any]] = {
        f"providers.{name}": settings.providers.get(name, {}) for name in named
    }
    for kind in settings.captcha.kinds:
        kinds[f"captcha.{kind}"] = _captcha(kind)[0]
        given[f"captcha.{kind}"] = getattr(settings.captcha, kind)
    for path, kind_of in kinds.items():
        try:
            section(path, given[path], kind_of)
        except ConfigInvalid as invalid:
            mistakes += invalid.mistakes
    if mistakes:
        raise ConfigInvalid(mistakes)


def captchas(settings: Mapping[str, Any], keys: KeyRing) -> dict[str, Captcha]:
    return {kind: _captcha(kind)[1](terms, keys) for kind, terms in settings.items()}


def _captcha(kind: str) -> tuple[type[msgspec.Struct], Callable[[Any, KeyRing], Captcha]]:
    """What a kind needs, and what makes it. Only what is on offer is loaded."""
    if kind == "turnstile":
        from watchword.captchas import turnstile

        return turnstile.Settings, lambda terms, _: turnstile.Turnstile(terms)
    if kind == "altcha":
        from watchword.captchas import altcha

        return altcha.Settings, lambda terms, keys: altcha.Altcha(keys.index(kind), terms)
    from watchword.captchas import jigsaw

    return jigsaw.Settings, lambda terms, _: jigsaw.Jigsaw(terms)


def _default(channel: str, real: set[str]) -> str:
    if not real:
        return "virtual"
    return next((name for name in sorted(real) if channel in CARRIES.get(name, ())), "")
