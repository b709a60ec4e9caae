"""Turnstile judged by a siteverify on a real socket, and every answer that is none."""

import asyncio
import hashlib
import json
import socket
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import siteverify_server
from watchword.captchas.turnstile import Settings, Turnstile
from watchword.errors import ProviderUnavailable

TOKEN = "5d41402abc4b2a76b9719d911017c592"
NETWORK = "203.0.113.7"
NOW = datetime(2026, 3, 29, 0, 59, tzinfo=UTC)
SECRET = "0x4AAAAAAAtheSecret"


class Clock:
    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def siteverify(clock):
    with siteverify_server.running(secret=SECRET, clock=clock) as server:
        yield server


@asynccontextmanager
async def asking(server, **terms):
    usual = {"site_key": "0x4AAAAAAAsite", "secret": SECRET, "allow_private": True}
    captcha = Turnstile(Settings(**{**usual, "endpoint": server.endpoint, **terms}))
    try:
        yield captcha
    finally:
        await captcha.close()


async def judged(captcha, answer, *, token=TOKEN, network=NETWORK, now=NOW):
    return await captcha.judge(b"", answer, token=token, network=network, now=now)


async def test_the_widget_is_told_who_we_are(siteverify):
    async with asking(siteverify, action="sign-in") as captcha:
        drawn = await captcha.draw(TOKEN, effort=3, expires_at=NOW)
    assert drawn.shown == {"site_key": "0x4AAAAAAAsite", "action": "sign-in"}


async def test_an_answer_of_the_widget_passes(siteverify):
    answer = siteverify.solve(cdata=TOKEN)
    async with asking(siteverify) as captcha:
        solution = await judged(captcha, answer)
    assert solution.text == hashlib.sha256(answer.encode()).hexdigest()
    assert solution.ciphered == ""
    (asked,) = siteverify.asked
    assert asked["remoteip"] == NETWORK


async def test_an_answer_passes_for_its_own_token_alone(siteverify):
    """One that somebody solved elsewhere on the site is worth nothing here."""
    async with asking(siteverify) as captcha:
        assert await judged(captcha, siteverify.solve(cdata="another")) is None


async def test_asked_again_the_same_is_said_again_and_no_other_token_gets_it(siteverify):
    """Where our request was cut off, the visitor's answer is not lost; and it is used once."""
    answer = siteverify.solve(cdata=TOKEN)
    async with asking(siteverify) as captcha:
        assert await judged(captcha, answer)
        assert await judged(captcha, answer) == await judged(captcha, answer)
        assert await judged(captcha, answer, token="another") is None
    assert len({asked["idempotency_key"] for asked in siteverify.asked}) == 2


@pytest.mark.parametrize(("late_s", "right"), [(0, True), (299, True), (301, False), (-61, False)])
async def test_an_answer_lasts_five_minutes_by_our_own_clock_too(siteverify, late_s, right):
    answer = siteverify.solve(cdata=TOKEN)
    async with asking(siteverify) as captcha:
        solution = await judged(captcha, answer, now=NOW + timedelta(seconds=late_s))
    assert (solution is not None) is right


async def test_an_answer_lasts_five_minutes_by_cloudflares_clock(siteverify, clock):
    answer = siteverify.solve(cdata=TOKEN)
    clock.now += timedelta(seconds=301)
    async with asking(siteverify) as captcha:
        assert await judged(captcha, answer) is None


async def test_an_answer_given_for_another_action_is_wrong(siteverify):
    async with asking(siteverify) as captcha:
        assert await judged(captcha, siteverify.solve(cdata=TOKEN, action="comment")) is None


@pytest.mark.parametrize(("wanted", "right"), [("", True), ("shop.example", True), ("x", False)])
async def test_the_host_is_the_one_that_the_settings_name(siteverify, wanted, right):
    async with asking(siteverify, hostname=wanted) as captcha:
        solution = await judged(captcha, siteverify.solve(cdata=TOKEN))
    assert (solution is not None) is right


@pytest.mark.parametrize("network", ["", "2001:db8::/64", "2001:db8::1", "203.0.113.0/24", "?"])
async def test_only_a_whole_ipv4_address_is_told_to_cloudflare(siteverify, network):
    async with asking(siteverify) as captcha:
        assert await judged(captcha, siteverify.solve(cdata=TOKEN), network=network)
    (asked,) = siteverify.asked
    assert set(asked) == {"secret", "response", "idempotency_key"}


NEVER_ASKED = {
    "nothing": "",
    "a space": "a b",
    "a line end": "0.abc\n",
    "not ASCII": "0.é",
    "a lone surrogate": "\ud800",
    "a NUL": "0.\x00",
    "too long": "x" * 2049,
    "huge": "x" * 1_000_000,
}


@pytest.mark.parametrize("answer", NEVER_ASKED.values(), ids=NEVER_ASKED)
async def test_what_can_be_no_answer_is_not_even_asked_about(siteverify, answer):
    async with asking(siteverify) as captcha:
        assert await judged(captcha, answer) is None
    assert siteverify.asked == []


@pytest.mark.parametrize("answer", ["0.unknown", "a&secret=b&response=c", "%00", "x" * 2048, "{}"])
async def test_an_answer_that_the_widget_never_gave_is_wrong(siteverify, answer):
    """And reaches siteverify as it is, whatever it looks like."""
    async with asking(siteverify) as captcha:
        assert await judged(captcha, answer) is None
    (asked,) = siteverify.asked
    assert (asked["response"], asked["secret"]) == (answer, SECRET)


GOOD = {
    "success": True,
    "challenge_ts": "2026-03-29T00:59:00.000Z",
    "hostname": "shop.example",
    "action": "watchword",
    "cdata": TOKEN,
}
VOUCHED = {name: GOOD[name] for name in GOOD if name != "hostname"}
WRONG = {
    "no token given back": {**GOOD, "cdata": None},
    "no action given back": {**GOOD, "action": ""},
    "no instant": {**GOOD, "challenge_ts": None},
    "an instant without its zone": {**GOOD, "challenge_ts": "2026-03-29T00:59:00"},
    "an instant that is none": {**GOOD, "challenge_ts": "yesterday"},
    "a refused answer": {"success": False, "error-codes": ["invalid-input-response"]},
    "a used answer, and whose": {
        **GOOD,
        "success": False,
        "error-codes": ["timeout-or-duplicate"],
    },
    "a used answer": {"success": False, "error-codes": ["timeout-or-duplicate"]},
    "a testing key's": {"success": True, "challenge_ts": GOOD["challenge_ts"], "hostname": "x"},
}


@pytest.mark.parametrize("said", WRONG.values(), ids=WRONG)
async def test_a_verdict_that_is_not_for_us_passes_nobody(siteverify, said):
    siteverify.instead = (200, json.dumps(said).encode())
    async with asking(siteverify, hostname="shop.example") as captcha:
        assert await judged(captcha, "0.answer") is None


def refusing(*codes, status=200):
    return status, json.dumps({"success": False, "error-codes": codes}).encode()


TROUBLE = {
    "internal error": refusing("internal-error"),
    "a wrong secret": refusing("invalid-input-secret"),
    "no secret": refusing("missing-input-secret"),
    "a bad request": refusing("bad-request", status=400),
    "a code that we do not know": refusing("invalid-input-response", "new-code"),
    "a refusal without a reason": refusing(),
    "a bad gateway": (502, b"<html>bad gateway</html>"),
    "a failure with a verdict": (500, json.dumps(GOOD).encode()),
    "a redirect": (302, json.dumps(GOOD).encode()),
    "too many requests": (429, b""),
    "no JSON": (200, b"<html>"),
    "a list": (200, b"[]"),
    "a word for a truth": (200, b'{"success": "yes"}'),
    "nothing": (200, b""),
    "not UTF-8": (200, b'{"success": true, "cdata": "\xff"}'),
    "nested too deep": (200, b"[" * 50_000),
    "too much": (200, json.dumps({**GOOD, "more": "x" * 70_000}).encode()),
}


@pytest.mark.parametrize("trouble", TROUBLE.values(), ids=TROUBLE)
async def test_where_siteverify_cannot_tell_nobody_can(siteverify, trouble):
    """Neither passes an answer nor blames the visitor, and says so without the vendor's words."""
    siteverify.instead = trouble
    async with asking(siteverify) as captcha:
        with pytest.raises(ProviderUnavailable) as refused:
            await judged(captcha, "0.answer")
    assert SECRET not in str(refused.value)
    assert "html" not in str(refused.value)


async def test_the_wrong_secret_is_no_fault_of_the_visitor(siteverify):
    async with asking(siteverify, secret="0x4AAAAAAAanother") as captcha:
        with pytest.raises(ProviderUnavailable, match="our secret"):
            await judged(captcha, siteverify.solve(cdata=TOKEN))


async def test_a_silent_siteverify_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = siteverify_server.Siteverify(
            endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}/"
        )
        async with asking(server, timeout_s=0.05) as captcha:
            with pytest.raises(ProviderUnavailable, match="in time"):
                await judged(captcha, "0.answer")


async def test_a_siteverify_in_our_own_network_needs_leave(siteverify):
    endpoint = siteverify.endpoint.replace("http:", "https:")
    async with asking(siteverify, endpoint=endpoint, allow_private=False) as captcha:
        with pytest.raises(ProviderUnavailable, match="allow_private"):
            await judged(captcha, "0.answer")
    assert siteverify.asked == []


USUAL = {"site_key": "site", "secret": SECRET}


@pytest.mark.parametrize(
    "wrong",
    [
        {"site_key": ""},
        {"secret": ""},
        {"action": "two words"},
        {"action": "x" * 33},
        {"endpoint": "http://challenges.cloudflare.com/turnstile/v0/siteverify"},
        {"endpoint": "https://somebody@example.com/"},
        {"endpoint": "siteverify"},
        {"timeout_s": 0},
        {"sitekey": "site"},
    ],
)
def test_settings_that_cannot_work_are_refused(wrong):
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.convert({**USUAL, **wrong}, Settings)
    assert SECRET not in str(refused.value)


def test_the_secret_is_never_printed():
    wanted = msgspec.convert(USUAL, Settings)
    assert SECRET not in f"{wanted!r} {wanted} {wanted.__rich_repr__()}"


SAID = (
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*GOOD, "x"]), inner),
        max_leaves=10,
    ).map(lambda value: json.dumps(value).encode())
    | st.fixed_dictionaries(
        {},
        optional={
            **{name: st.none() | st.text() | st.just(value) for name, value in GOOD.items()},
            "success": st.booleans(),
            "error-codes": st.lists(st.text() | st.just("timeout-or-duplicate")),
        },
    ).map(lambda value: json.dumps(value).encode())
)


def test_whatever_siteverify_says_passes_only_what_it_vouches_for(siteverify):
    """Anything else is wrong, or is trouble; nothing breaks."""
    captcha = Turnstile(
        Settings(site_key="site", secret=SECRET, endpoint=siteverify.endpoint, allow_private=True)
    )

    @given(SAID, st.integers(200, 599))
    @settings(deadline=None, max_examples=200)
    def holds(body, status):
        siteverify.instead = (status, body)
        try:
            solution = runner.run(judged(captcha, "0.answer"))
        except ProviderUnavailable:
            return
        if solution is not None:
            said = json.loads(body)
            assert {name: said[name] for name in VOUCHED} == VOUCHED

    with asyncio.Runner() as runner:
        holds()
        runner.run(captcha.close())
