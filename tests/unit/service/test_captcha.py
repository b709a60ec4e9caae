"""The gate: a captcha is answered once, its pass is taken once, and nobody else's is touched."""

import asyncio
from collections import Counter
from datetime import timedelta

import msgspec
import pytest

from tests.contract import places
from tests.contract.acting import NOW, TICK, Acts
from watchword.domain.quota import Quota, Scope, meters
from watchword.errors import KeyUnknown, ProviderUnavailable, QuotaExceeded, RequestInvalid
from watchword.ports import DrawnCaptcha, Solution, Write
from watchword.service.gate import MOST_EFFORT, Asker, CaptchaState, Gate, Holder
from watchword.service.show_captcha import Shown, show
from watchword.service.solve_captcha import MOST_PASSES, Answer, solve
from watchword.service.take_pass import look, take

RIGHT, WRONG, GONE = CaptchaState.RIGHT, CaptchaState.WRONG, CaptchaState.GONE
TTL, PASS_TTL = timedelta(seconds=120), timedelta(seconds=180)
HERE = "192.0.2.1"
ASKER = Asker(client_id="client", fingerprint="device", network=HERE)
ANN, BOB = "+8615200000000", "+8615200000001"


class Riddle:
    """A Captcha whose answer is the word that it shows; what stands after a space is not judged,
    and is part of what was answered."""

    name = "riddle"

    def __init__(self):
        self.efforts = []
        self.judged = 0
        self.away = False

    async def draw(self, token, *, effort, expires_at):
        if self.away:
            raise ProviderUnavailable
        self.efforts.append(effort)
        return DrawnCaptcha(shown={"word": f"word of {token}"}, secret=token.encode())

    async def judge(self, secret, answer, *, token, network, now):
        if self.away:
            raise ProviderUnavailable
        assert secret == token.encode()
        self.judged += 1
        await asyncio.sleep(0)
        if not answer.startswith(f"word of {token}"):
            return None
        return Solution(text=answer, ciphered=f"ciphered {answer}")

    async def close(self):
        """Nothing is open."""


@pytest.fixture
def place(request, store_kind):
    """Where an empty store is."""
    with places.empty(store_kind, request.getfixturevalue) as place:
        yield place


@pytest.fixture
async def store(place):
    store = await place.open()
    yield store
    await store.close()


@pytest.fixture
def acts(store):
    return Acts(store)


@pytest.fixture
def riddle():
    return Riddle()


@pytest.fixture
def gate(acts, riddle):
    return Gate(house=acts.house, kinds={"riddle": riddle}, ttl=TTL, pass_ttl=PASS_TTL)


def holder(receiver=ANN, asker=ASKER):
    return Holder(client_id=asker.client_id, receiver=receiver, fingerprint=asker.fingerprint)


async def answered(gate, acts, text=None, receiver=ANN, asker=ASKER, shown=None):
    shown = shown or await show("riddle", asker, gate, now=acts.now)
    answer = Answer(
        token=shown.token, text=text or shown.shown["word"], asker=asker, receiver=receiver
    )
    return await solve(answer, gate, now=acts.now)


async def passed(gate, acts, receiver=ANN, asker=ASKER):
    solved = await answered(gate, acts, receiver=receiver, asker=asker)
    assert solved.state is RIGHT
    return solved.captcha_token


async def state(gate, acts, token, held=None):
    return await look(token, held or holder(), gate, now=acts.now)


async def taken(gate, acts, token, held=None):
    return await take(token, held or holder(), gate, now=acts.now)


def per_network(amount, window=timedelta(minutes=1)):
    return meters([Quota(Scope.NETWORK, amount, window)])


# Shown and answered


async def test_a_right_answer_leaves_a_pass_that_says_it(gate, acts):
    """The text is the answer's own, to the letter."""
    shown = await show("riddle", ASKER, gate, now=acts.now)
    text = f"{shown.shown['word']} and more"
    solved = await answered(gate, acts, text, shown=shown)
    assert solved.captcha_token == f"{shown.token}---{text}"
    assert await state(gate, acts, solved.captcha_token) is RIGHT
    assert await taken(gate, acts, solved.captcha_token)


async def test_a_captcha_is_answered_once(gate, acts):
    shown = await show("riddle", ASKER, gate, now=acts.now)
    assert (await answered(gate, acts, "no", shown=shown)).state is WRONG
    assert (await answered(gate, acts, shown=shown)).state is GONE


@pytest.mark.parametrize("receiver", [ANN, None])
async def test_of_many_answers_at_once_one_counts(gate, acts, receiver):
    """Right and wrong ones together, each in a process of its own as the store sees it: at most
    one pass comes of them."""
    shown = await show("riddle", ASKER, gate, now=acts.now)
    texts = [shown.shown["word"], "no"] * 8
    gates = [msgspec.structs.replace(gate, judging=set()) for _ in texts]
    solved = await asyncio.gather(
        *(
            answered(one, acts, text, receiver, shown=shown)
            for one, text in zip(gates, texts, strict=True)
        )
    )
    told = Counter(one.state for one in solved)
    assert told[RIGHT] + told[WRONG] == 1
    assert told[GONE] == 15
    live = [one.captcha_token for one in solved if one.state is RIGHT]
    assert [await state(gate, acts, token) for token in live] == [RIGHT] * told[RIGHT]


async def test_a_captcha_is_judged_for_one_answer_at_a_time(gate, acts, riddle):
    """To judge may be a vendor's call: many answers to one captcha are not to keep it busy."""
    shown = await show("riddle", ASKER, gate, now=acts.now)
    solved = await asyncio.gather(*(answered(gate, acts, shown=shown) for _ in range(16)))
    assert Counter(one.state for one in solved) == {RIGHT: 1, GONE: 15}
    assert riddle.judged == 1
    assert not gate.judging


@pytest.mark.parametrize(
    "other", [{"client_id": "another"}, {"fingerprint": "another"}, {"client_id": ""}]
)
async def test_a_captcha_is_answered_by_whom_it_was_shown_to(gate, acts, other):
    """Whoever else tries does not spend its answer. Another network is no other device."""
    shown = await show("riddle", ASKER, gate, now=acts.now)
    somebody = msgspec.structs.replace(ASKER, **other)
    for text in (None, "no"):
        assert (await answered(gate, acts, text, asker=somebody, shown=shown)).state is GONE
    moved = msgspec.structs.replace(ASKER, network="192.0.2.2")
    assert (await answered(gate, acts, asker=moved, shown=shown)).state is RIGHT


async def test_a_captcha_dies_in_time(gate, acts):
    early = await show("riddle", ASKER, gate, now=acts.now)
    late = await show("riddle", ASKER, gate, now=acts.now)
    acts.later(TTL - TICK)
    assert (await answered(gate, acts, shown=early)).state is RIGHT
    acts.later(TICK)
    assert (await answered(gate, acts, shown=late)).state is GONE


@pytest.mark.parametrize("token", ["", "x", "0" * 32, "é", "\ud800", "\0", "a b", "0" * 5000])
async def test_a_captcha_that_was_never_shown_is_gone(gate, acts, token):
    answer = Answer(token=token, text="word", asker=ASKER, receiver=ANN)
    assert (await solve(answer, gate, now=acts.now)).state is GONE


async def test_a_kind_that_is_not_on_offer_is_refused(gate, acts):
    with pytest.raises(RequestInvalid) as refusal:
        await show("jigsaw", ASKER, gate, now=acts.now)
    assert refusal.value.field == "/captchaType"


async def test_a_kind_that_is_no_more_on_offer_is_gone(gate, acts):
    """Settings changed while it was being solved."""
    shown = await show("riddle", ASKER, gate, now=acts.now)
    other = msgspec.structs.replace(gate, kinds={"other": Riddle()})
    assert (await answered(other, acts, shown=shown)).state is GONE


async def test_whoever_cannot_judge_now_leaves_the_captcha(gate, acts, riddle):
    """And spends nothing of what may be wrong; what cannot be drawn is not shown."""
    shown = await show("riddle", ASKER, gate, now=acts.now)
    riddle.away = True
    with pytest.raises(ProviderUnavailable):
        await answered(gate, acts, shown=shown)
    with pytest.raises(ProviderUnavailable):
        await show("riddle", ASKER, gate, now=acts.now)
    riddle.away = False
    assert (await answered(gate, acts, shown=shown)).state is RIGHT


# Passes


@pytest.mark.parametrize(
    "other",
    [
        Holder(client_id="another", receiver=ANN, fingerprint="device"),
        Holder(client_id="client", receiver=BOB, fingerprint="device"),
        Holder(client_id="client", receiver=ANN, fingerprint="another"),
        Holder(client_id="clientd", receiver=ANN, fingerprint="evice"),
        Holder(client_id="client", receiver=f"{ANN}device", fingerprint=""),
    ],
)
async def test_a_pass_is_its_holders(gate, acts, other):
    """Nor do two holders run together whose parts do."""
    token = await passed(gate, acts)
    assert await state(gate, acts, token, other) is GONE
    assert not await taken(gate, acts, token, other)
    assert await taken(gate, acts, token)


async def test_another_string_is_wrong_while_a_pass_lives_and_gone_after(gate, acts):
    token = await passed(gate, acts)
    for other in ("", "x", token + " ", token[:-1], "\ud800", "x" * 100_000):
        assert await state(gate, acts, other) is WRONG
        assert not await taken(gate, acts, other)
    assert await taken(gate, acts, token)
    assert await state(gate, acts, token) is GONE
    assert not await taken(gate, acts, token)


async def test_to_look_takes_nothing(gate, acts):
    token = await passed(gate, acts)
    for _ in range(3):
        assert await state(gate, acts, token) is RIGHT
    assert await taken(gate, acts, token)


async def test_a_pass_dies_in_time(gate, acts):
    """Each in its own, whatever came after it."""
    early = await passed(gate, acts)
    acts.later(TICK)
    late = await passed(gate, acts)
    acts.later(PASS_TTL - TICK)
    assert await state(gate, acts, early) is WRONG
    assert not await taken(gate, acts, early)
    assert await state(gate, acts, late) is RIGHT
    acts.later(TICK)
    assert await state(gate, acts, late) is GONE
    assert not await taken(gate, acts, late)


async def test_of_many_who_take_one_pass_one_does(gate, acts):
    token = await passed(gate, acts)
    told = await asyncio.gather(*(taken(gate, acts, token) for _ in range(20)))
    assert sorted(told) == [False] * 19 + [True]


async def test_passes_taken_at_once_are_all_taken(gate, acts):
    """None loses to another one of the same holder, and none comes back."""
    tokens = [await passed(gate, acts) for _ in range(MOST_PASSES)]
    told = await asyncio.gather(*(taken(gate, acts, token) for token in tokens * 3))
    assert sum(told) == MOST_PASSES
    assert [await state(gate, acts, token) for token in tokens] == [GONE] * MOST_PASSES


async def test_passes_earned_at_once_are_all_good(gate, acts):
    """As many as there may be."""
    tokens = await asyncio.gather(*(passed(gate, acts) for _ in range(MOST_PASSES)))
    assert [await state(gate, acts, token) for token in tokens] == [RIGHT] * MOST_PASSES


async def test_one_more_takes_the_place_of_the_oldest(gate, acts):
    oldest, *others = [await passed(gate, acts) for _ in range(MOST_PASSES + 1)]
    assert await state(gate, acts, oldest) is WRONG
    assert [await state(gate, acts, token) for token in others] == [RIGHT] * MOST_PASSES


async def test_a_used_pass_makes_room(gate, acts):
    """Only live ones count."""
    first, second, third = [await passed(gate, acts) for _ in range(3)]
    assert await taken(gate, acts, second)
    fourth = await passed(gate, acts)
    assert [await state(gate, acts, t) for t in (first, third, fourth)] == [RIGHT] * 3


async def test_a_strangers_passes_take_nobodys_place(gate, acts):
    token = await passed(gate, acts)
    stranger = Asker(client_id="client", fingerprint="another", network=HERE)
    for _ in range(MOST_PASSES + 1):
        await passed(gate, acts, asker=stranger)
    assert await taken(gate, acts, token)


async def test_a_pass_that_was_taken_does_not_come_back_after_a_sweep(gate, acts):
    """The record of passes outlives them, so that its version does not begin anew."""
    token = await passed(gate, acts)
    assert await taken(gate, acts, token)
    acts.later(PASS_TTL)
    await acts.sweep()
    assert await state(gate, acts, token) is GONE
    newer = await passed(gate, acts)
    assert await state(gate, acts, token) is WRONG
    assert await taken(gate, acts, newer)


# Passes of whoever comes


async def test_a_pass_for_no_number_is_whosevers_shows_it_first(gate, acts):
    """In either spelling of a stock front end; with the one the other is gone."""
    for spell in ("{}", "ciphered {}"):
        solved = await answered(gate, acts, receiver=None, asker=Asker())
        text = solved.captcha_token.partition("---")[2]
        shown = spell.format(solved.captcha_token if spell == "{}" else text)
        for held in (holder(), holder(BOB)):
            assert await state(gate, acts, shown, held) is RIGHT
        told = await asyncio.gather(
            taken(gate, acts, shown), taken(gate, acts, shown, holder(BOB)),
            taken(gate, acts, solved.captcha_token), taken(gate, acts, f"ciphered {text}"),
        )  # fmt: skip
        assert sum(told) == 1
        assert await state(gate, acts, shown) is GONE


async def test_a_pass_for_no_number_dies_in_time(gate, acts):
    solved = await answered(gate, acts, receiver=None, asker=Asker())
    acts.later(PASS_TTL)
    assert await state(gate, acts, solved.captcha_token) is GONE
    assert not await taken(gate, acts, solved.captcha_token)


# Limits


async def test_a_network_is_shown_so_many(gate, acts):
    """Whichever client asks; a refusal says when to come back, and is not counted."""
    limited = msgspec.structs.replace(gate, shown=per_network(3))
    told = await asyncio.gather(
        *(show("riddle", ASKER, limited, now=acts.now) for _ in range(10)), return_exceptions=True
    )
    assert Counter(map(type, told)) == {Shown: 3, QuotaExceeded: 7}
    other = msgspec.structs.replace(ASKER, client_id="another", fingerprint="another")
    with pytest.raises(QuotaExceeded) as refusal:
        await show("riddle", other, limited, now=acts.now)
    assert refusal.value.retry_in == timedelta(minutes=1)
    elsewhere = msgspec.structs.replace(ASKER, network="192.0.2.2")
    assert await show("riddle", elsewhere, limited, now=acts.now)
    acts.later(timedelta(minutes=1))
    assert await show("riddle", ASKER, limited, now=acts.now)


async def test_a_network_may_be_wrong_so_often(gate, acts):
    """Then not even a right answer is heard, and nothing is shown; the captchas stay."""
    limited = msgspec.structs.replace(gate, wrong=per_network(2))
    kept = await show("riddle", ASKER, limited, now=acts.now)
    for _ in range(2):
        assert (await answered(limited, acts, "no")).state is WRONG
    for refused in (
        answered(limited, acts, shown=kept),
        show("riddle", ASKER, limited, now=acts.now),
        limited.refuse_guessers(HERE, acts.now),
    ):
        with pytest.raises(QuotaExceeded):
            await refused
    moved = msgspec.structs.replace(ASKER, network="192.0.2.2")
    assert (await answered(limited, acts, asker=moved, shown=kept)).state is RIGHT


async def test_right_and_late_answers_are_no_wrong_ones(gate, acts):
    limited = msgspec.structs.replace(gate, wrong=per_network(1))
    for _ in range(3):
        shown = await show("riddle", ASKER, limited, now=acts.now)
        assert (await answered(limited, acts, shown=shown)).state is RIGHT
        assert (await answered(limited, acts, "no", shown=shown)).state is GONE


async def test_work_doubles_each_time_a_network_has_had_its_usual_number(gate, acts, riddle):
    """Up to a last doubling, after which it waits; somebody else's work stays as it is."""
    working = msgspec.structs.replace(gate, usual={"riddle": per_network(2)[0]})
    for _ in range(2 * (MOST_EFFORT + 1)):
        await show("riddle", ASKER, working, now=acts.now)
    assert riddle.efforts == [effort for effort in range(MOST_EFFORT + 1) for _ in range(2)]
    with pytest.raises(QuotaExceeded):
        await show("riddle", ASKER, working, now=acts.now)
    await show("riddle", msgspec.structs.replace(ASKER, network=""), working, now=acts.now)
    acts.later(timedelta(minutes=1))
    await show("riddle", ASKER, working, now=acts.now)
    assert riddle.efforts[-2:] == [0, 0]


async def test_a_house_that_does_not_count_by_network_counts_none_of_it(gate, acts, riddle):
    once = per_network(1)
    house = msgspec.structs.replace(gate.house, by_network=False)
    free = msgspec.structs.replace(
        gate, house=house, shown=once, wrong=once, usual={"riddle": once[0]}
    )
    for _ in range(3):
        assert (await answered(free, acts, "no")).state is WRONG
    assert set(riddle.efforts) == {0}


# What rests, and what is printed


async def test_a_store_holds_neither_answers_nor_whom_they_are_for(gate, acts, place):
    """Sealed, or under keyed digests."""
    shown = await show("riddle", ASKER, gate, now=acts.now)
    token = await passed(gate, acts)
    text = token.partition("---")[2]
    held = repr(place.contents())
    assert shown.token in held
    for secret in ("word of", text, token, ANN, "15200000000", "device", HERE):
        assert secret not in held


def test_nothing_that_is_passed_around_prints_its_secrets():
    answer = Answer(token="secret", text="secret", asker=Asker(), receiver="secret")
    for one in (answer, Holder(client_id="secret", receiver="secret", fingerprint="secret")):
        assert "secret" not in repr(one)
        assert one.__rich_repr__() == []


async def test_what_is_sealed_for_one_captcha_is_read_as_no_other(gate, acts):
    """Whoever can write the store cannot move an answer to a captcha of their own."""
    one = await show("riddle", ASKER, gate, now=acts.now)
    two = await show("riddle", ASKER, gate, now=acts.now)
    record = await acts.store.record("captcha", one.token, NOW)
    moved = Write(kind="captcha", key=two.token, version=1, body=record.body)
    await acts.store.write([moved], acts.now)
    with pytest.raises(KeyUnknown):
        await answered(gate, acts, shown=two)
