"""Programs of the CIAM dialect, who call a running server and really solve its captchas."""

import asyncio
import base64
import hashlib
import itertools
import json
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

import altcha
import httpx2

from tests.captcha_solver import solve
from tests.whole.conftest import DEADLINE_S, eventually
from watchword.bootstrap import bootstrap
from watchword.domain.destination import phone

SDK = "/api/v2/sdk"
OK = (200, "")
GONE, WRONG = (400, "CAPTCHA.0003"), (400, "CAPTCHA.0004")
"""Of a pass: there is none, or it is another."""
UNKNOWN_SCENE = (400, "CAPTCHA.0005")
"""How a send is answered that has a live pass and no scene: the pass stays."""
UNSENT, CODE_WRONG, CODE_GONE = (400, "CAPTCHA.0006"), (400, "CAPTCHA.0007"), (400, "CAPTCHA.0008")
EVERYBODY_FROM_ELSEWHERE = 'trusted_proxies = ["127.0.0.0/8"]\n'
"""With this a program's network is the one that it says."""
LITTLE_WORK = "[captcha.altcha]\ncost = 1\ntries = 1\n"
_TRIES = 20
_CONNECTIONS = 64
_numbers = itertools.count(1)


def mobile(number=None):
    """One that no other test uses, of a kind that the virtual carrier serves well; far from all
    others unless its number is given."""
    return f"13{next(_numbers):06d}588" if number is None else f"152000{number:05d}"


def told(response):
    """(status, error_code) of an answer, OK where all is well. A refusal always has its words."""
    if response.status_code == 200:
        return OK
    refused = response.json()
    assert set(refused) == {"error_code", "error_msg"}
    assert refused["error_msg"]
    return response.status_code, refused["error_code"].removeprefix("IDAAS.SDK.")


def said(response):
    """The words of a refusal."""
    return response.json()["error_msg"]


def solution(captcha):
    """What point_json is to say: where a picture's gap is, or the work done."""
    if "challenge" not in captcha:
        x = solve(captcha["originalImageBase64"], captcha["jigsawImageBase64"])
        return json.dumps({"x": x, "y": 5.0}, separators=(",", ":"))
    done = altcha.solve_challenge(altcha.Challenge.from_dict(captcha["challenge"]))
    assert done is not None
    payload = {
        "challenge": captcha["challenge"],
        "solution": {"counter": done.counter, "derivedKey": done.derived_key},
    }
    return base64.b64encode(json.dumps(payload).encode()).decode()


def token_of(captcha, solved):
    """The captcha token that the work done earns, for whoever was not told."""
    return f"{captcha['token']}---{hashlib.sha256(solved.encode()).hexdigest()}"


def counted(solved):
    """How far somebody had to count for the work."""
    return json.loads(base64.b64decode(solved))["solution"]["counter"]


class Program:
    """One that calls for a client application, on a device and from a network of its own."""

    def __init__(self, base_url, client_id, *, language="en", fingerprint="", network=""):
        number = next(_numbers)
        self.client_id = client_id
        self.fingerprint = fingerprint or f"device-{number}"
        headers = {
            "X-operating-sys-version": "windows10.1.1",
            "X-device-fingerprint": self.fingerprint,
            "X-agent": "Mozilla/5.0",
            "X-client-id": client_id,
            "X-L": language,
            "X-Forwarded-For": network or f"198.18.{number // 250 % 250}.{number % 250}",
        }
        many = httpx2.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS)
        self.http = httpx2.Client(
            base_url=base_url, headers=headers, timeout=DEADLINE_S, limits=many
        )

    def __enter__(self):
        return self

    def __exit__(self, *raised):
        self.http.close()

    def post(self, path, headers=None, **body):
        return self.http.post(f"{SDK}/{path}", json=body, headers=headers)

    def ask_captcha(self, kind="altcha"):
        query = {} if kind == "jigsaw" else {"captchaType": kind}
        return self.http.get(f"{SDK}/captcha", params=query)

    def captcha(self, kind="altcha"):
        shown = self.ask_captcha(kind)
        assert told(shown) == OK
        return shown.json()

    def answer(self, captcha, solved, to):
        return self.post("captcha/verify", point_json=solved, token=captcha["token"], sender=to)

    def earn(self, to, kind="altcha"):
        """A pass for this receiver. Who misses the gap looks at another picture."""
        for _ in range(_TRIES):
            captcha = self.captcha(kind)
            answer = self.answer(captcha, solution(captcha), to)
            if told(answer) != (400, "CAPTCHA.0002"):
                assert told(answer) == OK
                return answer.json()["captcha_token"]
        raise AssertionError("All these pictures cannot have been missed.")

    def ask_code(self, to, scene, captcha_token):
        if "@" in to:
            return self.post("email/send", email=to, type=scene, captcha_token=captcha_token)
        return self.post("sms/send", mobile=to, type=scene, captcha_token=captcha_token)

    def send(self, to, scene, kind="altcha"):
        return self.ask_code(to, scene, self.earn(to, kind))

    def state(self, to, captcha_token):
        """How it is with a pass, which stays as it is."""
        return told(self.ask_code(to, "NO_SCENE", captcha_token))

    def verify(self, to, scene, code):
        if "@" in to:
            return self.post("email/verify", email=to, type=scene, verify_code=code)
        return self.post("sms/verify", mobile=to, type=scene, verify_code=code)

    def register(self, to, code, **profile):
        return self.post("register/mobile-verify-code", mobile=to, verify_code=code, **profile)

    def log_in(self, to, code):
        if "@" in to:
            return self.post("login/email-verify-code", email=to, verify_code=code)
        return self.post("login/mobile-verify-code", mobile=to, verify_code=code)

    def as_user(self, id_token, path, **body):
        return self.post(path, {"authorization": f"Bearer {id_token}"}, **body)


class Place:
    """A server that runs, what arrives there, and who may call it."""

    def __init__(self, house, serving, demo):
        self.house, self.base_url = house, serving["base_url"]
        self.admin_url = serving["admin_url"]
        self.elsewhere, self.here = demo["ciam"]["client_id"], demo["ciam"]["client_id_2"]
        self._open = ExitStack()
        key = {"authorization": f"Bearer {demo['native']['api_key']}"}
        self.native = self._open.enter_context(
            httpx2.Client(base_url=self.base_url, headers=key, timeout=DEADLINE_S)
        )

    def __enter__(self):
        return self

    def __exit__(self, *raised):
        self._open.close()

    def program(self, client_id="", **known):
        """One of this client's, or of the one whose users are elsewhere."""
        made = Program(self.base_url, client_id or self.elsewhere, **known)
        return self._open.enter_context(made)

    def newcomer(self):
        """The id of a client that nobody has used."""

        async def made(service, now):
            return (await service.ciam.clients.create(name="Shop", now=now)).id

        return self.do(made)

    def user(self, to):
        """Who has this mobile among those whose users are here, None where nobody has."""

        async def found(service, now):
            client, _ = await service.ciam.clients.known(self.here, now)
            kept = await service.ciam.users.by_mobile(client.app_id, phone(f"+86{to}"), now)
            return kept and kept[0]

        return self.do(found)

    def do(self, work):
        """Run what `work` makes of the service."""

        async def done():
            async with bootstrap(self.house.loaded(), deliver=False) as service:
                return await work(service, datetime.now(UTC))

        return asyncio.run(done())

    def messages(self, to):
        """What came there, oldest first."""
        address = to if "@" in to else f"+86{to}"
        return self.native.get("/v1/inbox", params={"to": address}).json()["items"]

    def message(self, to):
        """The newest that came there."""
        return eventually(lambda: self.messages(to), "a message")[-1]

    def code(self, to):
        return self.message(to)["code"]


def given(house):
    """What a user is given to try things with."""
    return json.loads(house.run("demo", "--json").stdout)


@contextmanager
def running(house, settings="", *words):
    """A place whose server runs in this house, started with these words."""
    house.settings(settings)
    with house.serving(*words) as serving:
        demo = given(house)
        assert demo["ciam"]["base_url"] == serving["base_url"]
        with Place(house, serving, demo) as place:
            yield place
