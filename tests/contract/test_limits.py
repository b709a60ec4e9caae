"""P2: "n per window" is never exceeded and never under-granted, and a refusal spends nothing."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import chain

import msgspec
import pytest

from tests.contract.acting import (
    ANN,
    BANK,
    BOB,
    DAY,
    HOUR,
    MINUTE,
    NOW,
    TICK,
    Acts,
    at_once,
    once,
)
from watchword.domain.destination import Destination, mailbox, phone
from watchword.domain.quota import LARGEST_TRAILING, Quota, Scope, Span, meters
from watchword.errors import QuotaExceeded, ResendTooSoon

FIFTEEN_AN_HOUR = (Quota(Scope.DESTINATION, 15, HOUR),)


async def refused(acts, **wish) -> QuotaExceeded:
    with pytest.raises(QuotaExceeded) as refusal:
        await acts.send(**wish)
    return refusal.value


async def test_40_sends_at_once_let_exactly_15_through(store):
    acts = Acts(store, quotas=FIFTEEN_AN_HOUR)
    told = Counter(await at_once(acts.send() for _ in range(40)))
    assert told == {"issued": 15, "QuotaExceeded": 25}


async def test_two_processes_let_exactly_15_through(two_processes):
    """Never 14, never 16."""
    told = await two_processes(does="send", times=20, quotas=FIFTEEN_AN_HOUR)
    assert Counter(chain.from_iterable(told)) == {"issued": 15, "QuotaExceeded": 25}


async def test_40_destinations_at_once_share_the_limit_of_their_app(store):
    """Another counter is not another limit: here each destination would have room."""
    acts = Acts(store, quotas=(Quota(Scope.APP, 15, HOUR), *FIFTEEN_AN_HOUR))
    numbers = [phone(f"+86138001380{n:02d}") for n in range(40)]
    told = Counter(await at_once(acts.send(to=number) for number in numbers))
    assert told == {"issued": 15, "QuotaExceeded": 25}


async def test_a_refusal_says_exactly_when_to_come_back(store):
    """One microsecond earlier is refused, and the instant itself is not."""
    acts = Acts(store, quotas=(Quota(Scope.DESTINATION, 3, HOUR),))
    for minute in (0, 7, 20):
        acts.at(minute * MINUTE + 3 * TICK)
        await acts.send()
    acts.at(31 * MINUTE)
    refusal = await refused(acts)
    assert (refusal.scope, refusal.amount, refusal.window) == ("destination", 3, HOUR)
    assert refusal.retry_in == 29 * MINUTE + 3 * TICK
    acts.later(refusal.retry_in - TICK)
    assert (await refused(acts)).retry_in == TICK
    acts.later(TICK)
    await acts.send()
    assert (await refused(acts)).retry_in == 7 * MINUTE


async def test_the_refusal_of_one_scope_spends_nothing_of_another(store):
    """Several scopes are counted in one act, all or none."""
    acts = Acts(store, quotas=(Quota(Scope.NETWORK, 5, HOUR), Quota(Scope.DESTINATION, 2, HOUR)))
    for _ in range(2):
        await acts.send(network="192.0.2.1")
    for _ in range(10):
        assert (await refused(acts, network="192.0.2.1")).scope == "destination"
    for _ in range(2):
        await acts.send(to=BOB, network="192.0.2.1")
    await acts.send(to=phone("+8613700137000"), network="192.0.2.1")
    refusal = await refused(acts, to=phone("+8613700137000"), network="192.0.2.1")
    assert refusal.scope == "network"


async def test_the_longest_wait_is_told(store):
    """Whoever comes back when told is not sent away by the next limit."""
    acts = Acts(store, quotas=(Quota(Scope.NETWORK, 1, HOUR), Quota(Scope.DESTINATION, 1, DAY)))
    await acts.send(network="n")
    refusal = await refused(acts, network="n")
    assert (refusal.scope, refusal.retry_in) == ("destination", DAY)
    acts.later(refusal.retry_in)
    await acts.send(network="n")


@pytest.mark.parametrize(
    ("scope", "same", "other"),
    [
        (Scope.DESTINATION, {"to": ANN}, {"to": BOB}),
        (Scope.NETWORK, {"network": "192.0.2.1"}, {"network": "192.0.2.2"}),
        (Scope.FINGERPRINT, {"fingerprint": "a"}, {"fingerprint": "b"}),
        (Scope.ACCOUNT, {"account": "a"}, {"account": "b"}),
        (Scope.PREFIX, {"to": ANN}, {"to": BOB}),
        (Scope.COUNTRY, {"to": ANN}, {"to": phone("+14155550123")}),
        (Scope.APP, {}, {"app": BANK}),
    ],
)
async def test_each_value_of_a_scope_has_its_own_count(store, scope, same, other):
    """And what a send has no value for is not counted at all."""
    acts = Acts(store, quotas=(Quota(scope, 1, HOUR),))
    await acts.send(**same)
    assert (await refused(acts, **same)).scope == scope
    await acts.send(**other)


async def test_everything_is_one_count_for_all_apps(store):
    acts = Acts(store, quotas=(Quota(Scope.EVERYTHING, 2, HOUR),))
    await acts.send()
    await acts.send(app=BANK, to=BOB)
    assert (await refused(acts)).scope == "everything"


async def test_an_unknown_network_is_not_counted(store):
    acts = Acts(store, quotas=(Quota(Scope.NETWORK, 1, HOUR),))
    for _ in range(3):
        await acts.send()


async def test_spellings_and_tags_of_a_destination_share_its_limit(store):
    acts = Acts(store, quotas=(Quota(Scope.DESTINATION, 2, HOUR),))
    await acts.send(to=mailbox("ann@example.com"), channel="email")
    await acts.send(to=mailbox("Ann+news@EXAMPLE.com"), channel="email")
    await refused(acts, to=mailbox("ann+more@example.com"), channel="email")


async def test_two_trailing_quotas_on_one_counter_both_hold(store):
    """2 an hour and 3 a day: each is exact although they share their instants."""
    quotas = (Quota(Scope.DESTINATION, 2, HOUR), Quota(Scope.DESTINATION, 3, DAY))
    acts = Acts(store, quotas=quotas)
    await acts.send()
    acts.later(10 * MINUTE)
    await acts.send()
    assert (await refused(acts)).retry_in == 50 * MINUTE
    acts.at(HOUR)
    await acts.send()
    refusal = await refused(acts)
    assert (refusal.retry_in, refusal.amount) == (23 * HOUR, 3)
    acts.at(DAY - TICK)
    await refused(acts)
    acts.at(DAY)
    await acts.send()


async def test_a_window_slides_instead_of_starting_anew(store):
    """A burst at the seam of two hours gets no double portion."""
    acts = Acts(store, quotas=(Quota(Scope.DESTINATION, 3, HOUR),))
    for second in (0, 1, 2):
        acts.at(59 * MINUTE + timedelta(seconds=second))
        await acts.send()
    acts.at(61 * MINUTE)
    await refused(acts)


async def test_a_ring_of_10_000_is_exact(store):
    """Exactly n go through, then none, and one as soon as the first is a window ago."""
    n = LARGEST_TRAILING
    acts = Acts(store, quotas=(Quota(Scope.EVERYTHING, n, HOUR),))
    await fill(acts, n - 1)
    acts.later(MINUTE)
    assert Counter(await at_once(acts.send() for _ in range(3))) == {
        "issued": 1,
        "QuotaExceeded": 2,
    }
    assert (await refused(acts)).retry_in == 59 * MINUTE
    acts.at(HOUR - TICK)
    await refused(acts)
    acts.at(HOUR)
    assert (await at_once([acts.send()])) == ["issued"]


async def test_a_ring_frees_one_for_each_that_left(store):
    """Long after its first turn a ring still counts each instant, across all its parts."""
    acts = Acts(store, quotas=(Quota(Scope.EVERYTHING, 70, 70 * MINUTE),))
    for minute in range(200):
        acts.at(minute * MINUTE)
        await acts.send()
    assert (await refused(acts)).retry_in == MINUTE


async def fill(acts: Acts, times: int) -> None:
    """Spend so many units at once, without the rest of a send."""
    for begin in range(0, times, 200):
        told = await at_once(acts.send() for _ in range(min(200, times - begin)))
        assert set(told) == {"issued"}


DAYS = [
    # a day of 23 hours, one of 25, one that begins at 01:00, and plain ones
    ("Europe/Berlin", datetime(2026, 3, 28, 23, tzinfo=UTC), timedelta(hours=23)),
    ("Europe/Berlin", datetime(2026, 10, 24, 22, tzinfo=UTC), timedelta(hours=25)),
    ("America/New_York", datetime(2026, 3, 8, 5, tzinfo=UTC), timedelta(hours=23)),
    ("America/New_York", datetime(2026, 11, 1, 4, tzinfo=UTC), timedelta(hours=25)),
    ("America/Sao_Paulo", datetime(2018, 11, 4, 3, tzinfo=UTC), timedelta(hours=23)),
    ("Asia/Shanghai", datetime(2026, 3, 1, 16, tzinfo=UTC), timedelta(hours=24)),
]


@pytest.mark.parametrize(("zone", "opens_at", "length"), DAYS)
async def test_a_calendar_day_is_as_long_as_it_is(store, zone, opens_at, length):
    """It opens and closes at the zone's own midnights, and says when."""
    quota = Quota(Scope.DESTINATION, 2, span=Span.DAY, zone=zone)
    acts = Acts(store, now=opens_at - TICK, quotas=(quota,))
    for _ in range(2):
        await acts.send()
    assert (await refused(acts)).retry_in == TICK
    acts.now = opens_at
    for _ in range(2):
        await acts.send()
    refusal = await refused(acts)
    assert (refusal.retry_in, refusal.window) == (length, length)
    acts.now = opens_at + length - TICK
    await refused(acts)
    acts.now = opens_at + length
    await acts.send()


async def test_a_calendar_month_closes_with_its_last_day(store):
    quota = Quota(Scope.DESTINATION, 1, span=Span.MONTH, zone="Europe/Berlin")
    acts = Acts(store, now=datetime(2028, 2, 10, tzinfo=UTC), quotas=(quota,))
    await acts.send()
    refusal = await refused(acts)
    assert acts.now + refusal.retry_in == datetime(2028, 2, 29, 23, tzinfo=UTC)
    acts.later(refusal.retry_in)
    await acts.send()


async def test_the_strictest_of_two_quotas_on_one_day_holds(store):
    """In whichever order they were configured."""
    quotas = [Quota(Scope.DESTINATION, amount, span=Span.DAY) for amount in (3, 1, 2)]
    acts = Acts(store, quotas=quotas)
    await acts.send()
    assert (await refused(acts)).amount == 1


async def test_calendar_and_trailing_quotas_are_counted_apart(store):
    day = Quota(Scope.DESTINATION, 2, span=Span.DAY)
    acts = Acts(
        store, now=NOW.replace(hour=23, minute=0), quotas=(day, Quota(Scope.DESTINATION, 3, DAY))
    )
    await acts.send()
    await acts.send()
    assert (await refused(acts)).retry_in == HOUR
    acts.later(HOUR)
    await acts.send()
    assert (await refused(acts)).retry_in == 23 * HOUR


@pytest.mark.parametrize(
    "quota",
    [Quota(Scope.DESTINATION, 2, HOUR), Quota(Scope.DESTINATION, 2, span=Span.DAY)],
    ids=["trailing", "calendar"],
)
async def test_a_clock_that_steps_back_grants_nothing(store, quota):
    """Limits go by the latest instant they have seen, and still say when to come back."""
    acts = Acts(store, quotas=(quota,))
    await acts.send()
    acts.later(MINUTE)
    await acts.send()
    acts.later(-2 * DAY)
    refusal = await refused(acts)
    acts.later(refusal.retry_in - TICK)
    await refused(acts)
    acts.later(TICK)
    await acts.send()


async def test_what_was_spent_on_a_clock_gone_back_counts_as_of_the_latest_instant(store):
    acts = Acts(store, quotas=(Quota(Scope.DESTINATION, 2, HOUR),))
    await acts.send()
    acts.later(-30 * MINUTE)
    await acts.send()
    acts.at(45 * MINUTE)
    assert (await refused(acts)).retry_in == 15 * MINUTE


async def test_a_resend_waits_for_its_interval(store):
    """And the refusal spends nothing of any limit."""
    acts = Acts(store, quotas=(Quota(Scope.DESTINATION, 2, HOUR),), resend_interval=MINUTE)
    issued = await acts.send()
    assert issued.resend_at == acts.now + MINUTE
    acts.later(MINUTE - TICK)
    for _ in range(5):
        with pytest.raises(ResendTooSoon) as refusal:
            await acts.send()
        assert refusal.value.retry_in == TICK
    acts.later(TICK)
    await acts.send()
    acts.later(MINUTE)
    assert type(await refused(acts)) is QuotaExceeded


async def test_a_refused_send_changes_nothing(store):
    """No challenge, no delivery, no code that would be right."""
    acts = Acts(store, quotas=(Quota(Scope.DESTINATION, 1, HOUR),))
    issued = await acts.send()
    before = await acts.store.challenge("shop", issued.challenge_id)
    acts.later(6 * MINUTE)
    await refused(acts)
    assert await acts.store.challenge("shop", issued.challenge_id) == before
    assert len(await acts.store.deliveries("shop", issued.challenge_id)) == 1


@pytest.mark.parametrize(
    ("quotas", "wish"),
    [
        ((Quota(Scope.APP, 1, HOUR),), {"to": BOB}),
        ((Quota(Scope.EVERYTHING, 1, span=Span.DAY),), {"to": BOB, "network": "n"}),
        ((Quota(Scope.DESTINATION, 9, HOUR), Quota(Scope.APP, 1, HOUR)), {"to": BOB}),
        ((Quota(Scope.DESTINATION, 1, HOUR), Quota(Scope.NETWORK, 9, HOUR)), {"network": "n"}),
        ((Quota(Scope.DESTINATION, 1, HOUR), Quota(Scope.NETWORK, 9, HOUR)), {"once": once("k")}),
    ],
)
async def test_a_refused_send_leaves_no_row_behind(store, place, quotas, wish):
    """Neither of whom it was for, nor of where it came from: refusals are free, so they hold no
    space."""
    acts = Acts(store, quotas=quotas)
    await acts.send()
    before = place.contents()
    for _ in range(3):
        await refused(acts, **wish)
    assert place.contents() == before


async def test_mailboxes_that_only_fold_alike_are_two_people_under_one_limit(store):
    """Whoever owns strasse@ is sent no code of straße@, and has no second limit by it."""
    acts = Acts(store, quotas=(Quota(Scope.DESTINATION, 2, HOUR),))
    people = [mailbox("straße@example.com"), mailbox("strasse@example.com")]
    one, other = [await acts.send(to=to, channel="email") for to in people]
    assert one.challenge_id != other.challenge_id
    assert (one.opened, other.opened) == (True, True)
    for to in people:
        await refused(acts, to=to, channel="email")


@pytest.mark.parametrize(
    ("plain", "tagged"),
    [
        ('"ann smith"@example.com', '"ann smith+1"@example.com'),
        ("ann@example.com", '"ann+a b"@example.com'),
    ],
)
async def test_a_tag_within_quotes_is_no_other_limit(store, plain, tagged):
    acts = Acts(store, quotas=(Quota(Scope.DESTINATION, 2, HOUR),))
    await acts.send(to=mailbox(plain), channel="email")
    await acts.send(to=mailbox(tagged), channel="email")
    for spelled in (plain, tagged):
        await refused(acts, to=mailbox(spelled), channel="email")


async def test_a_limit_whose_window_was_shortened_still_counts(store):
    """What a sweep left of the longer count is in nobody's way, over several pages."""
    hour, day = (
        Quota(Scope.NETWORK, amount, window) for amount, window in ((70, HOUR), (500, DAY))
    )
    acts = Acts(store, quotas=(hour, day))
    for _ in range(40):
        await acts.send(network="n")
    acts.house = msgspec.structs.replace(acts.house, meters=meters((hour,)))
    acts.at(MINUTE)
    await acts.send(network="n")
    acts.at(HOUR + 2 * MINUTE)
    await acts.sweep()
    for _ in range(70):
        await acts.send(network="n")
    assert (await refused(acts, network="n")).retry_in == HOUR


@pytest.mark.parametrize(
    "quota",
    [Quota(Scope.APP, 0, HOUR), Quota(Scope.APP, 0, span=Span.DAY)],
    ids=["trailing", "calendar"],
)
async def test_while_a_limit_changes_the_larger_one_is_not_exceeded(store, quota):
    """Servers are restarted one after the other, and meanwhile have two opinions. What one of them
    granted counts for the other, and a refusal by either forgets nothing."""
    small, large = (
        Acts(store, quotas=(msgspec.structs.replace(quota, amount=amount),)) for amount in (64, 200)
    )
    assert await granted(large, 90) == 90
    assert await granted(small, 20) == 0
    assert await granted(large, 60) == 60
    assert await granted(small, 20) == 0
    assert await granted(large, 60) == 50
    assert await granted(small, 20) == 0
    assert await granted(large, 20) == 0


async def test_houses_of_two_limits_at_once_never_exceed_the_larger_one(store):
    small, large = (Acts(store, quotas=(Quota(Scope.APP, amount, HOUR),)) for amount in (64, 200))
    sends = (acts.send(to=to) for to in people(250) for acts in (small, large))
    told = Counter(await at_once(sends))
    assert told == {"issued": 200, "QuotaExceeded": 300}


async def granted(acts: Acts, times: int) -> int:
    """How many of so many sends at once go through, each to somebody else."""
    return (await at_once(acts.send(to=to) for to in people(times))).count("issued")


def people(count: int) -> list[Destination]:
    return [phone(f"+86138001{n:05d}") for n in range(count)]


@pytest.mark.parametrize("scope", [Scope.DESTINATION, Scope.APP])
async def test_a_calendar_limit_may_be_larger_than_32_bits(store, scope):
    acts = Acts(store, quotas=(Quota(scope, 2**31 + 1, span=Span.DAY),))
    assert set(await at_once(acts.send() for _ in range(9))) == {"issued"}
