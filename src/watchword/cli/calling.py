"""What `send` and `check` share: which server, with which key, and what a refusal says."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from watchword.cli.demo import kept_key
from watchword.cli.places import DEMO, Where, base_url
from watchword.cli.refusal import Misused, Refused
from watchword.config import Settings

if TYPE_CHECKING:
    from watchword.client import Client, Verification, WatchwordProblem


@Parameter(name="*")
@dataclass(frozen=True)
class Server:
    """Which watchword to call."""

    url: Annotated[str | None, Parameter(help="Else WATCHWORD_URL, else the local one's.")] = None
    key: Annotated[str | None, Parameter(help="Else WATCHWORD_KEY, else the demo's.")] = None
    ca: Annotated[str | None, Parameter(help="Trust this certificate.")] = None


DEFAULT = Server()


def call(server: Server, where: Where, act: Callable[[Client], Verification]) -> Verification:
    """Act on the server. Raises Refused with what it said."""
    from watchword.client import Client, Unreachable, WatchwordProblem

    settings = where.read()
    url, (key, source) = _url(server, settings), _key(server, settings)
    try:
        with Client(url, key, verify=_trust(server)) as client:
            return act(client)
    except Unreachable as problem:
        raise Refused(_unanswered(url, problem)) from None
    except WatchwordProblem as problem:
        raise Refused(_sentence(problem, source)) from None
    except ValueError as error:
        raise Misused(f"{url} is no address: {error}.") from None


def pairs(binding: tuple[str, ...]) -> dict[str, str]:
    """`name=value` words as a mapping."""
    if wrong := next((word for word in binding if "=" not in word), None):
        raise Misused(f"--binding {wrong}: write name=value.")
    return dict(word.split("=", 1) for word in binding)


def _url(server: Server, settings: Settings) -> str:
    url = server.url or os.environ.get("WATCHWORD_URL") or base_url(settings)
    if not url.startswith(("http://", "https://")):
        raise Misused(f"{url} is no address: the URL begins with http:// or https://.")
    return url


def _key(server: Server, settings: Settings) -> tuple[str, str]:
    """The key, and where it is from."""
    sources = {
        "--key": server.key,
        "WATCHWORD_KEY": os.environ.get("WATCHWORD_KEY"),
        str(settings.folder / DEMO): kept_key(settings.folder),
    }
    for source, key in sources.items():
        if key:
            return key, source
    raise Refused("No API key: run watchword demo, or give --key or WATCHWORD_KEY.")


def _trust(server: Server) -> ssl.SSLContext | bool:
    if not server.ca:
        return True
    try:
        return ssl.create_default_context(cafile=server.ca)
    except OSError as error:
        reason = error.strerror or "it holds no certificate"
        raise Refused(f"--ca {server.ca} cannot be used: {reason}.") from None


def _unanswered(url: str, problem: WatchwordProblem) -> str:
    if "CERTIFICATE_VERIFY_FAILED" in str(problem):
        return f"The certificate at {url} is not one we trust: give --ca FILE."
    return f"Nothing answers at {url} ({problem}). Start it: watchword serve."


def _sentence(problem: WatchwordProblem, source: str) -> str:
    said = str(problem)
    if problem.field:
        said += f" (at {problem.field})"
    if problem.retry_in is not None:
        said += f" Try again in {problem.retry_in.total_seconds():.0f} s."
    if problem.status == 401:
        said += f" The key from {source} is not one of this server's."
    return said
