"""Guarding a secret: guesses are counted first and judged second, and only so many may fail."""

from __future__ import annotations

from datetime import datetime, timedelta

from watchword.domain.quota import Demand, Quota, Scope, demand, meters
from watchword.service.house import House


class Guard:
    """Lets at most `amount` guesses fail in a window, for each secret and client network.

    `name` tells one kind of secret from another. Who calls from an unknown network ("") shares the
    count with all who do. A house that does not count by network (`limits.by_network`) has no
    guards.
    """

    def __init__(self, house: House, name: str, amount: int, window: timedelta) -> None:
        self._store, self._keys, self._is_on = house.store, house.keys, house.by_network
        self._name = name
        (self._meter,) = meters([Quota(Scope.CREDENTIAL, amount, window)])

    async def count(self, whose: str, network: str, now: datetime) -> None:
        """Count a guess as failed. Raises QuotaExceeded when no more may fail."""
        if self._is_on:
            await self._store.spend([self._demand(whose, network, now)], now)

    async def look(self, whose: str, network: str, now: datetime) -> bool:
        """Whether any failed. Raises QuotaExceeded when no more may."""
        return self._is_on and await self._store.spent([self._demand(whose, network, now)], now)

    async def clear(self, whose: str, network: str, now: datetime) -> None:
        """Forget what failed, after a right guess."""
        if self._is_on:
            await self._store.forget([self._demand(whose, network, now).counter])

    def _demand(self, whose: str, network: str, now: datetime) -> Demand:
        """Nobody reads off a counter whose secret it guards."""
        secret = whose.encode("utf-8", "surrogatepass")
        return demand(self._meter, self._keys.index("guard", self._name, secret, network), now)
