"""What the bench says of times that may tell who is registered."""

import pytest

from bench.claims import TELLING, claims
from bench.hints import HURRIED, Hinted, Times, slower
from bench.results import Machine, Results

MACHINE = Machine(
    processor="", cores=1, memory_gib=1.0, kernel="", file_system="", python="", sqlite=""
)


@pytest.mark.parametrize(
    ("known", "unknown", "chance"),
    [
        ([3.0, 4.0], [1.0, 2.0], 1.0),
        ([1.0, 2.0], [3.0, 4.0], 0.0),
        ([1.0, 4.0], [2.0, 3.0], 0.5),
        ([1.0, 1.0], [1.0, 1.0], 0.5),
        ([1.0, 3.0], [2.0, 3.0], 0.375),
    ],
)
def test_a_chance_counts_every_pair_and_halves_those_that_are_alike(known, unknown, chance):
    assert slower(known, unknown) == chance


def judged(call, *, chance, unlike=0):
    """The claims of a call of this chance, by whether they are judged and hold."""
    times = Times(1.0, 2.0)
    hinted = Hinted(call=call, known=times, unknown=times, slower=chance, unlike=unlike)
    results = Results(machine=MACHINE, command="", hints=[hinted])
    return [(claim.judged, claim.holds) for claim in claims(results)]


@pytest.mark.parametrize("off", [TELLING + 0.01, -TELLING - 0.01])
def test_a_chance_that_tells_fails_the_run(off):
    """Whether known numbers are the slower ones or the faster."""
    assert judged("a call", chance=0.5) == [(True, True), (True, True)]
    assert judged("a call", chance=0.5 + off) == [(True, True), (True, False)]


def test_an_answer_that_differs_fails_the_run():
    assert judged("a call", chance=0.5, unlike=1) == [(True, False), (True, True)]


def test_what_a_send_leaves_to_do_is_told_and_not_judged():
    assert judged(HURRIED, chance=0.9) == [(True, True), (False, False)]
