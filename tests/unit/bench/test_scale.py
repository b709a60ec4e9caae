"""The plan of docs/scale.md: its tables are what the program prints, and behave as they must."""

from pathlib import Path

import pytest

from bench.scale import SHARES, STEPS, Assumed, Costs, gives_way, report, share, step

PAGE = Path(__file__).parents[3] / "docs" / "scale.md"


@pytest.mark.parametrize("table", report(Costs(), Assumed()).strip().split("\n\n"))
def test_the_page_shows_what_the_plan_says(table):
    assert table in PAGE.read_text("utf-8")


def test_a_larger_rate_never_needs_less():
    steps = [step(rate, Costs(), Assumed()) for rate in STEPS]
    for name in ("processes", "workers", "connections_busy", "cores", "log_mib_s", "disk_gib"):
        needs = [getattr(each, name) for each in steps]
        assert needs == sorted(needs)


def test_more_databases_carry_more():
    carried = [gives_way(databases, Costs(), Assumed())[1] for databases in (1, 2, 4)]
    assert carried == sorted(set(carried))


def test_more_shares_never_wait_longer():
    waits = [share(shares, 400, Assumed(), sends=5_000).mean_ms for shares in SHARES]
    assert waits == sorted(waits, reverse=True)
    assert waits[0] > 10 * waits[-1]
