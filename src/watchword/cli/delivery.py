"""`watchword delivery`: look at hand-overs, and settle those of which nobody knows the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from watchword.cli.opened import Deed, ask
from watchword.cli.places import HERE, Where
from watchword.cli.printing import AsJson, instant, print_json, print_table
from watchword.cli.refusal import Misused, Refused

if TYPE_CHECKING:
    from watchword.bootstrap import Service
    from watchword.domain.delivery import DeliveryState, Listed

States = Literal[
    "queued",
    "leased",
    "sending",
    "accepted",
    "delivered",
    "failed",
    "unknown",
    "expired",
    "cancelled",
]
_MOST = 10_000
_TOO_LARGE = 2**63
"""No store gives such an id, or takes it as a question."""
_BY_AN_OPERATOR = "settled by an operator"


def list_(
    *,
    state: Annotated[States, Parameter(help="Only those in this state.")] = "unknown",
    most: Annotated[int, Parameter(help="How many at most, the newest first.")] = 100,
    json: AsJson = False,
    where: Where = HERE,
) -> int:
    """List the deliveries in one state, the newest first. An unknown one may have arrived: it was
    begun, and nobody heard how it ended. It is never sent again by itself."""
    if not 1 <= most <= _MOST:
        raise Misused(f"--most is 1 to {_MOST}.")

    async def found(service: Service) -> list[dict[str, Any]]:
        from watchword.domain.delivery import DeliveryState

        return [_shown(one) for one in await service.store.listed(DeliveryState(state), most=most)]

    shown = ask(where.settings(), found)
    if json:
        print_json(shown)
    else:
        columns = ("id", "app", "channel", "to", "provider", "tries", "queued_at", "reason")
        print_table(columns, [[one[column] for column in columns] for one in shown])
    return 0


def settle(
    delivery: Annotated[int, Parameter(name="ID", help="The delivery's id, from delivery list.")],
    /,
    *,
    as_: Annotated[
        Literal["delivered", "failed"], Parameter(name="--as", help="What became of it.")
    ],
    where: Where = HERE,
) -> int:
    """Say how an unknown hand-over ended, as the carrier's own records have it. Nothing is sent."""

    async def settled(service: Service) -> DeliveryState | None:
        """The state that stands in the way, if one does."""
        from watchword.domain.delivery import DeliveryState

        told, store = DeliveryState(as_), service.store
        if await store.settle(
            delivery, told, service.clock(), reason=_BY_AN_OPERATOR, by_receipt=False
        ):
            return None
        return await store.delivery_state(delivery)

    if abs(delivery) >= _TOO_LARGE:
        raise _absent(delivery)
    deed = Deed(f"delivery settle --as {as_}", str(delivery))
    if found := ask(
        where.settings(),
        lambda service: _known(delivery, settled(service)),
        doing=lambda stands: [] if stands else [deed],
    ):
        raise Refused(
            f"Delivery {delivery} is {found}, not unknown: only what nobody knows the end of can "
            "be settled. See watchword delivery list."
        )
    print(f"Delivery {delivery} is {as_} now.")
    return 0


async def _known(delivery: int, settling: Any) -> DeliveryState | None:
    from watchword.errors import ChallengeNotFound

    try:
        found: DeliveryState | None = await settling
    except ChallengeNotFound:
        raise _absent(delivery) from None
    return found


def _absent(delivery: int) -> Refused:
    return Refused(
        f"There is no delivery {delivery}; it is forgotten a day after its code expired. See "
        "watchword delivery list."
    )


def _shown(one: Listed) -> dict[str, Any]:
    return {
        "id": one.id,
        "app": one.app_id,
        "verification": one.challenge_id,
        "channel": one.channel,
        "to": one.masked,
        "provider": one.provider,
        "state": one.state.value,
        "tries": one.tries,
        "queued_at": instant(one.queued_at),
        "settled_at": instant(one.settled_at) if one.settled_at else None,
        "reason": one.reason,
    }
