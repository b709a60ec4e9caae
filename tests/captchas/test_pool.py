"""Things made ahead: nobody waits for long, nothing is given twice, and nothing stays behind."""

import asyncio
import itertools
import threading

import pytest

from watchword.captchas._pool import Pool

DEADLINE_S = 30


class Maker:
    """Makes 0, 1, 2 ... once it may, and lets a test wait until so many are made."""

    def __init__(self):
        self.may = threading.Event()
        self.made = 0
        self._changed = threading.Condition()

    def __call__(self):
        assert self.may.wait(DEADLINE_S)
        with self._changed:
            self.made += 1
            self._changed.notify_all()
            return self.made - 1

    async def until(self, many):
        def wait():
            with self._changed:
                return self._changed.wait_for(lambda: self.made >= many, DEADLINE_S)

        assert await asyncio.to_thread(wait)


@pytest.fixture
def maker():
    return Maker()


@pytest.fixture
async def pool(maker):
    pool = Pool(maker, most=8, rest_s=0, name="of-a-test")
    yield pool
    maker.may.set()
    await pool.close()


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "of-a-test"]


async def test_who_never_takes_pays_nothing(pool):
    """Most processes never show a captcha."""
    assert threads() == []


async def test_the_first_is_waited_for(pool, maker):
    """Nothing is there yet, and soon is."""
    maker.may.set()
    assert await pool.take(patience_s=DEADLINE_S) == 0
    assert len(threads()) == 1
    assert threads()[0].daemon


async def test_as_many_are_made_ahead_as_were_asked_for(pool, maker):
    """One is given, and eight are there."""
    maker.may.set()
    await pool.take(patience_s=DEADLINE_S)
    await maker.until(9)
    assert maker.made == 9
    taken = [await pool.take(patience_s=0) for _ in range(7)]
    assert taken == [1, 2, 3, 4, 5, 6, 7]


async def test_below_half_it_is_made_up(pool, maker):
    """Before the last is gone."""
    maker.may.set()
    await pool.take(patience_s=DEADLINE_S)
    await maker.until(9)
    for _ in range(5):
        await pool.take(patience_s=0)
    await maker.until(14)


async def test_none_is_given_twice(pool, maker):
    """However many ask at once."""
    maker.may.set()
    taken = await asyncio.gather(*(pool.take(patience_s=DEADLINE_S) for _ in range(50)))
    assert len(set(taken)) == 50


async def test_who_waited_longest_is_first(pool, maker):
    """Nobody is overtaken."""
    waiting = [asyncio.create_task(pool.take(patience_s=DEADLINE_S)) for _ in range(5)]
    await asyncio.sleep(0)
    maker.may.set()
    assert await asyncio.gather(*waiting) == [0, 1, 2, 3, 4]


async def test_nobody_waits_longer_than_they_want(pool):
    """While a thing is being made, the answer is no."""
    with pytest.raises(TimeoutError):
        await pool.take(patience_s=0.01)


async def test_what_came_too_late_is_for_the_next(pool, maker):
    """One that gave up takes nothing from the others."""
    with pytest.raises(TimeoutError):
        await pool.take(patience_s=0)
    maker.may.set()
    assert await pool.take(patience_s=DEADLINE_S) == 0


async def test_closing_ends_the_thread_and_turns_away(pool, maker):
    """What is being made is finished first; nobody is left waiting."""
    waiting = asyncio.create_task(pool.take(patience_s=DEADLINE_S))
    await asyncio.sleep(0)
    closing = asyncio.create_task(pool.close())
    with pytest.raises(TimeoutError):
        await waiting
    maker.may.set()
    await closing
    assert threads() == []
    with pytest.raises(TimeoutError):
        await pool.take(patience_s=DEADLINE_S)


async def test_closing_twice_or_unused_is_no_matter(pool):
    """Nothing ran, nothing ends."""
    await pool.close()
    await pool.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_an_error_of_the_maker_is_not_the_end():
    """It is told on stderr, and the next take has another thread try."""
    tries = itertools.count()

    def make():
        number = next(tries)
        if number == 0:
            raise MemoryError
        return number

    pool = Pool(make, most=1, rest_s=0, name="of-a-test")
    with pytest.raises(TimeoutError):
        await pool.take(patience_s=0.01)
    (thread,) = threads() or [None]
    if thread is not None:
        await asyncio.to_thread(thread.join, DEADLINE_S)
    assert await pool.take(patience_s=DEADLINE_S) == 1
    await pool.close()
