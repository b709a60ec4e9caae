"""A store backed up under load and restored elsewhere: what was done stays done, what was open is
over; and a store restored without its key ring, which says what is lost."""

import json
import re
import shutil
import socket
import subprocess
import threading
from contextlib import closing, contextmanager

import apsw
import httpx2
import psutil
import pytest

from tests import postgres_server
from tests.contract.places import Place
from tests.processes import kill_family
from tests.smtp_server import receiving
from tests.whole.conftest import DEADLINE_S, WATCHWORD, House, eventually, kill
from tests.whole.postgres_fleet import MAILS, Api, Relay, mailbox, native_key
from tests.whole.trouble import unsettled
from watchword import keyring

TERMS = """
[policy]
resend_interval_s = 0
[limits]
destination = ["3/1h"]
"""
LEAST = 5
"""Codes that the load has to use in each step before the next one begins."""
STOPPED_SENDS = 10
JUNK = {
    "sqlite": """
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 15000)
        INSERT INTO records SELECT 'junk', i, 1, randomblob(4000), NULL FROM n""",
    "postgresql": """
        INSERT INTO watchword.records
        SELECT 'junk', i::text, 1, convert_to((SELECT string_agg(md5((i * j)::text), '')
               FROM generate_series(1, 125) j), 'UTF8'), NULL
        FROM generate_series(1, 2500) i""",
}


class Late(Relay):
    """Takes nobody called late before it is `open`."""

    slowest_s = 0.0

    def __init__(self):
        super().__init__()
        self.open = False

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        if address.startswith("late") and not self.open:
            return "451 Later"
        return await super().handle_RCPT(server, session, envelope, address, options)


@contextmanager
def relay():
    taking = Late()
    with receiving(taking) as port:
        yield MAILS.format(port=port) + TERMS, taking


@pytest.fixture
def elsewhere(request, store_kind, tmp_path):
    """A house on another machine, whose store nobody made yet."""
    folder = tmp_path / "elsewhere" / "data"
    folder.parent.mkdir()
    if store_kind == "sqlite":
        yield House(folder)
        return
    postgres = request.getfixturevalue("postgres")
    address = postgres.create_database()
    yield House(folder, Place(store_kind, address))
    postgres.drop_database(address)


class Load:
    """Sends, and uses the code, until nobody answers. `used` has what was approved."""

    def __init__(self, url, key, relay):
        self._api, self._relay, self.used = (url, key), relay, []
        self._moved, self.killed = threading.Condition(), threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *raised):
        self.killed.set()
        self._thread.join(DEADLINE_S)

    def some_more(self):
        with self._moved:
            wanted = len(self.used) + LEAST
            assert self._moved.wait_for(lambda: len(self.used) >= wanted, DEADLINE_S)

    def _run(self):
        with Api(*self._api) as api:
            try:
                while True:
                    to = mailbox()
                    id = api.send(to).json()["id"]
                    code = eventually(
                        lambda to=to: self._relay.codes.get(to) or self.killed.is_set(), "a mail"
                    )
                    assert approved(api.check(id, code))
                    with self._moved:
                        self.used.append((id, code))
                        self._moved.notify_all()
            except httpx2.TransportError:
                return  # it was killed


def sent(api, relay, to):
    """Its id, and its code as the mailbox got it."""
    answer = api.send(to)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()["id"], eventually(lambda: relay.codes.get(to), "a mail")


def approved(answer):
    return answer.status_code == 200 and answer.json()["status"] == "approved"


def programs(kind, *names):
    """Where PostgreSQL's own are."""
    if kind == "sqlite":
        return []
    return [f"--{name}={postgres_server.binaries() / name.replace('-', '_')}" for name in names]


def backed_up(house, file):
    words = ("store", "backup", file, "--json", *programs(house.place.kind, "pg-dump"))
    return json.loads(house.run(*words).stdout)


def restored(house, file, *words, code=0):
    ran = house.run(
        *("store", "restore", file, *words),
        *programs(house.place.kind, "pg-restore"),
        check=False,
    )
    assert ran.returncode == code, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def events(house):
    lines = map(json.loads, house.run("journal", "export").stdout.splitlines())
    return [json.loads(line["body"]) for line in lines if "body" in line]


def test_a_backup_under_load_restores_to_a_store_that_keeps_the_promises(
    house, elsewhere, tmp_path
):
    """Taken while callers send and check, restored after kill -9: no code is accepted twice, no
    message handed over again, no limit forgotten that the backup knew."""
    file, late, limited = tmp_path / "backup", mailbox("late"), mailbox()
    with relay() as (settings, taking):
        house.settings(settings)
        elsewhere.settings(settings)
        key = native_key(house)
        house.process = house.start()
        url = house.announced()["base_url"]
        with Load(url, key, taking) as load, Api(url, key) as api:
            for _ in range(3):
                api.send(limited)
            id, code = sent(api, taking, mailbox())
            waiting = api.send(late).json()["id"]
            eventually(lambda: api.deliveries(waiting)[0]["tries"], "a first try")
            load.some_more()
            before = list(load.used)
            told = backed_up(house, file)
            taking.open = True
            assert approved(api.check(id, code))
            assert taking.codes.get(late) or eventually(lambda: taking.codes.get(late), "late")
            load.some_more()
            kill(house)
            load.killed.set()
        gone = dict(taking.taken)

        elsewhere.folder.mkdir(exist_ok=True)
        shutil.copy(house.folder / "keyring.json", elsewhere.folder)
        ring = keyring.load_or_make(elsewhere.folder / "keyring.json")
        assert told["fingerprint"] == ring.fingerprint
        assert file.stat().st_mode & 0o777 == 0o600
        restored(elsewhere, file)
        assert not unsettled(elsewhere)
        with elsewhere.serving() as base, Api(base["base_url"], key) as api:
            for used in before:
                assert api.check(*used).json()["type"].endswith(":already-approved")
            for used in [*load.used, (id, code), (waiting, taking.codes[late])]:
                assert api.check(*used).status_code in (404, 409)
            assert api.send(limited).status_code == 429
            fresh = sent(api, taking, mailbox())
            assert approved(api.check(*fresh))
            assert {name: taking.taken[name] for name in gone} == gone
            assert set(gone.values()) == {1}
            # It may have been tried in vain, once more, at the very moment of the backup.
            assert api.deliveries(waiting)[0]["state"] in ("cancelled", "unknown")
            eventually(lambda: elsewhere.rows("SELECT count(*) FROM events") == [(0,)], "a seal")
            report = json.loads(elsewhere.run("journal", "verify", "--json").stdout)
        assert (report["whole"], report["faults"]) == (True, [])
        acts = [one["details"] for one in events(elsewhere) if one["kind"] == "operator"]
        (act,) = [act for act in acts if act["what"] == "store restore"]
        assert (act["without_ring"], act["host"]) == (False, socket.gethostname())
        assert act["by"]


def test_sends_go_on_while_a_backup_holds_its_snapshot(house, elsewhere, tmp_path):
    """It is stopped in the middle for as long as they take; it then ends with what was there when
    it began."""
    file = tmp_path / "backup"
    with relay() as (settings, taking):
        house.settings(settings)
        elsewhere.settings(settings)
        key = native_key(house)
        grow(house)
        with house.serving() as base, Api(base["base_url"], key) as api:
            first, _ = sent(api, taking, mailbox())
            with backing_up(house, file) as process:
                held = stopped(process, file)
                later = [sent(api, taking, mailbox()) for _ in range(STOPPED_SENDS)]
                assert all(approved(api.check(*one)) for one in later)
                assert process.poll() is None
                assert not file.exists()
                for one in held:
                    one.resume()
                assert process.wait(DEADLINE_S) == 0
        elsewhere.folder.mkdir(exist_ok=True)
        shutil.copy(house.folder / "keyring.json", elsewhere.folder)
        restored(elsewhere, file)
        kept = {id for (id,) in elsewhere.rows("SELECT id FROM challenges")}
        assert first in kept
        assert not kept & {id for id, _ in later}


def grow(house):
    """Make it a store that takes a while to read."""
    if house.place.kind == "sqlite":
        path = house.place.address.removeprefix("sqlite:///")
        with closing(apsw.Connection(path)) as connection:
            connection.execute(JUNK["sqlite"])
    else:
        postgres_server.rows(house.place.address, JUNK["postgresql"])


@contextmanager
def backing_up(house, file):
    process = subprocess.Popen(
        [
            *(WATCHWORD, "store", "backup", file, "--data", house.folder),
            *programs(house.place.kind, "pg-dump"),
        ],
        env=house.environment(),
        stdout=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            kill_family(process.pid)
        process.wait()


def stopped(process, file):
    """Stop it, and whoever it started, once some of the copy is there."""
    drafts = f".{file.name}.*"
    eventually(
        lambda: (
            process.poll() is not None
            or any(draft.stat().st_size for draft in file.parent.glob(drafts))
        ),
        "a beginning",
    )
    assert process.poll() is None, "it was over before it could be stopped"
    family = psutil.Process(process.pid)
    held = [family, *family.children(recursive=True)]
    for one in held:
        one.suspend()
    return held


def test_without_its_ring_a_restore_says_what_is_lost_and_goes_on_when_told_to(
    house, elsewhere, tmp_path
):
    """It refuses with the list, and leaves nothing; with the flag the rest works."""
    file = tmp_path / "backup"
    key = native_key(house)
    app = json.loads(house.run("app", "list", "--json").stdout)[0]["id"]
    house.run("app", "test-number", "add", app, "+8613800138000", "246810")
    with house.serving() as base, Api(base["base_url"], key) as api:
        old = api.send("+8613800138001").json()["id"]
        eventually(lambda: house.rows("SELECT count(*) FROM events") == [(0,)], "a seal")
    ring = backed_up(house, file)["fingerprint"]

    said = restored(elsewhere, file, code=1)
    assert ring in said
    for what in (
        *("access keys of Huawei", "access keys of Alibaba", "test numbers", "challenges"),
        *("counters", "journal stay readable", "API keys", "--without-ring"),
    ):
        assert what in said

    told = restored(elsewhere, file, "--without-ring")
    assert re.search(r"Lost with its key ring; .*keyring.json is the ring from now on", told)
    with elsewhere.serving() as base, Api(base["base_url"], key) as api:
        to = "+8613800138001"
        id = api.send(to).json()["id"]
        assert approved(api.check(id, elsewhere.inbox("--to", to, "--code")))
        assert api.look(old).status_code == 404
        eventually(lambda: elsewhere.rows("SELECT count(*) FROM events") == [(0,)], "a seal")
        report = json.loads(elsewhere.run("journal", "verify", "--json").stdout)
    assert report["whole"]
    assert report["unproven"]
    assert {"created", "operator"} <= {one["kind"] for one in events(elsewhere)}
