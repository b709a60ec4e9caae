"""What every use case works with: the store, the keys, and the terms of the house."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import msgspec

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
    with the channel after a delivery was queued. `dialect` keeps a dialect's own limits per
    destination apart from those of others, whose windows may be shorter."""

    store: Store
    keys: KeyRing
    policy: Policy = Policy()
    meters: Sequence[Meter] = ()
    budget: Budget = Budget()
    by_network: bool = True
    channels: Mapping[str, Kind] = MappingProxyType({})
    queued: Callable[[str], None] = lambda channel: None
    dialect: str = ""

    def counter(self, app_id: str, scope: Scope, value: str, calendar: str = "") -> bytes:
        """The keyed digest of what is counted: trailing quotas and failures share one, those of a
        calendar window have another."""
        owner = "" if scope is Scope.EVERYTHING else app_id
        return self.keys.index("quota", scope, owner, value, calendar)

    def sends(self, app_id: str, scope: Scope, value: str, calendar: str) -> bytes:
        """Under what the sends of a meter are counted."""
        own = self.dialect and scope is Scope.DESTINATION
        return self.counter(app_id, scope, f"{self.dialect} {value}" if own else value, calendar)

    def guesses(self, app_id: str, destination: Destination) -> bytes:
        """Under what the failures of a destination are counted."""
        return self.counter(app_id, Scope.DESTINATION, destination.limit_key)

    def network(self, app_id: str, client: Client) -> bytes:
        """Under what failures from the client's network are counted; empty when it is unknown or
        not to be counted."""
        if not self.by_network or not client.network:
            return b""
        return self.counter(app_id, Scope.NETWORK, client.network)

    def person(self, app_id: str, destination: Destination) -> bytes:
        """Whom a test number names: unlike limits, it does not take one +tag for another."""
        return self.keys.index("person", app_id, destination.identity)
