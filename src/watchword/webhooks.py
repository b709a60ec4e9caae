"""Posting notices to the webhooks of apps, within the rules of providers/_http.py."""

from __future__ import annotations

import re
import ssl
from collections import Counter, OrderedDict
from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from ipaddress import ip_address

import msgspec

from watchword.providers._http import Http, Place, is_public, place_of

_MOST_CLIENTS = 200
"""Where none of them is idle there may be more."""
_CONNECTIONS = 4


class Poster:
    """Use it on one event loop, and close it. It keeps a client for each address it posted to
    lately, so that one that hangs keeps no other waiting, also not on the same host."""

    def __init__(self, *, timeout: timedelta, allow_private: bool) -> None:
        self.timeout = timeout
        self._allow_private = allow_private
        self._clients: OrderedDict[str, Http] = OrderedDict()
        self._posting: Counter[str] = Counter()

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context()

    def refuse_address(self, url: str) -> None:
        """Raises ValueError for a URL that nothing may be sent to. What a name gives is looked at
        with each connection."""
        place, _ = _split(url, allow_private=self._allow_private)
        if not self._allow_private and _is_private(place.host):
            raise ValueError("it is in a network of our own, so it needs allow_private")

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """The status of the answer. Raises ValueError, ProviderUnavailable, OutcomeUnknown."""
        place, target = _split(url, allow_private=self._allow_private)
        self._posting[url] += 1
        try:
            client = await self._client(url, place)
            reply = await client.post(target, json=body, headers=headers, whole=False)
        finally:
            self._posting -= Counter([url])
        return reply.status

    async def close(self) -> None:
        while self._clients:
            await self._clients.popitem()[1].close()

    async def _client(self, url: str, place: Place) -> Http:
        client = self._clients.get(url)
        if client is None:
            client = self._clients[url] = Http(
                place,
                name=place.host,
                timeout=self.timeout,
                allow_private=self._allow_private,
                connections=_CONNECTIONS,
                tls=self._tls if place.scheme == "https" else None,
            )
        self._clients.move_to_end(url)
        if len(self._clients) > _MOST_CLIENTS:
            idle = next((one for one in self._clients if not self._posting[one]), None)
            if idle is not None:
                await self._clients.pop(idle).close()
        return client


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
