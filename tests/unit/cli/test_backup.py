"""Backups at the command line: what is refused, and what the directory is without its ring."""

import shutil
from contextlib import closing
from datetime import UTC, datetime, timedelta

import apsw
import msgspec
import pytest

from tests.postgres_server import binaries, rows
from tests.unit.cli.past import a_send, ago
from watchword import keyring
from watchword.directory.huawei.accounts import CUSTOMER, Account
from watchword.stores.postgres._backup import environment

OPEN = """
    INSERT INTO deliveries (challenge, channel, state, minutes, recipient, code, cancel_if_refused,
                            queued_at, expires_at, due_at)
    VALUES {rows}"""
ENDS = {
    ("queued", 9_000_000_000_000_000): "cancelled",
    ("leased", 9_000_000_000_000_000): "cancelled",
    ("sending", 9_000_000_000_000_000): "unknown",
    ("queued", 2): "cancelled",
    ("sending", 2): "unknown",
}
"""By state and end of its code, what becomes of a message that a backup finds on its way."""
KINDS = ("captcha", "captcha_passes", "captcha_loose", "captchaXloose")
LEFT = "SELECT state, length(code), length(recipient), due_at FROM deliveries ORDER BY id"
GOOD_ONCE = "SELECT kind FROM records WHERE kind LIKE 'captcha%'"


def opened(blob, no):
    values = ", ".join(
        f"(1, 'sms', '{state}', 1, {blob}, {blob}, {no}, 1, {ends_at}, 1)"
        for state, ends_at in ENDS
    )
    kinds = ", ".join(f"('{kind}', 'k', 1, {blob}, NULL)" for kind in KINDS)
    records = f"INSERT INTO records (kind, key, version, body, expires_at) VALUES {kinds}"  # noqa: S608
    return OPEN.format(rows=values), records


@pytest.fixture
def backup(shell, tmp_path):
    """Of a store with every dialect's demo."""
    shell("demo")
    file = tmp_path / "watchword.backup"
    shell("store", "backup", str(file))
    assert shell.code == 0, shell.said
    return file


def with_ring_of(shell, neighbour):
    neighbour.folder.mkdir()
    shutil.copy(shell.folder / "keyring.json", neighbour.folder)


def test_a_backup_is_its_owners_alone_and_overwrites_nothing(shell, backup):
    before = backup.read_bytes()
    assert backup.stat().st_mode & 0o777 == 0o600
    shell("store", "backup", str(backup))
    assert (shell.code, backup.read_bytes()) == (1, before)
    assert "is not overwritten" in shell.said
    assert list(backup.parent.glob(".watchword.backup*")) == []


def test_a_backup_is_neither_ring_nor_inbox(shell, backup):
    ring = keyring.read(shell.folder / "keyring.json")
    secrets = [ring.index, *(key.secret for kind in keyring.KINDS for key in ring.keys(kind))]
    assert not any(secret.encode() in backup.read_bytes() for secret in secrets)


def test_there_is_nothing_to_back_up_where_no_store_is(shell, tmp_path):
    """And looking makes none."""
    shell("store", "backup", str(tmp_path / "b"))
    assert shell.code == 1
    assert "There is no store" in shell.said
    assert not shell.folder.exists()


def test_a_store_that_is_there_is_not_overwritten(shell, backup):
    shell("store", "restore", str(backup))
    assert shell.code == 1
    assert "is not overwritten" in shell.said


def test_no_store_is_made_beside_the_log_of_another(shell, neighbour, tmp_path):
    """A disk came back with it, and without the file that it belongs to."""
    shell("demo")
    file, log = str(tmp_path / "b"), neighbour.folder / "watchword.db-wal"
    shell("store", "backup", file)
    with_ring_of(shell, neighbour)
    with closing(apsw.Connection(str(shell.folder / "watchword.db"))) as later:
        later.execute("DELETE FROM records")
        shutil.copy(f"{shell.folder}/watchword.db-wal", log)
    neighbour("store", "restore", file)
    assert neighbour.code == 1
    assert str(log) in neighbour.said
    assert sorted(neighbour.folder.iterdir()) == [neighbour.folder / "keyring.json", log]
    log.unlink()
    neighbour("store", "restore", file)
    assert neighbour.code == 0, neighbour.said


def test_a_file_that_is_no_backup_is_refused_and_leaves_nothing(shell, neighbour, backup):
    """Neither a text, nor a store, nor a backup that was cut short."""
    text, cut = backup.with_name("text"), backup.with_name("cut")
    text.write_text("no backup")
    cut.write_bytes(backup.read_bytes()[:-4096])
    for file in (text, shell.folder / "watchword.db", cut):
        neighbour("store", "restore", str(file))
        assert neighbour.code == 1
        assert "no backup" in neighbour.said or "damaged" in neighbour.said
        assert list(neighbour.folder.iterdir()) == []
    neighbour("store", "restore", str(backup.with_name("absent")))
    assert (neighbour.code, "No such file" in neighbour.said) == (1, True)


def test_no_server_starts_on_a_backup_that_was_only_copied(neighbour, backup):
    """What is open in it is still open."""
    neighbour.folder.mkdir()
    shutil.copy(backup, neighbour.folder / "watchword.db")
    neighbour("app", "list")
    assert neighbour.code == 1
    assert "watchword store restore" in neighbour.said


def test_what_is_on_its_way_in_a_backup_is_over_in_the_store_made_of_it(shell, neighbour, tmp_path):
    """Nothing of the messages stays, and what is good once is gone. A challenge whose code is over
    by now may have been approved before it was: nobody is told that it expired."""
    shell("demo")
    ago(timedelta(hours=1), a_send)(shell)
    file = str(tmp_path / "b")
    with closing(apsw.Connection(str(shell.folder / "watchword.db"))) as old:
        for statement in opened("x'01'", "0"):
            old.execute(statement)
    shell("store", "backup", file)
    with_ring_of(shell, neighbour)
    told = neighbour.json("store", "restore", file)
    assert (told["dropped"], told["unknown"]) == (4, 2)
    with closing(apsw.Connection(str(neighbour.folder / "watchword.db"))) as made:
        ends = ("cancelled", *ENDS.values())
        assert made.execute(LEFT).fetchall() == [(end, 0, 0, None) for end in ends]
        assert made.execute(GOOD_ONCE).fetchall() == [("captchaXloose",)]
        assert made.execute("SELECT state FROM challenges").fetchall() == [("cancelled",)]


def test_an_address_goes_to_its_programs_by_the_environment():
    """All of it, for one host or several."""
    at = environment("postgresql://ann:s%40e@[::1]:5433,db2/shop%20a?sslmode=require")
    assert (
        at.items()
        >= {
            "PGHOST": "::1,db2",
            "PGPORT": "5433,5432",
            "PGUSER": "ann",
            "PGPASSWORD": "s@e",
            "PGDATABASE": "shop a",
            "PGSSLMODE": "require",
        }.items()
    )


@pytest.mark.parametrize(
    ("address", "told"),
    [
        (
            "postgresql://db/codes?sslmode=verify-full&sslrootcert=/etc/ssl/db-ca.pem",
            {"PGHOST": "db", "PGSSLMODE": "verify-full", "PGSSLROOTCERT": "/etc/ssl/db-ca.pem"},
        ),
        (
            "postgresql:///codes?host=/run/postgresql&port=5433",
            {"PGHOST": "/run/postgresql", "PGPORT": "5433", "PGDATABASE": "codes"},
        ),
        (
            "postgresql://db?dbname=codes&user=ann&password=s%40e&port=5433",
            {
                "PGHOST": "db",
                "PGPORT": "5433",
                "PGDATABASE": "codes",
                "PGUSER": "ann",
                "PGPASSWORD": "s@e",
            },
        ),
        ("postgresql://db/codes?sslcert=c&sslkey=k", {"PGSSLCERT": "c", "PGSSLKEY": "k"}),
        ("postgresql://one/codes?host=two&dbname=other", {"PGHOST": "one", "PGDATABASE": "codes"}),
    ],
)
def test_an_address_goes_there_by_its_query_too(address, told):
    """Where both say it, the query gives way, as it does for those who serve."""
    assert environment(address).items() >= told.items()


def test_a_backup_of_a_newer_watchword_is_left_alone(shell, neighbour, backup):
    with closing(apsw.Connection(str(backup))) as connection:
        version = connection.execute("PRAGMA user_version").get
        connection.execute(f"PRAGMA user_version = {version + 1}")
    neighbour("store", "restore", str(backup))
    assert neighbour.code == 1
    assert "newer watchword" in neighbour.said


def test_with_its_ring_nothing_is_lost(shell, neighbour, backup):
    with_ring_of(shell, neighbour)
    restored = neighbour.json("store", "restore", str(backup))
    assert restored["lost"] == []
    assert f"The key ring is {restored['census']['fingerprint']}." in neighbour("keys", "list")
    for words in (("app", "list"), ("key", "list")):
        assert neighbour(*words) == shell(*words)
    for dialect in ("huawei", "aliyun"):
        listed = ("account", "list", "--dialect", dialect)
        assert neighbour(*listed) == shell(*listed)


def test_an_older_copy_of_its_ring_is_told_from_a_lost_one(shell, neighbour, tmp_path):
    shell("demo")
    with_ring_of(shell, neighbour)
    shell("keys", "rotate")
    shell("store", "backup", str(tmp_path / "b"))
    neighbour("store", "restore", str(tmp_path / "b"), "--without-ring")
    assert neighbour.code == 1
    assert "older copy" in neighbour.said
    assert "seal 2" in neighbour.said


def test_without_its_ring_accounts_go_on_and_take_new_keys(neighbour, backup):
    neighbour("store", "restore", str(backup))
    assert neighbour.code == 1
    assert "access keys of Huawei users" in neighbour.said
    assert list(neighbour.folder.iterdir()) == []
    lost = neighbour.json("store", "restore", str(backup), "--without-ring")["lost"]
    assert any("access keys of Alibaba accounts" in line for line in lost)
    for dialect in ("huawei", "aliyun"):
        accounts = neighbour.json("account", "list", "--dialect", dialect)
        assert accounts
        for account in accounts:
            neighbour("account", "show", account["id"], "--dialect", dialect)
            assert neighbour.code == 0, neighbour.said
    (app, *_) = neighbour.json("app", "list")
    neighbour("app", "test-number", "add", app["id"], "+8613800138000", "246810")
    assert neighbour.code == 0, neighbour.said
    neighbour("journal", "verify")
    assert neighbour.code == 0, neighbour.said


def test_without_its_ring_nothing_stays_that_it_alone_finds_or_opens(shell, neighbour, tmp_path):
    """A customer keeps its name; users of CIAM apps and all claims on addresses go."""
    shell("demo")
    file = str(tmp_path / "b")
    customer = Account(
        id="c", name="shop", created_at=datetime.now(UTC), partner_id="p", private=b"lost"
    )
    hidden = ("ciam_user", "ciam_mobile", "huawei_phone", "huawei_mailbox_0a", "webhook")
    with closing(apsw.Connection(str(shell.folder / "watchword.db"))) as old:
        add = "INSERT INTO records VALUES (?, 'c', 1, ?, NULL)"
        old.execute(add, (CUSTOMER, msgspec.json.encode(customer)))
        for kind in (*hidden, "huawei_name_of_another"):
            old.execute(add, (kind, b"{}"))
    shell("store", "backup", file)
    lost = "".join(neighbour.json("store", "restore", file, "--without-ring")["lost"])
    assert "1 CIAM users" in lost
    assert "1 addresses and xaccount ids of Huawei customers" in lost
    with closing(apsw.Connection(str(neighbour.folder / "watchword.db"))) as made:
        asked = "SELECT kind, body FROM records WHERE key = 'c' ORDER BY kind"
        (kept, body), (other, _) = made.execute(asked).get
    assert (kept, other) == (CUSTOMER, "huawei_name_of_another")
    bare, keys = msgspec.json.decode(body, type=Account), neighbour.folder / "keyring.json"
    assert bare.name == "shop"
    assert keyring.load_or_make(keys).unseal(bare.private, b"c") != b"lost"


def test_a_database_is_restored_into_an_empty_one_alone(shell, database, tmp_path):
    """Where pg_dump is not here, it is told which command does the same."""
    shell("demo")
    file = str(tmp_path / "b")
    shell("store", "backup", file, "--pg-dump", "/nowhere/pg_dump")
    assert shell.code == 1
    assert "pg_dump --format=custom --schema=watchword" in shell.said
    for statement in opened("'x'", "false"):
        rows(database, f"WITH done AS ({statement} RETURNING 1) SELECT FROM done")
    shell("store", "backup", file, "--pg-dump", str(binaries() / "pg_dump"))
    assert shell.code == 0, shell.said
    restore = ("store", "restore", file, "--pg-restore", str(binaries() / "pg_restore"))
    shell(*restore)
    assert shell.code == 1
    assert "is not overwritten" in shell.said
    rows(database, "DELETE FROM watchword.house")
    shell("app", "list")
    assert (shell.code, "is being restored" in shell.said) == (1, True)
    rows(database, "DROP SCHEMA watchword CASCADE")
    told = shell.json(*restore)
    assert (told["dropped"], told["unknown"]) == (3, 2)
    assert rows(database, LEFT) == [(end, 0, 0, None) for end in ENDS.values()]
    assert rows(database, GOOD_ONCE) == [("captchaXloose",)]
    shell("app", "list")
    assert shell.code == 0, shell.said
