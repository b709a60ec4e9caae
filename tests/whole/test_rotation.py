"""Keys are rotated under load: nothing that would have passed fails, and old keys are let go."""

import json
import shutil
import threading
from collections import Counter
from contextlib import ExitStack

import pytest

from tests.whole.conftest import House, eventually
from tests.whole.postgres_fleet import Api, mailbox, native_key
from watchword import keyring

LEAST = 8
"""Checks that have to pass in each step before the next one begins."""


class Load:
    """Sends on one server and checks on the other, all the time."""

    def __init__(self, house, urls, key):
        self.house, self.urls, self.key = house, urls, key
        self.passed, self.failed = 0, []
        self._moved, self._stop = threading.Condition(), threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *raised):
        self._stop.set()
        self._thread.join()

    def some_more(self):
        """Until so many more have passed."""
        with self._moved:
            wanted = self.passed + LEAST
            assert self._moved.wait_for(lambda: self.passed >= wanted or self.failed, 40)
        assert not self.failed

    def _run(self):
        with ExitStack() as stack:
            apis = [stack.enter_context(Api(url, self.key)) for url in self.urls]
            while not self._stop.is_set() and not self.failed:
                for one, other in zip(apis, reversed(apis), strict=True):
                    self._one(one, other)

    def _one(self, one, other):
        to = mailbox()
        sent = one.send(to)
        code = self._read((one, other), to) if sent.status_code == 201 else ""
        told = other.check(sent.json().get("id"), code) if code else sent
        with self._moved:
            if told.status_code == 200 and told.json()["status"] == "approved":
                self.passed += 1
            else:
                self.failed.append((told.status_code, told.text))
            self._moved.notify_all()

    def _read(self, apis, to):
        return eventually(lambda: self._received(apis, to), "a message")

    def _received(self, apis, to):
        """Whichever machine delivered it keeps it."""
        found = [one for api in apis for one in api.get("/v1/inbox", to=to).json()["items"]]
        return found[-1]["code"] if found else ""


@pytest.mark.store("sqlite")
def test_one_machine_rotates_by_one_command_under_load(house):
    """Add, activate and reseal beside a running server."""
    key = native_key(house)
    with house.serving("--workers", "2") as serving:
        with Load(house, [serving["base_url"]] * 2, key) as load:
            load.some_more()
            said = house.run("keys", "rotate").stdout
            load.some_more()
        assert "nothing has to be distributed" in said
        assert "Keys 2 are active" in said
        kept = house.run("keys", "retire", check=False)
    assert_all_went_out(house)
    assert kept.returncode == 1
    assert "The seal key 1 is still needed" in kept.stderr


@pytest.mark.store("postgresql")
def test_two_machines_rotate_in_three_steps_under_load(house, tmp_path):
    """Each has its own copy of the ring. Until it is distributed, activate is refused by name."""
    key = native_key(house)
    other = House(tmp_path / "other" / "data", house.place)
    other.folder.mkdir(parents=True)
    ring, copy = house.folder / "keyring.json", other.folder / "keyring.json"
    shutil.copy(ring, copy)
    with (
        house.serving() as first,
        other.serving() as second,
        Load(house, [first["base_url"], second["base_url"]], key) as load,
    ):
        house.run("keys", "rotate", "add")
        refused = house.run("keys", "rotate", "activate", check=False)
        assert refused.returncode == 1
        assert str(copy) in refused.stderr
        load.some_more()
        shutil.copy(ring, copy)
        load.some_more()
        while house.run("keys", "rotate", "activate", check=False).returncode:
            load.some_more()
        load.some_more()
        other.run("keys", "rotate", "activate")
        load.some_more()
    assert_all_went_out(house)


def assert_all_went_out(house):
    """No message had to wait for a key, or was given up. Those of the end may be on their way."""
    found = Counter(map(tuple, house.rows("SELECT state, reason FROM deliveries")))
    assert found["delivered", ""]
    assert set(found) <= {(state, "") for state in ("queued", "leased", "sending", "delivered")}


@pytest.mark.store("postgresql")
def test_forced_activation_leaves_nobody_behind_who_is_not_told(house, tmp_path):
    """A server that lacks the new keys says so, is right again once it has them, and cannot be
    begun anew before."""
    key = native_key(house)
    other = House(tmp_path / "other" / "data", house.place)
    other.folder.mkdir(parents=True)
    ring, copy = house.folder / "keyring.json", other.folder / "keyring.json"
    shutil.copy(ring, copy)
    with house.serving() as first, other.serving() as second:
        house.run("keys", "rotate", "add")
        refused = house.run("keys", "rotate", "activate", check=False)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert str(copy) in refused.stderr
        assert not json.loads(house.run("keys", "list", "--json").stdout)[1]["active"]
        house.run("keys", "rotate", "activate", "--force")
        eventually(lambda: "keyring_stale" in other.said(), "a word of the server that lacks it")
        late = other.run("keys", "list", check=False)
        assert late.returncode == 1
        assert "lacks keys that are active elsewhere (code 2, seal 2, journal 2)" in late.stderr
        shutil.copy(ring, copy)
        assert "nothing is waiting" in other.run("keys", "rotate", "activate").stdout
        with Load(house, [first["base_url"], second["base_url"]], key) as load:
            load.some_more()
    assert_all_went_out(house)


def test_a_process_with_another_ring_is_refused(house):
    """Whether it serves or asks, and it says where the ring is."""
    native_key(house)
    ring = house.folder / "keyring.json"
    own = ring.rename(house.folder / "own.json")
    keyring.load_or_make(ring)
    for words in (("keys", "list"), ("serve", "--port", "0")):
        told = house.run(*words, check=False)
        assert (told.returncode, told.stdout) == (1, "")
        assert f"this store was made under another key ring than {ring};" in told.stderr
    own.replace(ring)
    house.run("keys", "list")
