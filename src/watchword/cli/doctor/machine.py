"""What the doctor sees from outside: settings, folder, disk, clock, and the server's process."""

from __future__ import annotations

import ctypes
import pwd
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from watchword.cli.doctor.finding import Finding, broken, note, ok
from watchword.cli.places import answers, left, running
from watchword.cli.refusal import Refused
from watchword.cli.serve import listen
from watchword.config import Settings

if TYPE_CHECKING:
    from watchword.bootstrap import Stage

LONGEST_USUAL_TTL_S = 600
LEAST_FREE = 1 << 30
NO_SPACE = 64 << 20
SYNCHRONISED = Path("/run/systemd/timesync/synchronized")
_STA_UNSYNC = 0x40
_TIME_ERROR = 5


def terms(settings: Settings) -> Iterator[Finding]:
    if settings.policy.ttl_s > LONGEST_USUAL_TTL_S:
        yield note(
            "lifetimes",
            f"policy.ttl_s is {settings.policy.ttl_s}: codes live longer than 10 minutes. Use 600 "
            "or less unless a dialect asks for more.",
        )
    if not settings.limits.by_network:
        yield note("limits", "limits.by_network is off: right for test rigs only.")
    if settings.sandbox:
        yield note("sandbox", "sandbox is on: others may reach codes that can be read here.")


def space(settings: Settings) -> Iterator[Finding]:
    """Of the data folder, and of the store where that is a file on another disk."""
    folder = _nearest(settings.folder)
    yield _free("disk", folder, "the data folder", is_needed=settings.address.is_embedded)
    if settings.address.is_embedded:
        beside = _nearest(settings.store_path.parent)
        if beside.stat().st_dev != folder.stat().st_dev:
            yield _free("disk", beside, f"the store in {beside}", is_needed=True)


def privacy(settings: Settings) -> Iterator[Finding]:
    folder = settings.folder.resolve()
    if folder.is_dir() and stat.S_IMODE(folder.stat().st_mode) & 0o077:
        yield note("privacy", f"Others may look into the data folder: run chmod 700 {folder}.")


def server(settings: Settings) -> Iterator[Finding]:
    serving = left(settings.folder)
    if serving is None:
        yield note("server", "No server runs on this data folder: start it with watchword serve.")
        yield from _taken(settings)
    elif running(settings.folder) and answers(serving):
        yield ok("server", f"A server answers at {serving.base_url} (process {serving.pid}).")
    else:
        yield broken(
            "server",
            f"serve.json names {serving.base_url} (process {serving.pid}), but nothing answers "
            "there: start watchword serve again.",
        )


def _taken(settings: Settings) -> Iterator[Finding]:
    """What stands in the way of a start."""
    wanted = settings.server
    for host, port, option in (
        (wanted.host, wanted.port, "server.port"),
        (wanted.admin_host, wanted.admin_port, "server.admin_port"),
    ):
        try:
            listen(host, port, option).close()
        except Refused as refusal:
            yield note("server", str(refusal))


def clock(settings: Settings) -> Iterator[Finding]:
    """Whether somebody sets it, as far as the system tells whoever asks. A server store's own clock
    is told with the store."""
    yield judged_clock(is_synchronised())


def judged_clock(synchronised: bool | None) -> Finding:
    if synchronised is None:
        return note(
            "clock",
            "This system does not tell whether its clock is set right: see that NTP is at work. "
            "Lifetimes and limits are counted by it.",
        )
    if not synchronised:
        return note(
            "clock",
            "The kernel says that nobody keeps this machine's clock right: turn on "
            "systemd-timesyncd or chrony (a container has its host's clock). Lifetimes and limits "
            "are counted by it.",
        )
    return ok("clock", "This machine's clock is kept right by NTP.")


def is_synchronised() -> bool | None:
    """None where nobody can tell without being root."""
    if SYNCHRONISED.exists():
        return True
    told = _Timex()
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(told))
    except (OSError, AttributeError):  # no Linux
        return None
    if state < 0:  # a sandbox that lets nobody ask
        return None
    return state != _TIME_ERROR and not told.status & _STA_UNSYNC


def keyring(settings: Settings, stage: Stage | None) -> Finding:
    """Without a `stage` the store could not be asked."""
    from watchword.bootstrap import Stage

    path = settings.keyring_path
    if not path.exists() and stage is None:
        return note(
            "keyring",
            f"There is no key ring in {path}, and the store cannot be asked whether it needs one: "
            "if it was used before, restore your copy.",
        )
    if not path.exists() and stage is Stage.STARTED:
        fleet = "" if settings.address.is_embedded else ", or copy keyring.json of another machine"
        return broken("keyring", f"The key ring is missing: restore your copy to {path}{fleet}.")
    if not path.exists():
        return note("keyring", f"There is no key ring yet; the first start makes {path}.")
    owner, user = path.stat().st_uid, settings.folder.stat().st_uid
    if owner != user and path.parent == settings.folder:
        return note(
            "keyring",
            f"The key ring is {_name(owner)}'s, and the data folder {_name(user)}'s: a server that "
            f"runs as {_name(user)} cannot read it. Then run chown {_name(user)} {path}.",
        )
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        return broken("keyring", f"Others may read the key ring: run chmod 600 {path}.")
    return ok("keyring", "The key ring is readable to its owner only.")


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:  # as in a container, on a folder of its host
        return str(user)


class _Timex(ctypes.Structure):
    """The beginning of struct timex; with `modes` 0 the call only looks, which everybody may."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def _nearest(folder: Path) -> Path:
    """The folder, or where it will be made."""
    folder = folder.resolve()
    return next(place for place in (folder, *folder.parents) if place.is_dir())


def _free(check: str, there: Path, what: str, *, is_needed: bool) -> Finding:
    free = shutil.disk_usage(there).free
    said = f"{free / (1 << 30):.1f} GiB are free for {what}."
    if free < NO_SPACE and is_needed:
        return broken(check, f"{said} Sends will be refused: make room.")
    return ok(check, said) if free >= LEAST_FREE else note(check, said)
