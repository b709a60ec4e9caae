"""/demo/ciam in a real Chromium, on a real server: what a person meets, sees and hears there."""

import json
import re
import threading
from contextlib import closing, contextmanager
from functools import partial
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import httpx2
import pytest
from playwright.sync_api import Page, Position, Request, Response, expect

from tests import browser as browsers
from tests.captcha_solver import solve
from tests.whole.conftest import ROOT, House

pytestmark = pytest.mark.store("sqlite")

WIDTH, PIECE = 310, 47
TRIES = 16
"""The solver misses some pictures, as people do. So many in a row it never does."""
VIEWS = [
    ("light", 360, "zh"),
    ("dark", 360, "en"),
    ("light", 1280, "en"),
    ("dark", 1280, "zh"),
]
NOTED_BY_THE_BROWSER = re.compile(r"Failed to load resource: .* a status of (400|503) ")
"""Chromium writes this of each refusal, whatever a page does about it."""

expect.set_options(timeout=browsers.PATIENCE_MS)
numbers = (f"1520000{n:04d}" for n in range(1000, 9999))


class DemoHouse(House):
    """A house, and what `watchword demo` says of its CIAM clients."""

    ciam: dict[str, str]


@pytest.fixture(scope="module")
def browser():
    if reason := browsers.absent():
        pytest.skip(reason)
    with browsers.running() as browser:
        yield browser


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A server with its demo clients, whose one visitor is not slowed down for coming often."""
    house = DemoHouse(tmp_path_factory.mktemp("page") / "data")
    terms = {"WATCHWORD_LIMITS__BY_NETWORK": "false", "WATCHWORD_CIAM__ORIGINS": '["*"]'}
    with house.serving(**terms):
        house.ciam = json.loads(house.run("demo", "--json").stdout)["ciam"]
        yield house


class Visitor:
    """Somebody at the page, and whatever went wrong or elsewhere while they were there."""

    def __init__(self, page: Page, house: DemoHouse, number: str) -> None:
        self.page, self.house, self.number = page, house, number
        self.wrong: list[str] = []
        self.hosts: set[str] = set()
        self.puzzles: list[Response] = []
        self.sent: list[Response] = []
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("request", self._note_host)
        page.on("response", self._keep)

    def come(self, query: str = "lang=en") -> None:
        self.page.goto(f"{self.house.ciam['base_url']}/demo/ciam?{query}")
        expect(self.page.locator("#country option:checked")).to_contain_text("+86")

    def code(self) -> str:
        return self.house.inbox("--to", self.number, "--code")

    def text(self) -> str:
        return self.house.inbox("--to", self.number)

    # ---- the number

    def tell_number(self) -> None:
        self.page.locator("#mobile").fill(self.number)
        self.page.locator("#mobile").press("Enter")

    # ---- the captcha

    @property
    def slider(self):
        return self.page.get_by_role("slider")

    def gap(self) -> float:
        """Where the piece belongs in the newest picture, once it can be dragged."""
        self.page.locator("[data-state=ready]").wait_for()
        shown = self.puzzles[-1].json()
        return solve(shown["originalImageBase64"], shown["jigsawImageBase64"])

    def until_passed(self, attempt) -> int:
        """Attempt one puzzle after another; how many it took."""
        for tries in range(1, TRIES + 1):
            gap, seen = self.gap(), len(self.puzzles)
            attempt(gap)
            if self._is_past(seen):
                return tries
        raise AssertionError("The solver never met the gap.")

    def drag(self, x: float) -> None:
        (at_x, at_y), far = self._handle(), x * self._scale()
        self.page.mouse.move(at_x, at_y)
        self.page.mouse.down()
        self.page.mouse.move(at_x + far, at_y + 2, steps=8)
        self.page.mouse.up()

    def swipe(self, x: float) -> None:
        """The same with a finger."""
        (at_x, at_y), far = self._handle(), x * self._scale()
        finger = self.page.context.new_cdp_session(self.page)
        for tenth in range(11):
            kind = "touchMove" if tenth else "touchStart"
            there = {"x": at_x + far * tenth / 10, "y": at_y}
            finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [there]})
        finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        finger.detach()

    def tap(self, x: float) -> None:
        """No drag, no keys: a tap on the gap's place in the picture, and one on the button."""
        place: Position = {"x": (x + PIECE / 2) * self._scale(), "y": 20.0}
        self.page.locator(".stage").click(position=place)
        self.page.get_by_role("button", name="Check").click()

    def press_keys(self, x: float) -> None:
        tens, ones = divmod(round(x), 10)
        for key in ["PageUp"] * tens + ["ArrowRight"] * ones + ["Enter"]:
            self.page.keyboard.press(key)

    def _handle(self) -> tuple[float, float]:
        """The middle of what is dragged."""
        box = self.slider.bounding_box()
        assert box
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def _scale(self) -> float:
        """How many pixels of the screen one of the picture's is."""
        box = self.page.locator(".stage").bounding_box()
        assert box
        return box["width"] / WIDTH

    def _is_past(self, seen: int) -> bool:
        """Whether it was accepted, and no other picture came."""
        page = self.page
        passed = page.locator("[data-state=passed], [data-page=number]:not([hidden])").or_(
            page.locator("[data-page=code]:not([hidden])")
        )
        missed = page.locator("[data-state=ready] .said:not(:empty)")
        passed.or_(missed).first.wait_for(state="attached")
        return len(self.puzzles) == seen

    # ---- the code

    def get_code(self) -> None:
        self.tell_number()
        self.until_passed(self.press_keys)
        expect(self.page.locator("#code")).to_be_focused()

    # ---- what is noted

    def _note(self, message) -> None:
        if message.type in ("error", "warning") and not NOTED_BY_THE_BROWSER.match(message.text):
            self.wrong.append(message.text)

    def _note_host(self, request: Request) -> None:
        self.hosts.add(urlsplit(request.url).netloc)

    def _keep(self, response: Response) -> None:
        path = urlsplit(response.url).path
        if path == "/api/v2/sdk/captcha" and "altcha" not in response.url:
            self.puzzles.append(response)
        if path == "/api/v2/sdk/sms/send":
            self.sent.append(response)


@pytest.fixture
def someone(browser, house):
    """Makes visitors. In the end none of them met an error or another host."""
    made = []

    @contextmanager
    def coming(query="lang=en", **how):
        how = {"viewport": {"width": 1280, "height": 900}, "locale": "en-US", **how}
        with browser.new_context(reduced_motion="reduce", **how) as context:
            context.set_default_timeout(browsers.PATIENCE_MS)
            visitor = Visitor(context.new_page(), house, next(numbers))
            made.append(visitor)
            visitor.come(query)
            yield visitor

    yield coming
    assert [wrong for visitor in made for wrong in visitor.wrong] == []
    hosts = {host for visitor in made for host in visitor.hosts}
    assert hosts <= {urlsplit(house.ciam["base_url"]).netloc}


def test_a_person_drags_the_piece_and_proves_a_number(someone):
    """From the number to the end, with a mouse."""
    with someone() as visitor:
        page = visitor.page
        page.get_by_label("Mobile number").fill(visitor.number)
        page.get_by_role("radio", name="Sign up").check()
        page.get_by_role("button", name="Continue").click()
        visitor.until_passed(visitor.drag)
        page.get_by_label("Code from the message").fill(visitor.code())
        page.get_by_role("button", name="Verify").click()
        expect(page.get_by_role("heading", name="The number is proven")).to_be_visible()
        assert "create your account" in visitor.text()


def test_whoever_has_only_a_keyboard_gets_to_the_end(someone):
    """Every step leaves the focus where the next one begins, and no pointer is ever used."""
    with someone() as visitor:
        page = visitor.page
        page.evaluate("addEventListener('pointerdown', () => (window.pointed = true), true)")
        for _ in range(20):
            if page.evaluate("document.activeElement.id") == "mobile":
                break
            page.keyboard.press("Tab")
        page.keyboard.type(visitor.number)
        page.keyboard.press("Enter")
        expect(visitor.slider).to_be_focused()
        visitor.until_passed(visitor.press_keys)
        expect(page.locator("#code")).to_be_focused()
        page.keyboard.type(visitor.code())
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="The number is proven")).to_be_focused()
        assert not page.evaluate("window.pointed")


def test_a_finger_drags_as_well(someone):
    """And where it moves sideways, the page does not scroll away under it."""
    with someone(viewport={"width": 360, "height": 640}, has_touch=True) as visitor:
        visitor.tell_number()
        visitor.until_passed(visitor.swipe)
        expect(visitor.page.locator("#code")).to_be_focused()


def test_a_tap_on_the_picture_is_enough(someone):
    """WCAG 2.2, 2.5.7: whatever a drag does can be done without one."""
    with someone(viewport={"width": 360, "height": 800}, has_touch=True) as visitor:
        visitor.tell_number()
        visitor.until_passed(visitor.tap)
        expect(visitor.page.locator("#code")).to_be_focused()


def test_the_slider_says_where_it_is(someone):
    """Keys move it by one and by ten and to both ends; what is read out follows."""
    with someone() as visitor:
        visitor.tell_number()
        visitor.gap()
        for key, text in [
            ("ArrowRight", "1 of 263"),
            ("ArrowUp", "2 of 263"),
            ("PageUp", "12 of 263"),
            ("ArrowLeft", "11 of 263"),
            ("PageDown", "1 of 263"),
            ("End", "263 of 263"),
            ("ArrowRight", "263 of 263"),
            ("Home", "0 of 263"),
            ("ArrowDown", "0 of 263"),
        ]:
            visitor.page.keyboard.press(key)
            expect(visitor.slider).to_have_attribute("aria-valuetext", text)
        expect(visitor.slider).to_have_accessible_name("Position of the puzzle piece")
        expect(visitor.slider).to_have_accessible_description("Arrow keys move it, Enter checks")


def test_a_wrong_place_brings_another_picture(someone):
    """It says so aloud, and the focus stays where it was."""
    with someone() as visitor:
        visitor.tell_number()
        visitor.gap()
        visitor.page.keyboard.press("Enter")
        said = visitor.page.locator("watchword-captcha").get_by_role("status")
        expect(said).to_have_text("Not quite. Here is another picture.")
        visitor.gap()
        assert len(visitor.puzzles) == 2
        expect(visitor.slider).to_be_focused()


def test_another_picture_comes_when_asked_for(someone):
    with someone() as visitor:
        visitor.tell_number()
        visitor.gap()
        with visitor.page.expect_response("**/api/v2/sdk/captcha"):
            visitor.page.get_by_role("button", name="Another picture").click()
        visitor.until_passed(visitor.drag)


def test_whoever_cannot_drag_computes(someone):
    """In a Worker, so that the page stays quick; and it is one button away."""
    with someone() as visitor:
        workers = []
        visitor.page.on("worker", lambda worker: workers.append(urlsplit(worker.url).path))
        visitor.tell_number()
        visitor.gap()
        visitor.page.get_by_role("button", name="Cannot drag it? Prove by computing").click()
        expect(visitor.page.locator("#code")).to_be_focused()
        assert workers == ["/static/watchword-proof.js"]
        assert visitor.sent[0].status == 200


def test_whoever_turns_back_is_sent_nothing(someone):
    """A computation that was begun ends with the step that it belongs to."""
    with someone() as visitor:
        held, page = [], visitor.page
        page.route("**/captcha/verify", lambda route: held.append(route))
        visitor.tell_number()
        visitor.gap()
        with page.expect_request("**/captcha/verify"):
            page.locator(".other").click()
        page.locator("[data-page=captcha]").get_by_role("button", name="Change").click()
        expect(page.locator("#mobile")).to_be_focused()
        expect(page.locator("watchword-captcha")).to_have_count(0)
        assert visitor.sent == []


@pytest.mark.parametrize("dressed", ["{} {}", "{}-{}", " {} {}\n", "【Demo】{} {} is your code."])
def test_a_code_may_be_pasted_as_it_was_written(someone, dressed):
    """With blanks and dashes, or the whole message that it came in."""
    with someone() as visitor:
        visitor.get_code()
        code = visitor.code()
        visitor.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        text = dressed.format(code[:3], code[3:])
        visitor.page.evaluate("text => navigator.clipboard.writeText(text)", text)
        visitor.page.keyboard.press("Control+V")
        expect(visitor.page.locator("#code")).to_have_value(code)
        visitor.page.keyboard.press("Enter")
        expect(visitor.page.get_by_role("heading", name="The number is proven")).to_be_visible()


def test_a_wrong_code_may_be_corrected(someone):
    """The field keeps the focus and says what is wrong; the right code is still good."""
    with someone() as visitor:
        visitor.get_code()
        code, field = visitor.code(), visitor.page.locator("#code")
        field.fill("".join(str(9 - int(digit)) for digit in code))
        field.press("Enter")
        expect(field).to_have_accessible_description(re.compile("That is not the code"))
        expect(field).to_have_attribute("aria-invalid", "true")
        expect(field).to_be_focused()
        field.fill(code)
        expect(field).not_to_have_attribute("aria-invalid", "true")
        field.press("Enter")
        expect(visitor.page.get_by_role("heading", name="The number is proven")).to_be_visible()


def test_guessing_ends(someone):
    """After as many wrong codes as there are attempts the page says that only a new one helps."""
    with someone() as visitor:
        visitor.get_code()
        wrong = "".join(str(9 - int(digit)) for digit in visitor.code())
        field = visitor.page.locator("#code")
        for _ in range(6):
            with visitor.page.expect_response("**/sms/verify"):
                field.fill(wrong)
                field.press("Enter")
            expect(field).to_have_attribute("aria-invalid", "true")  # the page has read it too
        expect(field).to_have_accessible_description(re.compile("Too many tries"))


def test_the_message_itself_may_bring_the_code(someone):
    """WebOTP: on a phone the browser hands it over, and nobody types."""
    with someone() as visitor:
        visitor.page.evaluate(
            """() => {
                window.OTPCredential = class {};
                navigator.credentials.get = ({ otp }) => new Promise((resolve) => {
                    window.arrives = (code) => resolve({ code });
                });
            }"""
        )
        visitor.get_code()
        visitor.page.evaluate("code => window.arrives(code)", visitor.code())
        expect(visitor.page.get_by_role("heading", name="The number is proven")).to_be_visible()


def test_the_code_may_be_sent_again_when_the_server_said(someone):
    """The countdown is the server's. Who comes too early all the same is told how long it takes,
    next to the number."""
    with someone() as visitor:
        page = visitor.page
        page.clock.install()
        visitor.get_code()
        assert visitor.sent[0].headers["x-resend-after"] == "60"
        again = page.locator(".resend")
        expect(again).to_have_text(re.compile(r"Send again in (1:00|0:5\d)"))
        expect(again).to_have_attribute("aria-disabled", "true")
        again.click(force=True)
        expect(page.locator("#code")).to_be_visible()
        page.clock.fast_forward(60_000)  # the browser's alone
        expect(again).to_have_text("Send again")
        again.click()
        visitor.until_passed(visitor.drag)
        number = page.locator("#mobile")
        expect(number).to_have_accessible_description(re.compile(r"Another code can follow in 0:"))
        expect(number).to_be_focused()
        assert int(visitor.sent[1].headers["retry-after"]) <= 60


@pytest.mark.parametrize(
    ("language", "heading", "wrong", "message"),
    [
        ("zh", "验证成功", "验证码不正确", "验证码"),
        ("en", "The number is proven", "That is not the code", "code"),
    ],
)
def test_the_page_speaks_both_languages(someone, language, heading, wrong, message):
    """Whichever it began in; nothing that was typed is lost, and the message follows."""
    other = {"zh": "en", "en": "zh"}[language]
    name = {"zh": "中文", "en": "English"}[language]
    with someone(f"lang={other}") as visitor:
        page = visitor.page
        page.locator("#mobile").fill(visitor.number)
        page.get_by_role("button", name=name).click()
        expect(page.locator("html")).to_have_attribute("lang", re.compile(language))
        expect(page.locator("#mobile")).to_have_value(visitor.number)
        visitor.get_code()
        assert message in visitor.text()
        page.locator("#code").fill("000")
        page.locator("#code").press("Enter")
        expect(page.locator("#code-error")).to_contain_text(wrong)
        page.locator("#code").fill(visitor.code())
        page.locator("#code").press("Enter")
        expect(page.get_by_role("heading", name=heading)).to_be_visible()
        spoken = page.locator("body").inner_text().replace("中文", "")
        assert bool(re.search("[\u4e00-\u9fff]", spoken)) == (language == "zh")


@pytest.mark.parametrize(
    ("locale", "title"), [("zh-CN", "验证手机号"), ("en-GB", "Verify a number")]
)
def test_the_page_begins_in_the_visitors_language(someone, locale, title):
    with someone("", locale=locale) as visitor:
        expect(visitor.page.get_by_role("heading", name=title)).to_be_visible()


def test_a_number_is_looked_at_before_it_is_sent(someone):
    """What cannot be one is said next to the field, and forgotten as soon as it is touched."""
    with someone() as visitor:
        number = visitor.page.locator("#mobile")
        number.press("Enter")
        expect(number).to_have_accessible_description("Please enter a number.")
        number.fill("12")
        number.press("Enter")
        expect(number).to_have_accessible_description("Not a mobile number of this country.")
        number.fill("152 0000-9999")
        expect(number).to_have_accessible_description("")
        number.press("Enter")
        expect(visitor.page.locator(".number").first).to_have_text("+86 15200009999")


def test_a_number_elsewhere_goes_with_its_country(someone):
    """As people there write it, its leading zero included."""
    with someone() as visitor:
        visitor.page.get_by_label("Country or region").select_option("GB")
        visitor.page.locator("#mobile").fill("07400 123456")
        visitor.page.locator("#mobile").press("Enter")
        visitor.until_passed(visitor.press_keys)
        expect(visitor.page.locator("#code")).to_be_focused()
        visitor.number = "+447400123456"
        assert visitor.code()


def test_a_carrier_that_refuses_is_told_of_at_the_number(someone):
    with someone() as visitor:
        visitor.number = "15212340001"  # the virtual carrier refuses all that end so
        visitor.tell_number()
        visitor.until_passed(visitor.drag)
        number = visitor.page.locator("#mobile")
        expect(number).to_have_accessible_description("No code could be sent to this number.")
        expect(number).to_be_focused()


def test_a_client_id_that_nobody_has_is_told_of_at_its_field(someone):
    with someone(f"lang=en&client_id={'x' * 32}") as visitor:
        visitor.tell_number()
        field = visitor.page.get_by_label("Client id")
        expect(field).to_have_accessible_description("No application has this client id.")
        expect(field).to_be_focused()
        field.fill(visitor.house.ciam["client_id_2"])
        field.press("Enter")
        visitor.until_passed(visitor.press_keys)
        expect(visitor.page.locator("#code")).to_be_focused()


def walked(visitor: Visitor):
    """Every state of the page, one after the other, by name."""
    page = visitor.page
    yield "number"
    page.locator("#mobile").press("Enter")
    yield "no number"
    held = []
    page.route("**/captcha", lambda route: held.append(route))
    visitor.tell_number()
    page.locator("[data-state=loading]").wait_for()
    yield "captcha on its way"
    held[0].continue_()
    page.unroute("**/captcha")
    visitor.gap()
    yield "captcha"
    page.keyboard.press("PageUp")
    yield "piece moved"
    page.keyboard.press("Enter")
    page.locator(".said:not(:empty)").wait_for()
    visitor.gap()
    yield "piece in the wrong place"
    page.route("**/captcha?captchaType=altcha", lambda route: held.append(route))
    page.locator(".other").click()
    expect(page.locator("[data-kind=altcha]")).to_be_visible()
    yield "computing"
    page.route("**/captcha", lambda route: route.fulfill(status=503, body="{}"))
    page.locator(".other").click()
    page.locator("[data-state=refused]").wait_for()
    yield "captcha refused"
    page.unroute("**/captcha")
    page.locator(".check").click()
    visitor.until_passed(visitor.press_keys)
    expect(page.locator("#code")).to_be_focused()
    yield "code"
    page.locator("#code").fill("000000")
    page.locator("#code").press("Enter")
    page.locator("#code-error:not(:empty)").wait_for()
    yield "wrong code"
    page.locator("#code").fill(visitor.code())
    page.locator("#code").press("Enter")
    expect(page.locator(".done h2")).to_be_focused()
    yield "done"


@pytest.mark.parametrize(("scheme", "width", "language"), VIEWS)
def test_nothing_stands_in_anybodys_way(someone, scheme, width, language):
    """axe-core finds nothing at all, in any state."""
    how = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
    with someone(f"lang={language}", **how) as visitor:
        found = {state: browsers.barriers(visitor.page) for state in walked(visitor)}
        assert {state: each for state, each in found.items() if each} == {}


@pytest.mark.parametrize("language", ["zh", "en"])
def test_nothing_moves_from_state_to_state(someone, language):
    """The card keeps its place and its size, on the narrowest of phones too, and fits on it."""
    how = {"viewport": {"width": 320, "height": 800}}
    with someone(f"lang={language}", **how) as visitor:
        page = visitor.page
        boxes = [(state, page.locator("main").bounding_box()) for state in walked(visitor)]
        assert [state for state, box in boxes if box != boxes[0][1]] == []
        assert page.evaluate("document.scrollingElement.scrollWidth") == 320


@pytest.mark.parametrize("language", ["zh", "en"])
def test_what_can_be_pressed_is_big_enough(someone, language):
    """44 pixels each way for a thumb, on the narrowest of phones, however narrow the letters."""
    with someone(f"lang={language}", viewport={"width": 320, "height": 800}) as visitor:
        small = {}
        for state in walked(visitor):
            for box in visitor.page.evaluate(SIZES):
                if min(box["width"], box["height"]) < 44:
                    small[state] = box
        assert small == {}


SIZES = """() => {
    const deep = (root) => [...root.querySelectorAll("*")].flatMap(
        (each) => [each, ...(each.shadowRoot ? deep(each.shadowRoot) : [])]);
    const pressed = "button, select, input:not([type=radio]), .chips label, [role=slider]";
    return deep(document).filter((each) => each.matches(pressed) && each.checkVisibility(
        { visibilityProperty: true })).map((each) => {
            const box = each.getBoundingClientRect();
            const around = getComputedStyle(each, "::before");
            const width = Math.max(box.width, parseFloat(around.width) || 0);
            const what = each.className || each.id || each.textContent;
            return { what, width, height: box.height };
        });
}"""


def test_the_handle_stands_out_in_forced_colours(someone):
    """Contrast themes take backgrounds away, but not this one."""
    with someone(forced_colors="active") as visitor:
        visitor.tell_number()
        visitor.gap()
        colours = visitor.slider.evaluate(
            "each => [each, each.parentElement].map(one => getComputedStyle(one).backgroundColor)"
        )
        assert colours[0] != colours[1]


# ---- what is served

STATIC = {
    "/static/watchword-captcha.js": "text/javascript; charset=utf-8",
    "/static/watchword-proof.js": "text/javascript; charset=utf-8",
    "/static/demo.js": "text/javascript; charset=utf-8",
    "/static/demo.css": "text/css; charset=utf-8",
    "/static/watchword.svg": "image/svg+xml; charset=utf-8",
}


@pytest.fixture
def http(house):
    with httpx2.Client(base_url=house.ciam["base_url"]) as http:
        yield http


@pytest.mark.parametrize(("path", "kind"), STATIC.items())
def test_a_file_is_fetched_once_for_each_version(http, path, kind):
    """Its tag is asked about and confirmed; other sites may load what is script."""
    whole = http.get(path)
    assert (whole.status_code, whole.headers["content-type"]) == (200, kind)
    assert whole.headers["cache-control"] == "no-cache"
    assert whole.headers["x-content-type-options"] == "nosniff"
    assert whole.headers.get("access-control-allow-origin") == ("*" if "java" in kind else None)
    tag = whole.headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        same = http.get(path, headers={"if-none-match": known})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    assert http.get(path, headers={"if-none-match": '"other"'}).content == whole.content
    looked = http.head(path)
    assert (looked.status_code, looked.content) == (200, b"")
    assert looked.headers["content-length"] == str(len(whole.content))


@pytest.mark.parametrize(
    "path",
    [
        "/demo",
        "/demo/",
        "/demo/ciam/",
        "/demo/other",
        "/static",
        "/static/",
        "/static/../pages.py",
        "/static/%2e%2e/pages.py",
        "/static/..%2fpages.py",
        "/static//demo.js",
        "/static/demo.js/",
        "/static/words.json",
    ],
)
def test_there_is_nothing_else(http, path):
    """No folder can be listed or left."""
    with closing(HTTPConnection(urlsplit(str(http.base_url)).netloc)) as raw:
        raw.request("GET", path)  # exactly as it is written here
        answer = raw.getresponse()
        assert answer.status == 404
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/demo/ciam", "/static/demo.js"])
def test_there_is_only_to_read(http, path):
    answer = http.post(path)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


def test_the_page_lets_nothing_strange_in(http):
    """Nothing in it runs that is not a file of ours, and no page may frame it."""
    answer = http.get("/demo/ciam")
    policy = dict(
        part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";")
    )
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": "'self'",
        "worker-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["permissions-policy"] == "otp-credentials=(self)"
    assert " style=" not in answer.text
    assert http.get("/demo/ciam?lang=%22%3E%3Cb%3E&client_id=%22%3E%3Cb%3E").status_code == 200


def test_where_there_is_no_demo_the_client_id_is_asked_for(browser, tmp_path):
    """And where messages go to real people there is no such page, while other sites are still
    served the component."""
    house = House(tmp_path / "data")
    with house.serving() as serving, browser.new_page() as page:
        page.goto(serving["base_url"] + "/demo/ciam?lang=en")
        page.locator("#mobile").fill("15200000000")
        page.locator("#mobile").press("Enter")
        field = page.get_by_label("Client id")
        expect(field).to_have_accessible_description("A client id has 32 letters and digits.")
        expect(field).to_be_focused()
    house.settings('[providers.smtp]\nhost = "127.0.0.1"\nsender = "codes@example.com"\n')
    with house.serving() as serving, httpx2.Client(base_url=serving["base_url"]) as http:
        assert http.get("/demo/ciam").status_code == 404
        assert http.get("/static/watchword-captcha.js").status_code == 200


# ---- the component abroad

MANUAL = (ROOT / "docs/captcha-component.md").read_text(encoding="utf-8")
"""What it shows is the page of another origin, its script, and its strict policy."""


def shown(language, house):
    """The manual's block in this language, with a real server and client in it."""
    (block,) = re.findall(rf"```{language}\n(.*?)```", MANUAL, re.DOTALL)
    block = block.replace("https://codes.example", house.ciam["base_url"])
    return block.replace("CLIENT_ID", house.ciam["client_id"])


class Abroad(BaseHTTPRequestHandler):
    """Another origin, all of whose pages come with one policy."""

    def __init__(self, pages, policy, *rest) -> None:
        self.pages, self.policy = pages, policy
        super().__init__(*rest)

    def do_GET(self) -> None:
        kind, body = self.pages.get(self.path, ("text/plain", ""))
        self.send_response(200 if body else 204)
        self.send_header("content-type", f"{kind}; charset=utf-8")
        self.send_header("content-security-policy", self.policy)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_) -> None:
        """Nobody reads it."""


@contextmanager
def another_origin(house, kind, number):
    page = shown("html", house).replace("sender=", f'kind="{kind}" sender=')
    page = page.replace("+8615200000000", f"+86{number}")
    pages = {"/": ("text/html", page), "/sign-in.js": ("text/javascript", shown("js", house))}
    policy = shown("text", house).strip()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Abroad, pages, policy)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://localhost:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("kind", ["jigsaw", "altcha"])
def test_any_site_can_embed_the_component(browser, house, kind):
    """As the manual shows it, and under the policy that it shows: a send from there goes through,
    and a form sends the pass along. Where no Worker may start, the page itself computes."""
    with browser.new_context() as context:
        visitor = Visitor(context.new_page(), house, next(numbers))
        asked, puzzles = [], 1
        visitor.page.on("request", lambda request: asked.append((request.method, request.url)))
        with another_origin(house, kind, visitor.number) as url:
            visitor.page.goto(url)
            if kind == "jigsaw":
                visitor.gap()
                visitor.slider.focus()
                puzzles = visitor.until_passed(visitor.press_keys)
            expect(visitor.page.get_by_role("heading")).to_have_text("Look at your phone")
            kept = visitor.page.evaluate("new FormData(document.forms[0]).get('captcha_token')")
            sent = json.loads(visitor.sent[-1].request.post_data or "{}")
            assert kept == sent["captcha_token"]
            assert browsers.barriers(visitor.page) == []
        captchas = [url for method, url in asked if method == "GET" and "/sdk/captcha" in url]
        assert len(captchas) == puzzles
        assert visitor.wrong == []
        assert visitor.code()


def test_whoever_asked_for_too_many_puzzles_is_told_when_to_come_back(browser, tmp_path):
    """In both languages; the vendor's sentence for it says only that nothing was sent."""
    house = DemoHouse(tmp_path / "data")
    with house.serving(WATCHWORD_CAPTCHA__NETWORK="1/10m"), browser.new_page() as page:
        house.ciam = json.loads(house.run("demo", "--json").stdout)["ciam"]
        visitor = Visitor(page, house, "+8613800138000")
        for language, told in (
            ("en", "Too many puzzles from here. The next one can come in 10 minutes."),
            ("zh", "您的网络请求过于频繁，10 分钟后可再试。"),
        ):
            visitor.come(f"lang={language}")
            visitor.tell_number()
            if language == "en":
                visitor.gap()
                page.locator(".another").click()
            page.locator("[data-state=refused]").wait_for()
            expect(page.locator(".said")).to_have_text(told)
            expect(page.locator(".check")).to_have_attribute("aria-disabled", "true")
