"""A request as the vendor's clients send it: in headers, query, form, or a mix of these; and how
its answer is to be written (contracts/aliyun.md, sections 2 and 7)."""

from __future__ import annotations

import msgspec

from watchword.errors import AccessDenied, RequestInvalid
from watchword.surfaces.aliyun import signing
from watchword.surfaces.aliyun.signing import Pairs
from watchword.surfaces.aliyun.wire import EDITIONS, ParameterMissing, Parameters
from watchword.surfaces.exchange import Exchange, MediaTypeUnsupported
from watchword.surfaces.untold import Untold

METHODS = ("GET", "POST")
MOST_PARAMETERS = 256
"""Four times what any call has. All of them are sorted and escaped before it is known who calls."""
_FORM = b"application/x-www-form-urlencoded"
_FORMATS = {"": None, "none": None, "json": False, "xml": True}
_LONGEST_HOST = 255


class MethodUnsupported(RequestInvalid):
    """This http method not supported."""


class TooManyParameters(RequestInvalid):
    """A request has at most 256 parameters."""


class FormatUnknown(RequestInvalid):
    """Specified parameter format is not valid."""


class CredentialAbsent(AccessDenied):
    """AccessKeyId is mandatory for this action."""


class Style(msgspec.Struct, frozen=True, kw_only=True):
    """How an answer is written, and what all of them name: the request, the host that was called,
    and the product whose version was asked for."""

    is_xml: bool
    request_id: str
    host: str
    product: str


class Request(Untold, frozen=True, kw_only=True):
    """`is_acs3` tells the newer scheme, which has what it says of itself in headers, from V1, which
    has it among the parameters. `form` is empty where the body is none."""

    exchange: Exchange
    is_acs3: bool
    query: Pairs
    form: Pairs
    body: bytes
    asked: Parameters

    def said(self, header: bytes, parameter: str) -> str:
        """What the scheme says in a header, or else in a parameter; "" where it does not. Raises
        HeaderInvalid, ParameterInvalid."""
        if not self.is_acs3:
            return self.asked.text(parameter)
        # As it was signed, whatever the server in front leaves around it.
        return (self.exchange.header(header) or b"").strip(b" \t").decode("latin-1")

    def required(self, header: bytes, parameter: str) -> str:
        """Raises ParameterMissing, too."""
        value = self.said(header, parameter)
        if not value:
            raise ParameterMissing(field=parameter)
        return value

    @property
    def action(self) -> str:
        return self.required(b"x-acs-action", "Action")

    @property
    def version(self) -> str:
        return self.required(b"x-acs-version", "Version")


def parameters(encoded: bytes) -> Pairs:
    """Of a query or a form. Raises TooManyParameters before any is looked at."""
    if encoded.count(b"&") >= MOST_PARAMETERS:
        raise TooManyParameters
    return signing.pairs(encoded)


def first_style(exchange: Exchange, request_id: str) -> Style:
    """How to answer as long as no more than the query is known."""
    try:
        asked = Parameters(parameters(exchange.scope["query_string"]))
    except TooManyParameters:
        asked = Parameters([])
    return style(exchange, asked, request_id)


def style(exchange: Exchange, asked: Parameters, request_id: str) -> Style:
    """How to answer, as far as this is known of what was asked. A Format that nobody knows is as
    good as none; `refuse_unknown_format` tells of it."""
    speaks_in_headers = _speaks_in_headers(exchange, asked)
    wants_xml = _FORMATS.get(asked.first("Format").lower())
    version = (
        exchange.headers.get(b"x-acs-version", b"").decode("latin-1")
        if speaks_in_headers
        else asked.first("Version")
    )
    return Style(
        is_xml=not speaks_in_headers if wants_xml is None else wants_xml,
        request_id=request_id,
        host=_printable(exchange.headers.get(b"host", b"")),
        product=EDITIONS.get(version, ""),
    )


async def read(exchange: Exchange) -> Request:
    """The whole of it. Raises MethodUnsupported, RequestInvalid and kin."""
    if exchange.scope["method"] not in METHODS:
        raise MethodUnsupported
    body = await exchange.body()
    is_acs3 = (exchange.header(b"authorization") or b"").startswith(b"ACS3-")
    query = parameters(exchange.scope["query_string"])
    form = parameters(body) if body and _is_form(exchange) else []
    if is_acs3 and body and not _is_form(exchange):
        raise MediaTypeUnsupported
    return Request(
        exchange=exchange,
        is_acs3=is_acs3,
        query=query,
        form=form,
        body=body,
        asked=Parameters([*query, *form]),
    )


def refuse_unknown_format(asked: Parameters) -> None:
    """Raises FormatUnknown, and ParameterInvalid for two of them."""
    if asked.text("Format").lower() not in _FORMATS:
        raise FormatUnknown


def refuse_without_credential(request: Request) -> None:
    """Clients that have no key, or a bearer token, send their action in headers and no signature.
    Raises CredentialAbsent."""
    if not request.is_acs3 and _speaks_in_headers(request.exchange, request.asked):
        raise CredentialAbsent


def _speaks_in_headers(exchange: Exchange, asked: Parameters) -> bool:
    """V1 requests of newer clients repeat in headers what their parameters say."""
    return exchange.headers.get(b"authorization", b"").startswith(b"ACS3-") or (
        b"x-acs-action" in exchange.headers
        and not asked.first("Action")
        and not asked.first("AccessKeyId")
    )


def _is_form(exchange: Exchange) -> bool:
    essence = (exchange.header(b"content-type") or b"").partition(b";")[0]
    return essence.strip().lower() == _FORM


def _printable(host: bytes) -> str:
    shown = host.decode("latin-1")[:_LONGEST_HOST]
    return shown if shown.isascii() and shown.isprintable() else ""
