"""Webhooks: where each app hears what became of its codes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from secrets import token_bytes, token_hex

import msgspec

from watchword.directory.apps import Apps
from watchword.directory.fresh import Fresh
from watchword.directory.records import Records
from watchword.domain.keys import KeyRing
from watchword.domain.webhook import SECRET_BYTES, Notice, Webhook, written
from watchword.errors import RequestInvalid
from watchword.ports import RecordStore

MOST_OF_AN_APP = 10
KIND = "webhook"
_LONGEST_URL = 2048


class Webhooks:
    """Reads and changes them. A change is seen by every process within a second.

    `refuse_address` raises ValueError for a URL that nothing may be sent to.
    """

    def __init__(
        self,
        store: RecordStore,
        keys: KeyRing,
        apps: Apps,
        refuse_address: Callable[[str], object],
    ) -> None:
        self._keys, self._apps, self._refuse_address = keys, apps, refuse_address
        self._webhooks = Records(store, KIND, Webhook, "webhook")
        self._store = store
        self._known: Fresh[Sequence[Webhook]] = Fresh()

    async def add(
        self, app_id: str, url: str, notices: Sequence[Notice], now: datetime
    ) -> tuple[Webhook, str]:
        """Add one, and give it with its secret, which nothing but `renew` shows again.

        Raises AccessDenied when there is no such app, RequestInvalid.
        """
        app = await self._apps.app(app_id, now)
        self._refuse(url)
        if sum(one.app_id == app.id for one in await self.all(now)) >= MOST_OF_AN_APP:
            raise RequestInvalid(f"An app has at most {MOST_OF_AN_APP} webhooks.", field="/url")
        webhook_id, secret = f"wh{token_hex(6)}", token_bytes(SECRET_BYTES)
        webhook = Webhook(
            id=webhook_id,
            app_id=app.id,
            url=url,
            secret=self._sealed([secret], webhook_id),
            created_at=now,
            notices=tuple(dict.fromkeys(notices)) or tuple(Notice),
        )
        await self._store.write([self._webhooks.put(webhook)], now)
        self._known.clear()
        return webhook, written(secret)

    async def all(self, now: datetime) -> Sequence[Webhook]:
        return await self._webhooks.all(now)

    async def known(self, now: datetime) -> Sequence[Webhook]:
        """All, as of the last second."""
        found = self._known.get("", now)
        return self._known.keep("", await self.all(now), now) if found is None else found

    async def find(self, webhook_id: str, now: datetime) -> Webhook | None:
        found = await self._webhooks.find(webhook_id, now)
        return found[0] if found else None

    async def renew(self, webhook_id: str, now: datetime) -> str:
        """A new secret, beside the one before, so that receivers may change in their own time.
        Raises AccessDenied when there is none."""
        secret = token_bytes(SECRET_BYTES)
        await self._change(webhook_id, now, lambda known: [secret, known[0]])
        return written(secret)

    async def forget_older(self, webhook_id: str, now: datetime) -> None:
        """Sign with the newest secret alone. Raises AccessDenied when there is none."""
        await self._change(webhook_id, now, lambda known: known[:1])

    async def stop(self, webhook_id: str, reason: str, now: datetime) -> None:
        """Send nothing more there. Raises AccessDenied when there is none."""
        await self._set(webhook_id, now, stopped=reason)

    async def resume(self, webhook_id: str, now: datetime) -> None:
        """Send again. Raises AccessDenied when there is none."""
        await self._set(webhook_id, now, stopped="")

    async def remove(self, webhook_id: str, now: datetime) -> None:
        """Forget it; what waits for it is dropped. Raises AccessDenied when there is none."""
        webhook, version = await self._webhooks.get(webhook_id, now)
        await self._store.write([self._webhooks.removed(webhook, version)], now)
        self._known.clear()

    def secrets(self, webhook: Webhook) -> Sequence[bytes]:
        """What its notices are signed with, the newest first. Raises KeyUnknown."""
        plain = self._keys.unseal(webhook.secret, webhook.id.encode())
        return msgspec.msgpack.decode(plain, type=list[bytes])

    async def _change(
        self,
        webhook_id: str,
        now: datetime,
        change: Callable[[Sequence[bytes]], Sequence[bytes]],
    ) -> None:
        def changed(webhook: Webhook) -> Webhook:
            sealed = self._sealed(change(self.secrets(webhook)), webhook.id)
            return msgspec.structs.replace(webhook, secret=sealed)

        await self._webhooks.change(webhook_id, changed, now)
        self._known.clear()

    async def _set(self, webhook_id: str, now: datetime, *, stopped: str) -> None:
        await self._webhooks.change(
            webhook_id, lambda one: msgspec.structs.replace(one, stopped=stopped), now
        )
        self._known.clear()

    def _sealed(self, secrets: Sequence[bytes], webhook_id: str) -> bytes:
        return self._keys.seal(msgspec.msgpack.encode(secrets), webhook_id.encode())

    def _refuse(self, url: str) -> None:
        try:
            if len(url) > _LONGEST_URL:
                raise ValueError("it is too long")
            self._refuse_address(url)
        except ValueError as error:
            raise RequestInvalid(
                f"Nothing is sent to this address: {error}.", field="/url"
            ) from None
