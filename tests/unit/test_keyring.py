"""The key ring on disk: made once, readable to its owner, and never half."""

import asyncio
import errno
import json
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from watchword import keyring
from watchword.bootstrap import bootstrap
from watchword.config import Keys, Settings
from watchword.errors import ConfigInvalid

PROCESSES = 4
DEADLINE_S = 30

_MAKE = """
import sys
from pathlib import Path
from watchword import keyring
print("ready", flush=True)
sys.stdin.readline()
print(keyring.load_or_make(Path(sys.argv[1])).index("same").hex())
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "keyring.json"


@pytest.fixture
def change(path):
    """Break the file in some way."""
    keyring.load_or_make(path)

    def changed(**parts):
        content = {**json.loads(path.read_text()), **parts}
        path.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))

    return changed


def test_a_ring_is_made_once_and_read_ever_after(path):
    keys = keyring.load_or_make(path)
    before = path.read_bytes()
    again = keyring.load_or_make(path)
    assert again.unseal(keys.seal(b"secret", b"x"), b"x") == b"secret"
    assert again.index("a") == keys.index("a")
    assert path.read_bytes() == before


def test_only_its_owner_may_read_it(path):
    """And no draft of it stays behind."""
    keyring.load_or_make(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["keyring.json"]


def test_a_ring_that_others_may_read_is_refused(path):
    keyring.load_or_make(path)
    path.chmod(0o640)
    with pytest.raises(ConfigInvalid, match="0600"):
        keyring.load_or_make(path)


def test_processes_that_start_at_once_make_one_ring(path):
    """Whoever comes second takes the first one's."""
    racing = [
        subprocess.Popen(
            [sys.executable, "-c", _MAKE, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(PROCESSES)
    ]
    for process in racing:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    told = {process.communicate("\n", timeout=DEADLINE_S)[0] for process in racing}
    assert len(told) == 1
    assert told == {keyring.load_or_make(path).index("same").hex() + "\n"}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"null", b"\xff\xfe", b'{"index":1}'])
def test_what_is_no_ring_is_a_wrong_setting(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConfigInvalid, match=r"keyring\.json"):
        keyring.load_or_make(path)


@pytest.mark.parametrize(
    "parts",
    [
        {"index": ""},
        {"index": "c2hvcnQ="},
        {"index": None},
        {"seal": []},
        {"code": [{"id": 1, "secret": ""}]},
        {"journal": [{"id": 1, "secret": "!!"}]},
        {"code": [{"id": 0, "secret": "A" * 43 + "="}], "active": {"code": 0}},
        {"seal": [{"id": 70000, "secret": "A" * 43 + "="}]},
        {"active": {"code": 1, "seal": 9, "journal": 1}},
        {"active": {}},
    ],
    ids=str,
)
def test_a_damaged_ring_is_refused_rather_than_used(path, change, parts):
    """A key cut short would still make digests, and nobody would notice."""
    change(**parts)
    with pytest.raises(ConfigInvalid):
        keyring.load_or_make(path)


def test_a_refusal_shows_nothing_of_the_ring(path, change):
    change(active={})
    index = json.loads(path.read_text())["index"]
    with pytest.raises(ConfigInvalid) as refusal:
        keyring.load_or_make(path)
    assert index not in str(refusal.value)


def test_several_ids_may_live_in_one_file(path, change):
    """Rotation needs no new format."""
    old = keyring.load_or_make(path)
    sealed = old.seal(b"secret", b"x")
    file = json.loads(path.read_text())
    fresh = {"id": 2, "secret": "A" * 43 + "="}
    change(seal=[*file["seal"], fresh], active={**file["active"], "seal": 2})
    keys = keyring.load_or_make(path)
    assert keys.unseal(sealed, b"x") == b"secret"
    assert keys.seal(b"", b"")[:2] == b"\x00\x02"


def test_a_folder_in_its_place_is_a_wrong_setting(tmp_path: Path):
    with pytest.raises(ConfigInvalid):
        keyring.load_or_make(tmp_path)


def test_a_store_is_opened_under_its_own_ring_only(tmp_path):
    """Another one would begin every limit anew, and know no code."""

    async def start(ring):
        settings = Settings(data=str(tmp_path), keys=Keys(path=str(tmp_path / ring)))
        async with bootstrap(settings, deliver=False):
            pass

    asyncio.run(start("ring.json"))
    asyncio.run(start("ring.json"))
    with pytest.raises(ConfigInvalid, match=r"keys\.path"):
        asyncio.run(start("absent.json"))
    assert not (tmp_path / "absent.json").exists()
    keyring.load_or_make(tmp_path / "other.json")
    with pytest.raises(ConfigInvalid, match=r"keys\.path"):
        asyncio.run(start("other.json"))
    asyncio.run(start("ring.json"))


def test_of_two_first_starts_with_a_ring_each_one_is_refused_and_takes_its_ring_back(
    tmp_path, monkeypatch
):
    """Two machines of a fleet may start at once; what the later one made must not stay in the way
    of the copy that it needs."""

    async def start(ring):
        settings = Settings(data=str(tmp_path), keys=Keys(path=str(tmp_path / ring)))
        async with bootstrap(settings, deliver=False):
            pass

    make = keyring.load_or_make

    def beaten(path):
        """Our ring is made, and before it is pinned another process has pinned its own."""
        monkeypatch.undo()
        keys = make(path)
        with ThreadPoolExecutor(1) as another:
            another.submit(asyncio.run, start("first.json")).result()
        return keys

    monkeypatch.setattr(keyring, "load_or_make", beaten)
    with pytest.raises(ConfigInvalid, match="restore your copy"):
        asyncio.run(start("later.json"))
    assert not (tmp_path / "later.json").exists()
    asyncio.run(start("first.json"))


_CHANGE = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from watchword import keyring
print("ready", flush=True)
while True:
    keyring.change(Path(sys.argv[1]), lambda file: file.with_new(datetime.now(UTC)))
"""


@pytest.mark.parametrize(
    "rounds", [pytest.param(3, id="3"), pytest.param(30, id="30", marks=pytest.mark.soak)]
)
def test_kill_9_while_it_is_replaced_leaves_a_whole_ring(path, rounds):
    """And whoever changes it next is in nobody's way."""
    before = keyring.load_or_make(path)
    for number in range(rounds):
        command = [sys.executable, "-c", _CHANGE, path]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
            inode = path.stat().st_ino
            while path.stat().st_ino == inode and number % 3:
                pass
            process.kill()
        after = keyring.load_or_make(path)
        assert after.fingerprint == before.fingerprint
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert keyring.change(path, lambda file: file) == keyring.read(path)


def test_another_ring_in_its_place_is_refused_and_the_old_one_stays(path, tmp_path):
    keys = keyring.load_or_make(path)
    told: list[str] = []
    watched = keyring.Watched(path, keys, told.append)
    watched.look()
    keyring.load_or_make(tmp_path / "other.json").index("x")
    sealed = keys.seal(b"secret", b"x")
    (tmp_path / "other.json").replace(path)
    watched.look()
    watched.look()
    assert told == ["the file is another key ring"]
    assert keys.unseal(sealed, b"x") == b"secret"


def test_a_ring_that_others_may_read_is_refused_until_it_is_its_owners_again(path, tmp_path):
    """It may come with the wrong mode, and be put right: the refusal is told once for each state of
    the file, and what is right then is taken."""
    keys = keyring.load_or_make(path)
    told: list[str] = []
    watched = keyring.Watched(path, keys, told.append)
    watched.look()
    newer = tmp_path / "newer.json"
    newer.write_bytes(path.read_bytes())
    newer.chmod(0o600)
    keyring.change(newer, lambda file: file.with_new(datetime.now(UTC)))
    newer.chmod(0o644)
    newer.replace(path)
    watched.look()
    watched.look()
    assert told == ["the file is not a readable key ring"]
    path.chmod(0o640)
    watched.look()
    watched.look()
    assert told == ["the file is not a readable key ring"] * 2
    path.chmod(0o600)
    watched.look()
    watched.look()
    assert told[2:] == ["reloaded"]
    assert keys.ids == keyring.load_or_make(path).ids


def test_a_ring_that_could_not_be_read_once_is_read_again(path, monkeypatch):
    """A process out of file handles has them again later, and the file is the same as before."""
    keys = keyring.load_or_make(path)
    told: list[str] = []
    watched = keyring.Watched(path, keys, told.append)
    watched.look()
    keyring.change(path, lambda file: file.with_new(datetime.now(UTC)))
    with monkeypatch.context() as broken:
        broken.setattr(Path, "read_bytes", _out_of_handles)
        watched.look()
    watched.look()
    assert told == ["the file is gone or cannot be reached", "reloaded"]
    assert keys.ids == keyring.load_or_make(path).ids


def _out_of_handles(path):
    raise OSError(errno.EMFILE, "Too many open files")
