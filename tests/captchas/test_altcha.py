"""Proof of work solved by ALTCHA's own solver, and all that is no proof."""

import asyncio
import base64
import hashlib
import json
import math
from datetime import UTC, datetime, timedelta

import altcha
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchword.captchas.altcha import Altcha, Settings

SECRET = b"s" * 32
TOKEN = "5d41402abc4b2a76b9719d911017c592"
NETWORK = "203.0.113.7"
NOW = datetime(2026, 3, 29, 0, 59, tzinfo=UTC)
EXPIRES_AT = NOW + timedelta(seconds=120)
QUICK = Settings(cost=2, tries=8)


def drawing(settings=QUICK, secret=SECRET):
    return Altcha(secret, settings)


async def drawn(captcha, token=TOKEN, *, effort=0, expires_at=EXPIRES_AT):
    made = await captcha.draw(token, effort=effort, expires_at=expires_at)
    return json.loads(made.shown["challenge"]), made.secret


def solved(challenge):
    """What a browser finds, as the library's own solver does."""
    found = altcha.solve_challenge(altcha.Challenge.from_dict(challenge))
    assert found is not None
    return {
        "challenge": challenge,
        "solution": {"counter": found.counter, "derivedKey": found.derived_key, "time": 812.5},
    }


def written(payload):
    return base64.b64encode(json.dumps(payload).encode()).decode()


async def judged(captcha, secret, answer, *, token=TOKEN, now=NOW):
    return await captcha.judge(secret, answer, token=token, network=NETWORK, now=now)


async def test_work_done_is_recognised():
    captcha = drawing()
    challenge, secret = await drawn(captcha)
    answer = written(solved(challenge))
    solution = await judged(captcha, secret, answer)
    assert solution.text == hashlib.sha256(answer.encode()).hexdigest()
    assert solution.ciphered == ""
    await captcha.close()


async def test_the_usual_challenge_can_be_solved_and_fits_into_an_answer():
    captcha = drawing(Settings())
    challenge, secret = await drawn(captcha)
    answer = written(solved(challenge))
    assert len(answer) < 1024
    assert await judged(captcha, secret, answer)


async def test_a_challenge_is_what_a_browser_can_derive():
    """PBKDF2 as WebCrypto has it: nonce and counter, big-endian, are the password."""
    challenge, _ = await drawn(drawing())
    asked = challenge["parameters"]
    counter = solved(challenge)["solution"]["counter"]
    key = hashlib.pbkdf2_hmac(
        "sha256",
        bytes.fromhex(asked["nonce"]) + counter.to_bytes(4, "big"),
        bytes.fromhex(asked["salt"]),
        asked["cost"],
        asked["keyLength"],
    )
    assert asked["algorithm"] == "PBKDF2/SHA-256"
    assert key.hex().startswith(asked["keyPrefix"])


async def test_each_step_of_effort_doubles_the_longest_search(monkeypatch):
    """And so the expected one, as any counter below is as likely as another."""
    ranges = []

    def lowest(most):
        ranges.append(most)
        return 0

    monkeypatch.setattr("secrets.randbelow", lowest)
    captcha = drawing(Settings(cost=1, tries=10, max_effort=3))
    for effort in range(-1, 6):
        await drawn(captcha, effort=effort)
    assert ranges == [20, 20, 40, 80, 160, 160, 160]


async def test_no_two_challenges_are_alike():
    captcha = drawing()
    first, _ = await drawn(captcha)
    second, _ = await drawn(captcha)
    for name in ("nonce", "salt", "keyPrefix"):
        assert first["parameters"][name] != second["parameters"][name]


async def test_another_process_with_the_same_secret_judges_it():
    challenge, secret = await drawn(drawing())
    assert await judged(drawing(), secret, written(solved(challenge)))


async def test_a_stranger_cannot_make_challenges_of_ours():
    challenge, secret = await drawn(drawing(secret=b"another" * 5))
    assert await judged(drawing(), secret, written(solved(challenge))) is None


async def test_an_answer_is_good_for_its_own_captcha_alone():
    """Neither for another token with the same record, nor with the record of another."""
    captcha = drawing()
    easy, easy_secret = await drawn(captcha)
    _, other_secret = await drawn(captcha, "another", effort=5)
    answer = written(solved(easy))
    assert await judged(captcha, easy_secret, answer, token="another") is None
    assert await judged(captcha, other_secret, answer, token="another") is None
    assert await judged(captcha, other_secret, answer) is None


@pytest.mark.parametrize(
    ("late", "right"),
    [(timedelta(0), False), (-timedelta(seconds=1), True), (timedelta(days=1), False)],
)
async def test_it_ends_by_the_clock_that_is_handed_in(late, right):
    """The machine's own may say anything: these lie years off."""
    captcha = drawing()
    for ends_at in (datetime(2001, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC)):
        challenge, secret = await drawn(captcha, expires_at=ends_at)
        solution = await judged(captcha, secret, written(solved(challenge)), now=ends_at + late)
        assert (solution is not None) is right


def at_once(judging):
    """What comes of something that never waits."""
    with pytest.raises(StopIteration) as end:
        judging.send(None)
    return end.value.value


def put(*path, to):
    """A payload with one of its values replaced."""

    def change(payload):
        *way, last = path
        inner = payload
        for name in way:
            inner = inner[name]
        inner[last] = to
        return written(payload)

    return change


def leave_out(*path):
    def change(payload):
        *way, last = path
        inner = payload
        for name in way:
            inner = inner[name]
        del inner[last]
        return written(payload)

    return change


ASKED = ("challenge", "parameters")
WRONG = {
    "nothing": lambda _: "",
    "a point": lambda _: '{"x":237.0,"y":5.0}',
    "not base64": lambda payload: "?" + written(payload),
    "base64 with a line end": lambda payload: written(payload) + "\n",
    "base64 without its padding": lambda payload: written({**payload, "a": "b"}).rstrip("=") + "A",
    "not ASCII": lambda payload: written(payload) + "é",
    "a lone surrogate": lambda payload: written(payload) + "\ud800",
    "a NUL": lambda payload: "\x00" + written(payload),
    "not JSON": lambda _: base64.b64encode(b"{").decode(),
    "not UTF-8": lambda _: base64.b64encode(b'{"challenge":"\xff"}').decode(),
    "a lone surrogate in JSON": put("challenge", "signature", to="\ud800"),
    "a number": lambda _: written(1),
    "nothing in JSON": lambda _: written(None),
    "a list": lambda payload: written([payload]),
    "an empty object": lambda _: written({}),
    "nested too deep": lambda _: base64.b64encode(b"[" * 3000).decode(),
    "an object nested too deep": lambda _: base64.b64encode(b'{"challenge":' * 230).decode(),
    "too long": lambda payload: written({**payload, "more": "x" * 4096}),
    "huge": lambda _: "A" * 1_000_000,
    "no challenge": leave_out("challenge"),
    "no solution": leave_out("solution"),
    "no signature": leave_out("challenge", "signature"),
    "an empty signature": put("challenge", "signature", to=""),
    "another signature": put("challenge", "signature", to="0" * 64),
    "a signature of another kind": put("challenge", "signature", to=7),
    "an easier key": put(*ASKED, "keyPrefix", to=""),
    "a shorter key": put(*ASKED, "keyLength", to=0),
    "no cost": put(*ASKED, "cost", to=0),
    "a ruinous cost": put(*ASKED, "cost", to=10**18),
    "an infinite cost": put(*ASKED, "cost", to=math.inf),
    "another algorithm": put(*ASKED, "algorithm", to="SHA-256"),
    "another token": put(*ASKED, "data", "token", to="another"),
    "a later end": put(*ASKED, "data", "expires_at", to=2**62),
    "no data": leave_out(*ASKED, "data"),
    "more data": put(*ASKED, "data", "more", to="x"),
    "no key signature": leave_out(*ASKED, "keySignature"),
    "an end of the library's": put(*ASKED, "expiresAt", to=1),
    "another key": put("solution", "derivedKey", to="0" * 64),
    "no key": put("solution", "derivedKey", to=""),
    "half a digit": put("solution", "derivedKey", to="0"),
    "no key at all": put("solution", "derivedKey", to=None),
    "the known half of the key": lambda payload: put(
        "solution", "derivedKey", to=payload["challenge"]["parameters"]["keyPrefix"]
    )(payload),
    "no counter": put("solution", "counter", to=None),
    "a counter that is no number": put("solution", "counter", to=math.nan),
    "a counter below zero": put("solution", "counter", to=-1),
    "a counter beyond 32 bits": put("solution", "counter", to=2**32),
    "an endless counter": put("solution", "counter", to=10**400),
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
async def test_a_wrong_answer_is_wrong_and_nothing_worse(change):
    captcha = drawing()
    challenge, secret = await drawn(captcha)
    assert await judged(captcha, secret, change(solved(challenge))) is None


def test_whatever_is_given_is_judged():
    """Random text, random bytes, random JSON, and a right payload with random parts."""
    captcha = drawing()
    challenge, secret = asyncio.run(drawn(captcha))
    right = solved(challenge)
    values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    )
    parts = st.sampled_from(
        [(*ASKED, each) for each in challenge["parameters"]]
        + [("challenge", "signature"), ASKED, ("solution", "counter"), ("solution", "derivedKey")]
    )

    @st.composite
    def mutants(draw):
        return put(*draw(parts), to=draw(values))(json.loads(json.dumps(right)))

    @given(
        st.text()
        | st.binary().map(lambda raw: base64.b64encode(raw).decode())
        | values.map(written)
        | mutants()
    )
    @settings(deadline=None, max_examples=300)
    def is_judged(answer):
        if at_once(judged(captcha, secret, answer)) is not None:
            assert json.loads(base64.b64decode(answer))["challenge"] == challenge

    is_judged()
