"""The two sends, and the two calls that use their codes up.

A code to enable a directory is bound to the caller and the phone, one to bind a phone to manager,
member and phone; neither is ever right for the other (contracts/aliyun.md, section 9).
"""

from __future__ import annotations

from typing import Any

from watchword.directory.aliyun.accounts import NAME
from watchword.directory.aliyun.phones import Phone, PhoneMalformed
from watchword.directory.aliyun.phones import phone as phone_from
from watchword.directory.aliyun.refusals import NameTaken, Refused
from watchword.directory.aliyun.resource_directories import Prepared
from watchword.domain.challenge import Verdict
from watchword.domain.purpose import Purpose
from watchword.errors import ChallengeNotFound, FailureBudgetSpent, RecordConflict
from watchword.ports import Issued
from watchword.service.check import Check, check, latest
from watchword.service.issue import Send
from watchword.surfaces.aliyun import wire
from watchword.surfaces.aliyun.calls import Call
from watchword.surfaces.metrics import TALLY
from watchword.surfaces.telling import sent, tell_judged

_LANGUAGES = {"intl": "en-us", "china": "zh-cn"}


class CountryUnsupported(Refused):
    """The current site does not support the country code."""


class SiteUnsupported(Refused):
    """Site does not allow current action."""


class PhoneAbsent(Refused):
    """Secure mobile phone is missing."""


class SecurityInfoAbsent(Refused):
    """Security info is missing."""


class SecurityInfoInvalid(Refused):
    """The parameter management account secure mobile phone is invalid."""


class CodeInvalid(Refused):
    """The verification code is invalid."""

    def __init__(self, reason: str) -> None:
        """`reason` is for the log: whoever called hears the same of all."""
        super().__init__()
        self.reason = reason


async def send_to_enable(call: Call) -> dict[str, Any]:
    """SendVerificationCodeForEnableRD: to the phone that is named, else to the caller's own."""
    asked = call.asked.phone()
    account = await call.directory.directories.may_enable(call.account_id, call.now)
    if asked is None:
        spelled = call.directory.accounts.phone(account)
        if not spelled:
            raise PhoneAbsent
        asked = phone_from(spelled)
    await _send(call, asked, _enabling(call), counted_for=call.account_id)
    return {}


async def send_to_bind(call: Call) -> dict[str, Any]:
    """SendVerificationCodeForBindSecureMobilePhone: the directory is judged before the quota."""
    asked = phone_from(call.asked.required("SecureMobilePhone"))
    member_id = call.asked.account_id()
    await call.directory.directories.may_bind(call.account_id, member_id, call.now)
    issued = await _send(call, asked, _binding(call, member_id), counted_for=member_id)
    return {"ExpirationDate": wire.instant(issued.expires_at)}


async def enable_resource_directory(call: Call) -> dict[str, Any]:
    """EnableResourceDirectory: for the caller itself, or for a new account that a code makes."""
    mode = call.asked.one_of("EnableMode", "CurrentAccount", "NewManagementAccount")
    if mode == "NewManagementAccount":
        return await _enable_for_a_new_one(call)
    if call.is_dry_run:
        await call.directory.directories.may_enable(call.account_id, call.now)
        return {}
    directory, manager = await call.directory.directories.enable(call.account_id, call.now)
    return {"ResourceDirectory": wire.told_directory(directory, manager)}


async def bind_secure_mobile_phone(call: Call) -> dict[str, Any]:
    """BindSecureMobilePhone: a first phone for a member, and the code for it used up."""
    member_id = call.asked.account_id()
    phone = phone_from(call.asked.required("SecureMobilePhone"))
    code = call.asked.required("VerificationCode")
    if not phone.is_served_at(call.directory.site):
        raise SiteUnsupported
    while True:
        binding = await call.directory.directories.prepare_binding(
            call.account_id, member_id, phone.destination, phone.spelled, call.now
        )
        try:
            await _use_up(call, phone, _binding(call, member_id), code, binding)
        except RecordConflict:
            continue
        return {}


async def _enable_for_a_new_one(call: Call) -> dict[str, Any]:
    name, code = call.asked.text("MAName"), call.asked.text("VerificationCode")
    phone = _management_phone(call, code)
    directories = call.directory.directories
    while True:
        enabling = await directories.prepare_enabling(
            call.account_id, name, phone.destination, phone.spelled, call.now
        )
        if call.is_dry_run:
            return {}
        if not code:  # it costs no try
            raise CodeInvalid("none")
        try:
            await _use_up(call, phone, _enabling(call), code, enabling)
        except RecordConflict as conflict:
            if conflict.kind == NAME:
                raise NameTaken from None
            continue
        return {"ResourceDirectory": wire.told_directory(enabling.directory, enabling.account)}


def _management_phone(call: Call, code: str) -> Phone:
    """The phone of the new account, which the code was sent to. Raises Refused."""
    try:
        phone = call.asked.phone("MASecureMobilePhone")
    except PhoneMalformed:
        raise SecurityInfoInvalid from None
    if phone is None:
        raise PhoneAbsent if code else SecurityInfoAbsent
    if not phone.is_served_at(call.directory.site):
        raise SecurityInfoInvalid
    return phone


async def _send(call: Call, phone: Phone, subject: bytes, *, counted_for: str) -> Issued:
    """Never waits for the carrier: the vendor's Node clients give up after 3 seconds."""
    if not phone.is_served_at(call.directory.site):
        raise CountryUnsupported
    send = Send(
        app=call.app,
        purpose=Purpose.BIND,
        destination=phone.destination,
        channel="sms",
        language=call.app.language or _LANGUAGES[call.directory.site],
        code_length=wire.CODE_LENGTH,
        subject=subject,
        account=counted_for,
    )
    return await sent(send, call.directory.house, call.now)


async def _use_up(call: Call, phone: Phone, subject: bytes, code: str, prepared: Prepared) -> None:
    """Burn the code in the act that its effect is part of. Raises CodeInvalid for whatever is not
    right, and RecordConflict, with the code unspent."""
    house = call.directory.house
    try:
        challenge = await latest(
            call.app, Purpose.BIND, phone.destination, subject, house, now=call.now
        )
        judged = await check(
            Check(app=call.app, challenge_id=challenge.id, code=code, effect=prepared.writes),
            house,
            now=call.now,
        )
    except ChallengeNotFound:
        raise CodeInvalid("nothing_sent") from None
    except FailureBudgetSpent as error:
        TALLY.refused(call.app.id, error.scope)
        raise CodeInvalid(error.scope) from None
    tell_judged(call.app.id, challenge.id, judged, call.now)
    if judged.verdict is not Verdict.MATCH:
        raise CodeInvalid(judged.verdict)


def _enabling(call: Call) -> bytes:
    return f"aliyun enable {call.account_id}".encode()


def _binding(call: Call, member_id: str) -> bytes:
    return f"aliyun bind {call.account_id} {member_id}".encode()
