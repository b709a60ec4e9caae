"""The journal of a running service: two writers, a kill, the commands, and a person erased from
every byte."""

import json
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path

import httpx2

from tests import postgres_server
from tests.whole.conftest import WATCHWORD, eventually, kill

PERSON = "+8613800138055"
MANY = 20


@contextmanager
def working(house):
    """A second process that delivers, and so seals."""
    worker = subprocess.Popen(
        [WATCHWORD, "worker", "--data", house.folder],
        env=house.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield worker
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(30)


def sends(house, base, numbers):
    key = json.loads(house.run("demo", "--json").stdout)["native"]["api_key"]
    made = []
    with httpx2.Client(
        base_url=base["base_url"], headers={"Authorization": f"Bearer {key}"}
    ) as http:
        for number in numbers:
            asked = {"to": number, "channel": "sms", "purpose": "sign_in"}
            answer = http.post("/v1/verifications", json=asked)
            assert answer.status_code == 201, answer.text
            made.append(answer.json()["id"])
    return made


def verified(house, code=0):
    ran = house.run("journal", "verify", "--json", check=False)
    assert ran.returncode == code, ran.stdout + ran.stderr
    return json.loads(ran.stdout)


def all_sealed(house):
    """What the verifier finds, once nothing waits any more."""
    eventually(lambda: house.rows("SELECT count(*) FROM events") == [(0,)], "all is sealed")
    return verified(house)


def numbers(count, since=0):
    return [f"+861380017{n + since:04d}" for n in range(count)]


def test_two_processes_write_and_one_is_killed(house):
    """Verify passes while they write, and after; the killed one's chain has no mark, no fault."""
    with working(house) as worker, house.serving() as base:
        sends(house, base, numbers(MANY))
        assert verified(house)["whole"]
        all_sealed(house)
        worker.kill()
        worker.wait()
        sends(house, base, numbers(MANY, MANY))
        all_sealed(house)
        kill(house)
        house.process = house.start()
        house.announced()
        report = all_sealed(house)
    assert (report["whole"], report["faults"]) == (True, [])
    assert report["unmarked"]
    lines = map(json.loads, house.run("journal", "export").stdout.splitlines())
    bodies = [json.loads(line["body"]) for line in lines if "body" in line]
    assert [body["kind"] for body in bodies].count("created") == 2 * MANY


def traces(house, needles):
    """Which of these stand in any byte of the store."""
    if house.place.kind == "sqlite":
        file = Path(house.place.address.removeprefix("sqlite:///"))
        files = [*file.parent.glob(f"{file.name}*")]
    else:
        files = postgres_files(house.place.address)
    contents = [file.read_bytes() for file in files]
    return {name for name, needle in needles.items() if any(needle in c for c in contents)}


def postgres_files(address):
    postgres_server.rows(address, "CHECKPOINT")
    ((folder,),) = postgres_server.rows(address, "SHOW data_directory")
    asked = """
        SELECT pg_relation_filepath(c.oid) FROM pg_class c JOIN pg_namespace n
          ON n.oid = c.relnamespace
        WHERE n.nspname = 'watchword' AND c.relkind IN ('r', 'i')
          AND c.relname ~ '^(events|journal|challenges|deliveries|onces)'
    """
    return [Path(folder) / path for (path,) in postgres_server.rows(address, asked)]


def test_a_person_is_erased_from_every_byte(house):
    """Beside a server that goes on; what is looked for was there before."""
    with house.serving() as base:
        others = sends(house, base, numbers(5))
        (mine,) = sends(house, base, [PERSON])
        all_sealed(house)
        needles = {"id": mine.encode(), "mask": b"+86*********55"}
        other = {"other": others[0].encode()}
        assert traces(house, needles | other) == {"id", "mask", "other"}
        said = house.run("journal", "erase", "--to", PERSON, "--yes").stdout
        assert "1 challenges and 1 deliveries" in said
        assert traces(house, needles | other | {"raw": PERSON.encode()}) == {"other"}
        assert verified(house)["erased"] >= 2
        sends(house, base, numbers(2, 100))
        all_sealed(house)


def test_erasing_asks_first(house):
    house.run("demo")
    ran = house.run("journal", "erase", "--to", PERSON, check=False)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "say --yes" in ran.stderr
