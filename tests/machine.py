"""A machine of its own with Debian 12, started by its own systemd, with no network but loopback.

It is made by debootstrap and booted by systemd-nspawn, both Debian's packages, and needs root.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

ROOT = Path(__file__).parent.parent
_BASE = ("systemd-sysv", "dbus", "ca-certificates", "curl", "netbase", "openssl", "procps")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ENVIRONMENT = {"PATH": _PATH, "HOME": "/root", "DEBIAN_FRONTEND": "noninteractive"}
_POWER_OFF = signal.SIGRTMIN + 4
_MAKING_S, _BOOTING_S, _POLL_S = 600, 60, 0.1


def absent() -> str:
    """Why no machine can be made here; empty where one can."""
    if os.geteuid():
        return "only root can start a machine"
    missing = [name for name in ("debootstrap", "systemd-nspawn") if not shutil.which(name)]
    if missing:
        return f"{' and '.join(missing)} missing: apt-get install debootstrap systemd-container"
    return ""


class Machine:
    """Runs scripts as its root, once it is up."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment = dict(_ENVIRONMENT)
        self._first: psutil.Process | None = None

    def run(self, script: str, *, seconds: float = 120, fails: bool = False) -> str:
        """What a script of bash prints, stderr too."""
        first = self._first
        assert first is not None, "It is not up."
        entered = ["nsenter", "--target", str(first.pid), "--mount", "--uts", "--ipc", "--net"]
        words = [*entered, "--pid", "--", "bash", "-euo", "pipefail", "-c", script]
        ended = subprocess.run(
            words,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
        )
        assert fails == bool(ended.returncode), f"{script}\n{ended.stdout}"
        return ended.stdout

    @contextmanager
    def up(self) -> Iterator[None]:
        """From when it has booted until it is off."""
        words = ["systemd-nspawn", "--quiet", "--boot", f"--directory={self.root}"]
        words += ["--register=no", "--keep-unit", "--private-network", "--console=pipe"]
        log = self.root.with_suffix(".log")
        with (
            log.open("ab") as told,
            subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=told, stderr=told) as nspawn,
        ):
            try:
                self._first = self._booted(psutil.Process(nspawn.pid))
                self.run("systemctl is-system-running --wait || true", seconds=_BOOTING_S)
                yield
                os.kill(self._first.pid, _POWER_OFF)
                nspawn.wait(_BOOTING_S)
            finally:
                self._first = None
                nspawn.kill()

    def _booted(self, nspawn: psutil.Process) -> psutil.Process:
        """Its first process, once that listens."""
        ends_at = time.monotonic() + _BOOTING_S
        while time.monotonic() < ends_at and nspawn.is_running():
            for child in nspawn.children(recursive=True):
                there = Path(f"/proc/{child.pid}/root/run/systemd/private")
                if child.name() == "systemd" and there.exists():
                    return child
            time.sleep(_POLL_S)
        raise AssertionError(self.root.with_suffix(".log").read_text(errors="replace"))


def made(root: Path, packages: Sequence[str]) -> Machine:
    """One with these of Debian's packages beside what any has; it takes minutes."""
    _do("debootstrap", "--variant=minbase", "bookworm", str(root))
    inside = ("chroot", str(root), "env", *(f"{k}={v}" for k, v in _ENVIRONMENT.items()))
    # Nothing is started while it is made: who starts it is systemd, once it is up.
    refusal = root / "usr/sbin/policy-rc.d"
    refusal.write_text("#!/bin/sh\nexit 101\n")
    refusal.chmod(0o755)
    wanted = ("apt-get", "install", "-y", "-qq", "--no-install-recommends", *_BASE, *packages)
    _do(*inside, *wanted)
    refusal.unlink()
    return Machine(root)


def wheels(folder: Path) -> None:
    """All that pip installs of ours, for a machine that reaches nobody."""
    words = ["-m", "pip", "download", "--quiet", "--require-hashes", "--no-deps"]
    words += ["--python-version=3.11", "--only-binary=:all:", f"--dest={folder}"]
    _do(sys.executable, *words, f"--requirement={ROOT / 'requirements.txt'}")


def _do(*words: str) -> None:
    ended = subprocess.run(words, capture_output=True, text=True, timeout=_MAKING_S)
    assert not ended.returncode, ended.stdout[-3000:] + ended.stderr[-3000:]
