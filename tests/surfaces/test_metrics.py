"""Tallies add up: of several processes, and of one before and after it died."""

import pytest

from watchword.surfaces.metrics import MOST_APPS, Tally, render


def lines(tally):
    return render(tally, []).decode().splitlines()


def busy():
    tally = Tally()
    tally.request("create", 201, 0.02)
    tally.request("create", 429, 7.0)
    tally.sent("a1", "sms")
    tally.judged("a1", "match")
    tally.approved(12.0)
    tally.refused("a1", "destination")
    tally.handed_over("sms", "virtual", "delivered")
    tally.accepted("sms", "virtual", 0.3)
    tally.unavailable("sms", "virtual", is_so=True)
    tally.committed(3, 5)
    return tally


def test_two_tallies_are_told_as_their_sum():
    whole = Tally()
    for told in (busy().told(), busy().told()):
        whole.add(told)
    for line in (
        'watchword_requests_total{route="create",status="429"} 2.0',
        'watchword_request_seconds_bucket{le="0.025",route="create"} 2.0',
        'watchword_request_seconds_bucket{le="+Inf",route="create"} 4.0',
        'watchword_request_seconds_sum{route="create"} 14.04',
        'watchword_verdicts_total{app="a1",verdict="match"} 2.0',
        'watchword_handover_seconds_count{channel="sms",provider="virtual"} 2.0',
        "watchword_approval_seconds_sum 24.0",
        "watchword_commit_acts_count 10.0",
        "watchword_commit_acts_sum 30.0",
        'watchword_provider_unavailable{channel="sms",provider="virtual"} 1.0',
    ):
        assert line in lines(whole)


def test_one_that_goes_on_from_what_was_told_loses_nothing():
    reborn = Tally()
    reborn.add(busy().told())
    reborn.request("create", 201, 0.02)
    assert 'watchword_requests_total{route="create",status="201"} 2.0' in lines(reborn)


def test_the_sum_names_no_more_apps_than_one():
    """And no count is lost over that."""
    whole = Tally()
    for process in range(3):
        tally = Tally()
        for app in range(MOST_APPS):
            tally.judged(f"{process}-{app}", "match")
        whole.add(tally.told())
    told = [line for line in lines(whole) if line.startswith("watchword_verdicts_total{")]
    assert len(told) == MOST_APPS + 1
    assert sum(float(line.split()[-1]) for line in told) == 3 * MOST_APPS


@pytest.mark.parametrize("seconds", [-3.0, 0.0, 10**6])
def test_a_clock_that_stepped_spoils_no_histogram(seconds):
    tally = Tally()
    tally.approved(seconds)
    tally.accepted("sms", "virtual", seconds)
    assert "watchword_approval_seconds_count 1.0" in lines(tally)
    assert 'watchword_approval_seconds_bucket{le="+Inf"} 1.0' in lines(tally)
