"""The journal knows what was committed, proves it, and can forget a person."""

import asyncio
import re
from contextlib import closing, suppress

import apsw
import msgspec
import pytest

from tests import postgres_server
from tests.contract.acting import ANN, BOB, DAY, NOW
from watchword.domain.delivery import DeliveryState, Handover
from watchword.domain.destination import phone
from watchword.domain.event import Kind, Standing, committed
from watchword.ports import Erasure
from watchword.service.count_refusals import MOST_KEYS, REFUSALS, Refusals, tell_refusals
from watchword.service.erase_subject import erase_subject
from watchword.service.export_journal import export_journal
from watchword.service.keep_journal import Scribe
from watchword.service.read_journal import about
from watchword.service.verify_journal import verify_journal

pytestmark = pytest.mark.anyio


def scribe(acts, keep=None):
    return Scribe(acts.store, acts.ring, lambda: acts.now, keep=keep)


async def sealed(hand):
    while await hand.seal():
        pass


async def verified(acts):
    return await verify_journal(acts.store, acts.ring, acts.now)


async def told(store):
    """The kinds of all events, in their order."""
    return [event.kind for _, event in await store.unsealed(1000)]


def change(place, *statements):
    """Somebody with the right to write changes the store behind our back."""
    if place.kind == "sqlite":
        with closing(apsw.Connection(place.address.removeprefix("sqlite:///"))) as file:
            for statement in statements:
                file.execute(statement)
        return
    for statement in statements:
        ours = re.sub(r"\b(journal|chains)\b", r"watchword.\1", statement)
        postgres_server.rows(place.address, ours)


def literal(place, value):
    """These bytes in a statement."""
    return f"x'{value.hex()}'" if place.kind == "sqlite" else f"'\\x{value.hex()}'::bytea"


async def a_few(acts, times=4):
    """A closed chain: its opening mark, so many events, its closing mark."""
    for n in range(times):
        await acts.send(to=ANN if n % 2 else BOB)
    hand = scribe(acts)
    await sealed(hand)
    await hand.close()


async def test_each_act_tells_what_it_did(acts, store):
    """Created, resent, a wrong code, approved: in the act itself, and nothing of a refused one."""
    issued = await acts.send()
    await acts.resend(issued.challenge_id)
    await acts.check(issued.challenge_id, await acts.wrong(issued.challenge_id))
    await acts.check(issued.challenge_id, await acts.code(issued.challenge_id))
    kinds = await told(store)
    assert sorted(kinds) == sorted(
        ["created", "resent", "failed", "approved", "message_cancelled", "message_cancelled"]
    )
    assert kinds[:3] == ["created", "resent", "failed"]


async def test_every_other_end_is_told(acts, store):
    spent, cancelled, _ = [await acts.send(purpose=p) for p in ("sign_in", "reset", "bind")]
    for _ in range(5):
        await acts.check(spent.challenge_id, "-wrong-")
    await acts.store.cancel("shop", cancelled.challenge_id, acts.now)
    acts.later(DAY / 2)
    await acts.sweep()
    ends = [kind for kind in await told(store) if not kind.startswith("message")]
    assert ends == ["created"] * 3 + ["failed"] * 5 + ["exhausted", "cancelled", "expired"]


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        (DeliveryState.ACCEPTED, Kind.MESSAGE_ACCEPTED),
        (DeliveryState.DELIVERED, Kind.MESSAGE_DELIVERED),
        (DeliveryState.FAILED, Kind.MESSAGE_REFUSED),
        (DeliveryState.UNKNOWN, Kind.MESSAGE_UNKNOWN),
    ],
)
async def test_what_became_of_a_message_is_told(acts, store, state, kind):
    issued = await acts.send()
    (leased,) = await acts.begin(await acts.lease())
    handover = Handover(id=leased.id, token=leased.token, state=state)
    await store.record_handovers([handover], provider="acme", now=acts.now)
    (_, event) = (await store.unsealed(10))[-1]
    assert (event.kind, event.challenge_id) == (kind, issued.challenge_id)
    assert msgspec.json.decode(event.details) == {"delivery": leased.id, "provider": "acme"}


async def test_who_looked_too_early_seals_nothing_newer(acts, store, monkeypatch):
    """Of two scribes one has sealed what both saw, and an act has written since: the other one
    takes nothing, and all is in the journal once."""
    late, quick = scribe(acts), scribe(acts)
    seen = await acts.send()
    saw = await store.unsealed(10)

    async def as_seen(most):
        return saw

    await sealed(quick)
    new = await acts.send(to=BOB)
    with monkeypatch.context() as patch:
        patch.setattr(store, "unsealed", as_seen)
        await late.seal()
    await sealed(late)
    report = await verified(acts)
    assert report.is_whole, report.faults
    lines = [line async for line in export_journal(store, since=None, until=None, app_id="shop")]
    told = "".join(line.get("body", "") for line in lines)
    assert [told.count(issued.challenge_id) for issued in (seen, new)] == [1, 1]


async def test_two_scribes_seal_each_event_once(acts, store):
    """Two chains, and of two who take the same event one is turned away."""
    one, other = scribe(acts), scribe(acts)
    for n in range(30):
        await acts.send(to=ANN if n % 2 else BOB)
        await (one if n % 3 else other).seal()
    await sealed(one)
    report = await verified(acts)
    assert report.is_whole, report.faults
    assert (report.chains, report.events, report.unsealed) == (2, 30, 0)


async def test_of_two_at_the_same_events_one_is_turned_away(acts, store):
    await acts.send()
    hand = scribe(acts)
    await hand.seal()
    (_, chain) = await store.chains()
    entries = await store.entries(1, 1, 10)
    longer = msgspec.structs.replace(chain, entries=chain.entries + 1)
    moved = [msgspec.structs.replace(entries[0], position=chain.entries)]
    assert not await store.seal(longer, moved, [1])
    assert (await verified(acts)).is_whole


COUNTERS = {"spent", "tallies", "failures", "trails", "destinations"}
EVE = phone("+8613800138055")
LAID = """
INSERT INTO journal (chain, position, commitment, mac, salt, body, subject)
SELECT {chain}, {position}, commitment, mac, salt, body, subject FROM journal
WHERE chain = 1 AND position = 2
"""
TAMPERINGS: dict[str, tuple[list[str], list[tuple[int, int | None]]]] = {
    "altered": (
        [
            "UPDATE journal SET body = (SELECT salt FROM journal WHERE position = 3)"
            " WHERE position = 2"
        ],
        [(1, 2)],
    ),
    "standing as nobody does": (["UPDATE chains SET standing = 'x' WHERE number = 1"], [(1, None)]),
    "a roll without end": (["UPDATE chains SET entries = 3000000 WHERE number = 0"], [(0, None)]),
    "blanked": (["UPDATE journal SET salt = NULL, body = NULL WHERE position = 2"], [(1, 2)]),
    "called erased": (
        [
            "UPDATE journal SET salt = NULL, body = NULL, subject = NULL, erased = mac"
            " WHERE position = 2"
        ],
        [(1, 2)],
    ),
    "given to somebody else": (
        ["UPDATE journal SET subject = commitment WHERE position = 2"],
        [(1, 2)],
    ),
    "removed in the middle": (["DELETE FROM journal WHERE position = 2"], [(1, 2)]),
    "removed from the tail": (["DELETE FROM journal WHERE position >= 4"], [(1, 4)]),
    "removed from the tail, its chain too": (
        [
            "DELETE FROM journal WHERE position >= 4",
            "UPDATE chains SET entries = 4 WHERE number = 1",
        ],
        [(1, None)],
    ),
    "its whole chain removed": (
        ["DELETE FROM journal", "DELETE FROM chains WHERE number = 1"],
        [(1, None)],
    ),
    "its whole chain removed, and taken off the roll": (
        [
            "DELETE FROM journal",
            "DELETE FROM chains WHERE number = 1",
            "UPDATE chains SET entries = 0 WHERE number = 0",
        ],
        [(0, None)],
    ),
    "called dropped": (
        ["DELETE FROM journal", "UPDATE chains SET standing = 'dropped' WHERE number = 1"],
        [(1, None)],
    ),
    "changed places": (
        [
            "UPDATE journal SET position = -1 WHERE position = 2",
            "UPDATE journal SET position = 2 WHERE position = 3",
            "UPDATE journal SET position = 3 WHERE position = -1",
        ],
        [(1, 2), (1, 3)],
    ),
    "laid under the roll": ([LAID.format(chain=0, position=0)], [(0, None)]),
    "laid before the beginning": ([LAID.format(chain=1, position=-5)], [(0, None)]),
    "added at the end": (
        [
            "INSERT INTO journal (chain, position, commitment, mac) SELECT 1, 99, commitment, mac"
            " FROM journal WHERE position = 2"
        ],
        [(0, None)],
    ),
}


@pytest.mark.parametrize("how", TAMPERINGS)
async def test_what_was_tampered_with_is_found(acts, place, how):
    """By chain and position."""
    await a_few(acts)
    assert (await verified(acts)).is_whole
    statements, found = TAMPERINGS[how]
    change(place, *statements)
    places = [(fault.chain, fault.position) for fault in (await verified(acts)).faults]
    assert places[: len(found)] == found


async def test_what_was_laid_beside_a_chain_is_nobodys_history(acts, place, store):
    await a_few(acts)
    subjects = [acts.house.guesses("shop", ANN), acts.house.guesses("shop", BOB)]
    before = await about(store, subjects, most=100)
    assert len(before.events) == 4
    for chain, position in ((0, 0), (1, -5), (1, 99)):
        change(place, LAID.format(chain=chain, position=position))
    assert await about(store, subjects, most=100) == before


@pytest.mark.parametrize(
    "body", [b'{"kind":"opened"}', b'{"kind":"opened","details":[]}', b"{}", b"\xff"]
)
async def test_a_forged_entry_is_told_whatever_it_says(acts, place, body):
    """Its hash is no secret, so it can be right; what is behind it is judged all the same."""
    await a_few(acts)
    salt = bytes(16)
    parts = {"salt": salt, "body": body, "commitment": committed(salt, body)}
    told = ", ".join(f"{name} = {literal(place, value)}" for name, value in parts.items())
    change(
        place,
        f"UPDATE journal SET {told}, subject = NULL WHERE position = 0",  # noqa: S608 (our own)
        "DELETE FROM journal WHERE position = 3",
    )
    faults = (await verified(acts)).faults
    assert [(fault.chain, fault.position) for fault in faults] == [(1, 0), (1, 3)]


async def test_a_scribe_goes_on_in_another_chain_where_its_own_was_put_back(acts, place, store):
    """As by a fail-over to a standby that lacked the last of it: nothing stays unsealed, nothing
    spins, and verify tells where."""
    hand = scribe(acts)
    await acts.send()
    await sealed(hand)
    change(
        place,
        "UPDATE chains SET entries = entries - 1 WHERE number = 1",
        "DELETE FROM journal WHERE chain = 1 AND position = (SELECT max(position) FROM journal)",
    )
    await acts.send()
    assert not await hand.seal(), "nothing was written, so it rests"
    await sealed(hand)
    assert (await store.to_seal()).events == 0
    report = await verified(acts)
    assert {fault.chain for fault in report.faults} == {1}
    assert report.chains == 2


async def test_a_chain_without_a_mark_is_said_so(acts):
    """Its process was killed: that is no tampering."""
    await acts.send()
    await scribe(acts).seal()
    assert (await verified(acts)).open == [1]
    acts.later(2 * DAY)
    report = await verified(acts)
    assert (report.is_whole, report.open, report.unmarked) == (True, [], [1])


async def test_each_day_has_a_chain_of_its_own(acts, store):
    hand = scribe(acts)
    for _ in range(2):
        await acts.send()
        await sealed(hand)
        acts.later(DAY)
    _, first, second = await store.chains()
    assert (first.standing, second.standing) == (Standing.CLOSED, Standing.OPEN)
    assert (await verified(acts)).is_whole


async def test_what_waits_is_counted_and_called_late_after_a_minute(acts):
    await acts.send()
    assert not (await verified(acts)).is_late
    acts.later(DAY / 24)
    report = await verified(acts)
    assert (report.unsealed, report.is_late, report.is_whole) == (1, True, True)


async def test_whole_days_are_dropped_when_their_time_is_over(acts, store, place):
    """What stays says so, under a mac: dropping is told from removing."""
    await a_few(acts)
    acts.later(3 * DAY)
    await scribe(acts, keep=4 * DAY).drop()
    assert (await verified(acts)).events == 4
    await scribe(acts, keep=2 * DAY).drop()
    report = await verified(acts)
    assert (report.is_whole, report.dropped, report.events) == (True, [1], 0)
    assert not [
        rows for name, rows in place.contents().items() if name.endswith("journal") and rows
    ]


async def test_an_export_of_one_app_holds_what_proves_it(acts, store):
    """Of others' events the hash and the mac are there, and nothing that they tell."""
    await a_few(acts)
    lines = [line async for line in export_journal(store, since=None, until=None, app_id="bank")]
    entries = [line for line in lines if "position" in line]
    assert len(entries) == 6
    assert [line["position"] for line in entries if "body" in line] == [0, 5]
    assert "shop" not in str(lines)


async def test_an_export_holds_what_was_sealed_days_later(acts, store):
    """Nothing served meanwhile. A later day's chain that tells of nothing so old stays out."""
    until = acts.now + DAY / 24
    old = await acts.send()
    acts.later(3 * DAY)
    await a_few(acts, times=2)
    acts.later(DAY)
    await a_few(acts, times=2)
    lines = [line async for line in export_journal(store, since=None, until=until, app_id="")]
    assert {line["day"] for line in lines if "day" in line} == {"", f"{NOW + 3 * DAY:%Y-%m-%d}"}
    bodies = [line["body"] for line in lines if "body" in line]
    assert [old.challenge_id in body for body in bodies] == [False, True, False]


async def test_a_subject_is_erased_and_the_chains_hold(acts, store, place):
    """Also what is still open or queued; others, and all that was counted, stay."""
    issued = await acts.send(to=EVE)
    bob = await acts.send(to=BOB)
    await acts.check(issued.challenge_id, await acts.wrong(issued.challenge_id))
    await sealed(scribe(acts))
    await acts.send(to=EVE)  # and one that is not sealed yet
    challenge = await store.challenge("shop", issued.challenge_id)
    before = await store.spent([], acts.now), counted(place)
    gone = await erase_subject(EVE, ["shop", "bank"], acts.house, acts.now)
    assert gone == Erasure(events=3, challenges=1, deliveries=2)
    assert (await store.spent([], acts.now), counted(place)) == before
    await sealed(scribe(acts))
    report = await verified(acts)
    assert (report.is_whole, report.erased, report.events) == (True, 2, 2)
    assert (await store.challenge("shop", bob.challenge_id)).id == bob.challenge_id
    kept = str(place.contents())
    knowing = [name for name, rows in known_to(place, challenge.destination).items() if rows]
    assert set(knowing) <= COUNTERS
    assert bob.challenge_id in kept
    assert issued.challenge_id not in kept
    assert challenge.masked not in kept


def counted(place):
    return {
        name: rows for name, rows in place.contents().items() if name.split(".")[-1] in COUNTERS
    }


def known_to(place, digest):
    """The rows of each table that hold this digest, raw or written out."""
    return {
        name.split(".")[-1]: [
            row for row in rows if repr(digest)[2:-1] in row or digest.hex() in row
        ]
        for name, rows in place.contents().items()
    }


def test_refusals_take_a_bounded_room():
    """Whoever invents apps fills no memory and no disk."""
    refusals = Refusals()
    for n in range(3 * MOST_KEYS):
        refusals.count(f"app {n}", "destination")
    taken = refusals.take()
    assert len(taken) <= MOST_KEYS + 1
    assert taken.total() == 3 * MOST_KEYS
    assert not refusals.take()


async def test_refusals_are_told_as_a_number_at_a_stop_too(acts, store):
    """However many they were, a minute of one app and limit is one event."""
    REFUSALS.take()
    for _ in range(300):
        REFUSALS.count("shop", "destination")
    telling = asyncio.create_task(tell_refusals(store, lambda: acts.now))
    await asyncio.sleep(0)
    telling.cancel()
    with suppress(asyncio.CancelledError):
        await telling
    ((_, event),) = await store.unsealed(10)
    assert (event.kind, event.app_id) == (Kind.REFUSALS, "shop")
    assert msgspec.json.decode(event.details) == {"scope": "destination", "times": 300}
