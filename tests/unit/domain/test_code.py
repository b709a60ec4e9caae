"""Codes are drawn without bias and read as people type them."""

import secrets
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.domain import code
from watchword.domain.code import DIGITS

# Chi-square at which one honest run in a billion would fail, for 9 and for 31 degrees of freedom.
FAR_9, FAR_31 = 61.0, 107.0


def chi_square(counts, cells, drawn):
    expected = drawn / cells
    return sum((counts[cell] - expected) ** 2 / expected for cell in counts) + expected * (
        cells - len(counts)
    )


def test_a_million_digits_are_uniform_in_every_place():
    """In all, and at the first and the last place, where a modulus would show."""
    codes = [code.draw(DIGITS, 10) for _ in range(100_000)]
    everything = Counter("".join(codes))
    assert chi_square(everything, 10, 1_000_000) < FAR_9
    for place in (0, -1):
        assert chi_square(Counter(one[place] for one in codes), 10, len(codes)) < FAR_9


def test_other_alphabets_are_uniform_too():
    alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
    drawn = code.draw(alphabet, 200_000)
    assert chi_square(Counter(drawn), 32, len(drawn)) < FAR_31


def test_the_test_would_notice_a_bias():
    """A byte modulo ten, the classic, fails it."""
    drawn = Counter(str(byte % 10) for byte in secrets.token_bytes(1_000_000))
    assert chi_square(drawn, 10, 1_000_000) > FAR_9


@pytest.mark.parametrize("length", [1, 4, 6, 8, 16])
@pytest.mark.parametrize("alphabet", [DIGITS, "ab", "0123456789abcdef"])
def test_a_code_has_the_length_and_the_letters_asked_for(alphabet, length):
    """Leading zeros are digits like any other."""
    for _ in range(200):
        drawn = code.draw(alphabet, length)
        assert len(drawn) == length
        assert set(drawn) <= set(alphabet)


@given(st.text("0123456789", min_size=1), st.data())
def test_blanks_and_dashes_do_not_count(plain, data):
    """Wherever they stand."""
    typed = "".join(
        char + data.draw(st.sampled_from(["", " ", "-", " - "]), label="gap") for char in plain
    )
    assert code.normalise(f" {typed}\n") == plain
