"""A program of the CIAM dialect that lives badly: nothing it does may leave a secret."""

import base64
import json
import secrets
from typing import Any

from tests.whole.ciam import OK, SDK, Program, solution, token_of, told
from watchword.captchas import _aes

PHONES = [f"1397726{ending}" for ending in ("5678", "0001", "0002", "0011", "0012", "0013")]
MAILBOXES = [f"{trick}.One.More.Long.Part@example.com" for trick in ("taken", "refused", "doubted")]
MOVED_TO = "13977269876"
PASSWORDS = [f"{kind}-{secrets.token_hex(8)}" for kind in ("h8Qw", "Zr5k", "pL2m")]
PROFILE: dict[str, Any] = {
    "user_name": "Somebody-" + secrets.token_hex(6),
    "name": "Anneliese Unverwechselbar",
    "email": "Anneliese.Unverwechselbar.Privat@example.com",
    "head_img": "https://pictures.example/" + secrets.token_hex(10),
    "attr_city": "Castrop-Rauxel-" + secrets.token_hex(4),
    "extension": {"note": "Only-" + secrets.token_hex(10)},
}
FINGERPRINT = "device-" + secrets.token_hex(12)


async def made(service, terms, now):
    """The ids of two clients whose codes have these terms: one keeps its users elsewhere, one
    here."""
    clients = service.ciam.clients
    found = [
        await clients.create(name=f"Shop {users}", users=users, now=now)
        for users in ("elsewhere", "here")
    ]
    for client in found:
        await service.apps.set_terms(client.app_id, "*", lambda _: terms, now)
    return [client.id for client in found]


class BadProgram:
    """Calls for both clients, and says what it should not wherever it can."""

    def __init__(self, base_url, client_ids, codes, keep_answer):
        """`codes` says which were drawn by now, oldest first."""
        self._codes, self._drawn_before = codes, len(codes())
        self._elsewhere, self._here = (
            Program(base_url, each, fingerprint=FINGERPRINT) for each in client_ids
        )
        for program in (self._elsewhere, self._here):
            program.http.event_hooks = {"response": [keep_answer]}
        self._secrets: dict[str, str] = {}

    def __enter__(self):
        return self

    def __exit__(self, *raised):
        self._elsewhere.http.close()
        self._here.http.close()

    @property
    def codes(self):
        return self._codes()[self._drawn_before :]

    @property
    def secrets(self):
        """What must be nowhere, and what it is."""
        mailboxes = [each.partition("@")[0] for each in (*MAILBOXES, PROFILE["email"])]
        profile = {name: value for name, value in PROFILE.items() if name != "email"}
        private = [*profile.values(), FINGERPRINT]
        private[private.index(profile["extension"])] = profile["extension"]["note"]
        return {
            **dict.fromkeys([*PHONES, MOVED_TO, *mailboxes], "to"),
            **dict.fromkeys(private, "profile"),
            **dict.fromkeys(PASSWORDS, "credential"),
            **dict.fromkeys(self.codes, "code"),
            **self._secrets,
        }

    def live(self):
        self._send_everywhere()
        self._be_a_user()
        self._miss()
        self._use_a_front_end()
        self._say_too_much(self._here, self.codes[-1])

    def _send_everywhere(self):
        """And type each code wrong, right and again."""
        for to in (*PHONES, *MAILBOXES):
            scene = "BIND_EMAIL_EMS" if "@" in to else "BIND_MOBILE_SMS"
            self._send(self._elsewhere, to, scene)
            code = self.codes[-1]
            for typed in (f"{code}!", code[::-1], to, code, code):
                self._elsewhere.verify(to, scene, typed)

    def _be_a_user(self):
        """Registered, logged in, with other passwords and another phone; each in vain first."""
        program, (to, *_), (first, second, third) = self._here, PHONES, PASSWORDS
        path = "register/mobile-verify-code"
        self._send(program, to, "REGISTER_SMS")
        self._register_badly(to)
        registered = self._try(to, path, pwd=first, **PROFILE)
        self._hide(registered.json())
        self._send(program, to, "FORGET_PWD_SMS")
        self._try(to, "pwd/update-by-mobile", password=second)
        self._send(program, to, "LOGIN_SMS")
        logged_in = self._try(to, "login/mobile-verify-code").json()
        self._hide(logged_in)
        bearer = {"authorization": f"Bearer {logged_in['id_token']}"}
        self._send(program, MOVED_TO, "UPDATE_MOBILE_SMS")
        self._try(MOVED_TO, "profile/update-mobile", bearer)
        self._send(program, MAILBOXES[0], "UPDATE_EMAIL_EMS")
        self._try(MAILBOXES[0], "profile/update-email", bearer)
        self._send(program, MOVED_TO, "UPDATE_PWD_SMS")
        self._try(MOVED_TO, "pwd/change-by-mobile", bearer, password=third)
        stale = {"mobile": to, "verify_code": self.codes[-1]}
        assert told(program.post("profile/update-mobile", bearer, **stale)) != OK
        self._send(program, to, "REGISTER_SMS")
        assert told(self._try(to, path, **PROFILE)) != OK

    def _register_badly(self, to):
        """With the right code, as somebody who cannot be."""
        for name, value in PROFILE.items():
            wrong = {"note": value["note"] * 400} if name == "extension" else f"{value}\n" * 400
            answer = self._here.register(to, self.codes[-1], **{name: wrong})
            assert told(answer) in ((400, "PARAM.0014"), (400, "PARAM.0015")), (name, answer.text)
        for password in (PASSWORDS[0] * 9, PROFILE["user_name"]):
            answer = self._here.register(to, self.codes[-1], **PROFILE, pwd=password)
            assert told(answer) == (400, "PARAM.0014")

    def _try(self, to, path, headers=None, **more):
        """The answer to the right code, after others; then it is used up."""
        code = self.codes[-1]
        asked = {"email" if "@" in to else "mobile": to, **more}
        for typed in (f"{code}!", code[::-1], code):
            answer = self._here.post(path, headers, verify_code=typed, **asked)
        self._here.post(path, headers, verify_code=code, **asked)
        return answer

    def _hide(self, told):
        self._secrets |= {told["id_token"]: "token", told["session_token"]: "token"}

    def _send(self, program, to, scene):
        captcha = program.captcha()
        solved = solution(captcha)
        self._secrets[token_of(captcha, solved)] = "captcha token"
        self._secrets[solved] = self._secrets[key_of(solved)] = "captcha answer"
        assert told(program.answer(captcha, solved, to)) == OK
        program.answer(captcha, solved, to)
        for _ in range(2):
            program.ask_code(to, scene, token_of(captcha, solved))

    def _miss(self):
        """Wrong answers, with what should not be there."""
        secret = f"{PASSWORDS[0]} {PHONES[0]}"
        for wrong in (secret, json.dumps({"x": secret, "y": 5.0}), "[" * 2000 + secret):
            self._elsewhere.answer(self._elsewhere.captcha("jigsaw"), wrong, PHONES[0])
        self._elsewhere.post("captcha/verify", point_json=[secret], token=secret, sender=secret)
        self._elsewhere.http.get(f"{SDK}/captcha", params={"captchaType": secret})

    def _use_a_front_end(self):
        """AJ-Captcha's, whose pass is for whoever shows it."""
        kind = {"captchaType": "blockPuzzle"}
        calls = self._elsewhere.http
        shown = calls.post("/captcha/get", json={**kind, "clientUid": PASSWORDS[1]}).json()[
            "repData"
        ]
        point = solution(shown)
        ciphered = _aes.encrypt(f"{shown['token']}---{point}", shown["secretKey"])
        self._secrets |= {f"{shown['token']}---{point}": "captcha token", ciphered: "captcha token"}
        answer = {**kind, "token": shown["token"], "pointJson": point}
        calls.post("/captcha/check", json={**answer, "token": PASSWORDS[1]})
        calls.post("/captcha/check", json={**answer, "captchaType": PHONES[0]})
        calls.post("/captcha/check", json=answer)
        self._elsewhere.ask_code(PHONES[0], "UPDATE_PWD_SMS", ciphered)

    def _say_too_much(self, program, code):
        """Requests that are refused, each with a code, an address or a password in it."""
        to, password, said = PHONES[0], PASSWORDS[0], f"{code} {PHONES[0]} {PASSWORDS[0]}"
        for path in ("sms/send", "sms/verify", "register/mobile-verify-code", f"{code}/{to}"):
            program.post(path, mobile=said, type=said, captcha_token=said, verify_code=said)
            program.post(path, mobile=[to, code], type=to, captcha_token=code, verify_code=code)
            program.post(path, mobile=to, type=code, captcha_token=to, verify_code=said)
            for bad in (f'{{"mobile": "{said}', f'["{said}"]', f'{{"mobile": "{said}\ud800"}}'):
                program.http.post(f"{SDK}/{path}", content=bad.encode("utf-8", "surrogatepass"))
            program.http.post(f"{SDK}/{path}", content=said, headers={"content-type": said})
        for name in ("x-client-id", "x-l", "x-agent", "x-device-ip", "authorization", "origin"):
            for value in (said, f"Bearer {code}"):
                asked = {"mobile": to, "verify_code": code, "password": password}
                program.post("pwd/update-by-mobile", {name: value}, **asked)
        for wrong in ({"pwd": to}, {"user_name": said + "\n"}, {"extension": said}):
            program.register(to, code, **wrong)
        program.http.get(f"{SDK}/captcha", params={code: to})
        program.http.get(f"{SDK}/country-codes", headers={"x-client-id": said})
        program.http.get(f"{SDK}/jwks.json", params={"mobile": said})


def key_of(solved):
    """What was derived to solve it."""
    return json.loads(base64.b64decode(solved))["solution"]["derivedKey"]
