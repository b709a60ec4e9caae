"""What an SMS costs, as a carrier counts it."""

import pytest

from watchword.domain.segments import cost


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("验" * 70, 1),
        ("验" * 71, 2),
        ("验" * 134, 2),
        ("验" * 135, 3),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
    ],
)
def test_segments_are_what_a_carrier_counts(text, count):
    assert cost(text).segments == count


def test_an_extension_character_is_never_torn_apart():
    """153 is odd, so a part of euros alone holds 76 of them, and 153 would need a third part."""
    assert cost("€" * 152).segments == 2
    assert cost("€" * 153).segments == 3


def test_an_emoji_is_never_torn_apart():
    """67 is odd, so a part holds 33 of them."""
    assert cost("😀" * 66).segments == 2
    assert cost("😀" * 67).segments == 3


@pytest.mark.parametrize(
    ("text", "encoding", "units", "octets"),
    [
        ("a" * 160, "GSM-7", 160, 140),
        ("a", "GSM-7", 1, 1),
        ("[]", "GSM-7", 4, 4),
        ("a" * 306, "GSM-7", 306, 280),
        ("验" * 70, "UCS-2", 70, 140),
        ("验" * 71, "UCS-2", 71, 154),
        ("😀", "UCS-2", 2, 4),
    ],
)
def test_what_travels_is_counted(text, encoding, units, octets):
    """Headers of 6 octets included, once a text needs more than one message."""
    counted = cost(text)
    assert (counted.encoding, counted.units, counted.octets) == (encoding, units, octets)


def test_what_forces_ucs_2_is_named():
    """Each once, in the order in which they come: a typographic apostrophe doubles a bill."""
    assert cost("Don’t shop’s … tell").forced_by == ("’", "…")
    assert cost("Don't [tell] 5 €").forced_by == ()


def test_the_whole_gsm_alphabet_is_known():
    """128 places less the escape, and ten characters behind it."""
    known = [char for char in map(chr, range(0x3000)) if cost(char).encoding == "GSM-7"]
    assert len(known) == 127 + 10
