"""Posting notices to the webhooks of apps, within the rules of providers/_http.py."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from ipaddress import ip_address

import msgspec

from watchword.providers._http import Http, Place, is_public, place_of

_MOST_PLACES = 200
_CONNECTIONS = 4


class Poster:
    """Use it on one event loop, and close it. It keeps a client for each place it posted to lately,
    so that one that hangs keeps no other waiting."""

    def __init__(self, *, timeout: timedelta, allow_private: bool) -> None:
        self.timeout = timeout
        self._allow_private = allow_private
        self._clients: OrderedDict[Place, Http] = OrderedDict()

    def refuse_address(self, url: str) -> None:
        """Raises ValueError for a URL that nothing may be sent to. What a name gives is looked at
        with each connection."""
        place, _ = _split(url, allow_private=self._allow_private)
        if not self._allow_private and _is_private(place.host):
            raise ValueError("it is in a network of our own, so it needs allow_private")

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """The status of the answer. Raises ValueError, ProviderUnavailable, OutcomeUnknown."""
        place, target = _split(url, allow_private=self._allow_private)
        reply = await (await self._client(place)).post(target, json=body, headers=headers)
        return reply.status

    async def close(self) -> None:
        while self._clients:
            await self._clients.popitem()[1].close()

    async def _client(self, place: Place) -> Http:
        if place not in self._clients:
            self._clients[place] = Http(
                place,
                name=place.host,
                timeout=self.timeout,
                allow_private=self._allow_private,
                connections=_CONNECTIONS,
            )
        self._clients.move_to_end(place)
        if len(self._clients) > _MOST_PLACES:
            _, oldest = self._clients.popitem(last=False)
            with suppress(Exception):  # whoever still waits for its answer asks again
                await oldest.close()
        return self._clients[place]


def _is_private(host: str) -> bool:
    try:
        return not is_public(ip_address(host))
    except ValueError:  # a name
        return False


def _split(url: str, *, allow_private: bool) -> tuple[Place, str]:
    """Where it is, and what is asked for there: path and query stay as they were written."""
    if not re.fullmatch(r"[!-~]+", url) or "#" in url:
        raise ValueError("it has characters that no address has; encode them")
    address, mark, query = url.partition("?")
    place = place_of(address, allow_private=allow_private)
    return msgspec.structs.replace(place, path=""), f"{place.path or '/'}{mark}{query}"
