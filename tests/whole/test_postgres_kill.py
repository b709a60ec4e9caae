"""kill -9 of the database at random moments under load: nothing that was acknowledged is lost, done
twice or granted beyond a limit, and nobody else has to be started again."""

import pytest

from tests.postgres_server import running
from tests.whole.postgres_fleet import Fleet, relay
from tests.whole.postgres_load import Trial, fleet_of_four, limits

HANDED_AT_ONCE = 4 * 4
"""Hand-overs in flight at the most: four processes deliver, each over four connections."""


@pytest.mark.parametrize(
    "rounds", [pytest.param(3, id="3"), pytest.param(20, id="20", marks=pytest.mark.soak)]
)
def test_kill_9_of_the_database_loses_nothing_and_repeats_nothing(tmp_path, rounds):
    """P1, P2 and the equation of P4 across a kill, and idempotency keys across a kill."""
    with running({"synchronous_commit": "on"}) as database, relay() as (mails, mail):
        store = database.create_database()
        with fleet_of_four(Fleet(tmp_path, store, mails + limits(rounds))) as apis:
            trial = Trial(apis, mail, rounds)
            for _ in range(rounds):
                with trial.round():
                    database.kill()
                    trial.until_each_refuses()
                    database.start()
            print(trial.audit(store, most_unknown=HANDED_AT_ONCE * rounds))
