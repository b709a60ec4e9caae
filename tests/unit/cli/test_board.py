"""Where processes post what they counted: nothing torn is read, nothing is lost with a child."""

import os

from watchword.cli.board import _HEAD, _PAGE, Board


def test_each_place_is_read_by_the_others():
    board = Board(3)
    first, second, third = board.places
    assert (first.posted(), list(first.others())) == (b"", [])
    second.post(b"two")
    third.post(b"three")
    second.post(b"two again")
    assert list(first.others()) == [b"two again", b"three"]
    assert second.posted() == b"two again"


def test_what_a_child_posted_outlives_it():
    """It may be killed as soon as it has."""
    board = Board(1)
    pid = os.fork()
    if pid == 0:
        board.places[0].post(b"from a child")
        os._exit(9)
    os.waitpid(pid, 0)
    assert board.places[0].posted() == b"from a child"


def test_a_post_that_was_cut_short_leaves_the_one_before():
    """Whatever half-written bytes are on the page that was being written."""
    board = Board(1)
    (place,) = board.places
    place.post(b"one")
    place.post(b"two")
    at = board._page(0, 0)
    board._memory[at + _HEAD.size : at + _HEAD.size + 3] = b"xyz"
    assert place.posted() == b"one"
    place.post(b"three")
    assert place.posted() == b"three"


def test_what_is_too_long_is_not_posted():
    board = Board(2)
    first, second = board.places
    second.post(b"kept")
    first.post(bytes(_PAGE))
    assert (first.posted(), second.posted()) == (b"", b"kept")
