"""A real PgBouncer in transaction mode, before a PostgreSQL server of the tests."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests import postgres_server
from tests.postgres_server import Postgres

CONNECTIONS = 2
DEADLINE_S = 20
POLL_S = 0.005


def program() -> str | None:
    """Debian keeps it where only root looks."""
    return shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")


@contextmanager
def before(server: Postgres) -> Iterator[str]:
    """The address of the server's first database through it. All callers share two connections."""
    found = program()
    assert found
    port = postgres_server.free_port()
    settings = server.folder / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\n* = host={postgres_server.HERE} port={server.port} "
        f"user={postgres_server.USER}\n"
        f"[pgbouncer]\nlisten_addr = {postgres_server.HERE}\nlisten_port = {port}\n"
        f"unix_socket_dir =\nauth_type = any\npool_mode = transaction\n"
        f"default_pool_size = {CONNECTIONS}\n"
    )
    settings.chmod(0o644)
    bouncer = subprocess.Popen([found, "-q", settings], **postgres_server.as_user(server.folder))
    try:
        _until_open(port, bouncer)
        yield server.address().replace(f":{server.port}/", f":{port}/")
    finally:
        bouncer.kill()
        bouncer.wait()


def _until_open(port: int, bouncer: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while True:
        with suppress(OSError):
            socket.create_connection((postgres_server.HERE, port), 1).close()
            return
        assert bouncer.poll() is None, "pgbouncer ended"
        assert time.monotonic() < deadline, "pgbouncer does not answer"
        time.sleep(POLL_S)
