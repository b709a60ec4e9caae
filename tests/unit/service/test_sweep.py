"""How the sweeper paces itself."""

from watchword.service.sweep import Pace

TOOK_S = 0.01


def swept_for(pace, seconds):
    """Handfuls without an end for so long; the share of the time that they took."""
    handfuls, passed = 0, 0.0
    while passed < seconds:
        passed += TOOK_S + pace.rest_s(TOOK_S, more=True)
        handfuls += 1
    return handfuls * TOOK_S / passed


def test_what_comes_to_an_end_takes_the_usual_share():
    pace = Pace(0.25, 0.75)
    for _ in range(100):
        assert 0.25 <= swept_for(pace, 3) < 0.27
        assert pace.rest_s(TOOK_S, more=False) == 5


def test_what_has_no_end_takes_more_and_more_up_to_the_largest_share():
    pace = Pace(0.1, 0.75)
    shares = [swept_for(pace, 30) for _ in range(8)]
    assert shares == sorted(shares)
    assert shares[0] < 0.15
    assert round(shares[-1], 2) == 0.75


def test_no_more_than_the_store_allows():
    assert round(swept_for(Pace(0.1, 0.1), 600), 3) == 0.1


def test_once_it_ends_the_share_goes_back():
    pace = Pace(0.25, 0.75)
    swept_for(pace, 600)
    for _ in range(2):
        assert pace.rest_s(TOOK_S, more=False) == 5
    assert pace.share == 0.25
