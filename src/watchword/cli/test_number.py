"""`watchword app test-number`: destinations of an app with a fixed code, for a while."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from watchword.cli.app import AppId
from watchword.cli.opened import Deed, ask
from watchword.cli.places import HERE, Where
from watchword.cli.printing import AsJson, print_json, print_table
from watchword.cli.refusal import Misused

if TYPE_CHECKING:
    from watchword.bootstrap import Service
    from watchword.domain.app import App

MOST_DAYS = 90
To = Annotated[str, Parameter(name="TO", help="A phone (+8613800138000) or a mailbox.")]


def add(
    app: AppId,
    to: To,
    code: Annotated[str, Parameter(help="Its fixed code.")],
    /,
    *,
    days: Annotated[int, Parameter(help="For how long, at most 90.")] = 30,
    where: Where = HERE,
) -> int:
    """Give a destination a fixed code. Nothing is sent to it while it has one."""
    if not 1 <= days <= MOST_DAYS:
        raise Misused(f"--days is 1 to {MOST_DAYS}.")

    async def added(service: Service) -> App:
        from watchword.domain.destination import read

        now = service.clock()
        until = now + timedelta(days=days)
        return await service.apps.add_test_number(app, read(to), code, until, now)

    doing = [Deed("app test-number add", app_id=app)]
    _list(ask(where.settings(), added, doing=lambda _: doing), as_json=False)
    return 0


def list_(app: AppId, /, *, json: AsJson = False, where: Where = HERE) -> int:
    """List an app's test numbers, masked; their codes are not kept."""
    _list(ask(where.settings(), lambda service: service.apps.app(app, service.clock())), json)
    return 0


def remove(app: AppId, to: To, /, *, where: Where = HERE) -> int:
    """Make a destination an ordinary one again."""

    async def removed(service: Service) -> App:
        from watchword.domain.destination import read

        return await service.apps.remove_test_number(app, read(to), service.clock())

    doing = [Deed("app test-number remove", app_id=app)]
    _list(ask(where.settings(), removed, doing=lambda _: doing), as_json=False)
    return 0


def _list(app: App, as_json: bool) -> None:
    rows = [(number.masked, f"{number.ends_at:%Y-%m-%d %H:%M}") for number in app.test_numbers]
    if as_json:
        print_json([{"to": to, "ends_at": ends_at} for to, ends_at in rows])
    else:
        print_table(("to", "ends at"), rows)
