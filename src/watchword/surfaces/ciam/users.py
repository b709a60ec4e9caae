"""What codes are used up for where an app keeps its users here: contracts/ciam.md, section 5.

Wrong, expired, used, absent and exhausted codes are all answered alike, and so is whoever is not
registered (DESIGN, P6). That an address is taken is told to nobody but who holds its code.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from watchword.directory.ciam import users as kept
from watchword.directory.ciam.tokens import TTL, IdTokenInvalid
from watchword.directory.ciam.users import PasswordWeak, Registration, User
from watchword.domain.challenge import Verdict
from watchword.domain.destination import Destination, phone
from watchword.errors import (
    ChallengeNotFound,
    FailureBudgetSpent,
    RecordConflict,
    RequestInvalid,
    StoreUnavailable,
)
from watchword.ports import Write
from watchword.surfaces.ciam import auth, codes, replies, wire
from watchword.surfaces.ciam.calls import Call, Refusal
from watchword.surfaces.ciam.wire import Receiver, Scene
from watchword.surfaces.exchange import Answer, BodyMalformed
from watchword.surfaces.untold import Untold

_ROUNDS = 16
_Prepare = Callable[[], Awaitable[Sequence[Write]]]


class MobileLogin(Untold, frozen=True, kw_only=True):
    mobile: str | None = None
    verify_code: str | None = None


class EmailLogin(Untold, frozen=True, kw_only=True):
    """The vendor's page once spells the field "emial", and programs were copied from it."""

    email: str | None = None
    emial: str | None = None
    verify_code: str | None = None


class NewUser(Untold, frozen=True, kw_only=True):
    """Members whose names begin with attr_ are the app's own."""

    mobile: str | None = None
    verify_code: str | None = None
    user_name: str | None = None
    name: str | None = None
    email: str | None = None
    pwd: str | None = None
    head_img: str | None = None
    extension: dict[str, Any] | None = None


class MobilePassword(Untold, frozen=True, kw_only=True):
    mobile: str | None = None
    verify_code: str | None = None
    password: str | None = None


class EmailPassword(Untold, frozen=True, kw_only=True):
    email: str | None = None
    verify_code: str | None = None
    password: str | None = None


async def log_in_by_mobile(call: Call) -> Answer:
    receiver, code = _mobile(call), _code(call)
    _refuse_elsewhere(call)
    return await _log_in(call, receiver, code, call.directory.users.by_mobile)


async def log_in_by_email(call: Call) -> Answer:
    email = call.asked.email if (call.asked.email or "").strip() else call.asked.emial
    receiver, code = wire.mailbox_of(wire.required(email, replies.EMAIL_EMPTY)), _code(call)
    _refuse_elsewhere(call)
    return await _log_in(call, receiver, code, call.directory.users.by_email)


async def register(call: Call) -> Answer:
    """A new user, who is logged in at once."""
    receiver, code = _mobile(call), _code(call)
    _refuse_elsewhere(call)
    registration = _registration(call, _address(receiver))
    _refuse_invalid(registration)
    registered: list[User] = []

    async def prepared() -> Sequence[Write]:
        found = await call.directory.users.prepare_registration(
            call.known.app.id, registration, call.now, network=call.network
        )
        registered[:] = [found.user]
        return found.writes

    await call.directory.tokens.ready(call.now)
    await _burn(call, registration.mobile, Scene.REGISTER, code, prepared)
    return await _logged_in(call, registered[0])


async def change_password_by_mobile(call: Call) -> Answer:
    """A forgotten one, for whoever holds the mobile; without a mobile one's own, by id_token."""
    if not (call.asked.mobile or "").strip() and auth.bearer(call.exchange) is not None:
        return await change_own_password(call)
    return await _reset_password(call, _mobile(call), call.directory.users.by_mobile)


async def change_password_by_email(call: Call) -> Answer:
    email = wire.required(call.asked.email, replies.EMAIL_EMPTY)
    return await _reset_password(call, wire.mailbox_of(email), call.directory.users.by_email)


async def change_own_password(call: Call) -> Answer:
    """With the code that went to one's own mobile."""
    code, password = _code(call), _password(call)
    _refuse_elsewhere(call)
    user, _ = await _me(call)
    kept.refuse_weak(password, field="/password")
    mobile = phone(call.directory.users.private(user).mobile)

    async def prepared() -> Sequence[Write]:
        me, version = await _me(call)
        return await call.directory.users.prepare_password(
            me, version, password, call.now, network=call.network
        )

    await _burn(call, mobile, Scene.UPDATE_PASSWORD, code, prepared)
    return replies.done()


async def change_mobile(call: Call) -> Answer:
    """To the one that the code went to."""
    receiver, code = _mobile(call), _code(call)
    _refuse_elsewhere(call)
    await _me(call)
    mobile = _address(receiver)

    async def prepared() -> Sequence[Write]:
        me, version = await _me(call)
        return await call.directory.users.prepare_mobile(me, version, mobile, call.now)

    await _burn(call, mobile, Scene.UPDATE_ADDRESS, code, prepared)
    return replies.done()


async def change_email(call: Call) -> Answer:
    """Ours: a mailbox that one has shown to be one's own, and may log in by from then on."""
    email, code = wire.required(call.asked.email, replies.EMAIL_EMPTY), _code(call)
    _refuse_elsewhere(call)
    await _me(call)
    destination = _address(wire.mailbox_of(email))

    async def prepared() -> Sequence[Write]:
        me, version = await _me(call)
        return await call.directory.users.prepare_email(me, version, destination, call.now)

    await _burn(call, destination, Scene.UPDATE_ADDRESS, code, prepared)
    return replies.done()


async def jwks(call: Call) -> Answer:
    """The keys that id_tokens are signed with."""
    return replies.told(wire.encode(await call.directory.tokens.jwks(call.now)))


CALLS = (
    ("register", "register/mobile-verify-code", register, NewUser),
    ("login_mobile", "login/mobile-verify-code", log_in_by_mobile, MobileLogin),
    ("login_email", "login/email-verify-code", log_in_by_email, EmailLogin),
    ("password_mobile", "pwd/update-by-mobile", change_password_by_mobile, MobilePassword),
    ("password_email", "pwd/update-by-email", change_password_by_email, EmailPassword),
    ("own_password", "pwd/change-by-mobile", change_own_password, MobilePassword),
    ("mobile", "profile/update-mobile", change_mobile, MobileLogin),
    ("email", "profile/update-email", change_email, EmailLogin),
)
"""Name, path below the dialect's own, what does it, what it asks."""

_Find = Callable[..., Awaitable[tuple[User, int] | None]]


async def _log_in(call: Call, receiver: Receiver, code: str, find: _Find) -> Answer:
    destination = _address(receiver)
    await call.directory.tokens.ready(call.now)
    await _burn(call, destination, Scene.LOGIN, code)
    found = await find(call.known.app.id, destination, call.now)
    if found is None:  # no code is right for nobody, unless who it was for is gone since
        raise Refusal(replies.CODE_WRONG)
    return await _logged_in(call, found[0])


async def _reset_password(call: Call, receiver: Receiver, find: _Find) -> Answer:
    code, password = _code(call), _password(call)
    _refuse_elsewhere(call)
    kept.refuse_weak(password, field="/password")
    destination, app_id = _address(receiver), call.known.app.id

    async def prepared() -> Sequence[Write]:
        users = call.directory.users
        user, version = await find(app_id, destination, call.now) or users.nobody(app_id, call.now)
        return await users.prepare_password(user, version, password, call.now, network=call.network)

    await _burn(call, destination, Scene.FORGET_PASSWORD, code, prepared)
    return replies.done()


async def _burn(
    call: Call,
    destination: Destination,
    scene: Scene,
    code: str,
    prepare: _Prepare | None = None,
) -> None:
    """Burn a code in the act that makes a change. To prepare that is work, as a password's, so it
    is done only where a code could be right, and only so often. Raises Refusal, QuotaExceeded."""
    tries, whose = call.directory.tries, f"{call.known.app.id} {destination.identity}"
    try:
        if prepare:
            if not await codes.is_open(call, destination, scene):
                raise Refusal(replies.CODE_WRONG)
            await tries.count(whose, call.network, call.now)
        verdict = await _judged(call, destination, scene, code, prepare)
    except (ChallengeNotFound, FailureBudgetSpent):
        raise Refusal(replies.CODE_WRONG) from None
    if verdict is not Verdict.MATCH:
        raise Refusal(replies.CODE_WRONG)
    if prepare:
        await tries.clear(whose, call.network, call.now)


async def _judged(
    call: Call, destination: Destination, scene: Scene, code: str, prepare: _Prepare | None
) -> Verdict:
    """Whoever changed meanwhile is prepared for again."""
    for _ in range(_ROUNDS):
        effect = await prepare() if prepare else ()
        try:
            return await codes.use_up(call, destination, scene, code, effect)
        except RecordConflict as conflict:
            if conflict.kind != kept.USER:
                raise _conflicted(conflict) from None
    raise StoreUnavailable


def _conflicted(conflict: RecordConflict) -> Exception:
    if conflict.kind == kept.PASSWORD:
        return PasswordWeak("A password is not the user name.", field="/password")
    return Refusal(replies.TAKEN[conflict.kind], conflict)


async def _logged_in(call: Call, user: User) -> Answer:
    tokens = call.directory.tokens
    session_token = tokens.new_session_token()
    told = {
        "session_token": session_token,
        "expire": int(TTL.total_seconds()),
        "status": "SUCCESS",
        "id_token": await tokens.id_token(call.known.client, user, session_token, call.now),
    }
    return replies.told(wire.encode(told))


async def _me(call: Call) -> tuple[User, int]:
    """Whose id_token the call bears. Raises IdTokenInvalid."""
    client = call.known.client
    claims = await call.directory.tokens.read(auth.bearer(call.exchange), client.id, call.now)
    found = await call.directory.users.by_id(client.app_id, claims.sub, call.now)
    if found is None or not claims.is_of(found[0]):
        raise IdTokenInvalid
    return found


def _registration(call: Call, mobile: Destination) -> Registration:
    asked = call.asked
    return Registration(
        mobile=mobile,
        user_name=asked.user_name or "",
        name=asked.name or "",
        email=asked.email or "",
        password=asked.pwd or "",
        head_img=asked.head_img or "",
        attributes=_attributes(call.body),
        extension=asked.extension or {},
    )


def _refuse_invalid(registration: Registration) -> None:
    """Before any code is looked at: whether one waits for somebody must not show."""
    try:
        kept.refuse_invalid(registration)
    except PasswordWeak:
        raise
    except RequestInvalid as error:
        raise Refusal(replies.PROFILE_INVALID, error) from None


def _attributes(body: bytes) -> dict[str, Any]:
    """Raises BodyMalformed where a number is too great to be kept, as in 1e400."""
    try:
        whole = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise BodyMalformed(f"{error}.") from None
    except RecursionError:
        raise BodyMalformed("The body is nested too deep.") from None
    return {name: value for name, value in whole.items() if name.startswith("attr_")}


def _refuse_elsewhere(call: Call) -> None:
    if call.known.client.users != "here":
        raise Refusal(replies.USERS_ELSEWHERE)


def _mobile(call: Call) -> Receiver:
    mobile = wire.required(call.asked.mobile, replies.MOBILE_EMPTY)
    return wire.phone_of(mobile, call.known.client.region)


def _code(call: Call) -> str:
    return wire.required(call.asked.verify_code, replies.CODE_EMPTY)


def _password(call: Call) -> str:
    """Blanks at its ends are its own."""
    wire.required(call.asked.password, replies.PASSWORD_EMPTY)
    return str(call.asked.password)


def _address(receiver: Receiver) -> Destination:
    """No code was ever sent to what is no address."""
    if receiver.destination is None:
        raise Refusal(replies.CODE_WRONG)
    return receiver.destination
