"""A new operator's hour, from docs/operations.md as it is written: on a machine of its own with
Debian 12, under systemd, behind nginx, with a real relay, watched by Debian's Prometheus."""

import email.policy
import json
import mailbox
import re
import shutil
import subprocess
import textwrap
import time
from contextlib import closing

import pytest

from tests import machine
from tests.whole.conftest import ROOT

pytestmark = [pytest.mark.soak, pytest.mark.store("sqlite")]

MANUAL = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
PACKAGES = ("python3-venv", "nginx", "prometheus", "postfix", "sasl2-bin", "libsasl2-modules")
SITE, MAILBOX, PASSWORD = "codes.example.com", "you@example.com", "s3cret"
URL = f"https://{SITE}"
WITHIN_S = 150
NEIGHBOURHOOD = f"""
echo '127.0.0.1 {SITE} mail.example.com' >> /etc/hosts
install -d -m 0700 /etc/ssl/watchword
cd /etc/ssl/watchword
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=example.com \\
    -addext 'subjectAltName=DNS:{SITE},DNS:mail.example.com' \\
    -keyout privkey.pem -out fullchain.pem
cp fullchain.pem /usr/local/share/ca-certificates/example.crt
update-ca-certificates

useradd --create-home you
mkdir -p /etc/postfix/sasl
printf 'pwcheck_method: auxprop\\nauxprop_plugin: sasldb\\nmech_list: PLAIN LOGIN\\n' \\
    > /etc/postfix/sasl/smtpd.conf
printf '%s' {PASSWORD} | saslpasswd2 -p -c -u mail.example.com codes
chown postfix /etc/sasldb2
postconf -e myhostname=mail.example.com mydestination=example.com alias_maps= \\
    inet_protocols=ipv4 smtpd_tls_cert_file=$PWD/fullchain.pem smtpd_tls_key_file=$PWD/privkey.pem
postconf -M 'submission/inet=submission inet n - n - - smtpd'
postconf -P submission/inet/smtpd_tls_security_level=encrypt \\
    submission/inet/smtpd_sasl_auth_enable=yes \\
    'submission/inet/smtpd_relay_restrictions=permit_sasl_authenticated,reject'
systemctl restart postfix
"""


def hour():
    """What the first hour has an operator type, block by block."""
    section = MANUAL.partition("## The first hour\n")[2].partition("\n## ")[0]
    return [textwrap.dedent(one) for one in re.findall(r"(?:^ {4}.*\n)+", section, re.MULTILINE)]


@pytest.fixture
def debian(tmp_path):
    """With a relay at mail.example.com, a certificate of its own, and the sources in /root. What
    pip installs lies on its disk, since it reaches nobody."""
    if reason := machine.absent():
        pytest.skip(reason)
    root = tmp_path / "debian"
    made = machine.made(root, PACKAGES)
    named = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in named.stdout.split("\0")[:-1]:
        place = root / "root/watchword" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, place)
    machine.wheels(root / "wheels")
    made.environment |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels"}
    yield made
    shutil.rmtree(root)


def plain(mail):
    """The plain text of a mail."""
    read = email.message_from_bytes(bytes(mail), policy=email.policy.default)
    (text,) = [part for part in read.walk() if part.get_content_type() == "text/plain"]
    return text.get_content()


class Operator:
    """Types what the manual says, in one shell after the other."""

    def __init__(self, debian):
        self.debian = debian
        install, self.settings, self.function, self.service, self.tls, calls, watch = hour()
        self.install, self.watch = f"cd ~/watchword\n{install}", f"cd ~/watchword\n{watch}"
        self.create_app, self.create_key, *self.calls = calls.replace("\\\n", "").splitlines()

    def types(self, script, **more):
        return self.debian.run(script, **more)

    def watchword(self, words, **more):
        """A command as the page writes it, which stands for the function above."""
        return self.debian.run(f"{self.function}\nwatchword {words}", **more)

    def eventually(self, look, what):
        """The first true answer of `look`, within two minutes and a half; and how long it took."""
        began = time.monotonic()
        while not (found := look()):
            assert time.monotonic() < began + WITHIN_S, what
            time.sleep(0.5)
        return found, time.monotonic() - began

    def mails(self):
        """The codes that the mailbox got, the oldest first."""
        path = self.debian.root / "var/mail/you"
        if not path.exists():
            return []
        with closing(mailbox.mbox(path)) as box:
            return [code for mail in box for code in re.findall(r"\b\d{6}\b", plain(mail))]

    def firing(self):
        told = self.types("curl -s http://127.0.0.1:9090/api/v1/alerts")
        alerts = json.loads(told)["data"]["alerts"]
        return {one["labels"]["alertname"] for one in alerts if one["state"] == "firing"}

    def sends(self, key):
        """As the page has it; the verification."""
        line = self.calls[0].replace("YOUR.NAME", SITE).replace("KEY", key)
        return json.loads(self.types(line.replace("curl ", "curl -s ")))

    def checks(self, key, id, code):
        line = self.calls[1].replace("YOUR.NAME", SITE).replace("KEY", key)
        line = line.replace("/ID/", f"/{id}/").replace("CODE", code)
        return json.loads(self.types(line.replace("curl ", "curl -s ")))


@pytest.mark.timeout(0)
def test_a_new_operators_hour(debian):
    me = Operator(debian)
    with debian.up():
        me.types(NEIGHBOURHOOD)
        key = install(me)
        a_code_comes(me, key)
        nothing_of_a_query_string_is_kept(me)
        what_is_killed_comes_back(me)
        an_alert_fires_and_find_explains(me, key)
        a_backup_comes_back(me, key)
    with debian.up():
        ready, took = me.eventually(lambda: "ready" in me.types(f"curl -s {URL}/readyz"), "a start")
        assert ready
        print(f"after a boot it was ready within {took:.0f} s")
        a_code_comes(me, key)


def install(me):
    """An API key."""
    me.types(me.install, seconds=600)
    me.types(me.settings.replace("=...'", f"={PASSWORD}'"))
    said = me.watchword("doctor")
    assert "BROKEN" not in said, said
    assert "smtp" in said
    me.types("cd ~/watchword\n" + me.service.replace("curl ", "sleep 3; curl -sf "))
    me.types("systemd-analyze verify watchword.service")
    print(me.types("systemd-analyze security --no-pager watchword | tail -1"))
    tls = me.tls.replace("YOUR.NAME", SITE).replace("curl ", "curl -sf ")
    me.types(f"cd ~/watchword\n{tls}")
    app = me.watchword(me.create_app.removeprefix("watchword ")).split()[0]
    return me.watchword(f"key create {app}").split()[0]


def a_code_comes(me, key):
    """And is right, once; the log tells of it, and has neither code nor address."""
    before = len(me.mails())
    sent = me.sends(key)
    me.eventually(lambda: len(me.mails()) > before, "a mail")
    code = me.mails()[-1]
    assert me.checks(key, sent["id"], code)["status"] == "approved"
    assert me.checks(key, sent["id"], code)["status"] != "pending"
    log = me.types("journalctl -u watchword -o cat --no-pager")
    for event in ("challenge_issued", "delivery_settled", "challenge_checked"):
        assert any(event in line and sent["id"] in line for line in log.splitlines()), event
    assert code not in log
    assert MAILBOX not in log


def nothing_of_a_query_string_is_kept(me):
    me.types(f"curl -s '{URL}/v1/verifications?typed=hunter2' -o /dev/null")
    me.types("! grep -rq hunter2 /var/log/nginx")
    assert "hunter2" not in me.types("journalctl --no-pager")


def what_is_killed_comes_back(me):
    me.types("kill -KILL $(systemctl show --property MainPID --value watchword)")
    _, took = me.eventually(lambda: "ready" in me.types(f"curl -s {URL}/readyz || true"), "a start")
    print(f"after kill -9 it was ready again within {took:.1f} s")


def an_alert_fires_and_find_explains(me, key):
    """While the relay is down; the message goes out once it is up, and the alert ends."""
    me.types(me.watch)
    up = "curl -s http://127.0.0.1:9090/api/v1/query?query=watchword_store_up"
    me.eventually(lambda: '"1"' in me.types(f"{up} || true"), "a scrape")
    before = len(me.mails())
    me.types("systemctl stop postfix")
    me.sends(key)
    _, took = me.eventually(lambda: "WatchwordProviderDown" in me.firing(), "the alert")
    print(f"WatchwordProviderDown fired after {took:.0f} s")
    assert "smtp: the relay cannot be reached" in me.watchword(f"find --to {MAILBOX}")
    assert "BROKEN" in me.watchword("doctor", fails=True)
    me.types("systemctl start postfix")
    _, took = me.eventually(lambda: len(me.mails()) > before, "the mail")
    print(f"the mail came {took:.0f} s after the relay")
    _, took = me.eventually(lambda: "WatchwordProviderDown" not in me.firing(), "its end")
    print(f"the alert ended after another {took:.0f} s")


def a_backup_comes_back(me, key):
    """Under docs/backup.md, after the data folder was lost; what was used stays used."""
    sent = me.sends(key)
    text = (ROOT / "docs/backup.md").read_text(encoding="utf-8")
    (folder,) = re.findall(r"^ {4}(install -d .*/var/backups/watchword)$", text, re.MULTILINE)
    me.types(folder)
    me.watchword("store backup /var/backups/watchword/monday.backup")
    me.types(
        "systemctl stop watchword; mkdir -m 0700 ~/safe; cd /var/lib/watchword;"
        "cp keyring.json watchword.toml ~/safe; rm -r /var/lib/watchword/*"
    )
    me.types("install -m 0600 -o watchword -g watchword -t /var/lib/watchword ~/safe/*")
    told = me.watchword("store restore /var/backups/watchword/monday.backup")
    assert "Ended what was open: 1 challenges" in told, told
    me.watchword("journal verify")
    assert "BROKEN" not in me.watchword("doctor")
    me.types("systemctl start watchword")
    me.eventually(lambda: "ready" in me.types(f"curl -s {URL}/readyz || true"), "a start")
    assert me.checks(key, sent["id"], me.mails()[-1])["type"].endswith("cancelled")
