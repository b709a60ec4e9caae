"""`watchword webhook`: where apps hear what became of their codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from watchword.cli.app import AppId
from watchword.cli.opened import Deed, ask
from watchword.cli.places import HERE, Where
from watchword.cli.printing import AsJson, instant, print_json, print_table

if TYPE_CHECKING:
    from watchword.bootstrap import Service
    from watchword.domain.webhook import Unheard, Webhook

WebhookId = Annotated[str, Parameter(name="WEBHOOK", help="The webhook's id, from webhook list.")]
Notices = Literal["created", "approved", "failed", "expired", "delivered", "refused"]


def add(
    app: AppId,
    url: Annotated[str, Parameter(name="URL", help="Where to post, https://host/path.")],
    /,
    *,
    notice: Annotated[
        tuple[Notices, ...], Parameter(help="What to tell; may be repeated. All unless said.")
    ] = (),
    json: AsJson = False,
    where: Where = HERE,
) -> int:
    """Add a webhook and print its secret. A running server posts to it at once."""

    async def added(service: Service) -> tuple[Webhook, str]:
        from watchword.domain.webhook import Notice

        chosen = [Notice(f"verification.{name}") for name in notice]
        return await service.webhooks.add(app, url, chosen, service.clock())

    webhook, secret = ask(
        where.settings(), added, doing=lambda made: [Deed("webhook add", made[0].id, app)]
    )
    if json:
        print_json({**_shown(webhook, None), "secret": secret})
    else:
        print(f"{webhook.id} {secret}")
    return 0


def list_(*, json: AsJson = False, where: Where = HERE) -> int:
    """List the webhooks, and how many notices wait for each, since when."""

    async def found(service: Service) -> tuple[Sequence[Webhook], Mapping[str, Unheard]]:
        every = await service.webhooks.all(service.clock())
        return every, await service.store.waiting_notices()

    webhooks, waiting = ask(where.settings(), found)
    shown = [_shown(one, waiting.get(one.id)) for one in webhooks]
    if json:
        print_json(shown)
    else:
        columns = ("id", "app", "url", "notices", "waiting", "since", "stopped")
        print_table(columns, [[_cell(row[column]) for column in columns] for row in shown])
    return 0


def renew(webhook: WebhookId, /, *, where: Where = HERE) -> int:
    """Print a new secret. Posts are signed with the one before, too, until `webhook forget`."""
    secret = ask(
        where.settings(),
        lambda service: service.webhooks.renew(webhook, service.clock()),
        doing=lambda _: [Deed("webhook renew", webhook)],
    )
    print(secret)
    return 0


def forget(webhook: WebhookId, /, *, where: Where = HERE) -> int:
    """Sign with the newest secret alone, once its receiver knows it."""
    ask(
        where.settings(),
        lambda service: service.webhooks.forget_older(webhook, service.clock()),
        doing=lambda _: [Deed("webhook forget", webhook)],
    )
    print(f"{webhook} is signed for with its newest secret alone.")
    return 0


def stop(webhook: WebhookId, /, *, where: Where = HERE) -> int:
    """Post nothing until it is resumed; what happens meanwhile waits, for at most a week."""
    ask(
        where.settings(),
        lambda service: service.webhooks.stop(webhook, "by an operator", service.clock()),
        doing=lambda _: [Deed("webhook stop", webhook)],
    )
    print(f"Stopped {webhook}.")
    return 0


def resume(webhook: WebhookId, /, *, where: Where = HERE) -> int:
    """Post again."""
    ask(
        where.settings(),
        lambda service: service.webhooks.resume(webhook, service.clock()),
        doing=lambda _: [Deed("webhook resume", webhook)],
    )
    print(f"Resumed {webhook}.")
    return 0


def remove(webhook: WebhookId, /, *, where: Where = HERE) -> int:
    """Forget a webhook, and what waits for it."""
    ask(
        where.settings(),
        lambda service: service.webhooks.remove(webhook, service.clock()),
        doing=lambda _: [Deed("webhook remove", webhook)],
    )
    print(f"Removed {webhook}.")
    return 0


def _shown(webhook: Webhook, waiting: Unheard | None) -> dict[str, Any]:
    return {
        "id": webhook.id,
        "app": webhook.app_id,
        "url": webhook.url,
        "notices": [notice.value for notice in webhook.notices],
        "created_at": f"{webhook.created_at:%Y-%m-%dT%H:%M:%SZ}",
        "waiting": waiting.notices if waiting else 0,
        "since": instant(waiting.oldest_at) if waiting else "",
        "stopped": webhook.stopped,
    }


def _cell(value: object) -> str:
    """Of the notices what follows their common beginning."""
    if isinstance(value, list):
        return " ".join(one.partition(".")[2] for one in value)
    return str(value)
