"""Who is calling, behind whatever stands between."""

from ipaddress import ip_network

import pytest

from watchword.surfaces.addresses import caller_network, client_address, network_of

PROXIES = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.7", [], "203.0.113.7"),
        ("203.0.113.7", ["1.1.1.1"], "203.0.113.7"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", ["1.1.1.1, 203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", ["1.1.1.1", "203.0.113.7,10.0.0.2"], "203.0.113.7"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["203.0.113.7:51234"], "203.0.113.7"),
        ("10.0.0.1", ["[2001:db8::1]:51234"], "2001:db8::1"),
        ("10.0.0.1", ["[2001:db8::1]"], "2001:db8::1"),
        ("10.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        ("10.0.0.1", ["::ffff:203.0.113.7"], "203.0.113.7"),
        ("::ffff:10.0.0.1", ["203.0.113.7"], "203.0.113.7"),
        ("fd00::1", ["203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", ["203.0.113.7, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.7, "], "10.0.0.1"),
        ("10.0.0.1", ["1.1.1.1, nonsense, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["203.0.113.7:port"], "10.0.0.1"),
        ("10.0.0.1", ["[::1]x"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.007"], "10.0.0.1"),
        ("", ["203.0.113.7"], ""),
    ],
)
def test_the_walk_goes_from_the_right_through_trusted_proxies(peer, forwarded, address):
    """What a caller writes on the left never counts; what is malformed ends the walk."""
    assert client_address(peer, forwarded, PROXIES) == address


def test_nobody_is_trusted_by_default():
    assert client_address("127.0.0.1", ["203.0.113.7"], []) == "127.0.0.1"


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
    ],
)
def test_a_network_is_an_address_or_a_64(address, network):
    assert network_of(address) == network


@pytest.mark.parametrize("address", ["", "x", "1.2.3", "1.2.3.4/8", "fe80::1%eth0"])
def test_what_is_no_address_has_no_network(address):
    with pytest.raises(ValueError, match=r"\w"):
        network_of(address)


@pytest.mark.parametrize(
    ("peer", "forwarded", "network"),
    [
        (("203.0.113.7", 4711), [], "203.0.113.7"),
        (("203.0.113.7", 4711), [b"198.51.100.1"], "203.0.113.7"),
        (("10.0.0.1", 4711), [b"198.51.100.1, 198.51.100.2"], "198.51.100.2"),
        (("10.0.0.1", 4711), [b"198.51.100.1", b"2001:db8:1:2::3"], "2001:db8:1:2::/64"),
        (None, [], ""),
        (("", 0), [], ""),
    ],
)
def test_a_request_comes_from_one_network(peer, forwarded, network):
    """What wrong signatures and passwords are counted for; a Unix socket has none."""
    headers = [(b"host", b"here"), *((b"x-forwarded-for", value) for value in forwarded)]
    assert caller_network({"client": peer, "headers": headers}, PROXIES) == network


@pytest.mark.parametrize(
    ("peer", "forwarded", "told", "network"),
    [
        ("203.0.113.7", [], b"198.51.100.1", "203.0.113.7"),
        ("203.0.113.7", [b"10.0.0.1"], b"198.51.100.1", "203.0.113.7"),
        ("10.0.0.1", [], b"198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", [], b" 198.51.100.1 ", "198.51.100.1"),
        ("10.0.0.1", [], b"2001:db8:1:2::3", "2001:db8:1:2::/64"),
        ("10.0.0.1", [b"10.0.0.2"], b"198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", [b"203.0.113.7"], b"198.51.100.1", "203.0.113.7"),
        ("10.0.0.1", [b"198.51.100.1, 203.0.113.7"], b"198.51.100.1", "203.0.113.7"),
        ("10.0.0.1", [b"203.0.113.7, 10.0.0.2"], b"198.51.100.1", "203.0.113.7"),
        ("10.0.0.1", [b"unknown"], b"198.51.100.1", "10.0.0.1"),
        ("10.0.0.1", [b"203.0.113.7, _hidden"], b"198.51.100.1", "10.0.0.1"),
        ("10.0.0.1", [b""], b"198.51.100.1", "10.0.0.1"),
        ("10.0.0.1", [], b"10.0.0.9", "10.0.0.9"),
        ("10.0.0.1", [], None, "10.0.0.1"),
        ("10.0.0.1", [], b"", "10.0.0.1"),
        ("10.0.0.1", [], b"nonsense", "10.0.0.1"),
        ("10.0.0.1", [], b"198.51.100.1, 198.51.100.2", "10.0.0.1"),
        ("10.0.0.1", [], b"198.51.100.0/24", "10.0.0.1"),
        ("10.0.0.1", [], b"\xff\xfe", "10.0.0.1"),
        (None, [], b"198.51.100.1", ""),
    ],
)
def test_whom_a_caller_says_to_act_for_is_believed_of_our_own_proxies(
    peer, forwarded, told, network
):
    """Where the walk meets nobody else, and understands all it meets, nobody else wrote that."""
    headers = [(b"x-forwarded-for", value) for value in forwarded]
    scope = {"client": peer and (peer, 4711), "headers": headers}
    assert caller_network(scope, PROXIES, told=told) == network


def test_nobody_is_believed_by_default():
    scope = {"client": ("127.0.0.1", 4711), "headers": []}
    assert caller_network(scope, [], told=b"198.51.100.1") == "127.0.0.1"
