"""Ids, draws and verdicts: what holds whatever the store."""

import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from watchword.domain.challenge import (
    Challenge,
    Draw,
    Given,
    State,
    Verdict,
    extended,
    judge,
    new_id,
    serial,
)
from watchword.domain.policy import Resend
from watchword.domain.purpose import Purpose

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
TICK = timedelta(microseconds=1)
ALPHABET = "0123456789abcdef"


def drawn(name, at=NOW, ttl=10 * MINUTE, sealed=None):
    return Draw(name.encode(), at, at + ttl, sealed)


@pytest.fixture
def challenge():
    return Challenge(
        id="1" * 26,
        app_id="shop",
        purpose=Purpose.SIGN_IN,
        channel="sms",
        slot=b"slot",
        destination=b"destination",
        subject=b"mine",
        masked="+86***00",
        recipient=b"",
        code_length=6,
        max_attempts=5,
        draws=(drawn("old", ttl=MINUTE), drawn("new")),
        opened_at=NOW,
        resend_at=NOW,
        expires_at=NOW + 10 * MINUTE,
    )


def given(*digests, subject=b"mine"):
    return Given(tuple(digest.encode() for digest in digests), subject)


def test_an_id_has_26_characters_that_nobody_confuses():
    for _ in range(500):
        made = new_id(b"\xab\xcd\xef")
        assert len(made) == 26
        assert set(made) <= set(ALPHABET)


def test_an_id_begins_with_the_routing_tag_of_its_destination():
    """12 bits: its first three digits."""
    for routing in (b"\x00\x00", b"\xff\xff\x01", b"\x12\x3f\x00", b"\x12\x30\x99"):
        assert new_id(routing)[:3] == routing.hex()[:3]


def test_ids_of_one_destination_differ_in_every_random_place():
    """The last eight digits, and the two before them that end the serial."""
    made = [new_id(b"\x12\x34") for _ in range(2000)]
    assert len(set(made)) == len(made)
    for place in range(16, 26):
        assert len(Counter(one[place] for one in made)) == 16


def test_the_serial_of_an_id_grows_with_time():
    """60 bits between the tag and the last eight digits."""
    before = time.time_ns() // 1000
    made = new_id(b"\x12\x34")
    after = time.time_ns() // 1000
    assert serial(made) == int(made[3:18], 16)
    assert before <= serial(made) >> 8 <= after


def test_an_id_follows_another_whatever_the_clock_says():
    later = "123" + "f" * 14 + "0" + "0" * 8
    assert serial(new_id(b"\x12\x34", after=later)) == serial(later) + 1
    earlier = "123" + "0" * 23
    assert serial(new_id(b"\x12\x34", after=earlier)) >> 8 > 0


@pytest.mark.parametrize("text", ["", "1", "z" * 26, "123"])
def test_what_is_no_id_has_no_serial(text):
    with pytest.raises(ValueError, match="invalid literal"):
        serial(text)


@pytest.mark.parametrize(
    ("state", "verdict"),
    [
        (State.APPROVED, Verdict.ALREADY_USED),
        (State.CANCELLED, Verdict.CANCELLED),
        (State.EXHAUSTED, Verdict.EXHAUSTED),
        (State.EXPIRED, Verdict.EXPIRED),
    ],
)
def test_of_a_closed_challenge_nobody_learns_whether_a_code_was_right(challenge, state, verdict):
    closed = msgspec.structs.replace(challenge, state=state)
    for answer in ("new", "wrong"):
        assert judge(closed, given(answer), NOW) is verdict


def test_any_live_draw_is_right_and_a_dead_one_never(challenge):
    assert judge(challenge, given("old"), NOW + MINUTE - TICK) is Verdict.MATCH
    assert judge(challenge, given("old"), NOW + MINUTE) is Verdict.MISMATCH
    assert judge(challenge, given("other", "new"), NOW + MINUTE) is Verdict.MATCH
    assert judge(challenge, given("new"), NOW + 10 * MINUTE) is Verdict.EXPIRED


def test_the_subject_is_part_of_what_is_right(challenge):
    """Nobody asks for it where the challenge was found by it."""
    assert judge(challenge, given("new", subject=b"yours"), NOW) is Verdict.MISMATCH
    assert judge(challenge, given("new", subject=None), NOW) is Verdict.MATCH


def test_a_draw_may_be_repeated_for_half_its_life_if_it_was_kept():
    draw = drawn("code", sealed=b"sealed")
    assert draw.may_be_repeated(NOW + 5 * MINUTE)
    assert not draw.may_be_repeated(NOW + 5 * MINUTE + TICK)
    assert not drawn("code").may_be_repeated(NOW)


def test_only_same_repeats(challenge):
    kept = msgspec.structs.replace(challenge, draws=(drawn("a"), drawn("b", sealed=b"sealed")))
    assert kept.repeatable(Resend.SAME, NOW) == kept.draws[-1]
    assert kept.repeatable(Resend.NEWEST, NOW) is None
    assert kept.repeatable(Resend.ANY, NOW) is None
    assert msgspec.structs.replace(kept, draws=()).repeatable(Resend.SAME, NOW) is None


def test_a_resend_keeps_at_most_three_and_newest_only_itself():
    draws = (drawn("dead", ttl=MINUTE), drawn("a"), drawn("b"), drawn("c"))
    fresh = drawn("d", at=NOW + MINUTE)
    for mode in (Resend.SAME, Resend.ANY):
        assert extended(draws, fresh, mode, NOW + MINUTE) == (draws[2], draws[3], fresh)
        assert extended(draws[:2], fresh, mode, NOW + MINUTE) == (draws[1], fresh)
    assert extended(draws, fresh, Resend.NEWEST, NOW + MINUTE) == (fresh,)


def test_attempts_left_are_never_negative(challenge):
    assert msgspec.structs.replace(challenge, attempts=9).attempts_left == 0
