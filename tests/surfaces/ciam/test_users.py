"""What codes are used up for where an app keeps its users here (contract, section 5)."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import jwt
import pytest

from tests.surfaces.ciam.calling import (
    EMAIL,
    EMAIL_LOGIN,
    EMAIL_PASSWORD,
    JWKS,
    LOGIN,
    MOBILE,
    OWN_PASSWORD,
    PASSWORD,
    REGISTER,
    device,
    mailbox,
    mobile,
    wrong,
)

WRONG, NO_TOKEN = "CAPTCHA.0007", "PARAM.0016"
NEW = "An0ther1!"
DAY = timedelta(days=1)
PATHS = (REGISTER, LOGIN, EMAIL_LOGIN, PASSWORD, EMAIL_PASSWORD, OWN_PASSWORD, MOBILE, EMAIL)


def bearing(token):
    return {"Authorization": f"Bearer {token}"}


def user_of(bank, id_token):
    """Whom a token is about, as it rests in the store."""
    claims = jwt.decode(id_token, options={"verify_signature": False})
    app_id = bank.server.do(bank.server.service.ciam.clients.client(bank.client_id, now(bank)))
    users = bank.server.service.ciam.users
    found = bank.server.do(users.by_id(app_id.app_id, claims["sub"], now(bank)))
    assert found
    return users.private(found[0])


def now(bank):
    return bank.server.clock()


def later(bank):
    """When another code may be sent."""
    bank.server.clock.pass_by(timedelta(minutes=1))


def is_heard(bank, id_token):
    """Whether a token is good for what a token is good for; no code is right here."""
    body = {"mobile": mobile(), "verify_code": "123456"}
    code = bank.post(MOBILE, body, **bearing(id_token)).code
    assert code in (WRONG, NO_TOKEN)
    return code == WRONG


# In and out again


def test_whoever_registers_is_logged_in_and_logs_in_again(bank, ann):
    """What is told is what the page shows; a used code is wrong."""
    code = bank.code(ann, "REGISTER_SMS")
    reply = bank.post(REGISTER, {"mobile": ann, "verify_code": code})
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json;charset=UTF-8"
    assert reply.headers["cache-control"] == "no-store"
    assert list(reply.json) == ["session_token", "expire", "status", "id_token"]
    assert (reply.json["expire"], reply.json["status"]) == (432000, "SUCCESS")
    assert bank.post(REGISTER, {"mobile": ann, "verify_code": code}).code == WRONG
    code = bank.code(ann)
    body = {"mobile": f"+86-{ann}", "verify_code": code}
    again = bank.post(LOGIN, body)
    assert list(again.json) == list(reply.json)
    assert again.json["session_token"] != reply.json["session_token"]
    assert bank.post(LOGIN, body).code == WRONG
    assert subject(again.json["id_token"]) == subject(reply.json["id_token"])


def subject(id_token):
    return jwt.decode(id_token, options={"verify_signature": False})["sub"]


def test_a_profile_is_kept(bank, ann):
    """All that the page lists, and the app's own attributes."""
    profile = {"user_name": "ann", "name": "安", "email": "ann@example.com", "pwd": NEW,
               "head_img": "https://example.com/a.png", "attr_city": "x", "attr_n": 1,
               "extension": {"a": [1]}, "unknown": "y"}  # fmt: skip
    kept = user_of(bank, bank.logged_in(ann, **profile))
    assert kept.mobile == f"+86{ann}"
    for name in ("user_name", "name", "email", "head_img", "extension"):
        assert getattr(kept, name) == profile[name]
    assert kept.attributes == {"attr_city": "x", "attr_n": 1}


def test_an_id_token_is_verified_with_the_published_keys(bank, ann):
    """By a stock JWT library that looks the key up by its id; no header is needed for the keys."""
    token = bank.logged_in(ann)
    reply = bank.ask("GET", JWKS, X_client_id=None, X_agent=None)
    assert reply.status == 200
    keys = jwt.PyJWKSet.from_dict(reply.json)
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(
        token, key, algorithms=["RS256"], audience=bank.client_id, issuer="watchword",
        options={"verify_iat": False},
    )  # fmt: skip
    assert claims["exp"] - claims["iat"] == 432000
    assert abs(claims["iat"] - now(bank).timestamp()) < 60
    assert not {"d", "p", "q"} & set(reply.json["keys"][0])
    with pytest.raises(jwt.InvalidAudienceError):
        jwt.decode(token, key, algorithms=["RS256"], audience="x" * 32, leeway=10 * time.time())


def test_a_token_lasts_five_days(bank, ann):
    token = bank.logged_in(ann)
    bank.server.clock.pass_by(5 * DAY - timedelta(minutes=1))
    assert is_heard(bank, token)
    bank.server.clock.pass_by(timedelta(minutes=1))
    assert not is_heard(bank, token)


@pytest.mark.parametrize("path", [MOBILE, EMAIL, OWN_PASSWORD])
def test_a_token_that_is_none_is_refused(front, bank, ann, path):
    """Absent, bent, of another scheme, or of another application, be its user the same."""
    token, other = bank.logged_in(ann), device(front, "here")
    head, claims, signature = token.split(".")
    body = {"mobile": mobile(), "email": mailbox(), "verify_code": "123456", "password": NEW}
    for value in (None, "", "Bearer", "Bearer ", "Bearer x", f"Basic {token}", token,
                  f"Bearer {head}.{claims}.", f"Bearer {head}.{claims}.{signature[::-1]}",
                  f"Bearer {token} x", f"Bearer {token}x", "Bearer é", "Bearer " + "x" * 20_000,
                  f"Bearer {jwt.encode({'sub': 'x', 'aud': bank.client_id}, 'k' * 32)}",
                  ):  # fmt: skip
        reply = bank.post(path, body, Authorization=value)
        assert (value, reply.code) == (value, NO_TOKEN)
    assert other.post(path, body, **bearing(token)).code == NO_TOKEN
    assert bank.post(path, body, Authorization=f"bearer  {token}").code == WRONG
    for language, text in (("en", "IdToken is invalid or expired"), ("zh", "IdToken无效或已过期")):
        assert bank.post(path, body, X_L=language).json["error_msg"] == text


# Passwords


def test_a_forgotten_password_is_set_and_ends_older_tokens(bank, ann):
    token = bank.logged_in(ann, pwd="Passw0rd1")
    assert is_heard(bank, token)
    code = bank.code(ann, "FORGET_PWD_SMS")
    reply = bank.post(PASSWORD, {"mobile": ann, "verify_code": code, "password": NEW})
    assert reply.is_done
    assert not is_heard(bank, token)
    newer = bank.post(LOGIN, {"mobile": ann, "verify_code": bank.code(ann)}).json["id_token"]
    assert is_heard(bank, newer)


@pytest.mark.parametrize("path", [PASSWORD, OWN_PASSWORD])
def test_ones_own_password_is_changed_with_a_token(bank, ann, path):
    """By either path, without a mobile: the code went to one's own. Older tokens end."""
    token = bank.logged_in(ann)
    code = bank.code(ann, "UPDATE_PWD_SMS")
    body = {"verify_code": code, "password": NEW}
    assert bank.post(path, {**body, "verify_code": wrong(code)}, **bearing(token)).code == WRONG
    assert bank.post(path, body, **bearing(token)).is_done
    assert not is_heard(bank, token)
    assert bank.post(path, body, **bearing(token)).code == NO_TOKEN


def test_a_code_for_a_forgotten_password_changes_nothing_else(bank, ann):
    token, code = bank.logged_in(ann), bank.code(ann, "FORGET_PWD_SMS")
    body = {"verify_code": code, "password": NEW}
    assert bank.post(OWN_PASSWORD, body, **bearing(token)).code == WRONG
    assert bank.post(LOGIN, {"mobile": ann, "verify_code": code}).code == WRONG
    assert bank.post(PASSWORD, {**body, "mobile": ann}).is_done


def test_a_weak_password_is_refused_and_the_code_is_kept(bank, ann):
    """Too short, too long, of one kind, unprintable, or one's own name."""
    weak = ("short1", "x" * 10, "a1" * 33, "1" * 8, "pass\0word1", "ann-the-1st", " \t ")
    code = bank.code(ann, "REGISTER_SMS")
    body = {"mobile": ann, "verify_code": code, "user_name": "Ann-the-1st"}
    for password in weak:
        assert bank.post(REGISTER, {**body, "pwd": password}).code == "PARAM.0014"
    assert bank.post(REGISTER, {**body, "pwd": NEW}).status == 200
    code = bank.code(ann, "FORGET_PWD_SMS")
    body = {"mobile": ann, "verify_code": code, "password": NEW}
    for password in weak:
        blank = not password.strip()
        expected = "PARAM.0013" if blank else "PARAM.0014"
        assert bank.post(PASSWORD, {**body, "password": password}).code == expected
    assert bank.post(PASSWORD, body).is_done


# Addresses


def test_a_mobile_is_changed_to_the_one_the_code_went_to(bank, ann):
    """From then on one logs in by the new number, and the old one is nobody's."""
    token, new = bank.logged_in(ann), mobile()
    code = bank.code(new, "UPDATE_MOBILE_SMS")
    body = {"mobile": new, "verify_code": code}
    assert bank.post(MOBILE, {**body, "mobile": ann}, **bearing(token)).code == WRONG
    assert bank.post(MOBILE, body, **bearing(token)).is_done
    assert is_heard(bank, token)
    reply = bank.post(LOGIN, {"mobile": new, "verify_code": bank.code(new)})
    assert subject(reply.json["id_token"]) == subject(token)
    assert subject(bank.logged_in(ann)) != subject(token)


def test_a_mailbox_that_was_verified_logs_in_and_resets_the_password(bank, ann, box):
    """One that was merely given at registration does neither."""
    token = bank.logged_in(ann, email=box)
    assert bank.send(box, "LOGIN_EMS").is_done
    assert not bank.server.do(bank.server.service.inbox.received(box))
    body = {"email": box, "verify_code": bank.code(box, "UPDATE_EMAIL_EMS")}
    assert bank.post(EMAIL, body, **bearing(token)).is_done
    later(bank)
    body = {"email": box, "verify_code": bank.code(box, "LOGIN_EMS")}
    reply = bank.post(EMAIL_LOGIN, body)
    assert subject(reply.json["id_token"]) == subject(token)
    code = bank.code(box, "FORGET_PWD_EMS")
    body = {"email": box, "verify_code": code, "password": NEW}
    assert bank.post(EMAIL_PASSWORD, body).is_done
    assert not is_heard(bank, token)


def test_a_field_that_the_page_misspells_is_read(bank, ann, box):
    """ "emial": programs were copied from it. A mailbox that is spelled right comes first."""
    token = bank.logged_in(ann)
    body = {"email": box, "verify_code": bank.code(box, "UPDATE_EMAIL_EMS")}
    assert bank.post(EMAIL, body, **bearing(token)).is_done
    code = bank.code(box, "LOGIN_EMS")
    assert bank.post(EMAIL_LOGIN, {"email": "x@y.cn", "emial": box, "verify_code": code}).code
    assert bank.post(EMAIL_LOGIN, {"emial": box, "verify_code": code}).status == 200


# What is somebody else's


def test_a_taken_mobile_is_told_to_whoever_holds_its_code(bank, ann):
    """To nobody else; and the code is not used up by being told."""
    bank.logged_in(ann)
    later(bank)
    code = bank.code(ann, "REGISTER_SMS")
    body = {"mobile": ann, "verify_code": code}
    assert bank.post(REGISTER, {**body, "verify_code": wrong(code)}).code == WRONG
    for _ in range(2):
        assert bank.post(REGISTER, body).code == "USER.0005"
    assert bank.judge(ann, code, "REGISTER_SMS").is_done


def test_what_a_code_is_told_again_and_again_ends(bank, ann):
    """Each such call hashes a password: so many for one number and network, then it is to wait."""
    bank.logged_in(ann)
    later(bank)
    body = {"mobile": ann, "verify_code": bank.code(ann, "REGISTER_SMS"), "pwd": NEW}
    assert {bank.post(REGISTER, body).code for _ in range(10)} == {"USER.0005"}
    refused = bank.post(REGISTER, body)
    assert refused.code == "CAPTCHA.0006"
    assert 0 < int(refused.headers["retry-after"]) <= 15 * 60
    bank.server.clock.pass_by(timedelta(minutes=5))
    assert bank.judge(ann, body["verify_code"], "REGISTER_SMS").is_done


def test_a_taken_user_name_is_told_to_whoever_holds_a_code(bank, ann):
    """In any case; another name then goes with the same code."""
    bank.logged_in(mobile(), user_name="ann")
    code = bank.code(ann, "REGISTER_SMS")
    body = {"mobile": ann, "verify_code": code, "user_name": "ANN"}
    assert bank.post(REGISTER, {**body, "verify_code": wrong(code)}).code == WRONG
    assert bank.post(REGISTER, body).code == "USER.0007"
    assert bank.post(REGISTER, {**body, "user_name": "ann2"}).status == 200


def test_what_others_hold_cannot_be_taken_by_changing(bank, ann, box):
    """A mobile and a mailbox of somebody else, with the right code for each."""
    bob = mobile()
    token, theirs = bank.logged_in(ann), bank.logged_in(bob)
    verified = {"email": box, "verify_code": bank.code(box, "UPDATE_EMAIL_EMS")}
    assert bank.post(EMAIL, verified, **bearing(theirs)).is_done
    later(bank)
    body = {"mobile": bob, "verify_code": bank.code(bob, "UPDATE_MOBILE_SMS")}
    assert bank.post(MOBILE, body, **bearing(token)).code == "USER.0005"
    body = {"email": box, "verify_code": bank.code(box, "UPDATE_EMAIL_EMS")}
    assert bank.post(EMAIL, body, **bearing(token)).code == "USER.0006"
    assert bank.judge(box, body["verify_code"], "UPDATE_EMAIL_EMS").is_done


def test_applications_have_users_of_their_own(front, bank, ann):
    bank.logged_in(ann, user_name="ann")
    other = device(front, "here")
    assert other.logged_in(ann, user_name="ann")


def test_a_profile_that_cannot_be_kept_is_refused_and_the_code_is_kept(bank, ann):
    code = bank.code(ann, "REGISTER_SMS")
    body = {"mobile": ann, "verify_code": code}
    profiles: list[dict[str, Any]] = [
        {"email": "nobody"}, {"name": "a\0b"}, {"head_img": "x" * 3000}, {"user_name": "x" * 500},
        {f"attr_{n}": n for n in range(33)}, {"attr_x": "x" * 5000},
        {"extension": {"x": "y" * 5000}},
    ]  # fmt: skip
    for profile in profiles:
        assert bank.post(REGISTER, {**body, **profile}).code == "PARAM.0015"
    assert bank.post(REGISTER, body).status == 200


# How codes are refused


def bodies(bank, to, box, code):
    """What each call asks of a code that was sent for it."""
    return {
        REGISTER: {"mobile": to, "verify_code": code, "pwd": NEW},
        LOGIN: {"mobile": to, "verify_code": code},
        EMAIL_LOGIN: {"email": box, "verify_code": code},
        PASSWORD: {"mobile": to, "verify_code": code, "password": NEW},
        EMAIL_PASSWORD: {"email": box, "verify_code": code, "password": NEW},
        OWN_PASSWORD: {"verify_code": code, "password": NEW},
        MOBILE: {"mobile": to, "verify_code": code},
        EMAIL: {"email": box, "verify_code": code},
    }


WRONG_EN = b'{"error_code":"IDAAS.SDK.CAPTCHA.0007","error_msg":"Incorrect verification code"}'
SENT_FOR = {
    REGISTER: "REGISTER_SMS",
    LOGIN: "LOGIN_SMS",
    EMAIL_LOGIN: "LOGIN_EMS",
    PASSWORD: "FORGET_PWD_SMS",
    EMAIL_PASSWORD: "FORGET_PWD_EMS",
    OWN_PASSWORD: "UPDATE_PWD_SMS",
    MOBILE: "UPDATE_MOBILE_SMS",
    EMAIL: "UPDATE_EMAIL_EMS",
}


@pytest.mark.parametrize("path", PATHS)
def test_wrong_expired_used_absent_and_exhausted_are_all_one(bank, ann, box, path):
    """Status, headers and body: nobody learns from a call that a code is waiting for somebody."""
    token = bank.logged_in(ann)
    verified = {"email": box, "verify_code": bank.code(box, "UPDATE_EMAIL_EMS")}
    assert bank.post(EMAIL, verified, **bearing(token)).is_done
    later(bank)
    scene = SENT_FOR[path]
    to = box if scene.endswith("EMS") else ann

    def told(code):
        """With a profile and password that will do, where there are any, and with such as will
        not."""
        body = bodies(bank, ann, box, code)[path]
        weak = {**body, **{name: "weak" for name in ("pwd", "password") if name in body}}
        named = {**body, "user_name": NEW}
        unkept = {**body, "name": "a\0b"}
        asked = (weak, named, unkept, body)
        return [bank.post(path, each, **bearing(token)).whole for each in asked]

    absent = told("123456")
    assert absent[-1][2] == WRONG_EN
    code = bank.code(to, scene)
    assert told(wrong(code)) == absent
    assert bank.judge(to, code, scene).is_done
    assert told(code) == absent
    later(bank)
    code = bank.code(to, scene)
    for _ in range(5):
        assert bank.judge(to, wrong(code), scene).code == WRONG
    assert told(code) == absent
    later(bank)
    code = bank.code(to, scene)
    bank.server.clock.pass_by(timedelta(minutes=10))
    assert told(code) == absent


def test_too_many_wrong_codes_are_told_as_one_wrong_one(bank, ann):
    """Also once the failure budget is spent: no Retry-After."""
    bank.logged_in(ann)
    told = set()
    for _ in range(2):
        later(bank)
        code = bank.code(ann)
        told |= {str(login(bank, ann, wrong(code)).whole) for _ in range(6)}
    later(bank)
    elsewhere = bank.beside(network="10.4.4.4")
    code = elsewhere.code(ann)
    told.add(str(login(bank, ann, code).whole))
    assert len(told) == 1
    assert "0007" in told.pop()
    assert login(elsewhere, ann, code).status == 200


def login(bank, to, code):
    return bank.post(LOGIN, {"mobile": to, "verify_code": code})


# What is missing


MISSING = {
    REGISTER: [("mobile", "USER.0004"), ("verify_code", "PARAM.0011")],
    LOGIN: [("mobile", "USER.0004"), ("verify_code", "PARAM.0011")],
    EMAIL_LOGIN: [("email", "USER.0004"), ("verify_code", "PARAM.0011")],
    PASSWORD: [("mobile", "USER.0004"), ("verify_code", "PARAM.0011"), ("password", "PARAM.0013")],
    EMAIL_PASSWORD: [
        ("email", "USER.0004"),
        ("verify_code", "PARAM.0011"),
        ("password", "PARAM.0013"),
    ],
    OWN_PASSWORD: [("verify_code", "PARAM.0011"), ("password", "PARAM.0013")],
    MOBILE: [("mobile", "USER.0004"), ("verify_code", "PARAM.0011")],
    EMAIL: [("email", "USER.0004"), ("verify_code", "PARAM.0011")],
}


@pytest.mark.parametrize("path", PATHS)
def test_what_is_missing_is_told_in_order(shop, bank, ann, box, path):
    """Header by header, then member by member; then whose users they are; then the rest."""
    good = {**bodies(bank, ann, box, "123456")[path]}
    order = [*MISSING[path], ("", "PARAM.0012")]
    for caller in (bank, shop):
        for place, (name, code) in enumerate(order):
            later_ones = {other for other, _ in order[place + 1 :]}
            for gone in ({name}, {name} | later_ones):
                body = {member: "" if member in gone else value for member, value in good.items()}
                if name:
                    assert caller.post(path, body).code == code
    for headers, code in (
        ({"X_agent": None, "X_client_id": None}, "PARAM.0001"),
        ({"X_client_id": ""}, "PARAM.0002"),
        ({"X_client_id": "x" * 32}, "PARAM.0003"),
    ):
        assert shop.post(path, {}, **headers).code == code
    reply = shop.post(path, good)
    assert reply.code == "PARAM.0012"
    assert reply.json["error_msg"].startswith("This app keeps its users elsewhere")
    bad = {**good, **({"mobile": "x"} if "mobile" in good else {})}
    assert shop.post(path, bad, **bearing("x")).code == "PARAM.0012"


def test_what_is_no_address_has_no_code(bank, ann):
    """It is no other answer than a wrong code gives."""
    token = bank.logged_in(ann)
    for path in (LOGIN, REGISTER, PASSWORD, MOBILE, EMAIL_LOGIN, EMAIL_PASSWORD, EMAIL):
        body = bodies(bank, "12345", "nobody", "123456")[path]
        assert bank.post(path, body, **bearing(token)).code == WRONG


def test_of_many_at_once_with_one_code_one_is_heard(bank, ann):
    """Who registers is one user, and who logs in does so once."""
    for path, scene in ((REGISTER, "REGISTER_SMS"), (LOGIN, "LOGIN_SMS")):
        body = {"mobile": ann, "verify_code": bank.code(ann, scene)}
        with ThreadPoolExecutor(10) as pool:
            replies = list(pool.map(lambda _, p=path, b=body: bank.post(p, b), range(10)))
        assert sorted(reply.status for reply in replies) == [200] + [400] * 9
        assert {reply.code for reply in replies if reply.status == 400} == {WRONG}
