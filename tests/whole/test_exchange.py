"""One code, from the request to its single use, through real processes and real sockets."""

import email
import json
import re
from contextlib import contextmanager
from email import policy

import pytest

from tests.contract.places import KINDS
from tests.smtp_server import receiving
from tests.whole.conftest import eventually
from watchword.client import Client, WatchwordProblem

pytestmark = pytest.mark.store("sqlite")


class Mailbox:
    """Keeps each mail that the relay takes."""

    def __init__(self):
        self.mails = []

    async def handle_DATA(self, server, session, envelope):  # noqa: N802  aiosmtpd's name
        mail = email.message_from_bytes(envelope.content, policy=policy.default)
        self.mails.append((envelope.rcpt_tos, mail))
        return "250 Taken"


@contextmanager
def relay():
    """A mail relay on a socket, and what it took."""
    mailbox = Mailbox()
    with receiving(mailbox) as port:
        yield port, mailbox


def client_of(house):
    native = json.loads(house.run("demo", "--json").stdout)["native"]
    return Client(native["base_url"], native["api_key"])


@pytest.mark.store(*KINDS)
def test_a_mail_arrives_and_its_code_is_right_once(house):
    """A program asks for a code, a real mail server receives it, and it opens one door once."""
    with relay() as (port, mailbox):
        house.settings(
            '[channels]\nemail = "smtp"\n[providers.smtp]\nhost = "127.0.0.1"\n'
            f'port = {port}\nsecurity = "none"\nsender = "codes@example.com"\n'
        )
        with house.serving(), client_of(house) as client:
            sent = client.send("Ann@Example.com", purpose="sign_in")
            ((recipients, mail),) = eventually(lambda: mailbox.mails, "a mail")
            assert recipients == ["Ann@example.com"]
            text = mail.get_body(("plain",)).get_content()
            (code,) = re.findall(r"\b\d{6}\b", text)
            assert not client.check(sent.id, str((int(code) + 1) % 10**6).zfill(6)).approved
            assert client.check(sent.id, code).approved
            with pytest.raises(WatchwordProblem) as caught:
                client.check(sent.id, code)
            assert caught.value.status == 409
            (delivery,) = eventually(
                lambda: [d for d in client.deliveries(sent.id) if d.state == "accepted"],
                "the relay's word",
            )
            assert delivery.provider == "smtp"


@pytest.mark.store(*KINDS)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_message_arrives_at_the_virtual_phone(house, workers):
    """The same on a fresh machine, without any account, from a shell alone."""
    with house.serving("--workers", workers):
        house.run("demo")
        (line,) = house.run("send", "+8613800138000", "--json").stdout.splitlines()
        sent = json.loads(line)
        assert set(sent) == {
            *("id", "status", "to", "channel", "expires_at", "resend_at", "attempts_left")
        }
        code = house.inbox("--code", "--to", "0086-138 0013 8000")
        wrong = house.run("check", sent["id"], code[::-1] + "0", check=False)
        assert (wrong.returncode, wrong.stdout) == (1, "Wrong; 4 attempts left.\n")
        right = house.run("check", sent["id"], code)
        assert right.stdout == "Approved.\n"
        again = house.run("check", sent["id"], code, check=False)
        assert (again.returncode, again.stdout) == (1, "")
        assert "approved" in again.stderr


def test_the_inbox_lists_what_arrived(house):
    """In the form that programs read."""
    with house.serving(), client_of(house) as client:
        client.send("ann@example.com")
        client.send("+12025550100")
        eventually(lambda: len(client.inbox()) == 2, "two messages")
    listed = json.loads(house.run("inbox", "list", "--json").stdout)
    assert [set(one) for one in listed] == [{"to", "channel", "text", "code", "at"}] * 2
    assert house.inbox("--to", "ANN@example.com", "--code") in {one["code"] for one in listed}
    (phone,) = json.loads(house.run("inbox", "--json", "--to", "1-2025550100").stdout)
    assert (phone["to"], phone["channel"]) == ("+12025550100", "sms")


def test_an_inbox_without_messages_prints_nothing(house):
    """A script reads an empty answer, not an error."""
    house.run("app", "list")
    for words in (["last"], ["last", "--code"], ["list"]):
        found = house.run("inbox", *words)
        assert (found.returncode, found.stdout) == (0, "")
        assert found.stderr == "Nothing yet.\n"
    assert json.loads(house.run("inbox", "list", "--json").stdout) == []


def test_a_call_without_a_server_says_how_to_start_one(house):
    house.run("demo")
    refused = house.run("send", "+8613800138000", "--url", "http://127.0.0.1:9", check=False)
    assert refused.returncode == 1
    assert "watchword serve" in refused.stderr


def test_a_script_captures_the_id_alone(house):
    """`ID=$(watchword send …)` holds what check takes; what people read goes to stderr."""
    with house.serving():
        house.run("demo")
        sent = house.run("send", "ann@example.com", "--purpose", "bind")
        assert "on its way" in sent.stderr
        code = house.inbox("--code")
        assert house.run("check", sent.stdout.strip(), code).stdout == "Approved.\n"


def test_a_count_of_attempts_reads_as_a_sentence(house):
    """The last but one, and the last."""
    house.settings("[policy]\nmax_attempts = 2\n")
    with house.serving():
        house.run("demo")
        id = house.run("send", "ann@example.com").stdout.strip()
        wrong = house.inbox("--code")[::-1] + "0"
        tried = [house.run("check", id, wrong, check=False).stdout for _ in range(2)]
    assert tried == [
        "Wrong; 1 attempt left.\n",
        "Wrong; no attempts left, send a new code.\n",
    ]


def test_a_wrong_value_or_key_says_what_is_right(house):
    """Nobody has to look up which values there are, or which key was taken."""
    with house.serving() as serving:
        house.run("demo")
        words = ("send", "+8613800138000")
        refused = house.run(*words, "--purpose", "login", check=False)
        assert "sign_in, sign_up, reset, change, bind" in refused.stderr
        refused = house.run(*words, "--channel", "fax", check=False)
        assert "sms, email" in refused.stderr
        refused = house.run(*words, check=False, WATCHWORD_KEY="wrong")
        assert "The key from WATCHWORD_KEY" in refused.stderr
        house.run(*words)
        refused = house.run(*words, check=False)
        assert refused.stderr.startswith("A code was sent a moment ago.")
        bare = serving["base_url"].partition("//")[2]
        refused = house.run(*words, "--url", bare, check=False)
        assert (refused.returncode, "begins with http://" in refused.stderr) == (2, True)
        refused = house.run(*words, "--ca", "absent.pem", check=False)
        assert "absent.pem" in refused.stderr
