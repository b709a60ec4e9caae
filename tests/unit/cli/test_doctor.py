"""The doctor says what is wrong, and how to mend it."""

import json
import os
import socket
from datetime import timedelta

import pytest

from tests.unit.cli.past import a_send, ago, heard_of
from watchword.cli.doctor import machine
from watchword.ports import Troubles
from watchword.stores.sqlite import SqliteStore

PASSWORD = "correct horse battery staple"


@pytest.fixture
def states(shell):
    def seen(*words):
        return {finding["what"]: finding["state"] for finding in shell.json("doctor", *words)}

    return seen


def broken(states):
    return [what for what, state in states.items() if state == "broken"]


def settings(shell, text):
    shell.folder.mkdir(exist_ok=True)
    (shell.folder / "watchword.toml").write_text(text)


def test_a_fresh_folder_is_in_order(shell, states):
    """Nothing is broken, the virtual carrier is pointed out, and nothing is made."""
    found = states()
    assert broken(found) == []
    assert shell.code == 0
    assert any("virtual carrier" in what for what in found)
    assert any("no key ring yet" in what for what in found)
    assert any("no store yet" in what for what in found)
    assert not shell.folder.exists()


def test_a_port_that_is_taken_is_told_before_the_start(shell, states):
    """Of the two that a server wants here; it is no fault of what is here already."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        (_, port) = other.getsockname()
        settings(shell, f"[server]\nport = {port}\nadmin_port = 0\n")
        (told,) = [what for what in states() if str(port) in what]
        assert "server.port" in told
        assert shell.code == 0
        settings(shell, f"[server]\nport = 0\nadmin_port = {port}\n")
        (told,) = [what for what in states() if str(port) in what]
        assert "server.admin_port" in told


def test_a_folder_in_use_is_in_order(shell, states):
    shell("app", "list")
    found = states()
    assert broken(found) == []
    assert any("synchronous FULL" in what for what in found)


def test_a_lost_key_ring_is_broken_and_stays_lost(shell, states):
    """A doctor that made a new one would hide that the old one has to come back."""
    shell("app", "list")
    ring = shell.folder / "keyring.json"
    ring.unlink()
    assert broken(states()) == [f"The key ring is missing: restore your copy to {ring}."]
    assert shell.code == 1
    assert not ring.exists()


def test_a_server_that_does_not_answer_is_broken(shell, states):
    """Its process may live, or its word may be all that is left of it."""
    shell("app", "list")
    for pid in (os.getpid(), 2**22 + 1):
        serving = {"base_url": "http://127.0.0.1:9", "admin_url": None, "pid": pid}
        (shell.folder / "serve.json").write_text(json.dumps(serving))
        (what,) = broken(states())
        assert "nothing answers" in what


def test_a_key_ring_that_others_may_read_is_broken(shell, states):
    shell("app", "list")
    (shell.folder / "keyring.json").chmod(0o644)
    assert any("chmod 600" in what for what in broken(states()))
    assert shell.code == 1


def test_a_key_ring_of_another_user_than_the_folder_is_told(shell, states):
    """As a command that root ran may leave it: the server could not read it."""
    shell("app", "list")
    ring = shell.folder / "keyring.json"
    if os.geteuid():
        ring.unlink()
        ring.symlink_to("/etc/passwd")
    else:
        os.chown(ring, 2**20, -1)  # nobody's name
    notes = [what for what, state in states().items() if state == "note"]
    assert any(f"run chown {shell.folder.owner()} {ring}" in what for what in notes)


def test_wrong_settings_are_broken(shell, states):
    settings(shell, 'stroe = "x"')
    assert any("stroe" in what for what in broken(states()))
    assert shell.code == 1


def test_a_long_life_and_demo_keys_are_pointed_out(shell, states):
    settings(shell, "[policy]\nttl_s = 1200\n")
    shell("demo")
    notes = [what for what, state in states().items() if state == "note"]
    assert any("longer than 10 minutes" in what for what in notes)
    assert any("Demo keys" in what for what in notes)


def test_demos_of_the_dialects_are_pointed_out_until_they_are_suspended(shell, states):
    """By the command that ends each."""
    demo = shell.json("demo")
    ids = {
        "huawei": [demo["huawei"]["domain_id"]],
        "aliyun": [demo["aliyun"][role]["account_id"] for role in ("management", "newcomer")],
        "ciam": [demo["ciam"]["client_id"], demo["ciam"]["client_id_2"]],
    }
    for dialect, names in ids.items():
        (note,) = [what for what in states() if f"A demo of the {dialect} dialect" in what]
        assert all(name in note for name in names)
        command = note.partition("watchword ")[2].removesuffix(".")
        for name in names:
            shell(*[name if word == "ID" else word for word in command.split()])
    assert not any("A demo of" in what for what in states())


def test_a_relay_that_cannot_be_reached_is_broken_and_its_password_unsaid(shell):
    """The report may be shown to anybody."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings(
        shell,
        f'[providers.smtp]\nhost = "127.0.0.1"\nport = {port}\nsender = "codes@example.com"\n'
        f'security = "starttls"\nusername = "codes"\npassword = "{PASSWORD}"\n',
    )
    report = shell("doctor")
    assert shell.code == 1
    assert "BROKEN smtp cannot carry email" in report
    assert PASSWORD not in report


def test_a_store_that_is_no_store_is_broken(shell, states):
    shell("app", "list")
    (shell.folder / "watchword.db").write_bytes(b"this is no database" * 100)
    assert any("store" in what.lower() for what in broken(states()))
    assert shell.code == 1
    (shell.folder / "keyring.json").unlink()
    assert any("cannot be asked whether it needs one" in what for what in states())


def test_a_folder_that_others_may_look_into_is_told(shell):
    shell("store", "migrate")
    shell.folder.chmod(0o755)
    assert f"run chmod 700 {shell.folder}" in shell("doctor")
    shell.folder.chmod(0o700)
    assert "chmod 700" not in shell("doctor")


def test_a_server_that_is_away_comes_with_what_to_look_at(shell, monkeypatch):
    monkeypatch.setenv("WATCHWORD_STORE", "postgresql://watchword@127.0.0.1:1/none")
    assert "See that the server runs" in shell("doctor")
    assert shell.code == 1


CHECKS = {
    *("settings", "disk", "clock", "server", "keyring", "keys", "store", "journal"),
    *("providers", "outbox", "unknown", "locked", "demo", "lifetimes", "texts", "privacy"),
    *("limits", "sandbox"),
}


@pytest.fixture
def found(shell):
    """What a check says, once or several times: its states and its words."""

    def by_check(name):
        seen = [one for one in shell.json("doctor") if one["check"] == name]
        return [one["state"] for one in seen], " ".join(one["what"] for one in seen)

    return by_check


def test_every_finding_names_its_check(shell):
    """Programs hold on to these names."""
    settings(shell, "sandbox = true\n[policy]\nttl_s = 1200\n[limits]\nby_network = false\n")
    shell("demo")
    shell("keys", "rotate", "add")
    shell.folder.chmod(0o755)
    assert {one["check"] for one in shell.json("doctor")} == CHECKS


def test_a_message_that_nobody_takes_is_broken(shell, found):
    """And since when it is due; with it, the journal that nobody seals."""
    ago(timedelta(minutes=2), a_send)(shell)
    states, said = found("outbox")
    assert sorted(states) == ["broken", "ok"]
    assert "The sms lane stands" in said
    assert "1 sms wait, the oldest for 12" in said
    assert shell.code == 1
    states, said = found("journal")
    assert states == ["note"]
    assert "start watchword serve or worker" in said


def test_a_paused_channel_is_told_with_since_why_and_how_to_go_on(shell, found):
    """What waits there is not broken: somebody wants it so."""
    ago(timedelta(minutes=2), a_send)(shell)
    shell("channel", "pause", "sms", "--reason", "the carrier asked.")
    states, said = found("outbox")
    assert sorted(states) == ["note", "ok"]
    assert ": the carrier asked. 1 sms wait" in said
    assert "watchword channel resume sms" in said
    assert shell.code == 0


def test_what_waits_for_a_person_is_told(shell, found, monkeypatch):
    """The stores' own suite counts them; here is how it is said."""
    shell("app", "create", "shop")
    assert (found("unknown")[0], found("locked")[0]) == (["ok"], ["ok"])

    async def troubles(self, budget, now):
        return Troubles(unknown=2, locked=3)

    monkeypatch.setattr(SqliteStore, "troubles", troubles)
    assert "Of 2 messages" in found("unknown")[1]
    assert "watchword delivery settle" in found("unknown")[1]
    assert "3 destinations are locked: 100 codes in a row" in found("locked")[1]


def test_a_webhook_that_takes_nothing_is_told(shell, found):
    """And one that is stopped, with how to go on; of one that takes what it is told, nothing."""
    ago(timedelta(minutes=4), heard_of)(shell)
    assert found("webhooks")[0] == []
    ago(timedelta(minutes=6), heard_of)(shell)
    states, said = found("webhooks")
    assert states == ["note"]
    assert "does not take what it is told: 1 notices wait, the oldest since 2" in said
    (webhook,) = {one["id"] for one in shell.json("webhook", "list") if one["id"] in said}
    shell("webhook", "stop", webhook)
    states, said = found("webhooks")
    assert states == ["note"]
    assert "is stopped: by an operator. 1 notices wait, the oldest since 2" in said
    assert f"watchword webhook resume {webhook}" in said


@pytest.mark.parametrize(
    ("told", "state", "words"),
    [
        (True, "ok", "kept right by NTP"),
        (False, "note", "systemd-timesyncd or chrony"),
        (None, "note", "see that NTP is at work"),
    ],
)
def test_the_clock_is_told_as_the_system_tells_it(told, state, words):
    finding = machine.judged_clock(told)
    assert (finding.check, finding.state) == ("clock", state)
    assert words in finding.what


def test_the_system_is_asked_without_being_root():
    """Whatever it says here, it is an answer."""
    assert machine.is_synchronised() in (True, False, None)


def test_a_doctor_changes_nothing_in_the_journal(shell):
    shell("app", "create", "shop")
    before = shell("journal", "show")
    shell("doctor")
    assert shell("journal", "show") == before
