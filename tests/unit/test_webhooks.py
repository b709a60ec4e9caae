"""Which addresses nothing is posted to, before any name is asked for."""

from datetime import timedelta

import pytest

from watchword.webhooks import Poster

INSIDE = (
    "https://127.0.0.1/hooks",
    "https://10.1.2.3:8443/hooks?of=shop",
    "https://[::1]/hooks",
    "https://[64:ff9b::a00:1]/hooks",
    "https://169.254.169.254/latest/meta-data",
)


def poster(*, allow_private):
    return Poster(timeout=timedelta(seconds=1), allow_private=allow_private)


@pytest.mark.parametrize("url", INSIDE)
def test_an_address_within_is_refused_unless_that_is_allowed(url):
    with pytest.raises(ValueError, match="needs allow_private"):
        poster(allow_private=False).refuse_address(url)
    poster(allow_private=True).refuse_address(url)


@pytest.mark.parametrize("url", ["https://hooks.example/a", "https://1.1.1.1/a?b=%20"])
def test_a_name_and_a_public_address_are_taken(url):
    poster(allow_private=False).refuse_address(url)


@pytest.mark.parametrize("url", ["http://hooks.example/a", "https://hooks.example/a#b", "a b"])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(ValueError, match="it "):
        poster(allow_private=False).refuse_address(url)
