"""The two clients: the same calls, one waiting in its thread, one in its event loop."""

from __future__ import annotations

import asyncio
import ssl
import time
from itertools import count
from types import TracebackType
from typing import Any, Self, Unpack

import httpx2

from watchword.client import calls
from watchword.client.answers import Delivery, Received, Verification
from watchword.client.calls import Answer, Call, Outcome, Terms, Typed

TIMEOUT_S = 10.0


class Client:
    """Speaks to a watchword at `base_url` with an API key. Close it, or use it in a `with`.

    Every call raises WatchwordProblem when it is refused. A connection that fails and a 503 are
    tried again, a few times, under one idempotency key: never a second message, never a second
    attempt spent.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        timeout: float = TIMEOUT_S,
        verify: ssl.SSLContext | bool = True,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._http = httpx2.Client(
            transport=transport, **_settings(base_url, api_key, timeout, verify)
        )

    def send(self, to: str, **terms: Unpack[Terms]) -> Verification:
        """Send a code to a phone (+E.164) or a mailbox; while one is open this is a resend."""
        return self._run(calls.send(to, **terms))

    def check(self, id: str, code: str, **typed: Unpack[Typed]) -> Verification:
        """Ask whether a typed code is right: `.approved` says so, and it says so once."""
        return self._run(calls.check(id, code, **typed))

    def resend(
        self, id: str, *, channel: str | None = None, idempotency_key: str | None = None
    ) -> Verification:
        """Send again, over the same or another channel."""
        return self._run(calls.resend(id, channel, idempotency_key))

    def get(self, id: str) -> Verification:
        """Look at a verification."""
        return self._run(calls.get(id))

    def cancel(self, id: str) -> Verification:
        """Close a verification: no code of it is right any more."""
        return self._run(calls.cancel(id))

    def deliveries(self, id: str) -> list[Delivery]:
        """What became of each message."""
        return self._run(calls.deliveries(id))

    def inbox(self, to: str | None = None) -> list[Received]:
        """What the virtual carrier received, oldest first; the key needs the scope inbox."""
        return self._run(calls.inbox(to))

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self, call: Call[Answer]) -> Answer:
        for tries in count(1):
            outcome = self._ask(call)
            seconds = calls.pause(tries, outcome)
            if seconds is None:
                break
            time.sleep(seconds)
        return call.read(outcome)

    def _ask(self, call: Call[Any]) -> Outcome:
        try:
            return self._http.request(**_request(call))
        except httpx2.TransportError as error:
            return error


class AsyncClient:
    """`Client` for an event loop. Close it with `aclose`, or use it in an `async with`."""

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        timeout: float = TIMEOUT_S,
        verify: ssl.SSLContext | bool = True,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        settings = _settings(base_url, api_key, timeout, verify)
        self._http = httpx2.AsyncClient(transport=transport, **settings)

    async def send(self, to: str, **terms: Unpack[Terms]) -> Verification:
        """Send a code to a phone (+E.164) or a mailbox; while one is open this is a resend."""
        return await self._run(calls.send(to, **terms))

    async def check(self, id: str, code: str, **typed: Unpack[Typed]) -> Verification:
        """Ask whether a typed code is right: `.approved` says so, and it says so once."""
        return await self._run(calls.check(id, code, **typed))

    async def resend(
        self, id: str, *, channel: str | None = None, idempotency_key: str | None = None
    ) -> Verification:
        """Send again, over the same or another channel."""
        return await self._run(calls.resend(id, channel, idempotency_key))

    async def get(self, id: str) -> Verification:
        """Look at a verification."""
        return await self._run(calls.get(id))

    async def cancel(self, id: str) -> Verification:
        """Close a verification: no code of it is right any more."""
        return await self._run(calls.cancel(id))

    async def deliveries(self, id: str) -> list[Delivery]:
        """What became of each message."""
        return await self._run(calls.deliveries(id))

    async def inbox(self, to: str | None = None) -> list[Received]:
        """What the virtual carrier received, oldest first; the key needs the scope inbox."""
        return await self._run(calls.inbox(to))

    async def aclose(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def _run(self, call: Call[Answer]) -> Answer:
        for tries in count(1):
            outcome = await self._ask(call)
            seconds = calls.pause(tries, outcome)
            if seconds is None:
                break
            await asyncio.sleep(seconds)
        return call.read(outcome)

    async def _ask(self, call: Call[Any]) -> Outcome:
        try:
            return await self._http.request(**_request(call))
        except httpx2.TransportError as error:
            return error


def _settings(
    base_url: str, api_key: str, timeout: float, verify: ssl.SSLContext | bool
) -> dict[str, Any]:
    return {
        "base_url": base_url,
        "timeout": timeout,
        "verify": _verifying(base_url, verify),
        "headers": {"authorization": f"Bearer {api_key}", "accept": "application/json"},
        # A proxy of the environment would see the codes; whoever wants one hands in a transport.
        "trust_env": False,
    }


def _verifying(base_url: str, verify: ssl.SSLContext | bool) -> ssl.SSLContext | bool:
    """Whose certificates are believed. To read the usual authorities takes longer than a call, and
    over plain HTTP nobody shows one."""
    if verify is True and base_url.lower().startswith("http:"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return verify


def _request(call: Call[Any]) -> dict[str, Any]:
    return {
        "method": call.method,
        "url": call.path,
        "json": call.body,
        "params": call.params or None,
        "headers": call.headers,
    }
