"""What every use case works with: the store, the keys, and the terms of the house."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import msgspec

from watchword.domain.app import App
from watchword.domain.destination import Destination, Kind
from watchword.domain.failures import Budget
from watchword.domain.keys import KeyRing
from watchword.domain.policy import Policy
from watchword.domain.quota import Meter, Scope
from watchword.ports import Store


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """Who is asking in the end: the network (an IPv4 address or an IPv6 /64) and the device.

    "" where the caller did not say.
    """

    network: str = ""
    fingerprint: str = ""


class House(msgspec.Struct, frozen=True, kw_only=True):
    """`meters` count every send, each for the value that its scope has there. `channels`
    are those that a provider carries, and what kind of destination each takes. `queued` is called
    with the channel after a delivery was queued."""

    store: Store
    keys: KeyRing
    policy: Policy = Policy()
    meters: Sequence[Meter] = ()
    budget: Budget = Budget()
    by_network: bool = True
    channels: Mapping[str, Kind] = MappingProxyType({})
    queued: Callable[[str], None] = lambda channel: None

    def guesses(self, app_id: str, destination: Destination) -> bytes:
        """Under what the failures of a destination are counted."""
        return self.keys.index("destination", app_id, destination.limit_key)

    def person(self, app_id: str, destination: Destination) -> bytes:
        """Whom a test number names: unlike limits, it does not take one +tag for another."""
        return self.keys.index("person", app_id, destination.identity)

    def network(self, client: Client) -> bytes:
        """The keyed digest of the client's network; empty when unknown or not to be counted."""
        if not self.by_network or not client.network:
            return b""
        return self.keys.index("network", client.network)

    def counter(self, meter: Meter, value: str, app: App) -> bytes:
        """The keyed digest of what a meter counts."""
        owner = "" if meter.scope is Scope.EVERYTHING else app.id
        return self.keys.index("quota", meter.scope, owner, value, meter.calendar)
