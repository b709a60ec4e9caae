"""A primary with a streaming replica: the primary is killed, the replica promoted, and the fleet
goes on there. What a synchronous replica had to confirm is all there; an asynchronous one misses
the last acts, each of them as a whole."""

import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from tests.postgres_server import HERE, USER, Postgres, rows, running
from tests.tcp_proxy import proxying
from tests.whole.conftest import eventually
from tests.whole.postgres_fleet import (
    UNSETTLED,
    Api,
    Fleet,
    asks_to_try_again,
    mailbox,
    native_key,
    relay,
)
from tests.whole.postgres_load import Trial, fleet_of_four, limits

NAME = "standby"
FOLLOWED = {"synchronous_commit": "on", "wal_level": "replica", "hot_standby": "on"}
FOLLOWING = "SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming'"
ORPHANS = """
SELECT count(*) FROM deliveries d
WHERE NOT EXISTS (SELECT FROM challenges c WHERE c.serial = d.challenge)
"""
CALLERS = 6
MANY = 300
UNLIMITED = """
[policy]
resend_interval_s = 0
"""


class Replica(Postgres):
    """Follows a primary, by way of a port in front of it, until it is promoted."""

    def __init__(self, port):
        super().__init__(FOLLOWED)
        self._primary = f"host={HERE} port={port} user={USER} application_name={NAME}"

    def make(self):
        words = ("-D", self.data, "-d", self._primary, "-R", "--checkpoint=fast", "--no-sync")
        self.run("pg_basebackup", *words)

    def promote(self):
        rows(self.address(), "SELECT pg_promote(true, 30)")


class Pair:
    """A primary, its replica, and the way between them, which can be put in trouble."""

    def __init__(self, primary, replica, way):
        self.primary, self.replica, self.way = primary, replica, way

    def create_database(self):
        """The addresses of a new one: on the primary, on the replica, and on whichever of the two
        takes writes."""
        here = self.primary.create_database()
        there = self.replica.address(urlsplit(here).path[1:])
        hosts = f"{HERE}:{self.primary.port},{HERE}:{self.replica.port}"
        either = f"postgresql://{USER}@{hosts}{urlsplit(here).path}"
        return here, there, f"{either}?target_session_attrs=read-write"

    def until_followed(self):
        """Until the replica has all that the primary has now."""
        ((here,),) = rows(self.primary.address(), "SELECT pg_current_wal_lsn()::text")
        has_it = f"SELECT pg_last_wal_replay_lsn() >= '{here}'"
        eventually(lambda: rows(self.replica.address(), has_it) == [(True,)], "the replica")

    def lose_the_primary(self):
        """And what was on its way from it."""
        self.primary.kill()
        self.way.refuse()

    def fail_over(self):
        self.lose_the_primary()
        self.replica.promote()


@contextmanager
def pair(*, synchronous):
    with running(FOLLOWED) as primary, proxying(HERE, primary.port) as way:
        replica = Replica(way.port)
        try:
            replica.start()
            eventually(lambda: rows(primary.address(), FOLLOWING), "a stream")
            if synchronous:
                change = f"ALTER SYSTEM SET synchronous_standby_names = '{NAME}'"
                rows(primary.address(), change)
                rows(primary.address(), "SELECT pg_reload_conf()")
                eventually(lambda: rows(primary.address(), FOLLOWING) == [("sync",)], "consent")
            yield Pair(primary, replica, way)
        finally:
            replica.end()


def test_a_synchronous_replica_has_all_that_was_acknowledged(tmp_path):
    """The primary is killed under load and the replica promoted: P1, P2 and the equation of P4
    hold, and the same processes go on there."""
    with pair(synchronous=True) as servers, relay() as (mails, mail):
        _, there, either = servers.create_database()
        with fleet_of_four(Fleet(tmp_path, either, mails + limits(1))) as apis:
            trial = Trial(apis, mail, 1)
            with trial.round():
                servers.lose_the_primary()
                trial.until_each_refuses()
                servers.replica.promote()
            print(trial.audit(there, most_unknown=16))


def test_what_a_synchronous_replica_has_not_confirmed_is_not_acknowledged(tmp_path):
    """While the replica is silent everyone is told to try again, also who asks again under the same
    key, and also after the primary came back with what was only there: it may go with it."""
    with pair(synchronous=True) as servers, relay() as (mails, mail):
        _, _, either = servers.create_database()
        home = Fleet(tmp_path, either, mails + UNLIMITED).house("one")
        key = native_key(home)
        with home.serving() as serving, Api(serving["base_url"], key) as api:
            to, fresh = mailbox(), mailbox()
            id = api.send(to).json()["id"]
            code = eventually(lambda: mail.codes.get(to), "a mail")
            checked, sent = str(uuid.uuid4()), str(uuid.uuid4())
            servers.way.freeze()
            for _ in ("before", "and after"):
                assert asks_to_try_again(api.check(id, code, checked))
                assert asks_to_try_again(api.send(fresh, sent))
                assert asks_to_try_again(api.get("/readyz"))
                servers.primary.kill()
                servers.primary.start()
                eventually(lambda: api.look(id).status_code == 200, "an answer")
            servers.fail_over()
            eventually(api.is_ready, "readiness")
            assert api.check(id, code, checked).json()["status"] == "approved"
            assert api.check(id, code).json()["type"].endswith(":already-approved")
            assert api.send(fresh, sent).status_code == 201


def test_an_asynchronous_replica_misses_the_last_acts_as_a_whole(tmp_path):
    """What it had not received when the primary died never was: a send is unknown and its limit not
    spent, a code that was used is good again. All before that is there."""
    with pair(synchronous=False) as servers, relay() as (mails, mail):
        here, there, _ = servers.create_database()
        home = Fleet(tmp_path, here, mails + UNLIMITED).house("one")
        key, (kept, used, lost) = native_key(home), (mailbox() for _ in range(3))
        with home.serving() as serving, Api(serving["base_url"], key) as api:
            ids = {to: api.send(to).json()["id"] for to in (kept, used)}
            code = eventually(lambda: mail.codes.get(used), "a mail")
            eventually(lambda: not rows(here, UNSETTLED), "an empty outbox")
            servers.until_followed()
            servers.way.freeze()
            assert api.check(ids[used], code).json()["status"] == "approved"
            assert api.send(kept).json()["id"] == ids[kept]
            ids[lost] = api.send(lost).json()["id"]
            servers.fail_over()
        other = Fleet(tmp_path, there, mails + UNLIMITED).house("other")
        with other.serving() as serving, Api(serving["base_url"], key) as api:
            assert [len(api.deliveries(ids[to])) for to in (kept, used)] == [1, 1]
            assert api.look(ids[lost]).status_code == 404
            assert api.check(ids[used], code).json()["status"] == "approved"
            assert api.send(lost).status_code == 201
        assert rows(there, ORPHANS) == [(0,)]


@pytest.mark.soak
@pytest.mark.parametrize("lag_s", [0, 0.01, 0.1])
def test_what_an_asynchronous_replica_loses_is_its_lag(tmp_path, lag_s):
    """Measured: of all that was acknowledged under load, how much was gone after the fail-over, and
    how old the oldest of it was."""
    with pair(synchronous=False) as servers, relay() as (mails, mail):
        _, there, either = servers.create_database()
        home = Fleet(tmp_path, either, mails + UNLIMITED).house("one")
        key = native_key(home)
        servers.way.delay(lag_s)
        with home.serving() as serving, Api(serving["base_url"], key) as api:
            acknowledged = under_load(api, mail, servers)
            eventually(api.is_ready, "readiness")
            died_at = max(at for _, _, at in acknowledged)
            missing = [
                died_at - at for id, status, at in acknowledged if not is_there(api, id, status)
            ]
        assert rows(there, ORPHANS) == [(0,)]
    print(
        f"a replica {lag_s * 1000:.0f} ms away: of {len(acknowledged)} acts acknowledged "
        f"{len(missing)} were lost, the oldest {max(missing, default=0) * 1000:.0f} ms before the "
        "last"
    )
    assert max(missing, default=0) < lag_s + 1


def under_load(api, mail, servers):
    """All acts that were acknowledged until the primary died: what, which, when."""
    acknowledged, over = [], threading.Event()

    def act():
        while not over.is_set():
            to = mailbox()
            sent = api.send(to)
            if sent.status_code != 201:
                continue
            id = sent.json()["id"]
            acknowledged.append((id, "pending", time.monotonic()))
            while to not in mail.codes and not over.is_set():
                over.wait(0.01)
            if to in mail.codes and api.check(id, mail.codes[to]).status_code == 200:
                acknowledged.append((id, "approved", time.monotonic()))

    with ThreadPoolExecutor(CALLERS) as callers:
        at_work = [callers.submit(act) for _ in range(CALLERS)]
        eventually(lambda: len(acknowledged) > MANY, "some work")
        servers.lose_the_primary()
        over.set()
        for one in at_work:
            one.result()
    servers.replica.promote()
    return acknowledged


def is_there(api, id, status):
    found = api.look(id)
    return found.status_code == 200 and (status == "pending" or found.json()["status"] == status)
