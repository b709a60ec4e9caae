"""Passwords: kept as argon2id, judged two at a time, and nobody's costs what somebody's does."""

import asyncio
import threading

import pytest

from watchword.directory import passwords
from watchword.errors import QuotaExceeded

SECRET = "correct horse 电池 ✓"


async def test_a_password_is_right_and_no_other_is():
    kept = await passwords.hash(SECRET)
    assert await passwords.is_right(kept, SECRET)
    for wrong in ("", SECRET + " ", SECRET.upper(), "\ud800", "\x00"):
        assert not await passwords.is_right(kept, wrong)


async def test_it_is_kept_as_owasp_asks():
    """Argon2id, 19 MiB, 2 passes, 1 lane, and a salt of its own each time."""
    one, other = await passwords.hash(SECRET), await passwords.hash(SECRET)
    assert one.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert one.split("$")[4] != other.split("$")[4]


@pytest.fixture
def judged(monkeypatch):
    """What argon2 was given to judge, and how many it judged at once at most."""
    seen, real = [], passwords._verify
    busy, most = 0, 0
    lock, full = threading.Lock(), threading.Event()

    def verify(kept, password):
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
            seen.append(kept)
            if busy == 2:
                full.set()
        full.wait(0.2)
        fits = real(kept, password)
        with lock:
            busy -= 1
        return fits

    monkeypatch.setattr(passwords, "_verify", verify)
    return lambda: (seen, most)


@pytest.mark.parametrize("kept", [None, ""])
async def test_nobodys_password_is_wrong_at_the_cost_of_a_real_one(judged, kept):
    """Argon2 runs with the same parameters, and on as many bytes."""
    real = await passwords.hash(SECRET)
    assert not await passwords.is_right(kept, SECRET)
    ((nobodys,), _) = judged()
    assert nobodys.split("$")[:4] == real.split("$")[:4]
    assert [len(part) for part in nobodys.split("$")] == [len(part) for part in real.split("$")]


async def test_no_more_than_two_are_judged_at_once(judged):
    await asyncio.gather(*(passwords.is_right(None, SECRET) for _ in range(6)))
    seen, most = judged()
    assert (len(seen), most) == (6, 2)


async def test_no_more_than_two_have_their_turn():
    inside, most = 0, 0

    async def judge():
        nonlocal inside, most
        async with passwords.turn("here"):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(judge() for _ in range(10)))
    assert most == 2


async def test_the_event_loop_goes_on_meanwhile():
    judging = asyncio.ensure_future(passwords.is_right(None, SECRET))
    rounds = 0
    while not judging.done():
        await asyncio.sleep(0)
        rounds += 1
    assert rounds > 2


async def test_a_queue_that_is_too_long_is_refused():
    """Whoever floods log-ins fills no memory, hears when to come back, and crowds out nobody."""
    done = asyncio.Event()

    async def held(whose="here"):
        async with passwords.turn(whose):
            await done.wait()

    waiting = [asyncio.create_task(held()) for _ in range(passwords._MOST_OF_ONE)]
    await asyncio.sleep(0)
    with pytest.raises(QuotaExceeded) as refusal:
        await held()
    assert refusal.value.retry_in
    elsewhere = asyncio.create_task(held("elsewhere"))
    await asyncio.sleep(0)
    assert not elsewhere.done()
    done.set()
    await asyncio.gather(*waiting, elsewhere)
    async with passwords.turn("here"):
        assert done.is_set()
