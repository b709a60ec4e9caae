"""The jigsaw: what is shown, which points are right, and that no answer upsets the judge."""

import base64
import io
import itertools
import json
import struct
import subprocess
import sys
from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.captcha_solver import solve
from watchword.captchas import _aes, _drawing
from watchword.captchas.jigsaw import Jigsaw, Settings
from watchword.errors import ProviderUnavailable

NOW = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
TOKEN = "71dd26999e314f9abb0c635336976635"
KEY = "yMXC583dP4R7uhmq"
SECRET = msgspec.msgpack.encode([237, KEY])
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


@pytest.fixture
async def jigsaw():
    jigsaw = Jigsaw(Settings(ahead=3, patience_s=10))
    yield jigsaw
    await jigsaw.close()


async def drawn(jigsaw):
    return await jigsaw.draw(TOKEN, effort=0, expires_at=NOW)


async def judged(jigsaw, answer, secret=SECRET):
    return await jigsaw.judge(secret, answer, token=TOKEN, network="192.0.2.0/24", now=NOW)


def png_of(shown):
    return base64.b64decode(shown, validate=True)


def opened(shown):
    return Image.open(io.BytesIO(png_of(shown)))


def chunks(png):
    """The kinds of chunks of a PNG."""
    at = 8
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        yield png[at + 4 : at + 8]
        at += 12 + length


async def test_picture_and_piece_have_the_measures_of_aj_captcha(jigsaw):
    """Stock front ends lay them over each other as they come."""
    shown = (await drawn(jigsaw)).shown
    assert set(shown) == {"picture", "piece", "key"}
    picture, piece = opened(shown["picture"]), opened(shown["piece"])
    assert (picture.mode, picture.size) == ("RGB", (310, 155))
    assert (piece.mode, piece.size) == ("RGBA", (47, 155))


async def test_a_key_is_sixteen_letters_and_digits(jigsaw):
    """It is what a front end makes an AES-128 key of."""
    keys = {(await drawn(jigsaw)).shown["key"] for _ in range(5)}
    assert len(keys) == 5
    assert all(len(key) == 16 and set(key) <= set(ALPHABET) for key in keys)


async def test_the_pictures_are_pixels_and_nothing_else(jigsaw):
    """No text, no time and no name of a program is in them."""
    shown = (await drawn(jigsaw)).shown
    for name in ("picture", "piece"):
        assert list(chunks(png_of(shown[name]))) == [b"IHDR", b"IDAT", b"IEND"]


async def test_the_pictures_are_small(jigsaw):
    """A page on a slow line shows them at once."""
    shown = (await drawn(jigsaw)).shown
    assert len(shown["picture"]) + len(shown["piece"]) < 150_000


async def test_no_picture_is_handed_out_twice(jigsaw):
    """Whoever had seen one before would know where its gap is."""
    pictures = [(await drawn(jigsaw)).shown["picture"] for _ in range(12)]
    assert len(set(pictures)) == 12


def test_pillow_is_loaded_only_where_pictures_are_drawn():
    """Commands that draw nothing start as fast as before."""
    asked = "import sys, watchword.captchas.jigsaw; sys.exit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", asked], timeout=60).returncode == 0


async def test_what_is_shown_does_not_tell_the_answer(jigsaw):
    """Only the secret does, and that stays here."""
    captcha = await drawn(jigsaw)
    x, key = msgspec.msgpack.decode(captcha.secret)
    assert 100 <= x <= 262
    assert key == captcha.shown["key"]
    assert await judged(jigsaw, f'{{"x":{x},"y":5}}', captcha.secret)
    away = x - 30 if x > 180 else x + 30
    assert await judged(jigsaw, f'{{"x":{away},"y":5}}', captcha.secret) is None


@pytest.mark.parametrize("hardening", [*itertools.product([False, True], repeat=3)])
def test_the_piece_fits_the_gap(hardening):
    """Its strip is clear but for the piece, which lies at the height of the gap."""
    captcha = _drawing.draw(_drawing.Hardening(*hardening))
    piece = np.asarray(Image.open(io.BytesIO(captcha.piece)))
    alpha = piece[..., 3]
    assert not piece[alpha == 0].any()
    rows = np.flatnonzero(alpha.any(axis=1))
    assert 20 <= rows[-1] - rows[0] <= 47
    assert 0.2 < (alpha > 128).sum() / 47**2 < 0.9
    assert 100 <= captcha.x <= 262


def test_nothing_of_the_piece_is_left_in_the_gap():
    """A gap that was but darkened or blurred would be found by comparing it with the piece."""
    hardened = np.mean([likeness(_drawing.draw()) for _ in range(40)])
    plain = _drawing.Hardening(decoy=False, noise=False, touch=False)
    dimmed = np.mean([likeness(_drawing.draw(plain)) for _ in range(10)])
    assert abs(hardened) < 0.25
    assert dimmed > 0.6


def likeness(captcha):
    """How the grey values of the piece and of what is shown in its place go together, -1 to 1."""
    piece = np.asarray(Image.open(io.BytesIO(captcha.piece)), dtype=float)
    scene = np.asarray(Image.open(io.BytesIO(captcha.picture)), dtype=float)
    there = scene[:, captcha.x : captcha.x + 47]
    solid = piece[..., 3] == 255
    return np.corrcoef(piece[..., :3].mean(axis=2)[solid], there.mean(axis=2)[solid])[0, 1]


def test_a_front_end_and_we_encrypt_alike():
    """This is what crypto-js makes of it."""
    sealed = "5nxXyl0w9Fl24/GYj1H37jB+m/oibvcEvGNrLDO+Rj8="
    assert _aes.encrypt('{"x":237.0,"y":5.0}', KEY) == sealed
    assert _aes.decrypt(sealed, KEY) == '{"x":237.0,"y":5.0}'


@pytest.mark.parametrize(
    "text",
    [
        '{"x":237.0,"y":5.0}',
        '{"x":237,"y":5}',
        '{"y": 5.0, "x": 237}',
        '{\n  "x": 2.37e2,\n  "y": 5\n}',
        '{"x":237,"y":5,"track":[1,2,3]}',
        '{"x":237,"y":5}'.ljust(128),
    ],
)
async def test_a_right_point_is_echoed_as_it_was_written(jigsaw, text):
    """A client compares the captcha token with the text it made itself."""
    for answer in (text, _aes.encrypt(text, KEY)):
        solution = await judged(jigsaw, answer)
        assert solution is not None
        assert solution.text == text
        assert _aes.decrypt(solution.ciphered, KEY) == f"{TOKEN}---{text}"


@pytest.mark.parametrize(
    ("x", "right"),
    [
        ("231", False),
        ("231.99", False),
        ("232", True),
        ("237", True),
        ("242", True),
        ("242.99", True),  # AJ-Captcha cuts off what is behind the point
        ("243", False),
        ("-237", False),
        ("2370", False),
    ],
)
async def test_five_pixels_either_way_are_near_enough(jigsaw, x, right):
    """The tolerance of AJ-Captcha, both ends included."""
    text = f'{{"x":{x},"y":5.0}}'
    assert (await judged(jigsaw, text) is not None) is right
    assert (await judged(jigsaw, _aes.encrypt(text, KEY)) is not None) is right


@pytest.mark.parametrize(
    "text",
    [
        '{"x":237,"y":5.1}',
        '{"x":237,"y":4}',
        '{"x":237,"y":-5}',
        '{"x":237}',
        '{"y":5}',
        "{}",
        "{",
        "",
        "[237,5]",
        "237",
        "null",
        '"237"',
        '{"x":"237","y":"5"}',
        '{"x":null,"y":5}',
        '{"x":true,"y":5}',
        '{"x":237,"y":true}',
        '{"x":NaN,"y":5}',
        '{"x":Infinity,"y":5}',
        '{"x":-Infinity,"y":5}',
        '{"x":1e999,"y":5}',
        '{"x":1e308,"y":5}',
        '{"x":237,"y":5e999}',
        '{"x":' + "9" * 100 + ',"y":5}',
        '{"x":[237],"y":5}',
        '{"x":{"x":237},"y":5}',
        '{"x":1,"x":237,"y":5}',
        '{"x":237,"y":5,"y":5}',
        '{"x":237,"y":5,"z":{"a":1,"a":2}}',
        '{"x":237,"y":5,"z":NaN}',
        '{"x":237,"y":5}{"x":237,"y":5}',
        '{"x":237,"y":5}\0',
        '{"x":0237,"y":5}',
        '{"x":+237,"y":5}',
        "{'x':237,'y':5}",
        '{"x":237,"y":5,"z":"é"}',
        '{"x":237,"y":5}'.ljust(129),
        '{"x":237,"y":5,"z":"' + "z" * 128 + '"}',
        '{"x":' + "[" * 60 + "]" * 60 + ',"y":5}',
    ],
)
async def test_whatever_is_no_point_is_wrong(jigsaw, text):
    """Plain or encrypted. What two readers could understand differently is wrong as well."""
    assert await judged(jigsaw, text) is None
    assert await judged(jigsaw, _aes.encrypt(text, KEY)) is None


@pytest.mark.parametrize(
    "answer",
    [
        ' {"x":237,"y":5}',
        '﻿{"x":237,"y":5}',
        '{"x":237,"y":5,"z":"\ud800"}',
        "A" * 1_000_000,
        "{" * 1_000_000,
        "5nxXyl0w9Fl24/GYj1H37jB+m/oibvcEvGNrLDO+Rj8",  # its padding is gone
        "5nxXyl0w9Fl24/GYj1H37jB+m/oibvcEvGNrLDO+Rj8=\n",
        "5nxXyl0w9Fl24_GYj1H37jB-m_oibvcEvGNrLDO-Rj8=",  # another base64
        "5nxXyl0w9Fl24/GYj1H37g==",  # a block is missing
        "AAAAAAAAAAAAAAAAAAAAAA==",
        "e30=",
        "é",
        "\0",
    ],
)
async def test_whatever_is_no_cipher_of_ours_is_wrong(jigsaw, answer):
    """Nothing is guessed at, stripped or repaired."""
    assert await judged(jigsaw, answer) is None


async def test_a_point_under_another_key_is_wrong(jigsaw):
    """Each captcha has a key of its own."""
    assert await judged(jigsaw, _aes.encrypt('{"x":237,"y":5}', "A" * 16)) is None


_JUDGE = Jigsaw()


def settled(coroutine):
    """What it returns; it never waits."""
    with pytest.raises(StopIteration) as ended:
        coroutine.send(None)
    return ended.value.value


@given(st.text() | st.binary(min_size=16, max_size=96).map(lambda b: base64.b64encode(b).decode()))
def test_no_answer_upsets_the_judge(answer):
    """Strangers write it."""
    assert settled(judged(_JUDGE, answer)) is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("xyz"), inner),
    )
)
def test_only_a_near_point_is_right(value):
    """Whatever JSON comes, plain or encrypted."""
    text = json.dumps(value)
    for answer in (text, _aes.encrypt(text, KEY)):
        solution = settled(judged(_JUDGE, answer))
        if solution is not None:
            assert value["y"] == 5
            assert 232 <= value["x"] < 243


async def test_without_a_picture_there_is_a_clear_no():
    """A closed captcha, as at the end of a server, draws no more."""
    jigsaw = Jigsaw()
    await jigsaw.close()
    with pytest.raises(ProviderUnavailable):
        await drawn(jigsaw)


async def test_a_program_solves_it(jigsaw):
    """From what is shown alone. docs/captcha.md says how often."""
    for _ in range(20):
        captcha = await drawn(jigsaw)
        x = solve(captcha.shown["picture"], captcha.shown["piece"])
        if await judged(jigsaw, f'{{"x":{x},"y":5.0}}', captcha.secret):
            return
    pytest.fail("twenty captchas, and none was solved")
