"""A disk that fails on demand, a kill under load, and a look at what the server left behind."""

import random
import resource
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.whole.conftest import House, eventually, kill

_THE_SCRIBES = {"chains", "events", "journal"}

SHIM = Path(__file__).with_name("failing_disk.c")
CALLERS = 8
"""As many as work at once until the server is killed."""


class FailingDisk:
    """A library to preload, and the switch that turns its fault on and off from outside."""

    def __init__(self, folder: Path) -> None:
        self.switch = folder / "fault"
        self._library = folder / "failing_disk.so"
        options = ["-shared", "-fPIC", "-O1", "-Werror", "-o", str(self._library)]
        subprocess.run(["cc", *options, str(SHIM), "-ldl"], check=True)

    def environ(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self._library), "FAILING_DISK": str(self.switch)}

    @contextmanager
    def fault(self, kind: str, pid: int) -> Iterator[None]:
        """Until the end of the block the process `pid` finds its disk full, broken or unsynced,
        or may not make any file longer ("limited", the kernel's own doing)."""
        if kind == "limited":
            limit = resource.RLIMIT_FSIZE
            before = resource.prlimit(pid, limit, (0, resource.RLIM_INFINITY))
            try:
                yield
            finally:
                with suppress(ProcessLookupError):
                    resource.prlimit(pid, limit, before)
            return
        self.switch.write_text(kind)
        try:
            yield
        finally:
            self.switch.unlink()


def killed_under_load(house: House, work: Callable[[], None], told: Callable[[], int]) -> None:
    """Callers that work until nobody answers, then SIGKILL, at a moment that nobody chose; `told`
    says how many answers they have had."""
    before = told()
    with ThreadPoolExecutor(CALLERS) as threads:
        working = [threads.submit(work) for _ in range(CALLERS)]
        eventually(lambda: told() > before + CALLERS, "some work")
        threading.Event().wait(random.random())  # the dice, not a wait for anything
        kill(house)
        for one in working:
            one.result()


def counts(house: House) -> dict[str, int]:
    """How many rows each table has, but for those that a scribe moves in its own time."""
    found = house.place.contents().items()
    return {table: len(rows) for table, rows in found if table not in _THE_SCRIBES}


def is_whole(house: House) -> bool:
    """SQLite's own judgement of its file; those of a server are nothing that we could break."""
    return house.place.kind != "sqlite" or house.rows("PRAGMA integrity_check") == [("ok",)]


def in_state(house: House, *states: str) -> set[int]:
    """The deliveries in one of these states."""
    wanted = ", ".join(f"'{state}'" for state in states)
    return {id for (id,) in house.rows(f"SELECT id FROM deliveries WHERE state IN ({wanted})")}  # noqa: S608


def unsettled(house: House) -> set[int]:
    return in_state(house, "queued", "leased", "sending")
