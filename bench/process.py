"""Processes of ours from outside: started on their cores, watched in /proc, ended by stdin."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from bench.inside import Home

_TICKS = os.sysconf("SC_CLK_TCK")
_PATIENCE = 30


class Pinned:
    """A module of ours on its cores; speaks JSON lines over its pipes. It logs to nobody."""

    def __init__(self, module: str, options: Sequence[str], *, cores: set[int]) -> None:
        self._cores = cores
        pinned = ["--cores", ",".join(map(str, sorted(cores)))]
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *options, *pinned],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.greeting = self.answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._process.stdout.close()

    def do(self, command: str) -> Any:
        """Have it obey, as sweep, or start and end taking samples; gives its answer."""
        self.begin(command)
        return self.answer()

    def begin(self, command: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(command.encode() + b"\n")
        self._process.stdin.flush()

    def has_answered(self) -> bool:
        assert self._process.stdout
        return bool(select.select([self._process.stdout], [], [], 0)[0])

    def cpu_seconds(self) -> float:
        """User and system time of every thread, and of the children that were waited for."""
        stat = Path(f"/proc/{self._process.pid}/stat").read_text()
        fields = stat.rpartition(") ")[2].split()
        return sum(map(int, fields[11:15])) / _TICKS

    def core_seconds(self) -> float:
        """What anybody had of its cores, and what the hypervisor took of them."""
        names = {f"cpu{core}" for core in self._cores}
        lines = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
        # Each line: user, nice, system, idle, iowait, irq, softirq, steal.
        busy = [[*map(int, line[1:4]), *map(int, line[6:9])] for line in lines if line[0] in names]
        return sum(map(sum, busy)) / _TICKS

    def resident_mib(self) -> tuple[float, float]:
        """Resident memory: now, and the highest it ever was."""
        status = dict(
            line.split(":", 1)
            for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        )
        now, highest = (int(status[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
        return now, highest

    def answer(self) -> Any:
        """Wait for the next one."""
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise ChildProcessError(f"The server ended with {self._process.wait(_PATIENCE)}.")
        return msgspec.json.decode(line)


class ServerProcess(Pinned):
    """`bench.server` on a home."""

    def __init__(
        self, home: Home, *, cores: set[int], deliver: bool = False, profile: bool = False
    ) -> None:
        options = home.options() + ["--deliver"] * deliver + ["--profile"] * profile
        super().__init__("bench.server", options, cores=cores)
        self.port: int = self.greeting["port"]
