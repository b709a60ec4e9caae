"""A plain model of DESIGN section 2, and a machine that looks for a difference.

The model is written from the promises, not from the store: it keeps every instant it has seen in
plain lists and counts them anew for each question.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from datetime import timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from tests.contract.acting import (
    ANN,
    BANK,
    BOB,
    DAY,
    HOUR,
    MINUTE,
    MODES,
    NOW,
    SHOP,
    TICK,
    Acts,
    at_once,
    once,
)
from tests.contract.places import Place
from watchword.domain.challenge import State, Verdict
from watchword.domain.failures import Budget
from watchword.domain.policy import Resend
from watchword.domain.quota import Quota, Scope, Span
from watchword.errors import (
    ChallengeClosed,
    ChallengeNotFound,
    FailureBudgetSpent,
    IdempotencyKeyReused,
    QuotaExceeded,
    ResendTooSoon,
    WatchwordError,
)

SOAK = "WATCHWORD_SOAK" in os.environ
PROFILE = settings(
    max_examples=2000 if SOAK else 50,
    stateful_step_count=60 if SOAK else 30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

BUDGET = Budget(per_network=4, per_destination=7, in_a_row=9)
HOURLY = Quota(Scope.DESTINATION, 6, HOUR)
DAILY = Quota(Scope.DESTINATION, 9, DAY)
OF_THE_APP = Quota(Scope.APP, 14, span=Span.DAY)
ATTEMPTS, TTL, INTERVAL = 4, 10 * MINUTE, timedelta(seconds=60)

Refused = tuple[type[WatchwordError], timedelta | None]


class Code:
    def __init__(self, text, drawn_at, ttl):
        self.text, self.drawn_at, self.expires_at = text, drawn_at, drawn_at + ttl


class Open:
    """A challenge as the model has it."""

    def __init__(self, challenge_id, app, to, subject, length):
        self.id, self.length = challenge_id, length
        self.app, self.to, self.subject = app, to, subject
        self.codes: list[Code] = []
        self.ever: list[str] = []
        self.attempts, self.state = 0, State.PENDING
        self.sent_at = NOW

    @property
    def expires_at(self):
        return max(code.expires_at for code in self.codes)

    def state_at(self, now):
        if self.state is State.PENDING and self.expires_at <= now:
            return State.EXPIRED
        return self.state


class Model:
    def __init__(self, mode):
        self.mode = mode
        self._latest: dict[tuple, Open] = {}
        self.spent: dict[tuple, list] = {}
        self.failed: dict[tuple, list] = {}

    @property
    def latest(self):
        return self._latest.values()

    def standing(self, app, to, subject, now):
        latest = self._latest.get((app.id, to.identity, subject))
        return latest if latest and latest.state_at(now) is State.PENDING else None

    def opened(self, challenge):
        self._latest[challenge.app.id, challenge.to.identity, challenge.subject] = challenge
        return challenge

    def refuses_failures(self, app, to, network, now) -> Refused | None:
        failures = self.failed.get((app.id, to.identity), [])
        waits = [_guess_wait([at for at, _ in failures], BUDGET.per_destination, now)]
        if network:
            theirs = [at for at, whence in failures if whence == network]
            waits.append(_guess_wait(theirs, BUDGET.per_network, now))
        return _longest(FailureBudgetSpent, waits)

    def refuses_send(self, app, to, subject, network, now) -> Refused | None:
        if refusal := self.refuses_failures(app, to, network, now):
            return refusal
        standing = self.standing(app, to, subject, now)
        if standing and now < standing.sent_at + INTERVAL:
            return ResendTooSoon, standing.sent_at + INTERVAL - now
        sends = self.spent.get((app.id, to.identity), [])
        waits = [_trailing_wait(sends, quota, now) for quota in (HOURLY, DAILY)]
        today = now.replace(hour=0, minute=0, second=0, microsecond=0)
        of_app = [at for (name, _), sent in self.spent.items() if name == app.id for at in sent]
        if sum(at >= today for at in of_app) >= OF_THE_APP.amount:
            waits.append(today + DAY - now)
        return _longest(QuotaExceeded, waits)

    def repeats(self, standing, now):
        """Whether a resend says the newest code again."""
        if self.mode is not Resend.SAME:
            return False
        newest = standing.codes[-1]
        return newest.expires_at - now >= (newest.expires_at - newest.drawn_at) / 2

    def sent(self, challenge, text, ttl, now):
        self.spent.setdefault((challenge.app.id, challenge.to.identity), []).append(now)
        challenge.sent_at = now
        if challenge.codes and self.repeats(challenge, now):
            return
        alive = [code for code in challenge.codes if code.expires_at > now]
        keep = [] if self.mode is Resend.NEWEST else alive[-2:]
        challenge.codes = [*keep, Code(text, now, ttl)]
        challenge.ever.append(text)

    def verdict(self, challenge, text, network, now):
        """Judge an answer, and change what it changes."""
        state = challenge.state_at(now)
        if state is not State.PENDING:
            return {State.APPROVED: Verdict.ALREADY_USED}.get(state) or Verdict(state.value)
        failures = self.failed.setdefault((challenge.app.id, challenge.to.identity), [])
        if any(code.text == text and code.expires_at > now for code in challenge.codes):
            challenge.state = State.APPROVED
            failures.clear()
            return Verdict.MATCH
        failures.append((now, network))
        challenge.attempts += 1
        if challenge.attempts == ATTEMPTS:
            challenge.state = State.EXHAUSTED
        return Verdict.MISMATCH


def _trailing_wait(instants, quota, now):
    """Wait until fewer than the amount are left in the window behind us."""
    inside = sorted(at for at in instants if at > now - quota.window)
    surplus = len(inside) - quota.amount
    return inside[surplus] + quota.window - now if surplus >= 0 else None


def _guess_wait(instants, amount, now):
    if len(instants) >= BUDGET.in_a_row and instants[-1] + BUDGET.rest > now:
        return instants[-1] + BUDGET.rest - now
    return _trailing_wait(instants, Quota(Scope.DESTINATION, amount, BUDGET.window), now)


def _longest(kind, waits) -> Refused | None:
    waits = [wait for wait in waits if wait]
    return (kind, max(waits)) if waits else None


class Machine(RuleBasedStateMachine):
    """Everything that may happen to codes, done to the store and to the model."""

    challenges = Bundle("challenges")
    answered = Bundle("answered")
    new_place: Callable[[], AbstractContextManager[Place]]

    def __init__(self):
        super().__init__()
        self.over = ExitStack()
        self.loop = asyncio.new_event_loop()
        self.keys = 0

    def do(self, act):
        return self.loop.run_until_complete(act)

    @initialize(mode=st.sampled_from(MODES))
    def opens(self, mode):
        self.store = self.do(self.over.enter_context(self.new_place()).open())
        self.acts = Acts(
            self.store,
            budget=BUDGET,
            quotas=(HOURLY, DAILY, OF_THE_APP),
            length=12,
            ttl=TTL,
            max_attempts=ATTEMPTS,
            resend_interval=INTERVAL,
            resend=mode,
        )
        self.model = Model(mode)

    def teardown(self):
        if hasattr(self, "store"):
            self.do(self.store.close())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        self.over.close()

    @property
    def now(self):
        return self.acts.now

    def refused(self, act):
        """The refusal of an act, as the model puts it; None when it was done."""
        try:
            return None, self.do(act)
        except QuotaExceeded as refusal:
            return (type(refusal), refusal.retry_in), None
        except WatchwordError as refusal:
            return (type(refusal), None), None

    @rule(
        target=challenges,
        app=st.sampled_from((SHOP, BANK)),
        to=st.sampled_from((ANN, BOB)),
        subject=st.sampled_from((b"", b"", b"other")),
        network=st.sampled_from(("", "a", "b")),
        ttl=st.sampled_from((None, None, 2 * MINUTE, 40 * MINUTE)),
        length=st.sampled_from((None, 14)),
    )
    def send(self, app, to, subject, network, ttl, length):
        """Issue or resend: refused exactly when the model refuses, for exactly as long."""
        expected = self.model.refuses_send(app, to, subject, network, self.now)
        wish = {"subject": subject, "network": network, "ttl": ttl, "code_length": length}
        refusal, issued = self.refused(self.acts.send(app, to, **wish))
        assert refusal == expected
        if refusal:
            return multiple()
        standing = self.model.standing(app, to, subject, self.now)
        assert issued.opened == (standing is None)
        challenge = standing or self.model.opened(
            Open(issued.challenge_id, app, to, subject, length or 12)
        )
        self._was_sent(challenge, issued, ttl or TTL)
        return multiple() if standing else challenge

    @rule(challenge=challenges)
    def resend(self, challenge):
        """By its id: only an open challenge that is the last of its key."""
        refusal, issued = self.refused(self.acts.resend(challenge.id, challenge.app))
        now = self.now
        forgotten = refusal == (ChallengeNotFound, None)
        if forgotten:
            assert challenge.expires_at + DAY <= now
            return
        assert refusal == self._refuses_resend(challenge, now)
        if refusal is None:
            self._was_sent(challenge, issued, TTL)

    def _refuses_resend(self, challenge, now):
        if refusal := self.model.refuses_failures(challenge.app, challenge.to, "", now):
            return refusal
        key = (challenge.app, challenge.to, challenge.subject)
        if self.model.standing(*key, now) is not challenge:
            return ChallengeClosed, None
        return self.model.refuses_send(*key, "", now)

    def _was_sent(self, challenge, issued, ttl):
        assert issued.challenge_id == challenge.id
        code = self.do(self.acts.code(challenge.id, challenge.app))
        assert len(code) == challenge.length
        self.model.sent(challenge, code, ttl, self.now)
        newest = challenge.codes[-1]
        assert code == newest.text
        assert issued.expires_at == newest.expires_at
        assert issued.resend_at == self.now + INTERVAL
        assert issued.attempts_left == ATTEMPTS - challenge.attempts

    @rule(challenge=challenges, network=st.sampled_from(("", "a", "b")), which=st.integers(0, 9))
    def check_a_code_it_once_had(self, challenge, network, which):
        """Live, expired, killed or used."""
        self._check(challenge, challenge.ever[-1 - which % len(challenge.ever)], network)

    @rule(challenge=challenges, network=st.sampled_from(("", "a", "b")))
    def check_a_wrong_code(self, challenge, network):
        self._check(challenge, "-wrong-", network)

    @rule(challenge=challenges, other=challenges)
    def check_anothers_code(self, challenge, other):
        self._check(challenge, other.ever[-1], "")

    @rule(target=answered, challenge=challenges, is_right=st.booleans())
    def check_with_a_key(self, challenge, is_right):
        """Its answer is to be had again for a day."""
        code = challenge.ever[-1] if is_right else "-wrong-"
        self.keys += 1
        key = str(self.keys)
        judged = self._check(challenge, code, "", once=once(key))
        return multiple() if judged is None else (key, self.now, challenge, code, judged)

    def _check(self, challenge, text, network, **more):
        app = challenge.app
        expected = self.model.refuses_failures(app, challenge.to, network, self.now)
        act = self.acts.check(challenge.id, text, app, network, **more)
        refusal, judged = self.refused(act)
        if refusal == (ChallengeNotFound, None):
            assert challenge.expires_at + DAY <= self.now
            return None
        assert refusal == expected
        if refusal is None:
            assert judged.verdict is self.model.verdict(challenge, text, network, self.now)
            assert judged.attempts_left == ATTEMPTS - challenge.attempts
        return judged

    @rule(answer=answered)
    def ask_again(self, answer):
        """The first answer, and nothing else happens: every later rule would notice."""
        key, at, challenge, code, first = answer
        if self.now < at + DAY:
            again = self.do(self.acts.check(challenge.id, code, challenge.app, once=once(key)))
            assert again.replayed
            assert (again.verdict, again.attempts_left) == (first.verdict, first.attempts_left)

    @rule(answer=consumes(answered))
    def ask_something_else(self, answer):
        key, at, challenge, code, _ = answer
        if self.now < at + DAY:
            act = self.acts.check(challenge.id, code, challenge.app, once=once(key, "other"))
            assert self.refused(act)[0] == (IdempotencyKeyReused, None)

    @rule(challenge=challenges)
    def answer_rightly_twice_at_once(self, challenge):
        now = self.now
        if challenge.state_at(now) is not State.PENDING:
            return
        if self.model.refuses_failures(challenge.app, challenge.to, "", now):
            return
        live = [code.text for code in challenge.codes if code.expires_at > now]
        acts = [self.acts.check(challenge.id, live[0], challenge.app) for _ in range(3)]
        told = self.do(at_once(acts))
        assert sorted(told) == [Verdict.ALREADY_USED, Verdict.ALREADY_USED, Verdict.MATCH]
        assert self.model.verdict(challenge, live[0], "", now) is Verdict.MATCH

    @rule(challenge=challenges)
    def another_app_asks(self, challenge):
        """It finds nothing, and changes nothing."""
        other = BANK if challenge.app is SHOP else SHOP
        refusal, _ = self.refused(self.acts.check(challenge.id, challenge.ever[-1], other))
        assert refusal == (ChallengeNotFound, None)
        refusal, _ = self.refused(self.store.cancel(other.id, challenge.id, self.now))
        assert refusal == (ChallengeNotFound, None)

    @rule(challenge=challenges)
    def cancel(self, challenge):
        refusal, _ = self.refused(self.store.cancel(challenge.app.id, challenge.id, self.now))
        if refusal is None and challenge.state_at(self.now) is State.PENDING:
            challenge.state = State.CANCELLED

    @rule(
        span=st.sampled_from(
            (TICK, INTERVAL - TICK, INTERVAL, 2 * INTERVAL, 5 * MINUTE, TTL, BUDGET.window)
        )
    )
    def time_passes(self, span):
        self.acts.later(span)

    @rule(span=st.sampled_from((HOUR - TICK, 7 * HOUR, 23 * HOUR)))
    def much_time_passes(self, span):
        self.acts.later(span)

    @rule(app=st.sampled_from((SHOP, BANK)), to=st.sampled_from((ANN, BOB)))
    def waits_as_told(self, app, to):
        """A tick before the end of a wait it is still refused; the rules above try the rest."""
        if refusal := self.model.refuses_send(app, to, b"", "", self.now):
            _, wait = refusal
            assert wait
            self.acts.later(wait - TICK)
            assert self.refused(self.acts.send(app, to))[0]
            self.acts.later(TICK)

    @rule(most=st.integers(1, 20))
    def sweep(self, most):
        self.do(self.store.sweep(self.now, most=most))

    @invariant()
    def every_challenge_is_as_the_model_has_it(self):
        if not hasattr(self, "model"):
            return
        for challenge in self.model.latest:
            try:
                found = self.do(self.store.challenge(challenge.app.id, challenge.id))
            except ChallengeNotFound:
                assert challenge.expires_at + DAY <= self.now
                continue
            state = challenge.state_at(self.now)
            assert found.state_at(self.now) is state
            assert found.attempts == challenge.attempts
            if state is State.PENDING:
                assert found.expires_at == challenge.expires_at
                codes = [self.acts.ring.behind[draw.digest] for draw in found.draws]
                assert codes == [code.text for code in challenge.codes]


def test_the_store_agrees_with_the_model(new_place):
    """Whatever is done in whatever order, both say the same."""
    machine = type("Machine", (Machine,), {"new_place": staticmethod(new_place)})
    run_state_machine_as_test(machine, settings=PROFILE)
