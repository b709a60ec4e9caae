"""Calendar windows are as long as the zone's calendar says."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.domain.quota import Demand, Quota, Scope, Span, bounds, demand, meters

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
ZONES = sorted(available_timezones() - {"localtime"})
instants = st.datetimes(datetime(1990, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC))


def utc(*parts):
    return datetime(*parts).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "inside", "opens_at", "closes_at"),
    [
        ("UTC", utc(2026, 3, 2, 9), utc(2026, 3, 2), utc(2026, 3, 3)),
        ("Asia/Shanghai", utc(2026, 3, 2, 15, 59), utc(2026, 3, 1, 16), utc(2026, 3, 2, 16)),
        # 23 hours, 25 hours
        ("Europe/Berlin", utc(2026, 3, 29, 12), utc(2026, 3, 28, 23), utc(2026, 3, 29, 22)),
        ("Europe/Berlin", utc(2026, 10, 25, 12), utc(2026, 10, 24, 22), utc(2026, 10, 25, 23)),
        ("America/New_York", utc(2026, 3, 8, 12), utc(2026, 3, 8, 5), utc(2026, 3, 9, 4)),
        ("America/New_York", utc(2026, 11, 1, 12), utc(2026, 11, 1, 4), utc(2026, 11, 2, 5)),
        # midnight does not exist: the day begins at 01:00
        ("America/Sao_Paulo", utc(2018, 11, 4, 12), utc(2018, 11, 4, 3), utc(2018, 11, 5, 2)),
        ("Asia/Beirut", utc(2022, 3, 27, 12), utc(2022, 3, 26, 22), utc(2022, 3, 27, 21)),
        # the hour before midnight comes twice
        ("America/Sao_Paulo", utc(2018, 2, 18, 2, 30), utc(2018, 2, 17, 2), utc(2018, 2, 18, 3)),
        # midnight comes twice: the first one counts
        ("America/Havana", utc(2026, 11, 1, 5, 30), utc(2026, 11, 1, 4), utc(2026, 11, 2, 5)),
        # a whole day does not exist
        ("Pacific/Apia", utc(2011, 12, 30, 9), utc(2011, 12, 29, 10), utc(2011, 12, 30, 10)),
        ("Pacific/Apia", utc(2011, 12, 30, 11), utc(2011, 12, 30, 10), utc(2011, 12, 31, 10)),
    ],
)
def test_a_day_lasts_from_midnight_to_midnight(zone, inside, opens_at, closes_at):
    assert bounds(Span.DAY, ZoneInfo(zone), inside) == (opens_at, closes_at)


@pytest.mark.parametrize(
    ("zone", "inside", "opens_at", "closes_at"),
    [
        ("UTC", utc(2028, 2, 29, 23), utc(2028, 2, 1), utc(2028, 3, 1)),
        ("UTC", utc(2026, 12, 31, 23), utc(2026, 12, 1), utc(2027, 1, 1)),
        ("Europe/Berlin", utc(2026, 3, 31, 21), utc(2026, 2, 28, 23), utc(2026, 3, 31, 22)),
        ("Europe/Berlin", utc(2026, 3, 31, 22), utc(2026, 3, 31, 22), utc(2026, 4, 30, 22)),
    ],
)
def test_a_month_lasts_until_the_next_one(zone, inside, opens_at, closes_at):
    assert bounds(Span.MONTH, ZoneInfo(zone), inside) == (opens_at, closes_at)


@given(st.sampled_from(ZONES), instants, st.sampled_from(Span))
def test_windows_hold_their_instants_and_leave_no_gap(zone, now, span):
    """In every zone, at any time: the end of one is the beginning of the next."""
    opens_at, closes_at = bounds(span, ZoneInfo(zone), now)
    assert opens_at <= now < closes_at
    assert bounds(span, ZoneInfo(zone), opens_at) == (opens_at, closes_at)
    assert bounds(span, ZoneInfo(zone), closes_at)[0] == closes_at
    last = closes_at - timedelta(microseconds=1)
    assert bounds(span, ZoneInfo(zone), last) == (opens_at, closes_at)


def test_a_demand_of_a_calendar_quota_knows_its_window():
    """A trailing one has none."""
    (day,) = meters([Quota(Scope.APP, 5, span=Span.DAY, zone="Europe/Berlin")])
    assert demand(day, b"c", NOW) == Demand(day, b"c", utc(2026, 3, 1, 23), utc(2026, 3, 2, 23))
    (trailing,) = meters([Quota(Scope.APP, 5, timedelta(hours=1))])
    assert demand(trailing, b"c", NOW) == Demand(trailing, b"c")


def test_quotas_that_count_the_same_share_a_meter():
    """The trailing ones of a scope do; a calendar window of another zone is another count."""
    hour, day = (Quota(Scope.APP, n, timedelta(hours=h)) for n, h in ((5, 1), (20, 24)))
    utc_day = Quota(Scope.APP, 9, span=Span.DAY)
    berlin = Quota(Scope.APP, 7, span=Span.DAY, zone="Europe/Berlin")
    network = Quota(Scope.NETWORK, 5, timedelta(hours=1))
    made = meters([hour, utc_day, network, day, berlin])
    assert [meter.quotas for meter in made] == [(hour, day), (utc_day,), (network,), (berlin,)]
    assert (made[0].longest, made[0].largest) == (timedelta(hours=24), 20)
    assert len({(meter.scope, meter.calendar) for meter in made}) == 4
