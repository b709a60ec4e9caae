"""Refusals that every store words alike."""

from __future__ import annotations

from datetime import timedelta

from watchword.domain.quota import Demand, Quota
from watchword.errors import QuotaExceeded


def exceeded(wait: int, quota: Quota, demand: Demand) -> QuotaExceeded:
    """Of a quota without room for `wait` microseconds."""
    window = quota.window
    if demand.opens_at and demand.closes_at:
        window = demand.closes_at - demand.opens_at
    return QuotaExceeded(
        scope=quota.scope.value,
        retry_in=timedelta(microseconds=wait),
        amount=quota.amount,
        window=window,
    )
