"""The key ring: several ids live at once, nothing opens what was bound elsewhere, nothing shows."""

import secrets

import pytest

from watchword.domain.keys import KeyRing
from watchword.errors import KeyUnknown

KINDS = ("code", "seal", "journal")
SECRETS = {number: secrets.token_bytes(32) for number in (1, 2, 300)}
INDEX = secrets.token_bytes(32)


def ring(*ids, active=1, index=INDEX):
    kinds = {kind: {number: SECRETS[number] for number in ids} for kind in KINDS}
    return KeyRing(**kinds, index=index, active=dict.fromkeys(KINDS, active))


def test_what_was_sealed_opens_only_where_it_was_bound():
    keys = ring(1)
    sealed = keys.seal(b"secret", b"here")
    assert keys.unseal(sealed, b"here") == b"secret"
    with pytest.raises(KeyUnknown):
        keys.unseal(sealed, b"there")


def test_a_seal_never_looks_the_same_twice_and_never_shows_its_plain():
    keys = ring(1)
    first, second = keys.seal(b"secret" * 3, b""), keys.seal(b"secret" * 3, b"")
    assert first != second
    assert b"secret" not in first + second


def test_a_seal_that_was_changed_does_not_open():
    keys = ring(1)
    sealed = bytearray(keys.seal(b"secret", b""))
    sealed[-1] ^= 1
    with pytest.raises(KeyUnknown):
        keys.unseal(bytes(sealed), b"")


@pytest.mark.parametrize("cut", [0, 1, 2, 5, 14, 20])
def test_a_seal_that_was_cut_short_does_not_open(cut):
    keys = ring(1)
    with pytest.raises(KeyUnknown):
        keys.unseal(keys.seal(b"secret", b"")[:cut], b"")


def test_rotation_breaks_nothing_that_was_sealed_or_drawn():
    """Add, then activate: what the older key made still counts; what is made now names the new."""
    before, after = ring(1), ring(1, 300, active=300)
    assert after.unseal(before.seal(b"secret", b"x"), b"x") == b"secret"
    assert before.digest("id", "123456") in after.digests("id", "123456", tests_of="app")
    assert before.test_digest("app", "123456") in after.digests("id", "123456", tests_of="app")
    assert after.digest("id", "123456") != before.digest("id", "123456")
    assert after.seal(b"", b"")[:2] == (300).to_bytes(2, "big")


def test_a_key_distributed_before_it_is_active_is_understood():
    """A process that lags behind reads what a faster one makes."""
    lagging, ahead = ring(1, 2), ring(1, 2, active=2)
    assert lagging.unseal(ahead.seal(b"secret", b"x"), b"x") == b"secret"
    assert ahead.digest("id", "123456") in lagging.digests("id", "123456")


def test_an_unknown_id_is_told():
    with pytest.raises(KeyUnknown):
        ring(1).unseal(ring(2, active=2).seal(b"secret", b""), b"")


def test_indexes_outlive_every_rotation():
    """Counters and look-ups hang on them."""
    assert ring(1).index("quota", "a") == ring(2, active=2).index("quota", "a")
    assert ring(1).index("quota", "a") != ring(1, index=bytes(32)).index("quota", "a")


def test_no_two_lists_of_parts_have_one_index():
    keys = ring(1)
    lists = [("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""), ("", "abc"), ("a", "b", "c"), ()]
    assert len({keys.index(*parts) for parts in lists}) == len(lists)


def test_a_code_has_another_digest_in_every_challenge():
    """And a fixed code of one app is none of another's."""
    keys = ring(1)
    assert keys.digest("one", "123456") != keys.digest("two", "123456")
    assert keys.test_digest("a", "123456") not in keys.digests("id", "123456", tests_of="b")
    assert keys.test_digest("a", "123456") != keys.digest("a", "123456")


def test_anything_typed_has_a_digest():
    """Lone surrogates too: a person's program sends what it likes."""
    assert ring(1).digests("id", "\ud800\x00")


def test_a_ring_prints_nothing_of_what_it_holds():
    keys = ring(1, 2)
    for printed in (repr(keys), str(keys), f"{keys}"):
        assert printed == "KeyRing(***)"


def test_without_an_active_code_key_nothing_is_drawn_and_all_is_still_judged():
    """Whoever takes a code key out of use breaks no code that is under way."""
    kinds = {kind: {1: SECRETS[1]} for kind in KINDS}
    resting = KeyRing(**kinds, index=INDEX, active={"seal": 1, "journal": 1})
    assert (ring(1).can_draw, resting.can_draw) == (True, False)
    assert ring(1).digest("id", "123456") in resting.digests("id", "123456")
    with pytest.raises(KeyUnknown):
        resting.digest("id", "123456")
    with pytest.raises(KeyUnknown):
        resting.test_digest("app", "123456")
