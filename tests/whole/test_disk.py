"""A disk that fails at COMMIT, or garbles a page: everyone is told to try again, and nothing is
half done."""

import itertools
import json
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial

import httpx2
import pytest

from tests.whole.conftest import DEADLINE_S, House, eventually
from tests.whole.trouble import FailingDisk, counts, is_whole, unsettled

FAULTS = ("full", "broken", "unsynced", "limited")
CALLERS = 40
_numbers = itertools.count(13_800_001_111)


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    return FailingDisk(tmp_path_factory.mktemp("disk"))


@pytest.fixture
def house(tmp_path):
    """Its store is a file on that disk."""
    return House(tmp_path / "data")


@pytest.fixture
def serving(house, disk):
    with house.serving(**disk.environ()) as serving:
        yield serving


@pytest.fixture
def api(house, serving):
    with calling(serving, key_of(house)) as api:
        yield api


def key_of(house):
    return json.loads(house.run("demo", "--json").stdout)["native"]["api_key"]


def calling(serving, key):
    return httpx2.Client(
        base_url=serving["base_url"],
        headers={"authorization": f"Bearer {key}"},
        limits=httpx2.Limits(max_connections=CALLERS),
        timeout=DEADLINE_S,
    )


def number():
    """One that no other call of this module uses, and on which the carrier plays no tricks."""
    return f"+86{next(_numbers)}"


def send(api, to, key):
    body = {"to": to, "channel": "sms", "purpose": "sign_in"}
    headers = {"idempotency-key": key}
    return api.post("/v1/verifications", json=body, headers=headers)


def check(api, id, code, key):
    headers = {"idempotency-key": key}
    return api.post(f"/v1/verifications/{id}/check", json={"code": code}, headers=headers)


def opened(api, house, amount):
    """Challenges whose messages have arrived, and the code of each."""
    sent = [send(api, number(), str(uuid.uuid4())).json() for _ in range(amount)]
    eventually(lambda: not unsettled(house), "an empty outbox")
    items = api.get("/v1/inbox", params={"limit": 1000}).json()["items"]
    return {one["id"]: item["code"] for one, item in zip(sent, items[-amount:], strict=True)}


def at_once(calls):
    with ThreadPoolExecutor(CALLERS) as callers:
        return [answer.result() for answer in [callers.submit(call) for call in calls]]


def asks_to_try_again(answer):
    return (
        answer.status_code == 503
        and answer.headers["content-type"] == "application/problem+json"
        and int(answer.headers["retry-after"]) >= 1
        and answer.json()["type"].endswith(":unavailable")
    )


@pytest.mark.parametrize("kind", FAULTS)
def test_a_disk_that_fails_at_commit_changes_nothing(house, api, disk, kind):
    """Every caller in flight is told to come back, finds nothing changed when he does, and the
    same process serves him."""
    codes = opened(api, house, CALLERS // 2)
    calls = [partial(send, api, number(), str(uuid.uuid4())) for _ in codes]
    calls += [partial(check, api, id, code, str(uuid.uuid4())) for id, code in codes.items()]
    before = counts(house)
    with disk.fault(kind, house.process.pid):
        assert all(map(asks_to_try_again, at_once(calls)))
        assert asks_to_try_again(api.get("/readyz"))
        assert api.get("/livez").status_code == 200
    assert counts(house) == before
    assert is_whole(house)

    again = at_once(calls)
    assert [answer.status_code for answer in again] == [201] * len(codes) + [200] * len(codes)
    assert not any("idempotency-replayed" in answer.headers for answer in again)
    assert {answer.json()["status"] for answer in again[len(codes) :]} == {"approved"}
    assert api.get("/readyz").status_code == 200
    eventually(lambda: not unsettled(house), "an empty outbox")


def test_the_log_tells_of_a_full_disk_and_of_its_end(house, serving, disk):
    with disk.fault("full", house.process.pid):
        eventually(lambda: "store_unavailable" in house.said(), "a word of trouble")
    eventually(lambda: "store_available" in house.said(), "a word of its end")


@pytest.mark.parametrize("kind", FAULTS)
def test_a_disk_that_comes_and_goes_keeps_what_was_answered(house, api, disk, kind):
    """With sends in flight whenever the fault begins and ends: who got an answer has a challenge,
    and who was told to try again has none."""
    answers, over = [], threading.Event()

    def ask():
        while not over.is_set():
            answers.append(send(api, number(), str(uuid.uuid4())))

    with ThreadPoolExecutor(8) as callers:
        asking = [callers.submit(ask) for _ in range(8)]
        for _ in range(3):
            met = len(answers)
            eventually(lambda: has(answers[met:], 201), "an answer")  # noqa: B023
            with disk.fault(kind, house.process.pid):
                eventually(lambda: has(answers[met:], 503), "a refusal")  # noqa: B023
        over.set()
        for one in asking:
            one.result()
    assert {answer.status_code for answer in answers} == {201, 503}
    answered = {answer.json()["id"] for answer in answers if answer.status_code == 201}
    kept = [id for (id,) in house.rows("SELECT id FROM challenges")]
    assert sorted(kept) == sorted(answered)
    eventually(lambda: not unsettled(house), "an empty outbox")
    assert is_whole(house)


def has(answers, status):
    return any(answer.status_code == status for answer in answers)


@pytest.mark.parametrize("kind", FAULTS)
def test_what_was_not_done_does_not_come_back(house, api, disk, kind):
    """A COMMIT can fail with all of its pages already in the log. Killed right then, the next
    process must not find them there and believe them."""
    codes = opened(api, house, 4)
    before = counts(house)
    with disk.fault(kind, house.process.pid):
        calls = [partial(send, api, number(), str(uuid.uuid4())) for _ in range(8)]
        calls += [partial(check, api, id, code, str(uuid.uuid4())) for id, code in codes.items()]
        assert all(map(asks_to_try_again, at_once(calls)))
        house.process.kill()
        house.process.wait()
    assert counts(house) == before
    assert house.rows("SELECT DISTINCT state FROM challenges") == [("pending",)]
    house.process = house.start()
    house.announced()


@contextmanager
def garbled(house, table):
    """The first page of a table is not what was written there, until the end of the block."""
    asked = "SELECT rootpage, page_size FROM sqlite_schema, pragma_page_size WHERE name = "
    [(page, size)] = house.rows(f"{asked}'{table}'")
    file = house.folder / "watchword.db"
    whole = swapped(file, (page - 1) * size, b"\xff" * size)
    try:
        yield
    finally:
        swapped(file, (page - 1) * size, whole)


def swapped(file, begin, put):
    """Puts these bytes there, and gives those that were."""
    with file.open("r+b") as open_file:
        open_file.seek(begin)
        found = open_file.read(len(put))
        open_file.seek(begin)
        open_file.write(put)
    return found


def acted(house):
    """What acts have left; a server that starts leaves a record of itself."""
    return {table: amount for table, amount in counts(house).items() if table != "records"}


def test_a_page_that_cannot_be_believed_is_trouble_with_the_disk(house):
    """Not a defect of the act that met it. Once the page is back, the same process serves."""
    key = key_of(house)
    with house.serving() as serving, calling(serving, key) as api:
        assert send(api, number(), str(uuid.uuid4())).status_code == 201
        eventually(lambda: not unsettled(house), "an empty outbox")
    before = acted(house)
    to, once = number(), str(uuid.uuid4())
    with ExitStack() as stack:
        with garbled(house, "spent"):
            api = stack.enter_context(calling(stack.enter_context(house.serving()), key))
            assert asks_to_try_again(send(api, to, once))
            assert api.get("/livez").status_code == 200
        assert acted(house) == before
        answer = send(api, to, once)
        assert answer.status_code == 201
        assert "idempotency-replayed" not in answer.headers
        eventually(lambda: not unsettled(house), "an empty outbox")
    assert is_whole(house)
