"""A process and all that it started, ended at once."""

from contextlib import suppress

import psutil


def kill_family(pid: int) -> list[psutil.Process]:
    """Send SIGKILL to all of them, the parent first so that nobody is born again; whoever is gone
    before it is his turn is as dead. Gives those that may take a moment to die."""
    parent = psutil.Process(pid)
    family = [parent, *parent.children(recursive=True)]
    for one in family:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    return family
