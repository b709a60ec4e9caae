"""The alert rules and the dashboard, judged by Prometheus itself against a server that runs."""

import json
import re
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests import prometheus_server
from tests.postgres_server import free_port
from tests.prometheus_server import DEPLOYED, RULES, promtool
from tests.smtp_server import SmtpServer, receiving
from tests.whole.conftest import DEADLINE_S, ROOT, eventually

pytestmark = pytest.mark.store("sqlite")
NAME = re.compile(r"\bwatchword_\w+|\bprocess_\w+")
MAIL = """
[channels]
email = "smtp"
[providers.smtp]
host = "127.0.0.1"
port = {port}
security = "none"
sender = "codes@example.com"
"""


class Relay:
    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        return "250 taken"


class GreyLister:
    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        return "450 4.2.0 grey-listed"


@pytest.fixture(autouse=True)
def prometheus_is_here():
    if reason := prometheus_server.absent():
        pytest.skip(reason)


def alerts():
    (group,) = yaml.safe_load((RULES / "alerts.yml").read_text())["groups"]
    return group["rules"]


def panels():
    board = json.loads((DEPLOYED / "grafana/watchword.json").read_text())
    return [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]


def asked(expression):
    """As Grafana would ask it of every server."""
    return expression.replace("$instance", ".*").replace("$__rate_interval", "1m")


def up(prometheus):
    return prometheus.ask("/api/v1/query", query="watchword_store_up")["result"]


@contextmanager
def taking_mail_at(port):
    relay = SmtpServer(Relay(), hostname="127.0.0.1", port=port)
    relay.start()
    try:
        yield
    finally:
        relay.stop()


def scrape(serving):
    with urllib.request.urlopen(f"{serving['admin_url']}/metrics", timeout=DEADLINE_S) as answer:  # noqa: S310
        return answer.read()


@pytest.mark.parametrize("words", [
    ("check", "config", "prometheus.yml"), ("check", "rules", "alerts.yml"),
    ("test", "rules", "alerts_test.yml"),
])  # fmt: skip
def test_promtool_finds_nothing_wrong(words):
    checked = promtool(*words)
    assert checked.returncode == 0, (checked.stdout + checked.stderr).decode()


def test_every_alert_is_shown_to_fire_and_not_to():
    """In alerts_test.yml, each once at least."""
    tried = [
        one
        for test in yaml.safe_load((RULES / "alerts_test.yml").read_text())["tests"]
        for one in test["alert_rule_test"]
    ]
    for names in (
        {one["alertname"] for one in tried if one.get("exp_alerts")},
        {one["alertname"] for one in tried if not one.get("exp_alerts")},
    ):
        assert names == {rule["alert"] for rule in alerts()}


def test_every_alert_leads_to_its_part_of_the_manual():
    """The heading that its runbook names is there."""
    headings = re.findall(r"^#+ (.+)$", (ROOT / "docs/operations.md").read_text(), re.M)
    anchors = {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}
    for rule in alerts():
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert (page, anchor in anchors) == ("docs/operations.md", True), rule["alert"]


def test_what_rules_and_dashboard_ask_for_is_scraped(house):
    """Every name is in a scrape of a server that has sent, checked, refused and delivered; and
    promtool has nothing to say of their names and helps."""
    with house.serving("--workers", "2") as serving:
        house.run("demo")
        sent = house.run("send", "+8613800138000", "--json").stdout
        house.run("check", json.loads(sent)["id"], "000000", check=False)
        house.run("send", "+8613800138000", check=False)
        code = house.inbox("--code")
        house.run("check", json.loads(sent)["id"], code)
        wanted = {name for rule in alerts() for name in NAME.findall(rule["expr"])}
        wanted |= {name for expression in panels() for name in NAME.findall(expression)}

        def missing():
            here = scrape(serving).decode()
            return {one for one in wanted if not re.search(rf"^{one}[{{ ]", here, re.M)}

        eventually(lambda: not missing(), f"a scrape that has all of {wanted}")
        checked = promtool("check", "metrics", told=scrape(serving))
        assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


def test_a_recipient_who_is_put_off_is_no_trouble_of_the_relay(house):
    with receiving(GreyLister()) as port:
        house.settings(MAIL.format(port=port))
        house.run("demo")
        with house.serving() as serving:
            house.run("send", "ann@example.com")
            put_off = r'^watchword_deliveries_total{.*state="queued"} [1-9]'
            eventually(lambda: re.search(put_off, scrape(serving).decode(), re.M), "a try")
            told = scrape(serving).decode()
    assert 'watchword_provider_unavailable{channel="email",provider="smtp"} 0.0' in told
    assert "provider_unavailable" not in house.said()


def test_an_alert_fires_when_mail_cannot_go_out_and_ends_when_it_can(house, tmp_path: Path):
    """And what the dashboard asks is answered."""
    port = free_port()
    house.settings(MAIL.format(port=port))
    house.run("demo")
    with house.serving() as serving:
        target = serving["admin_url"].removeprefix("http://")
        with prometheus_server.scraping(target, tmp_path) as prometheus:
            eventually(lambda: up(prometheus), "a first scrape")
            assert "WatchwordProviderDown" not in prometheus.firing()
            house.run("send", "ann@example.com")
            eventually(lambda: "WatchwordProviderDown" in prometheus.firing(), "the alert")
            for expression in panels():
                assert "result" in prometheus.ask("/api/v1/query", query=asked(expression))
            with taking_mail_at(port):
                eventually(lambda: "WatchwordProviderDown" not in prometheus.firing(), "the end")
