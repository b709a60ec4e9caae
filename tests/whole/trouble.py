"""A disk that fails on demand, and a look at what the server left on it."""

import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.whole.conftest import House

SHIM = Path(__file__).with_name("failing_disk.c")


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


def counts(house: House) -> dict[str, int]:
    """How many rows each table has."""
    return {table: len(rows) for table, rows in house.place.contents().items()}


def is_whole(house: House) -> bool:
    """SQLite's own judgement of its file; those of a server are nothing that we could break."""
    return house.place.kind != "sqlite" or house.rows("PRAGMA integrity_check") == [("ok",)]


def in_state(house: House, *states: str) -> set[int]:
    """The deliveries in one of these states."""
    wanted = ", ".join(f"'{state}'" for state in states)
    return {id for (id,) in house.rows(f"SELECT id FROM deliveries WHERE state IN ({wanted})")}  # noqa: S608


def unsettled(house: House) -> set[int]:
    return in_state(house, "queued", "leased", "sending")
