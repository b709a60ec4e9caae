"""Load on a fleet while its database has trouble, and the audit of what came of it."""

import itertools
import random
import threading
import uuid
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress

from tests.postgres_server import rows
from tests.whole.conftest import eventually
from tests.whole.postgres_fleet import (
    ANSWERED_IN_S,
    UNSETTLED,
    Api,
    asks_to_try_again,
    mailbox,
    native_key,
    working,
)

CALLERS = 6
CHECKERS = 2
A_ROUND = 30
MOST_A_ROUND = 150
HOT = 4
PER_DESTINATION = 10
ATTEMPTS = 5
LIMITS = """
[policy]
resend_interval_s = 0
[limits]
destination = ["{per_destination}/1h"]
app = ["{per_app}/1h"]
"""
SETTLED = {"accepted", "failed", "expired", "cancelled", "unknown"}


class Ledger:
    """What callers were told, and what they were not."""

    def __init__(self):
        self.sent = {}  # id -> destination
        self.sends = []  # the id of each send that was acknowledged
        self.approved = []
        self.wrong = []  # ids, once for each wrong answer that was acknowledged
        self.waiting: deque[tuple[str, str]] = deque()  # those whose code nobody has typed yet
        self.doubted_sends = []  # those under a key that were answered "try again"
        self.doubted_checks = []
        self.doubted_tries = []  # the ids of those without a key
        self.served: Counter[str] = Counter()  # answers, by who gave them
        self.refused: Counter[str] = Counter()  # "try again", by who said so

    def told(self, to, answer):
        """A send was answered."""
        id = answer.json()["id"]
        self.sent[id] = to
        self.sends.append(id)

    @property
    def asked(self):
        """How many sends may have been granted."""
        return len(self.sends) + len(self.doubted_sends)

    @property
    def answered(self):
        return len(self.approved) + len(self.wrong)

    @property
    def doubted(self):
        return {*self.doubted_tries, *(id for id, *_ in self.doubted_checks)}


class Caller:
    """Sends codes and answers them, by both servers, until the round is over."""

    def __init__(self, trial, over):
        self.apis, self.hot, self.mail = trial.apis, trial.hot, trial.mail
        self.ledger, self.over = trial.ledger, over
        self._enough = trial.ledger.asked + MOST_A_ROUND

    def run(self):
        with ThreadPoolExecutor(CHECKERS) as checkers:
            while not self.over.is_set():
                self.once(checkers)

    def once(self, checkers):
        if self.ledger.asked < self._enough:
            trick = random.random()
            to = random.choice(self.hot) if trick < 0.2 else self.fresh(trick)
            self.send(to)
        else:
            self.look(random.choice(self.ledger.sends))
        for _ in range(min(2, len(self.ledger.waiting))):
            self.answer_the_next(checkers)

    def answer_the_next(self, checkers):
        with suppress(IndexError):  # another caller took it
            id, to = self.ledger.waiting.popleft()
            if to in self.mail.codes:
                self.answer(id, self.mail.codes[to], checkers)
            else:
                self.ledger.waiting.append((id, to))

    def fresh(self, trick):
        return mailbox("refuse" if trick < 0.3 else "ann")

    def send(self, to):
        key = str(uuid.uuid4())
        answer = self.ask(lambda api: api.send(to, key))
        if answer.status_code in (200, 201):
            self.ledger.told(to, answer)
            if to not in self.hot and not to.startswith("refuse"):
                self.ledger.waiting.append((answer.json()["id"], to))
        elif answer.status_code == 503:
            self.ledger.doubted_sends.append((to, key))
        else:
            assert answer.json()["type"].endswith(":limit-reached"), answer.text

    def look(self, id):
        answer = self.ask(lambda api: api.look(id))
        assert answer.status_code in (200, 503), answer.text

    def answer(self, id, code, checkers):
        """Some codes are typed right, some by two at once, some wrong, some only in the end."""
        trick = random.random()
        if trick < 0.3:
            self.right(id, code, str(uuid.uuid4()))
        elif trick < 0.6:
            for _ in checkers.map(lambda _: self.right(id, code), range(CHECKERS)):
                pass
        elif trick < 0.8:
            self.wrong(id, code)

    def right(self, id, code, key=None):
        answer = self.ask(lambda api: api.check(id, code, key))
        if answer.status_code == 200:
            assert answer.json()["status"] == "approved", answer.text
            self.ledger.approved.append(id)
        elif answer.status_code == 503 and key:
            self.ledger.doubted_checks.append((id, code, key))
        elif answer.status_code == 503:
            self.ledger.doubted_tries.append(id)
        else:
            assert answer.json()["type"].endswith(":already-approved"), answer.text

    def wrong(self, id, code):
        """More often than it may."""
        other = f"{(int(code) + 1) % 10**6:06d}"
        for _ in range(ATTEMPTS + 2):
            answer = self.ask(lambda api: api.check(id, other))
            if answer.status_code == 200:
                assert answer.json()["status"] == "pending", answer.text
                self.ledger.wrong.append(id)
            elif answer.status_code == 503:
                self.ledger.doubted_tries.append(id)
            else:
                assert answer.json()["type"].endswith(":exhausted"), answer.text

    def ask(self, call):
        name = random.choice(list(self.apis))
        answer = call(self.apis[name])
        if answer.status_code == 503:
            assert asks_to_try_again(answer), answer.text
        tally = self.ledger.refused if answer.status_code == 503 else self.ledger.served
        tally[name] += 1
        return answer


@contextmanager
def fleet_of_four(fleet):
    """Two servers and two workers: how the servers are called, by their names."""
    servers = {name: fleet.house(name) for name in ("one", "other")}
    key = native_key(servers["one"])
    with ExitStack() as running:
        serving = {name: running.enter_context(home.serving()) for name, home in servers.items()}
        for name in ("third", "fourth"):
            running.enter_context(working(fleet.house(name)))
        yield {name: running.enter_context(Api(s["base_url"], key)) for name, s in serving.items()}


class Trial:
    """Load on servers, round after round. Each round has trouble in its middle, and ends when all
    servers are ready again and have served somebody since."""

    def __init__(self, apis, mail, rounds):
        self.apis, self.mail, self.rounds = apis, mail, rounds
        self.ledger, self.hot = Ledger(), [mailbox("hot") for _ in range(HOT)]

    @contextmanager
    def round(self):
        """Callers are at work in the block, and a while after it."""
        ledger, over = self.ledger, threading.Event()
        sent, answered = len(ledger.sends), ledger.answered
        with ThreadPoolExecutor(CALLERS) as callers:
            at_work = [callers.submit(Caller(self, over).run) for _ in range(CALLERS)]
            try:
                eventually(lambda: len(ledger.sends) > sent + A_ROUND, "some sends")
                eventually(lambda: ledger.answered > answered + A_ROUND / 2, "some answers")
                threading.Event().wait(random.random())  # the dice, not a wait for anything
                yield
                eventually(self.is_ready, "readiness")
                served = ledger.served.copy()
                eventually(
                    lambda: all(ledger.served[name] > served[name] for name in self.apis),
                    "work of every server",
                )
            finally:
                over.set()
            for one in at_work:
                one.result()

    def is_ready(self):
        return all(api.is_ready() for api in self.apis.values())

    def until_each_refuses(self):
        """Until every server has told somebody to try again, and says that it is not ready."""
        told = self.ledger.refused.copy()
        eventually(
            lambda: all(self.ledger.refused[name] > told[name] for name in self.apis), "refusals"
        )
        assert not any(api.is_ready() for api in self.apis.values())

    def audit(self, store, most_unknown):
        """Says in one line what came of it."""
        both, ledger = itertools.cycle(self.apis.values()), self.ledger
        slowest_s = max(api.slowest_s for api in self.apis.values())
        repeat_what_was_doubted(both, ledger)
        eventually(lambda: not rows(store, UNSETTLED), "an empty outbox")
        states = balance(both, store, ledger, self.mail, most_unknown)
        verdicts = check_everything(both, ledger, self.mail)
        limits_hold(both, store, ledger, self.hot, per_app(self.rounds))
        assert slowest_s < ANSWERED_IN_S
        return (
            f"{self.rounds} rounds, {ledger.refused.total()} requests told to try again, the "
            f"slowest answer took {slowest_s:.2f} s; {len(ledger.sends)} sends: {states}; checked "
            f"at the end: {verdicts}"
        )


def limits(rounds):
    """The settings of a fleet for a trial of so many rounds."""
    return LIMITS.format(per_destination=PER_DESTINATION, per_app=per_app(rounds))


def per_app(rounds):
    """More than the rounds ask for, so that something is left to be granted in the end."""
    return (MOST_A_ROUND + CALLERS) * rounds + 100


def repeat_what_was_doubted(both, ledger):
    """Who was told to try again does so under the same key, twice, and is told the same."""
    for to, key in ledger.doubted_sends:
        first, second = (next(both).send(to, key) for _ in range(2))
        if first.status_code == 429:
            assert first.json()["type"].endswith(":limit-reached")
            continue
        assert first.status_code in (200, 201), first.text
        assert_replayed(first, second)
        ledger.told(to, first)
    for id, code, key in ledger.doubted_checks:
        first, second = (next(both).check(id, code, key) for _ in range(2))
        assert first.json()["status"] == "approved", first.text
        assert_replayed(first, second)
        ledger.approved.append(id)


def assert_replayed(first, second):
    assert second.json() == first.json()
    assert second.headers["idempotency-replayed"] == "true"


def balance(both, store, ledger, mail, most_unknown):
    """Each acknowledged send has one row, in one settled state, and there are no others; what is
    unknown was in flight in the trouble."""
    states: Counter[str] = Counter()
    for id, to in ledger.sent.items():
        for one in next(both).deliveries(id):
            states[one["state"]] += 1
            handed = mail.times_taken(id, one["id"])
            if one["state"] == "unknown":
                assert handed <= 1
            else:
                assert handed == (one["state"] == "accepted"), (to, one)
                assert (one["state"] == "failed") == to.startswith("refuse"), (to, one)
    assert states.keys() <= SETTLED
    assert states.total() == len(ledger.sends)
    assert rows(store, "SELECT count(*) FROM deliveries") == [(len(ledger.sends),)]
    assert states["unknown"] <= most_unknown
    assert max(mail.taken.values()) == 1
    return dict(states)


def check_everything(both, ledger, mail):
    """Every acknowledged challenge is there; approved once, it never is again."""
    approved, wrong = Counter(ledger.approved), Counter(ledger.wrong)
    assert max(approved.values()) == 1
    verdicts: Counter[str] = Counter()
    for id, to in ledger.sent.items():
        spent = ATTEMPTS - next(both).look(id).json()["attempts_left"]
        # An answer that was doubted may have been counted.
        assert min(wrong[id], ATTEMPTS) <= spent
        assert spent <= wrong[id] or id in ledger.doubted
        answer = next(both).check(id, mail.codes.get(to, "000000"))
        verdict = verdict_of(answer)
        verdicts[verdict] += 1
        if approved[id]:
            assert verdict == "already-approved", answer.text
        elif to not in mail.codes:
            assert verdict == "pending", answer.text
        elif spent == ATTEMPTS:
            assert verdict == "exhausted", answer.text
        else:
            assert verdict == "approved" or id in ledger.doubted, answer.text
    return dict(verdicts)


def verdict_of(answer):
    told = answer.json()
    return told["status"] if answer.status_code == 200 else told["type"].rpartition(":")[2]


def limits_hold(both, store, ledger, hot, per_app):
    """No destination and no app was granted more than its limit; and the rest of the app's limit is
    there still, to the last unit."""
    granted = Counter(ledger.sent[id] for id in ledger.sends)
    assert max(granted.values()) <= PER_DESTINATION
    for to in hot:
        more = granted_now(both, lambda api, to=to: api.send(to), PER_DESTINATION)
        assert granted[to] + more == PER_DESTINATION, (granted[to], more)
    left = per_app - rows(store, "SELECT count(*) FROM deliveries")[0][0]
    assert granted_now(both, lambda api: api.send(mailbox()), left + 1) == left


def granted_now(both, send, most):
    """How many are granted, one after the other, until the first refusal or so many."""
    for number in range(most):
        answer = send(next(both))
        if answer.status_code == 429:
            assert answer.json()["type"].endswith(":limit-reached"), answer.text
            return number
        assert answer.status_code in (200, 201), answer.text
    return most
