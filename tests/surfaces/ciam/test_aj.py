"""AJ-Captcha's own calls: the envelope, the codes, and what each of them means.

The stock component itself is in tests/whole/test_aj_front_end.py.
"""

import base64
import io
import json
import re
import string
from datetime import timedelta

import altcha
import httpx2
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.plain import PLAIN
from tests.surfaces.outcomes import every_outcome
from watchword.captchas import _aes
from watchword.config import Captcha, Limit, Limits
from watchword.domain.challenge import Verdict
from watchword.errors import ProviderUnavailable, QuotaExceeded, StoreUnavailable
from watchword.service.gate import CAPTCHA, CaptchaState, Kept
from watchword.surfaces.ciam import aj

pytestmark = pytest.mark.store("sqlite")

GET, CHECK = "/captcha/get", "/captcha/check"
DEVICE = {
    "x-operating-sys-version": "windows10.1.1",
    "x-device-fingerprint": "156aysdna213sc50",
    "x-agent": "Mozilla/5.0",
}
VO = {
    "captchaId",
    "projectCode",
    "captchaType",
    "captchaOriginalPath",
    "captchaFontType",
    "captchaFontSize",
    "secretKey",
    "originalImageBase64",
    "point",
    "jigsawImageBase64",
    "wordList",
    "pointList",
    "pointJson",
    "token",
    "result",
    "captchaVerification",
}
UNLIMITED = {"limits": Limits(by_network=False)}


@pytest.fixture(scope="module")
def server(serving):
    """One that counts no networks: all calls of these tests come from one."""
    with serving(**UNLIMITED) as running:
        yield running


class FrontEnd:
    """Calls as a stock front end does, from nowhere in particular."""

    def __init__(self, server):
        self.server = server

    def post(self, path, body, **headers):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {"content-type": "application/json;charset=UTF-8", **headers}
        url = f"{self.server.url}{path}"
        return httpx2.post(url, content=content, headers=named, timeout=20, verify=PLAIN)

    def ask(self, path, body, **headers):
        """The envelope, which comes with 200 whatever it says."""
        came = self.post(path, body, **headers)
        assert (came.status_code, came.headers["cache-control"]) == (200, "no-store")
        assert came.headers["content-type"] == "application/json;charset=UTF-8"
        told = came.json()
        assert set(told) == {"repCode", "repMsg", "repData", "success", "error"}
        is_right = told["repCode"] == "0000"
        assert (told["success"], told["error"]) == (is_right, not is_right)
        assert (told["repData"] is not None, told["repMsg"] is None) == (is_right, is_right)
        return told

    def shown(self, kind="blockPuzzle"):
        return self.ask(GET, {"captchaType": kind, "clientUid": "slider-1", "ts": 1})["repData"]

    def check(self, captcha, point, **more):
        asked = {"captchaType": captcha["captchaType"], "token": captcha["token"]}
        return self.ask(CHECK, {**asked, "pointJson": point, **more})

    def code(self, captcha, point):
        return self.check(captcha, point)["repCode"]

    def x(self, captcha):
        """Where the piece belongs, as only the store knows."""
        gate, now = self.server.service.ciam.gate, self.server.clock()
        token = captcha["token"]
        record = self.server.do(gate.house.store.record(CAPTCHA, token, now))
        plain = gate.house.keys.unseal(record.body, gate.bound_to(token))
        return msgspec.msgpack.decode(msgspec.msgpack.decode(plain, type=Kept).secret)[0]

    def point(self, captcha, by=0):
        """The right answer, or one that is so many pixels beside it."""
        return f'{{"x":{self.x(captcha) + by}.0,"y":5.0}}'


@pytest.fixture(scope="module")
def front_end(server):
    return FrontEnd(server)


def test_a_slider_is_shown_as_aj_shows_it(front_end):
    """All members of its CaptchaVO, nulls included; a strip as high as the picture."""
    captcha = front_end.shown()
    assert set(captcha) == VO
    filled = {name for name, value in captcha.items() if value not in (None, False)}
    pictures = {"originalImageBase64", "jigsawImageBase64"}
    assert filled == {"captchaType", "secretKey", "token", *pictures}
    assert captcha["captchaType"] == "blockPuzzle"
    assert len(captcha["token"]) == 32
    assert set(captcha["token"]) <= set("0123456789abcdef")
    assert len(captcha["secretKey"]) == 16
    assert set(captcha["secretKey"]) <= set(string.ascii_letters + string.digits)
    sizes = {
        name: Image.open(io.BytesIO(base64.b64decode(captcha[name], validate=True))).size
        for name in pictures
    }
    assert sizes == {"originalImageBase64": (310, 155), "jigsawImageBase64": (47, 155)}


def test_the_right_place_is_told_back(front_end):
    """With result true, and the token and the point as they came."""
    captcha = front_end.shown()
    point = front_end.point(captcha)
    told = front_end.check(captcha, point)["repData"]
    assert set(told) == VO
    assert {name: value for name, value in told.items() if value is not None} == {
        "captchaType": "blockPuzzle",
        "token": captcha["token"],
        "pointJson": point,
        "result": True,
    }


def test_a_point_may_come_encrypted_under_the_captchas_key(front_end):
    """As it does from every stock front end."""
    captcha = front_end.shown()
    point = _aes.encrypt(front_end.point(captcha), captcha["secretKey"])
    assert front_end.check(captcha, point)["repData"]["pointJson"] == point
    other = front_end.shown()
    assert front_end.code(other, _aes.encrypt(front_end.point(other), "0" * 16)) == "6111"


@pytest.mark.parametrize(("by", "code"), [(-6, "6111"), (-5, "0000"), (5, "0000"), (6, "6111")])
def test_five_pixels_beside_it_are_near_enough(front_end, by, code):
    captcha = front_end.shown()
    assert front_end.code(captcha, front_end.point(captcha, by)) == code


@pytest.mark.parametrize("first", ["0000", "6111"])
def test_a_captcha_takes_one_answer(front_end, first):
    """Right or wrong, the next one finds nothing."""
    captcha = front_end.shown()
    right = front_end.point(captcha)
    assert front_end.code(captcha, right if first == "0000" else '{"x":0,"y":5}') == first
    assert front_end.code(captcha, right) == "6110"


def test_a_captcha_lives_two_minutes(front_end):
    """Its last second counts."""
    early, late = front_end.shown(), front_end.shown()
    points = front_end.point(early), front_end.point(late)
    front_end.server.clock.pass_by(timedelta(seconds=118))
    assert front_end.code(early, points[0]) == "0000"
    front_end.server.clock.pass_by(timedelta(seconds=3))
    assert front_end.code(late, points[1]) == "6110"


@pytest.mark.parametrize(
    "point",
    [
        "0",
        "{}",
        "{",
        "not a point",
        '{"x":NaN,"y":5.0}',
        '{"x":Infinity,"y":5.0}',
        '{"x":1e999,"y":5.0}',
        '{"x":"150","y":5.0}',
        '{"x":150}',
        '{"x":[150],"y":5.0}',
        '{"x":{"x":150},"y":5.0}',
        '[{"x":150,"y":5.0}]',
        '{"x":' + "1" * 5000 + ',"y":5.0}',
        '{"x":' + "[" * 5000,
        "A" * 60_000,
        "5nxXyl0w9Fl24/GYj1H37jB+m/oibvcEvGNrLDO+Rj8=",
    ],
)
def test_what_is_no_point_is_a_wrong_one(front_end, point):
    """And spends the captcha as any wrong one does."""
    captcha = front_end.shown()
    right = front_end.point(captcha)
    assert front_end.code(captcha, point) == "6111"
    assert front_end.code(captcha, right) == "6110"


@pytest.mark.parametrize("height", ["4.0", "6.0", "0", "-5.0", "null"])
def test_a_point_is_at_the_strips_height(front_end, height):
    """Which AJ's front ends always say is 5."""
    captcha = front_end.shown()
    point = f'{{"x":{front_end.x(captcha)},"y":{height}}}'
    assert front_end.code(captcha, point) == "6111"


@pytest.mark.parametrize(
    "token", ["0" * 32, "x", "../../x", "'; --", "a" * 60_000, "\x00", "令牌", "0" * 33]
)
def test_a_token_that_nobody_was_given_is_an_expired_one(front_end, token):
    captcha = {"captchaType": "blockPuzzle", "token": token}
    assert front_end.code(captcha, '{"x":150,"y":5.0}') == "6110"


WHOLE = {"captchaType": "blockPuzzle", "token": "0" * 32, "pointJson": "{}"}


@pytest.mark.parametrize("path", [GET, CHECK])
@pytest.mark.parametrize(
    ("body", "code", "zh", "en"),
    [
        (b"", "0016", "JSON格式错误", "JSON is of the wrong format"),
        (b"{", "0016", "JSON格式错误", "JSON is of the wrong format"),
        (b"null", "0016", "JSON格式错误", "JSON is of the wrong format"),
        (b"[]", "0016", "JSON格式错误", "JSON is of the wrong format"),
        (b'"blockPuzzle"', "0016", "JSON格式错误", "JSON is of the wrong format"),
        (b"captchaType=blockPuzzle", "0016", "JSON格式错误", "JSON is of the wrong format"),
        (b"\xff\xfe{}", "0016", "JSON格式错误", "JSON is of the wrong format"),
        (b'{"ts":NaN}', "0016", "JSON格式错误", "JSON is of the wrong format"),
        (b'{"ts":' + b"[" * 9000, "0016", "JSON格式错误", "JSON is of the wrong format"),
        (b'{"token":"\\ud800"}', "0016", "JSON格式错误", "JSON is of the wrong format"),
        (b'{"token":"a","token":"b"}', "0016", "JSON格式错误", "JSON is of the wrong format"),
        ({"captchaType": 5}, "0016", "captchaType格式错误", "captchaType is of the wrong format"),
        ({"pointJson": {"x": 1}}, "0016", "pointJson格式错误", "pointJson is of the wrong format"),
        ({"token": ["a"]}, "0016", "token格式错误", "token is of the wrong format"),
        ({}, "0011", "captchaType不能为空", "captchaType cannot be empty"),
        ({"captchaType": None}, "0011", "captchaType不能为空", "captchaType cannot be empty"),
        ({"captchaType": " \t"}, "0011", "captchaType不能为空", "captchaType cannot be empty"),
        (
            {**WHOLE, "captchaType": "clickWord"},
            "0015",
            "captchaType类型错误",
            "captchaType is of the wrong type",
        ),
        (
            {**WHOLE, "captchaType": "blockpuzzle"},
            "0015",
            "captchaType类型错误",
            "captchaType is of the wrong type",
        ),
    ],
)
def test_a_bad_body_is_told_apart(front_end, path, body, code, zh, en):
    """In the caller's language, Chinese unless it asks for another."""
    told = front_end.ask(path, body)
    assert (told["repCode"], told["repMsg"]) == (code, zh)
    told = front_end.ask(path, body, **{"x-l": "en-US"})
    assert (told["repCode"], told["repMsg"]) == (code, en)


@pytest.mark.parametrize("name", ["jigsaw", "turnstile", "rotatePuzzle", "click", "{}", "{0}"])
def test_only_what_we_can_show_is_a_type(front_end, name):
    """Our own names are not AJ's."""
    assert front_end.ask(GET, {"captchaType": name})["repCode"] == "0015"


@pytest.mark.parametrize("missing", ["token", "pointJson"])
@pytest.mark.parametrize("blank", [None, "", "  ", "absent"])
def test_an_answer_needs_token_and_point(front_end, missing, blank):
    body = {**WHOLE, missing: blank}
    if blank == "absent":
        del body[missing]
    told = front_end.ask(CHECK, body)
    assert (told["repCode"], told["repMsg"]) == ("0011", f"{missing}不能为空")


def test_what_we_do_not_know_is_not_looked_at(front_end):
    """AJ's front ends differ in what else they send."""
    more = {"clientUid": {"a": [1]}, "ts": "later", "browserInfo": None, "secretKey": 5}
    assert front_end.ask(GET, {"captchaType": "blockPuzzle", **more})["repCode"] == "0000"


@pytest.mark.parametrize(
    ("content_type", "code"),
    [
        ("application/json", "0000"),
        ("application/json;charset=utf8", "0000"),
        ("Application/JSON; charset=UTF-8", "0000"),
        ("", "0000"),
        ("text/plain", "0016"),
        ("application/x-www-form-urlencoded", "0016"),
        ("application/json;charset=gbk", "0016"),
    ],
)
def test_the_body_is_json_and_says_so(front_end, content_type, code):
    """Or says nothing."""
    told = front_end.ask(GET, {"captchaType": "blockPuzzle"}, **{"content-type": content_type})
    assert told["repCode"] == code


def test_a_body_too_large_is_a_wrong_format(front_end):
    """In the envelope, as all else."""
    body = {"captchaType": "blockPuzzle", "ts": "1" * 70_000}
    assert front_end.ask(GET, body)["repCode"] == "0016"


def test_work_is_the_way_of_who_cannot_drag(front_end):
    """A proof of work in the same envelope; its solution is the point."""
    captcha = front_end.shown("altcha")
    assert set(captcha) == {*VO, "challenge"}
    assert captcha["secretKey"] is captcha["originalImageBase64"] is None
    solution = solved(captcha["challenge"])
    assert front_end.code(captcha, solution) == "0000"
    assert front_end.code(captcha, solution) == "6110"


def test_work_for_one_captcha_is_none_for_another(front_end):
    first, second = front_end.shown("altcha"), front_end.shown("altcha")
    assert front_end.code(second, solved(first["challenge"])) == "6111"


def solved(challenge):
    """What the proof of work's widget sends."""
    found = altcha.solve_challenge(altcha.Challenge.from_dict(challenge))
    assert found
    payload = {
        "challenge": challenge,
        "solution": {"counter": found.counter, "derivedKey": found.derived_key},
    }
    return base64.b64encode(json.dumps(payload).encode()).decode()


def test_a_captcha_is_for_the_door_that_it_was_shown_at(front_end):
    """One of the CIAM calls is for its application and device, and none of theirs is AJ's."""
    server = front_end.server
    client = server.do(server.service.ciam.clients.create(name="Shop", now=server.clock()))
    headers = {**DEVICE, "x-client-id": client.id}
    theirs = httpx2.get(f"{server.url}/api/v2/sdk/captcha", headers=headers).json()
    captcha = {"captchaType": "blockPuzzle", "token": theirs["token"]}
    right = front_end.point(captcha)
    assert front_end.code(captcha, right) == "6110"

    ours = front_end.shown()
    body = {"token": ours["token"], "point_json": front_end.point(ours), "sender": "15200000000"}
    verify = f"{server.url}/api/v2/sdk/captcha/verify"
    assert httpx2.post(verify, json=body, headers=headers).json()["error_code"].endswith("0001")
    assert front_end.code(ours, front_end.point(ours)) == "0000"


def _refusals(server):
    """Of captchas, whoever asked, as the metrics have them."""
    metrics = httpx2.get(f"http://127.0.0.1:{server.admin_port}/metrics", verify=PLAIN).text
    found = re.findall(r'watchword_refusals_total\{app=".*",scope="captcha"\} (\S+)', metrics)
    return sum(map(float, found))


def test_a_network_is_shown_so_many(serving):
    """6201, and when to come back. The status is 200 as ever, so that the metrics count it."""
    with serving(captcha=Captcha(network=(Limit(2, 60),))) as server:
        front_end = FrontEnd(server)
        captchas = [front_end.shown(), front_end.shown()]
        counted = _refusals(server)
        told = front_end.post(GET, {"captchaType": "blockPuzzle"})
        assert told.json()["repCode"] == "6201"
        assert _refusals(server) == counted + 1
        assert 1 <= int(told.headers["retry-after"]) <= 60
        assert front_end.code(captchas[0], front_end.point(captchas[0])) == "0000"
        server.clock.pass_by(timedelta(seconds=61))
        assert front_end.shown()["token"]


def test_a_network_that_guesses_is_locked_out(serving):
    """6202 for both calls, and when to come back; a captcha that is there stays."""
    with serving(captcha=Captcha(wrong=(Limit(2, 60),), ttl_s=600)) as server:
        front_end = FrontEnd(server)
        left = front_end.shown()
        point = front_end.point(left)
        for _ in range(2):
            assert front_end.code(front_end.shown(), '{"x":0,"y":5}') == "6111"
        asked = {"captchaType": "blockPuzzle", "token": left["token"], "pointJson": point}
        for path in (GET, CHECK):
            told = front_end.post(path, asked)
            assert told.json()["repCode"] == "6202"
            assert 1 <= int(told.headers["retry-after"]) <= 60
        server.clock.pass_by(timedelta(seconds=61))
        assert front_end.code(left, point) == "0000"


def test_where_aj_is_off_nothing_is_there(serving):
    with serving(captcha=Captcha(aj=False)) as server:
        for path in (GET, CHECK):
            assert FrontEnd(server).post(path, WHOLE).status_code == 404


@pytest.mark.parametrize(
    ("verb", "path", "code"), [("write", GET, "6112"), ("record", CHECK, "0001")]
)
def test_a_store_that_is_away_is_worth_another_try(front_end, monkeypatch, verb, path, code):
    """It is nobody's mistake, and says when to come back."""

    async def away(*_):
        raise StoreUnavailable

    monkeypatch.setattr(type(front_end.server.service.store), verb, away)
    told = front_end.post(path, WHOLE)
    assert (told.status_code, told.json()["repCode"]) == (200, code)
    assert told.headers["retry-after"] == "1"


def test_a_stray_error_tells_nothing(front_end, monkeypatch, capfd):
    """9999, and the log has its name and not its words."""

    async def stumbling(*_):
        raise ValueError("secret words")

    monkeypatch.setattr(type(front_end.server.service.store), "write", stumbling)
    told = front_end.ask(GET, {"captchaType": "blockPuzzle"})
    assert (told["repCode"], told["repMsg"]) == ("9999", "服务器内部异常")
    said = "".join(capfd.readouterr())
    assert "ValueError" in said
    assert "secret words" not in said


def test_every_state_of_an_answer_has_a_code():
    """A front end never has to guess."""
    assert set(aj.STATES) == set(CaptchaState)


@pytest.mark.parametrize(
    "outcome", [each for each in every_outcome("ciam") if not isinstance(each, Verdict)]
)
def test_every_error_has_an_envelope(outcome):
    """Its time to come back with it, where time helps."""
    error = made(outcome)
    answer = aj.refused_by(error, "aj_get", "zh")
    told = json.loads(answer.body)
    assert (answer.status, told["success"]) == (200, False)
    assert told["repCode"] in {"0001", "0016", "6110", "6202", "9999"}
    waits = isinstance(error, QuotaExceeded | StoreUnavailable | ProviderUnavailable)
    assert any(name == b"retry-after" for name, _ in answer.headers) == waits


def made(kind):
    """An error of this kind, whatever else it takes to make one."""
    error = kind.__new__(kind)
    Exception.__init__(error, "It was refused.")
    error.field = ""
    error.retry_in = timedelta(seconds=7.5)
    return error


@given(
    st.binary(max_size=200)
    | st.dictionaries(
        st.sampled_from(["captchaType", "token", "pointJson", "ts", "clientUid"]),
        st.sampled_from(["blockPuzzle", "altcha", "0" * 32, "", None])
        | st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
            ),
            max_leaves=6,
        ),
    ).map(lambda body: json.dumps(body).encode()),
    st.sampled_from([GET, CHECK]),
)
@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_comes_is_answered_in_the_envelope(front_end, body, path):
    """And is never called our fault."""
    told = front_end.ask(path, body)
    assert told["repCode"] in {"0000", "0011", "0015", "0016", "6110", "6111"}
