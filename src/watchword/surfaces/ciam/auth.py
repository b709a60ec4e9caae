"""Who is calling: the application by its id, the device by what it says of itself.

The id is no secret, and the device may say anything: both only tell callers apart. What a network
may do is counted for the address that we see (contract, section 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from watchword.errors import AccessDenied
from watchword.surfaces.addresses import Network, caller_network
from watchword.surfaces.ciam import replies
from watchword.surfaces.ciam.calls import Caller, Refusal
from watchword.surfaces.ciam.replies import Language
from watchword.surfaces.exchange import Exchange, HeaderInvalid
from watchword.surfaces.running import Running

LONGEST_HEADER = 1024
LONGEST_LANGUAGE = 16
_DEVICE = (b"x-operating-sys-version", b"x-device-fingerprint", b"x-agent")
_FINGERPRINT = b"x-device-fingerprint"


async def caller(exchange: Exchange, service: Running, now: datetime) -> Caller:
    """Raises Refusal, in the contract's order, and HeaderInvalid."""
    device = {name: _text(exchange, name) for name in _DEVICE}
    if not all(device.values()):
        raise Refusal(replies.DEVICE_INCOMPLETE)
    client_id = _text(exchange, b"x-client-id")
    if not client_id:
        raise Refusal(replies.CLIENT_EMPTY)
    try:
        client, app = await service.ciam.clients.known(client_id, now)
    except AccessDenied as error:
        raise Refusal(replies.CLIENT_UNKNOWN, error) from None
    return Caller(client=client, app=app, fingerprint=device[_FINGERPRINT])


def language(exchange: Exchange) -> Language | None:
    """What X-L asks for: zh-CN, zh_TW and en-US too; None for all else (section 2.3)."""
    asked = exchange.headers.get(b"x-l", b"")[: LONGEST_LANGUAGE + 1].decode("latin-1")
    if len(asked) > LONGEST_LANGUAGE:
        return None
    base = asked.strip().casefold().replace("_", "-").partition("-")[0]
    if base == "zh":
        return "zh"
    return "en" if base == "en" else None


def network(exchange: Exchange, proxies: Sequence[Network]) -> str:
    """The client's network. X-device-ip is believed of a caller who is himself a trusted proxy."""
    return caller_network(exchange.scope, proxies, told=exchange.headers.get(b"x-device-ip"))


def bearer(exchange: Exchange) -> str | None:
    """The token of an Authorization header, None without one. Raises HeaderInvalid when it came
    twice."""
    scheme, _, token = _text(exchange, b"authorization").partition(" ")
    return token.strip() if scheme.casefold() == "bearer" else None


def _text(exchange: Exchange, name: bytes) -> str:
    value = exchange.header(name) or b""
    if len(value) > LONGEST_HEADER and name != b"authorization":
        raise HeaderInvalid(f"The header {name.decode()} has at most {LONGEST_HEADER} characters.")
    return value.decode("latin-1").strip()
