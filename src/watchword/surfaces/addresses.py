"""Who is calling: the walk through trusted proxies, and the network an address stands for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from socket import AF_INET, inet_ntop, inet_pton

from watchword.surfaces.exchange import Scope

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def caller_network(scope: Scope, proxies: Sequence[Network], *, told: bytes | None = None) -> str:
    """The network that a request comes from; "" where its caller has no address.

    `told` is whom the caller says to act for. It is believed where all the walk met are proxies of
    ours: then the first of them has written it, or let it pass.
    """
    peer = scope["client"][0] if scope.get("client") else ""
    forwarded = [v.decode("latin-1") for k, v in scope["headers"] if k == b"x-forwarded-for"]
    try:
        address = client_address(peer, forwarded, proxies)
        is_readable = None not in _hops(forwarded)
        return network_of((is_readable and _told(told, address, proxies)) or address)
    except ValueError:
        return ""


def client_address(
    peer: str, forwarded_for_headers: Sequence[str], trusted: Sequence[Network]
) -> str:
    """The address nearest to us that no trusted proxy vouches for; "" when there is no peer.

    Whoever calls can write X-Forwarded-For, but only on the left of what our proxies append. So
    the walk goes from the right, ends at the first address we do not trust, and stops short of
    anything malformed.
    """
    nearest = _read(peer)
    if nearest is None:
        return peer
    for hop in _hops(forwarded_for_headers):
        if hop is None or not _is_trusted(nearest, trusted):
            break
        nearest = hop
    return str(nearest)


def network_of(address: str) -> str:
    """What limits count: an IPv4 address as it is, the /64 of an IPv6 one. Raises ValueError."""
    try:
        if inet_ntop(AF_INET, inet_pton(AF_INET, address)) == address:
            return address  # as IPv4 is always printed: a tenth of the work of reading it
    except (OSError, ValueError):
        pass
    parsed = _unmapped(ip_address(address))
    if isinstance(parsed, IPv4Address):
        return str(parsed)
    if parsed.scope_id is not None:
        raise ValueError("an address of one link stands for no network")
    return str(IPv6Network((parsed, 64), strict=False))


def _told(told: bytes | None, caller: str, proxies: Sequence[Network]) -> str:
    nearest = _read(caller) if told else None
    if told is None or nearest is None or not _is_trusted(nearest, proxies):
        return ""
    address = _read(told.decode("latin-1").strip())
    return str(address) if address else ""


def _hops(headers: Sequence[str]) -> Iterator[Address | None]:
    for entry in reversed(",".join(headers).split(",") if headers else ()):
        yield _read(entry.strip())


def _read(entry: str) -> Address | None:
    """An address, with or without brackets and port; None where it is none."""
    host = entry
    if entry.startswith("["):
        host, _, port = entry[1:].partition("]")
        if port and not _is_port(port):
            return None
    elif entry.count(":") == 1:
        host, _, port = entry.partition(":")
        if not _is_port(":" + port):
            return None
    try:
        return _unmapped(ip_address(host))
    except ValueError:
        return None


def _is_port(text: str) -> bool:
    return text[0] == ":" and text[1:].isdecimal() and text.isascii()


def _unmapped(address: Address) -> Address:
    return getattr(address, "ipv4_mapped", None) or address


def _is_trusted(address: Address, trusted: Sequence[Network]) -> bool:
    return any(address in network for network in trusted)
