"""A real nginx with the configuration we ship, on ports of its own: Debian's package `nginx-light`
is enough."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.postgres_server import free_port
from tests.prometheus_server import DEPLOYED

DEADLINE_S = 20
POLL_S = 0.01
_AROUND = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/start.log;
events {{}}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{shipped}
}}
"""


def program() -> str | None:
    """Debian keeps it where only root looks."""
    return shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")


def absent() -> str:
    """Why nothing can stand behind it here; empty where it can."""
    return "" if program() else "there is no nginx here: apt-get install nginx-light"


@contextmanager
def before(port: int, folder: Path, cert: str, key: str) -> Iterator[str]:
    """The https address of what listens on this port, through it; its logs are in the folder."""
    found = program()
    assert found
    https = free_port()
    shipped = (DEPLOYED / "nginx/watchword.conf").read_text()
    for ours, theirs in {
        "127.0.0.1:8080": f"127.0.0.1:{port}",
        "listen 443 ": f"listen 127.0.0.1:{https} ",
        "listen 80;": f"listen 127.0.0.1:{free_port()};",
        "/etc/ssl/watchword/fullchain.pem": cert,
        "/etc/ssl/watchword/privkey.pem": key,
        "/var/log/nginx/": f"{folder}/",
    }.items():
        assert ours in shipped
        shipped = shipped.replace(ours, theirs)
    (folder / "nginx.conf").write_text(_AROUND.format(folder=folder, shipped=shipped))
    os.chmod(folder, 0o755)  # noqa: S103  its workers are nobody
    process = subprocess.Popen(
        [found, "-c", folder / "nginx.conf", "-p", folder, "-e", folder / "start.log"]
    )
    try:
        _until_open(https, process)
        yield f"https://127.0.0.1:{https}"
    finally:
        process.terminate()
        process.wait(DEADLINE_S)


def _until_open(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while True:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        assert process.poll() is None, "nginx ended"
        assert time.monotonic() < deadline, "nginx does not answer"
        time.sleep(POLL_S)
