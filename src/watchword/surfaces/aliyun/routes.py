"""Alibaba Cloud's table of actions, and the dialect as one application."""

from __future__ import annotations

from uuid import uuid4

from watchword.errors import WatchwordError
from watchword.surfaces import exchange as asgi
from watchword.surfaces.aliyun import auth, calls, codes, members, replies, request, wire
from watchword.surfaces.aliyun.calls import Call, Does
from watchword.surfaces.aliyun.replies import REPLIES
from watchword.surfaces.aliyun.request import Request
from watchword.surfaces.exchange import Answer, Disconnected, Exchange
from watchword.surfaces.running import Running
from watchword.surfaces.telling import tallied, tell_defect, tell_refused

ACTIONS: dict[str, Does] = {
    "SendVerificationCodeForEnableRD": codes.send_to_enable,
    "SendVerificationCodeForBindSecureMobilePhone": codes.send_to_bind,
    "EnableResourceDirectory": codes.enable_resource_directory,
    "BindSecureMobilePhone": codes.bind_secure_mobile_phone,
    "GetResourceDirectory": members.get_resource_directory,
    "DestroyResourceDirectory": members.destroy_resource_directory,
    "CreateResourceAccount": members.create_resource_account,
    "GetAccount": members.get_account,
    "ListAccounts": members.list_accounts,
    "UpdateAccount": members.update_account,
}


class Aliyun:
    """The dialect as an ASGI application: all of it at one path."""

    def __init__(self, service: Running) -> None:
        self._service = service

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        exchange = Exchange(scope, receive, send)
        await tallied(exchange, self._answered(exchange))

    async def _answered(self, exchange: Exchange) -> Answer:
        style = request.first_style(exchange, str(uuid4()).upper())
        account = ""
        error: WatchwordError
        try:
            whole = await request.read(exchange)
            if whole.form:
                style = request.style(exchange, whole.asked, style.request_id)
            action, version = _wanted(whole)
            if action in ACTIONS:
                exchange.route = f"aliyun_{action}"
            caller = await auth.authenticate(whole, self._service.aliyun, self._service.clock())
            account = caller.account.id
            _refuse_unknown(action, version)
            call = Call(
                service=self._service,
                caller=caller,
                asked=whole.asked,
                version=version,
                now=self._service.clock(),
            )
            return replies.told(action, await ACTIONS[action](call), style)
        except WatchwordError as refused:
            error = refused
        except Disconnected:
            raise
        except Exception as defect:
            tell_defect(defect)
            error = WatchwordError()
        reply = REPLIES[type(error)]
        answer, code = replies.refused(error, reply, style)
        if account or reply.status >= 500:  # else whoever comes could fill the log
            tell_refused(
                exchange.route,
                status=reply.status,
                code=code,
                error=error,
                account=account,
                request_id=style.request_id,
                reason=error.reason if isinstance(error, codes.CodeInvalid) else "",
            )
        return answer


def _wanted(whole: Request) -> tuple[str, str]:
    """Action and version. Raises FormatUnknown, CredentialAbsent, ParameterMissing."""
    request.refuse_unknown_format(whole.asked)
    request.refuse_without_credential(whole)
    return whole.action, whole.version


def _refuse_unknown(action: str, version: str) -> None:
    """Raises VersionUnknown, ActionUnknown."""
    if version not in wire.EDITIONS:
        raise calls.VersionUnknown
    if action not in ACTIONS:
        raise calls.ActionUnknown
