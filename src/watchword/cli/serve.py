"""`watchword serve`: the API, the worker and the metrics, until a signal ends them."""

from __future__ import annotations

import ipaddress
import os
import shlex
import shutil
import socket
import sys
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import Parameter

from watchword.cli.places import HERE, Serving, Where, announced, answers, running, url
from watchword.cli.refusal import Misused, Refused
from watchword.config import Settings

if TYPE_CHECKING:
    from watchword.cli.answering import Tls

MOST_WORKERS = 64


def serve(
    *,
    host: Annotated[str | None, Parameter(help="Where to listen.")] = None,
    port: Annotated[int | None, Parameter(help="On which port; 0 is any free one.")] = None,
    workers: Annotated[int, Parameter(help="How many processes answer.")] = 1,
    tls_cert: Annotated[str | None, Parameter(help="A certificate chain: serve https.")] = None,
    tls_key: Annotated[str | None, Parameter(help="Its private key.")] = None,
    where: Where = HERE,
) -> int:
    """Serve the API, and deliver what it sends, until a signal ends it."""
    if not 1 <= workers <= MOST_WORKERS:
        raise Misused(f"--workers is 1 to {MOST_WORKERS}.")
    settings = _overridden(where.settings(), host, port)
    refuse_a_second(settings.folder)
    tls = _tls(tls_cert, tls_key)
    if workers == 1:
        return _alone(settings, tls)
    return _together(settings, workers, tls)


def _alone(settings: Settings, tls: Tls | None) -> int:
    """One process answers and delivers."""
    from watchword.bootstrap import bootstrap
    from watchword.cli import answering

    async def answer() -> None:
        async with bootstrap(settings, deliver=True) as service:
            readable_by = answering.readable_by(service)
            refuse_strangers(settings, readable_by)
            with closing(listen(settings.server.host, settings.server.port)) as api:
                admin = listen_for_admin(settings)
                serving = _serving(settings, api, admin, tls)
                with announced(settings.folder, serving):
                    await answering.answer(
                        service,
                        api,
                        admin,
                        tls,
                        on_ready=lambda: welcome(settings, serving, readable_by, tls),
                    )

    answering.run(settings, answer())
    return 0


def _together(settings: Settings, workers: int, tls: Tls | None) -> int:
    """Several processes answer on one socket, and one more delivers."""
    from watchword.cli import answering, family

    looked = family.looked_at(settings)
    refuse_strangers(settings, looked.readable_by)
    with closing(listen(settings.server.host, settings.server.port)) as api:
        admin = listen_for_admin(settings)
        serving = _serving(settings, api, admin, tls, workers)
        deliver = partial(answering.deliver_only, settings, admin)
        answer = partial(answering.answer_only, settings, api, tls)
        with announced(settings.folder, serving):
            return family.raise_all(
                [deliver, *[answer] * workers],
                grace_s=looked.stops_in_s,
                on_ready=lambda: welcome(settings, serving, looked.readable_by, tls),
            )


def refuse_a_second(folder: Path) -> None:
    """One server a data folder; `--workers` is how it grows."""
    serving = running(folder)
    if serving is not None and serving.pid != os.getpid() and answers(serving):
        raise Refused(
            f"A server runs on this data folder already, at {serving.base_url} (process "
            f"{serving.pid}). Stop it first, or give --data another folder."
        )


def refuse_strangers(settings: Settings, readable_by: str, *, host: str = "") -> None:
    """What is easy to try must not be easy to reach: codes can be read by whoever gets in.

    `readable_by` names what lets codes be read here, "" when nothing does; `host` is where a server
    listens already, "" where it would by the settings.
    """
    host = host or settings.server.host
    if not readable_by or settings.sandbox or is_loopback(host):
        return
    raise Refused(
        f"Codes can be read here ({readable_by}), so {host} would let others read them. "
        "Configure a real provider, revoke the demo keys, suspend the demo accounts and clients, "
        "listen on 127.0.0.1, or say `sandbox = true` in the settings if you mean it."
    )


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listen(host: str, port: int, option: str = "--port") -> socket.socket:
    """A bound socket; accepting begins when a server takes it. Raises Refused."""
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except socket.gaierror:
        raise Refused(f"{host} is no address of this machine; try --host 127.0.0.1.") from None
    family, kind, protocol, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(2048)
    except OSError as error:
        listening.close()
        raise Refused(_cannot_listen(host, port, error, option)) from None
    return listening


def listen_for_admin(settings: Settings) -> socket.socket | None:
    """Metrics are worth a warning, not a failure."""
    try:
        return listen(settings.server.admin_host, settings.server.admin_port, "server.admin_port")
    except Refused as refusal:
        print(f"No metrics: {refusal}", file=sys.stderr)
        return None


def welcome(settings: Settings, serving: Serving, readable_by: str, tls: Tls | None) -> None:
    """Say where to look first."""
    print(f"watchword answers at {serving.base_url} (its calls: {serving.base_url}/openapi.json)")
    print(f"  data     {settings.folder.resolve()}")
    print(f"  store    {settings.address}")
    if serving.admin_url:
        print(f"  metrics  {serving.admin_url}/metrics")
    if settings.sandbox:
        print("  SANDBOX  this server may be reached by others while codes can be read here.")
    if readable_by:
        print(f"  page     {serving.base_url}/demo/ciam in a browser, once watchword demo ran")
        print(f"  VIRTUAL  codes can be read here: {readable_by}.")
    trust = shlex.quote(str(Path(tls.cert).resolve())) if tls else ""
    to_try = _to_try(settings, serving, bool(readable_by), trust)
    print(f"\nTry it in another shell:\n  {to_try}", flush=True)


def _to_try(settings: Settings, serving: Serving, is_virtual: bool, trust: str) -> str:
    if not is_virtual:
        return f"curl {f'--cacert {trust} ' if trust else ''}{serving.base_url}/readyz"
    command, place = _ourselves(), f"--data {shlex.quote(str(settings.folder.resolve()))}"
    send = f"{command} send +8613800138000 {place}{f' --ca {trust}' if trust else ''}"
    return f"{command} demo {place} && {send} && {command} inbox last {place}"


def _ourselves() -> str:
    if shutil.which("watchword"):
        return "watchword"
    return shlex.quote(str(Path(sys.argv[0]).resolve()))


def _cannot_listen(host: str, port: int, error: OSError, option: str) -> str:
    reason = (error.strerror or str(error)).lower()
    return f"Cannot listen on {host} port {port}: {reason}. Set {option} (0 is any free one)."


def _overridden(settings: Settings, host: str | None, port: int | None) -> Settings:
    server = settings.server
    if port is not None and not 0 <= port <= 65535:
        raise Misused("--port is 0 to 65535.")
    changed = msgspec.structs.replace(
        server,
        host=server.host if host is None else host,
        port=server.port if port is None else port,
    )
    return msgspec.structs.replace(settings, server=changed)


def _tls(cert: str | None, key: str | None) -> Tls | None:
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        raise Misused("--tls-cert and --tls-key go together.")
    from watchword.cli.answering import Tls

    return Tls.checked(cert, key)


def _serving(
    settings: Settings,
    api: socket.socket,
    admin: socket.socket | None,
    tls: Tls | None,
    workers: int = 1,
) -> Serving:
    scheme = "https" if tls else "http"
    server = settings.server
    return Serving(
        base_url=url(server.host, api.getsockname()[1], scheme),
        admin_url=url(server.admin_host, admin.getsockname()[1]) if admin else None,
        pid=os.getpid(),
        workers=workers,
        host=server.host,
    )
