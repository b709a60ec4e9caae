"""The failure budget's arithmetic."""

from datetime import UTC, datetime, timedelta

from watchword.domain.failures import Budget, Failures

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
TICK = timedelta(microseconds=1)
BUDGET = Budget()


def test_nothing_failed_nothing_waits():
    assert Failures().wait(1, BUDGET, NOW) is None


def test_only_as_many_instants_are_kept_as_are_asked_for():
    """The row goes on counting."""
    failures = Failures()
    for minute in range(50):
        failures = failures.and_one(10, NOW + minute * MINUTE)
    assert len(failures.instants) == 10
    assert failures.streak == 50
    assert failures.instants[-1] == NOW + 49 * MINUTE


def test_time_never_runs_backwards():
    failures = Failures().and_one(10, NOW).and_one(10, NOW - MINUTE)
    assert failures.instants == (NOW, NOW)


def test_the_wait_ends_when_the_oldest_that_counts_is_a_window_ago():
    failures = Failures((NOW, NOW + MINUTE, NOW + 2 * MINUTE), 3)
    assert failures.wait(3, BUDGET, NOW + 10 * MINUTE) == 20 * MINUTE
    assert failures.wait(2, BUDGET, NOW + 10 * MINUTE) == 21 * MINUTE
    assert failures.wait(3, BUDGET, NOW + 30 * MINUTE) is None
    assert failures.wait(4, BUDGET, NOW + 10 * MINUTE) is None


def test_failures_are_remembered_until_their_last_is_long_enough_ago():
    failures = Failures((NOW, NOW + MINUTE), 100)
    ends_at = NOW + MINUTE + BUDGET.kept
    assert failures.remembered(BUDGET, ends_at - TICK) == failures
    assert failures.remembered(BUDGET, ends_at) == Failures()
    assert Failures().remembered(BUDGET, NOW) == Failures()


def test_a_hard_stop_ends_as_its_failures_are_forgotten():
    hard = Budget(hard_stop=True)
    failures = Failures((NOW,), 100)
    assert failures.wait(30, hard, NOW + hard.rest) == hard.kept - hard.rest
