"""What is under deploy/ fits what it deploys. No unit is started and no image built here."""

import re
from pathlib import Path

import pytest
import yaml

from watchword import config
from watchword.cli import answering

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"
MANUAL = ROOT / "docs/operations.md"


def loaded(tmp_path, environ):
    """Raises ConfigInvalid for what is no setting."""
    return config.load(str(tmp_path), None, environ)


def relay(**more):
    """The settings of a mail relay."""
    told = {"HOST": "mail.example.com", "SENDER": "codes@example.com", **more}
    environ = {f"WATCHWORD_PROVIDERS__SMTP__{name}": value for name, value in told.items()}
    return {"WATCHWORD_CHANNELS__EMAIL": "smtp", **environ}


def test_the_unit_waits_for_what_is_under_way(tmp_path):
    """systemd kills nobody who is still handing over, with the usual time-out of a relay."""
    looked = answering.look(loaded(tmp_path, relay()))
    unit = (DEPLOY / "systemd/watchword.service").read_text()
    (seconds,) = re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.M)
    assert int(seconds) > looked.stops_in_s + 5
    assert "ProtectSystem=strict" in unit
    assert "WATCHWORD_" not in re.sub(r"^#.*$", "", unit, flags=re.M)


def test_a_family_waits_for_a_slow_relay(tmp_path):
    """As long as a worker of its own would: requests, the hand-over, and what is kept open."""
    looked = answering.look(loaded(tmp_path, relay(TIMEOUT_S="120")))
    assert looked.stops_in_s > answering.GRACE_S + 120


def test_the_containers_settings_are_settings(tmp_path):
    told = (DEPLOY / "Containerfile").read_text()
    environ = dict(re.findall(r"(WATCHWORD_\w+)=(\S+)", told))
    settings = loaded(tmp_path, environ)
    assert (settings.log, settings.server.host) == ("json", "0.0.0.0")  # noqa: S104
    assert f"127.0.0.1:{settings.server.port}/livez" in told
    for source in re.findall(r"^COPY (?!--from)(.+) \S+$", told, re.M):
        assert all((ROOT / one).exists() for one in source.split())


def test_the_compose_files_settings_are_settings(tmp_path):
    """And what it mounts is there."""
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    given = services["watchword"]["environment"]
    environ = {name: re.sub(r"\$\{\w+:\?\}", "secret", value) for name, value in given.items()}
    settings = loaded(tmp_path, environ)
    assert not settings.address.is_embedded
    assert settings.channels.email == "smtp"
    mounted = [one for one in services["prometheus"]["volumes"] if one.startswith("./")]
    assert len(mounted) == 2
    assert all((DEPLOY / one.split(":")[0]).exists() for one in mounted)


def test_the_first_hours_settings_are_settings(tmp_path):
    """As the manual has them; its site and unit are where it copies them from."""
    text = MANUAL.read_text()
    (written,) = re.findall(r"watchword\.toml <<'EOF'\n(.*?)\n    EOF", text, re.S)
    (tmp_path / "watchword.toml").write_text(re.sub(r"^ {4}", "", written, flags=re.M))
    settings = loaded(tmp_path, {})
    assert settings.trusted_proxies == ("127.0.0.1",)
    assert settings.channels.email == "smtp"
    for copied in re.findall(r"deploy/[\w./]+\w", text):
        assert (ROOT / copied).exists(), copied


@pytest.mark.parametrize("name", ["prometheus.yml", "compose.yml"])
def test_both_scrape_configurations_know_the_alerts_and_name_the_job(name):
    """The rules ask for job="watchword"."""
    told = yaml.safe_load((DEPLOY / "prometheus" / name).read_text())
    assert told["rule_files"] == ["alerts.yml"]
    assert [job["job_name"] for job in told["scrape_configs"]] == ["watchword"]
