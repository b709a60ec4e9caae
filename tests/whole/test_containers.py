"""The image of deploy/Containerfile, built by podman, and run as deploy/compose.yaml runs it. What
it begins from is Debian 12 with its own Python 3.11, made here: no registry is asked."""

import json
import shutil
import subprocess
import tempfile
import time

import pytest

from tests import machine
from tests.whole.conftest import ROOT

pytestmark = [pytest.mark.soak, pytest.mark.store("sqlite")]

BEGINS_FROM = "docker.io/library/python:3.11-slim-bookworm"
HARDENED = (
    *("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges"),
    *("--network=none", "--ulimit=nofile=1024:1024", "--ulimit=nproc=512:512"),
    "--volume=watchword:/var/lib/watchword",
)
WITHIN_S = 60
ASK = """
import json, sys, urllib.request
path, key, body = sys.argv[1:]
asked = urllib.request.Request("http://127.0.0.1:8080" + path, body.encode() or None, {
    "authorization": "Bearer " + key, "content-type": "application/json"})
print(urllib.request.urlopen(asked, timeout=10).read().decode())
"""


class Podman:
    """One with a storage of its own; it wants the path of what runs to be short."""

    def __init__(self, folder, running):
        self._words = ["podman", f"--root={folder / 'storage'}", f"--runroot={running}"]
        self._words += ["--cgroup-manager=cgroupfs", "--events-backend=file", "--runtime=runc"]

    def __call__(self, *words, fails=False):
        """What it prints; `fails` None is for what may."""
        ended = subprocess.run(
            [*self._words, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
        )
        assert fails in (None, bool(ended.returncode)), ended.stdout
        return ended.stdout

    def asks(self, name, path, key="", body=""):
        return self("exec", name, "python", "-c", ASK, path, key, body)

    def healthy(self, name):
        """Once its own HEALTHCHECK is content."""
        ends_at = time.monotonic() + WITHIN_S
        while self("healthcheck", "run", name, fails=None).strip():
            assert time.monotonic() < ends_at, self("logs", name)
            time.sleep(0.2)


@pytest.fixture
def podman(tmp_path):
    """With the image `watchword`."""
    if reason := machine.absent():
        pytest.skip(reason)
    if not (shutil.which("podman") and shutil.which("runc")):
        pytest.skip("apt-get install podman runc")
    machine.made(tmp_path / "debian", ["python3-venv", "python-is-python3"])
    running = tempfile.mkdtemp(prefix="run")
    podman = Podman(tmp_path, running)
    tar = tmp_path / "debian.tar"
    subprocess.run(["tar", "-C", tmp_path / "debian", "-cf", tar, "."], check=True)
    podman("import", str(tar), BEGINS_FROM)
    wheels, settings = tmp_path / "wheels", tmp_path / "pip.conf"
    machine.wheels(wheels)
    settings.write_text("[global]\nno-index = true\nfind-links = /wheels\n")
    volumes = (f"--volume={wheels}:/wheels:ro", f"--volume={settings}:/etc/pip.conf:ro")
    words = ("--format=docker", "--file=deploy/Containerfile", "--tag=watchword", "--network=none")
    podman("build", *words, *volumes, str(ROOT))
    yield podman
    podman("system", "reset", "--force")
    shutil.rmtree(running, ignore_errors=True)


@pytest.mark.timeout(0)
def test_the_image_serves_and_keeps_what_it_has(podman):
    refusal = podman("run", "--rm", *HARDENED, "watchword", fails=True)
    assert "sandbox" in refusal
    sandbox = ("--env=WATCHWORD_SANDBOX=true", "watchword")
    podman("run", "--detach", "--name=one", *HARDENED, *sandbox)
    podman.healthy("one")
    assert podman("exec", "one", "id", "-u").strip() == "10001"
    app = podman("exec", "one", "watchword", "app", "create", "shop").split()[0]
    key = podman("exec", "one", "watchword", "key", "create", app).split()[0]
    wish = {"to": "+8613800138000", "channel": "sms", "purpose": "sign_in"}
    sent = json.loads(podman.asks("one", "/v1/verifications", key, json.dumps(wish)))
    code = podman("exec", "one", "watchword", "inbox", "last", "--code").strip()
    podman("stop", "--time=60", "one")
    assert podman("inspect", "--format={{.State.ExitCode}}", "one").strip() == "0"
    podman("run", "--detach", "--name=two", *HARDENED, *sandbox)
    podman.healthy("two")
    told = podman.asks(
        "two", f"/v1/verifications/{sent['id']}/check", key, json.dumps({"code": code})
    )
    assert json.loads(told)["status"] == "approved"
