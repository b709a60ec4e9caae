"""The floor is one only for as long as it leaves in the store what ours leave."""

import os
from contextlib import closing
from itertools import islice

import apsw
import pytest

from bench.inside import Home, made_by
from bench.rig import Plan, rig_on
from bench.traffic import FLOOR_CODE, FLOOR_PATH, Known

MANY = 10
LEFT = (
    "SELECT count(*) FROM challenges",
    "SELECT count(*) FROM deliveries",
    "SELECT count(*) FROM spent",
    "SELECT count(*) FROM tallies",
    "SELECT count(*) FROM failures",
    "SELECT count(*) FROM onces",
    "SELECT (SELECT count(*) FROM events) + (SELECT count(*) FROM journal)",
    "SELECT count(*) FROM challenges WHERE state = 'approved'",
    "SELECT count(*) FROM deliveries WHERE due_at IS NOT NULL",
    "SELECT sum(attempts) FROM challenges",
)
"""What a send or a check may change. An event may be in the journal already."""
BYTES = (
    "SELECT sum(length(recipient) + length(draws) + length(id)) FROM challenges",
    "SELECT sum(length(recipient) + length(code)) FROM deliveries",
    "SELECT sum(length(answer) + length(request) + length(key)) FROM onces",
    "SELECT sum(length(counter) + length(instants)) FROM spent",
    "SELECT sum(length(instants)) FROM failures",
)
"""What of it has a size that is anybody's choice; a floor has no more of it than ours."""


@pytest.fixture
def rig(tmp_path):
    core = min(os.sched_getaffinity(0))
    plan = Plan(
        folder=tmp_path,
        server_core=core,
        client_core=core,
        seconds=1.0,
        rounds=1,
        clients=(1,),
        mailboxes=0.0,
        rows=0,
    )
    with rig_on(plan, Home(tmp_path)) as rig:
        yield rig


def grown(rig, requests):
    """By how much each count grew, and the answers."""
    before = left(rig)
    with rig.client(1) as client:
        (answers,) = client.closed_loop(islice(requests, MANY), 60.0)
    assert len(answers.bodies) == MANY
    return [now - then for now, then in zip(left(rig), before, strict=True)], answers


def left(rig):
    with closing(apsw.Connection(str(rig.home.data / "watchword.db"))) as store:
        return [store.execute(count).get or 0 for count in LEFT + BYTES]


def assert_no_larger(bare, ours):
    """As many rows, and at most as many bytes that came, or that closing wiped."""
    assert bare[: len(LEFT)] == ours[: len(LEFT)]
    larger = [
        (what, one, other)
        for what, one, other in zip(BYTES, bare[len(LEFT) :], ours[len(LEFT) :], strict=True)
        if abs(one) > abs(other)
    ]
    assert not larger


def test_bare_sends_and_checks_leave_what_ours_leave(rig):
    ours, _ = grown(rig, rig.traffic.sends())
    bare, made = grown(rig, rig.traffic.sends(FLOOR_PATH))
    assert_no_larger(bare, ours)
    assert ours[:3] == [MANY, MANY, 3 * MANY]
    judged, _ = grown(rig, rig.checks(MANY))
    known = [Known(made_by(body), FLOOR_CODE) for body in made.bodies]
    barely_judged, _ = grown(rig, rig.traffic.checks(known, FLOOR_PATH))
    assert_no_larger(barely_judged, judged)
    assert judged[len(LEFT) - 3 : len(LEFT)] == [MANY // 2, -MANY // 2, MANY // 2]
