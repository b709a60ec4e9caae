"""A stock AJ-Captcha front end on a running server: its own encryption, from the picture to a code.

It is npm's aj-captcha-react. In Node its encryption alone runs, in a browser the whole of it; all
that these tests add is the hand that drags.
"""

import itertools
import json
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from tests import browser as browsers
from tests.captcha_solver import solve
from tests.whole.conftest import DEADLINE_S
from watchword.captchas import _aes

pytestmark = pytest.mark.store("sqlite")

KEY, POINT = "yMXC583dP4R7uhmq", '{"x":237.0,"y":5.0}'
CIPHERED = "5nxXyl0w9Fl24/GYj1H37jB+m/oibvcEvGNrLDO+Rj8="
"""The vector of contracts/ciam.md, section 6."""
WIDTH, SHOWN_WIDTH = 310, 280
"""Of the picture, and of the component that shows it."""
FORM = '<!doctype html><title>Log in</title><body><script src="/aj.js"></script></body>'
MOST_TRIES = 40
GONE = "IDAAS.SDK.CAPTCHA.0003"
_numbers = itertools.count(15_210_005_000)


class Site:
    """A site whose log-in form has the component; behind it, a program that sends codes."""

    def __init__(self, house, base_url, client_id, node):
        self.house, self.base_url, self.node = house, base_url, node
        headers = {
            "x-operating-sys-version": "windows10.1.1",
            "x-device-fingerprint": "156aysdna213sc50",
            "x-agent": "Mozilla/5.0",
            "x-client-id": client_id,
        }
        self._calls = httpx2.Client(base_url=base_url, headers=headers, timeout=DEADLINE_S)

    def __enter__(self):
        return self

    def __exit__(self, *raised):
        self._calls.close()

    def ask(self, path, asked):
        """What the component gets; it sends these two with every call."""
        body = {"captchaType": "blockPuzzle", "clientUid": "slider-1", "ts": 1, **asked}
        answer = self._calls.post(path, json=body)
        assert answer.status_code == 200
        return answer.json()

    def slide(self, captcha, x, *, ciphered=True):
        """Let go at x: what the server makes of the point, as the component sends it."""
        point = json.dumps({"x": x, "y": 5}, separators=(",", ":"))
        if ciphered:
            point = self.node("ajEncrypt", text=point, key=captcha["secretKey"])
        return self.ask("/captcha/check", {"token": captcha["token"], "pointJson": point})

    def picture(self):
        """A captcha, and where its piece seems to belong."""
        captcha = self.ask("/captcha/get", {})["repData"]
        return captcha, round(solve(captcha["originalImageBase64"], captcha["jigsawImageBase64"]))

    def solved(self, *, ciphered=True):
        """A captcha whose piece is where it fits, and that place."""
        for _ in range(MOST_TRIES):
            captcha, x = self.picture()
            if self.slide(captcha, x, ciphered=ciphered)["repCode"] == "0000":
                return captcha, x
        raise AssertionError(f"Of {MOST_TRIES} pictures none was solved.")

    def verification(self, captcha, x, *, ciphered=True):
        """What the component hands to its site then."""
        key = {"secretKey": captcha["secretKey"]} if ciphered else {}
        return self.node("ajVerification", token=captcha["token"], x=x, **key)

    def send(self, mobile, captcha_token):
        """The error of a send, None where it has none."""
        body = {"mobile": mobile, "type": "LOGIN_SMS", "captcha_token": captcha_token}
        answer = self._calls.post("/api/v2/sdk/sms/send", json=body)
        if answer.status_code == 200:
            assert answer.content == b""
            return None
        return answer.json()["error_code"]

    def code(self, mobile):
        return self.house.inbox("--to", mobile, "--code")


@pytest.fixture(scope="module")
def site(new_house, node):
    """The pictures missed on the way to a solved one do not lock the site out."""
    with (
        new_house() as house,
        house.serving(WATCHWORD_LIMITS__BY_NETWORK="false") as serving,
    ):
        client_id = json.loads(house.run("demo", "--json").stdout)["ciam"]["client_id"]
        with Site(house, serving["base_url"], client_id, node) as site:
            yield site


@pytest.fixture
def mobile():
    """A number that no other test uses."""
    return str(next(_numbers))


def test_its_encryption_is_the_contracts(node):
    """And ours is the same."""
    assert node("ajEncrypt", text=POINT, key=KEY) == CIPHERED
    assert _aes.encrypt(POINT, KEY) == CIPHERED
    assert _aes.decrypt(CIPHERED, KEY) == POINT


@pytest.mark.parametrize(
    "text", ["", "a", "x" * 15, "x" * 16, "x" * 17, "滑块 ✓", '{"x":237,"y":5}']
)
def test_whatever_it_encrypts_we_read(node, text):
    """Full blocks, empty ones and other letters too."""
    key = _aes.new_key()
    ciphered = node("ajEncrypt", text=text, key=key)
    assert ciphered == _aes.encrypt(text, key)
    assert _aes.decrypt(ciphered, key) == text


@pytest.mark.parametrize("ciphered", [True, False], ids=["ciphered", "plain"])
def test_a_solved_picture_sends_one_code(site, mobile, ciphered):
    """To the first number that shows what the component made of it, and to nobody afterwards."""
    solved = site.solved(ciphered=ciphered)
    verification = site.verification(*solved, ciphered=ciphered)
    assert ("---" in verification) is not ciphered
    assert site.send(mobile, verification) is None
    assert re.fullmatch(r"\d{6}", site.code(mobile))
    assert site.send(mobile, verification) == GONE
    assert site.send(str(next(_numbers)), verification) == GONE


def test_a_pass_has_two_spellings_and_one_use(site, mobile):
    """A component that encrypts and one that does not would show the same pass differently."""
    solved = site.solved()
    assert site.send(mobile, site.verification(*solved, ciphered=False)) is None
    assert site.send(mobile, site.verification(*solved)) == GONE


def test_of_twenty_who_show_one_pass_one_gets_through(site):
    """In whichever spelling, for as many numbers."""
    solved = site.solved()
    spellings = [site.verification(*solved, ciphered=ciphered) for ciphered in (True, False)]
    mobiles = [str(next(_numbers)) for _ in range(20)]
    with ThreadPoolExecutor(len(mobiles)) as threads:
        came = list(threads.map(site.send, mobiles, spellings * 10))
    assert Counter(came) == {None: 1, GONE: 19}
    assert re.fullmatch(r"\d{6}", site.code(mobiles[came.index(None)]))


def test_what_is_made_up_opens_nothing_and_breaks_nothing(site, mobile):
    """The real one is still good."""
    verification = site.verification(*site.solved())
    token = "0" * 32
    for made_up in (
        verification[:-4] + "AAAA",
        verification.swapcase(),
        site.node("ajVerification", token=token, x=150, secretKey=KEY),
        site.node("ajVerification", token=token, x=150),
    ):
        assert site.send(mobile, made_up) == GONE
    assert site.send(mobile, verification) is None


def test_a_piece_let_go_elsewhere_opens_nothing(site, mobile):
    """Whoever goes on as if it were right is refused, and the picture is spent."""
    captcha, x = site.picture()
    assert site.slide(captcha, 3)["repCode"] == "6111"
    assert site.slide(captcha, x)["repCode"] == "6110"
    for place in (3, x):
        assert site.send(mobile, site.verification(captcha, place)) == GONE


@pytest.fixture
def page(site):
    """A page of the site, with the component on it and nothing else."""
    if reason := browsers.absent():
        pytest.skip(reason)
    script = site.node("ajScript")
    with browsers.running() as browser, browser.new_page(base_url=site.base_url) as page:
        page.set_default_timeout(browsers.PATIENCE_MS)
        page.route("**/aj.js", lambda it: it.fulfill(content_type="text/javascript", body=script))
        page.route("**/form", lambda it: it.fulfill(content_type="text/html", body=FORM))
        yield page


def test_the_whole_component_works_as_it_is(site, page, mobile):
    """It shows our picture, takes the piece to where a mouse does, and hands over what sends."""
    for _ in range(MOST_TRIES):
        page.goto("/form")
        page.wait_for_function("window.begin")
        with page.expect_response("**/captcha/get") as shown:
            page.evaluate("begin()")
        captcha = shown.value.json()["repData"]
        x = solve(captcha["originalImageBase64"], captcha["jigsawImageBase64"])
        with page.expect_response("**/captcha/check") as checked:
            _drag(page, round(x * SHOWN_WIDTH / WIDTH))
        if checked.value.json()["repCode"] == "0000":
            passed = page.wait_for_function("window.passed").json_value()
            assert site.send(mobile, passed["captchaVerification"]) is None
            assert re.fullmatch(r"\d{6}", site.code(mobile))
            return
    raise AssertionError(f"Of {MOST_TRIES} pictures none was solved.")


def _drag(page, distance):
    """Take the handle so far to the right, and let it go."""
    place = page.locator(".ac-slider__control").bounding_box()
    left, middle = place["x"] + 1, place["y"] + place["height"] / 2
    page.mouse.move(left, middle)
    page.mouse.down()
    page.mouse.move(left + distance, middle, steps=3)
    page.mouse.up()


def test_the_words_to_click_are_refused_in_its_own_terms(site):
    """The component shows its reload message for a code that it has no text for."""
    refused = site.ask("/captcha/get", {"captchaType": "clickWord"})
    assert (refused["repCode"], refused["repData"]) == ("0015", None)
