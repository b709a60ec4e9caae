"""The native dialect, call by call, over a socket."""

import json
from datetime import UTC, datetime, timedelta

import httpx2
import msgspec
import pytest

from tests.surfaces.outcomes import every_outcome
from watchword import errors, log
from watchword.domain.app import Scope
from watchword.domain.challenge import CLOSED
from watchword.surfaces.native import wire
from watchword.surfaces.native.replies import REPLIES, kinds, refused
from watchword.surfaces.problems import TYPES

GOOD = {"channel": "sms", "purpose": "sign_in", "locale": "zh-CN"}


def send(client, to, **changes):
    return client.post("/v1/verifications", json={**GOOD, "to": to, **changes})


def code_of(server, challenge_id):
    """The code as only the outbox still holds it, sealed."""
    codes = server.rows(
        "SELECT c.id, d.code FROM deliveries d JOIN challenges c ON c.serial = d.challenge "
        "ORDER BY d.id"
    )
    sealed = dict(codes)[challenge_id]
    return server.service.keys.unseal(sealed, challenge_id.encode()).decode()


def wrong(code):
    return f"{(int(code) + 1) % 10 ** len(code):0{len(code)}d}"


def slug(response):
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == response.status_code
    assert problem["title"]
    return problem["type"].removeprefix(TYPES)


def test_a_send_is_created_and_says_what_comes_next(client, number):
    """201 with id, masked destination and the instants that matter, in whole seconds of UTC."""
    answer = send(client, number)
    told = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/verifications/{told['id']}"
    assert set(told) == {
        "id", "status", "to", "channel", "expires_at", "resend_at", "attempts_left",
    }  # fmt: skip
    assert (told["status"], told["channel"], told["attempts_left"]) == ("pending", "sms", 5)
    assert number not in answer.text
    expires_at = datetime.strptime(told["expires_at"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert timedelta(minutes=9) < expires_at - datetime.now(UTC) <= timedelta(minutes=10)


def test_a_right_code_is_approved_once(server, client, number):
    """A second check of the same code is told that it came second."""
    made = send(client, number).json()
    path = f"/v1/verifications/{made['id']}/check"
    code = {"code": code_of(server, made["id"])}
    first, second = client.post(path, json=code), client.post(path, json=code)
    assert (first.status_code, first.json()["status"]) == (200, "approved")
    assert (second.status_code, slug(second)) == (409, "already-approved")


def test_a_wrong_code_tells_how_many_tries_are_left(server, client, number):
    """0 on the last wrong try; after that it is exhausted, even for the right code."""
    made = send(client, number).json()
    path = f"/v1/verifications/{made['id']}/check"
    code = code_of(server, made["id"])
    answers = [client.post(path, json={"code": wrong(code)}) for _ in range(5)]
    assert [a.status_code for a in answers] == [200] * 5
    assert [a.json()["status"] for a in answers] == ["pending"] * 5
    assert [a.json()["attempts_left"] for a in answers] == [4, 3, 2, 1, 0]
    assert slug(client.post(path, json={"code": code})) == "exhausted"


def test_an_expired_code_is_told_so(server, client, number):
    made = send(client, number, ttl=60).json()
    code = code_of(server, made["id"])
    server.clock.pass_by(timedelta(seconds=61))
    answer = client.post(f"/v1/verifications/{made['id']}/check", json={"code": code})
    assert (answer.status_code, slug(answer)) == (409, "expired")


def test_a_cancelled_verification_takes_nothing_more(server, client, number):
    """Cancelling twice is the same as once; checks and resends say why they are refused."""
    made = send(client, number).json()
    one = f"/v1/verifications/{made['id']}"
    code = code_of(server, made["id"])
    assert [client.delete(one).json()["status"] for _ in range(2)] == ["cancelled"] * 2
    assert slug(client.post(f"{one}/check", json={"code": code})) == "cancelled"
    assert slug(client.post(f"{one}/resend")) == "cancelled"
    assert client.get(one).json()["status"] == "cancelled"


def test_an_approved_verification_cannot_be_cancelled(server, client, number):
    made = send(client, number).json()
    one = f"/v1/verifications/{made['id']}"
    client.post(f"{one}/check", json={"code": code_of(server, made["id"])})
    assert slug(client.delete(one)) == "already-approved"


def test_a_resend_extends_the_open_verification(server, client, number):
    """200 with the same id, by its own route or by asking for the same again."""
    made = send(client, number).json()
    server.clock.pass_by(timedelta(seconds=61))
    by_route = client.post(f"/v1/verifications/{made['id']}/resend")
    server.clock.pass_by(timedelta(seconds=61))
    by_asking = send(client, number)
    assert [a.status_code for a in (by_route, by_asking)] == [200, 200]
    assert {a.json()["id"] for a in (by_route, by_asking)} == {made["id"]}


def test_a_resend_too_soon_says_when(client, number):
    """Retry-After and RateLimit tell the same seconds; nothing is spent."""
    send(client, number)
    answer = send(client, number)
    assert (answer.status_code, slug(answer)) == (429, "resend-too-soon")
    seconds = int(answer.headers["retry-after"])
    assert 1 <= seconds <= 60
    assert answer.headers["ratelimit"] == f'"resend";r=0;t={seconds}'
    assert answer.headers["ratelimit-policy"] == '"resend";q=1;w=60'


def test_an_operator_finds_why_a_caller_was_refused(client, number, written):
    """By app and limit, and nothing of a person; whoever has no key fills no log."""
    log.configure("json", stream=written)
    send(client, number)
    send(client, number)
    client.post("/v1/verifications", json={**GOOD, "to": number}, headers={"authorization": "x"})
    told = [json.loads(line) for line in written.getvalue().splitlines()]
    (event,) = [one for one in told if one["event"] == "request_refused"]
    issued = next(one for one in told if one["event"] == "challenge_issued")
    assert (event["route"], event["code"]) == ("create", "resend-too-soon")
    assert (event["error"], event["account"]) == ("ResendTooSoon", issued["app"])
    assert number not in written.getvalue()


def test_a_resend_of_what_is_over_is_told_as_the_caller_heard_it(client, number, written):
    made = send(client, number).json()
    client.delete(f"/v1/verifications/{made['id']}")
    log.configure("json", stream=written)
    heard = slug(client.post(f"/v1/verifications/{made['id']}/resend"))
    (event,) = [json.loads(line) for line in written.getvalue().splitlines()]
    assert (event["route"], event["code"], heard) == ("resend", "cancelled", "cancelled")


def test_a_spent_limit_says_when_to_come_back(server, client, number):
    """The eleventh send within an hour is refused, in the words of the RateLimit draft."""
    for _ in range(10):
        assert send(client, number).status_code in (200, 201)
        server.clock.pass_by(timedelta(seconds=61))
    answer = send(client, number)
    assert (answer.status_code, slug(answer)) == (429, "limit-reached")
    assert 1 <= int(answer.headers["retry-after"]) <= 3600
    assert answer.headers["ratelimit-policy"] == '"destination";q=10;w=3600'
    assert answer.headers["ratelimit"].startswith('"destination";r=0;t=')


def test_guessing_is_refused_across_verifications(server, client, number):
    """Ten wrong codes from one network in half an hour; the next check is not even counted."""
    client_ip = {"client": {"ip": "203.0.113.9"}}
    for _ in range(2):
        made = send(client, number).json()
        path = f"/v1/verifications/{made['id']}/check"
        guess = wrong(code_of(server, made["id"]))
        for _ in range(5):
            assert client.post(path, json={"code": guess, **client_ip}).status_code == 200
        server.clock.pass_by(timedelta(seconds=61))
    answer = client.post(path, json={"code": guess, **client_ip})
    assert (answer.status_code, slug(answer)) == (429, "too-many-failures")
    assert int(answer.headers["retry-after"]) >= 1


def test_a_check_with_another_binding_fails(server, client, number):
    """The same pairs in any order are the same binding; anything else spends an attempt."""
    made = send(client, number, binding={"session": "s1", "device": "d1"}).json()
    path = f"/v1/verifications/{made['id']}/check"
    code = code_of(server, made["id"])
    for binding in ({"session": "s1"}, {"session": "s1d1", "device": ""}, {}):
        answer = client.post(path, json={"code": code, "binding": binding})
        assert answer.json()["status"] == "pending"
    right = {"code": code, "binding": {"device": "d1", "session": "s1"}}
    assert client.post(path, json=right).json()["status"] == "approved"


def test_a_look_tells_the_state_and_no_secret(client, number):
    made = send(client, number).json()
    told = client.get(f"/v1/verifications/{made['id']}").json()
    assert set(told) == {
        "id", "status", "to", "channel", "purpose", "created_at", "expires_at", "resend_at",
        "attempts_left",
    }  # fmt: skip
    assert {name: told[name] for name in made} == made


def test_deliveries_tell_each_handover_without_its_text(client, number):
    made = send(client, number).json()
    (told,) = client.get(f"/v1/verifications/{made['id']}/deliveries").json()["deliveries"]
    assert set(told) == {
        "id", "channel", "provider", "state", "tries", "queued_at", "settled_at",
    }  # fmt: skip
    assert (told["state"], told["tries"], told["settled_at"]) == ("queued", 0, None)


def test_the_inbox_reads_any_spelling_of_an_address(client, number):
    """An array under `items`, empty while nothing came."""
    for spelling in (number, number.replace("+", "00"), f" {number}"):
        answer = client.get("/v1/inbox", params={"to": spelling, "limit": 1})
        assert (answer.status_code, answer.json()) == (200, {"items": []})


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("to=nobody", "/to"),
        ("to=%00", "/to"),
        ("limit=0", "/limit"),
        ("limit=1001", "/limit"),
        ("limit=%D9%A1", "/limit"),
        ("limit=1e2", "/limit"),
        ("too=ann@example.com", "/too"),
        ("to=%ff", ""),
        ("limit=1&limit=2", ""),
    ],
)
def test_a_bad_inbox_query_is_refused_at_its_parameter(client, query, pointer):
    answer = client.get(f"/v1/inbox?{query}")
    assert (answer.status_code, slug(answer)) == (422, "invalid")
    assert answer.json()["errors"][0]["pointer"] == pointer


def test_a_neighbour_finds_nothing(server, client, number):
    """Another app's key learns no more than that there is no such verification."""
    one = f"/v1/verifications/{send(client, number).json()['id']}"
    with server.client(server.key()) as stranger:
        answers = [
            stranger.get(one),
            stranger.delete(one),
            stranger.get(f"{one}/deliveries"),
            stranger.post(f"{one}/resend"),
            stranger.post(f"{one}/check", json={"code": "123456"}),
        ]
        unknown = stranger.get("/v1/verifications/" + "0" * 26)
    assert {slug(answer) for answer in answers} == {"not-found"}
    assert {answer.content for answer in answers} == {unknown.content}


@pytest.mark.parametrize(
    "credential",
    [None, "", "Bearer", "Basic YTpi", "Bearer ww_a_b", "Bearer é", "Bearer " + "x" * 999],
)
def test_without_a_valid_key_nobody_gets_in(server, credential):
    """401 names the scheme that is asked for."""
    headers = {} if credential is None else {"authorization": credential.encode("latin-1")}
    answer = httpx2.post(f"{server.url}/v1/verifications", headers=headers, content=b"{}")
    assert (answer.status_code, slug(answer)) == (401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "/v1/verifications", Scope.SEND),
        ("POST", "/v1/verifications/{id}/check", Scope.CHECK),
        ("POST", "/v1/verifications/{id}/resend", Scope.SEND),
        ("DELETE", "/v1/verifications/{id}", Scope.SEND),
        ("GET", "/v1/verifications/{id}", Scope.READ),
        ("GET", "/v1/verifications/{id}/deliveries", Scope.READ),
        ("GET", "/v1/inbox", Scope.INBOX),
        ("GET", "/metrics", Scope.ADMIN),
    ],
)
def test_a_key_does_only_what_its_scopes_say(server, method, path, scope):
    """Every other scope together does not open the door."""
    others = [other for other in Scope if other is not scope]
    with server.client(server.key(*others)) as calls:
        answer = calls.request(method, path.replace("{id}", "0" * 26))
    assert (answer.status_code, slug(answer)) == (403, "scope-missing")
    assert f'scope="{scope}"' in answer.headers["www-authenticate"]


def test_a_channel_has_to_fit_the_destination(client, number):
    """At /channel, at the first send and at a resend."""
    made = send(client, number).json()
    answers = (
        send(client, number, channel="email"),
        send(client, "ann@example.com", channel="sms"),
        client.post(f"/v1/verifications/{made['id']}/resend", json={"channel": "email"}),
    )
    for answer in answers:
        assert slug(answer) == "invalid"
        assert answer.json()["errors"][0]["pointer"] == "/channel"


class TestTheSameKeyGivesTheSameAnswer:
    """P10: no second message, no attempt spent, every byte as it was."""

    def twice(self, client, path, key, **body):
        headers = {"idempotency-key": key}
        return [client.post(path, headers=headers, **body) for _ in range(2)]

    def same(self, first, again):
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers.get("location") == first.headers.get("location")
        assert again.headers["content-type"] == first.headers["content-type"]
        assert "idempotency-replayed" not in first.headers
        assert again.headers["idempotency-replayed"] == "true"

    def test_send(self, client, number):
        wanted = {**GOOD, "to": number}
        first, again = self.twice(client, "/v1/verifications", "k", json=wanted)
        assert first.status_code == 201
        self.same(first, again)
        path = f"/v1/verifications/{first.json()['id']}/deliveries"
        assert len(client.get(path).json()["deliveries"]) == 1

    def test_resend(self, server, client, number):
        made = send(client, number).json()
        server.clock.pass_by(timedelta(seconds=61))
        path = f"/v1/verifications/{made['id']}/resend"
        first, again = self.twice(client, path, "k", json={})
        assert first.status_code == 200
        self.same(first, again)

    def test_wrong_code(self, server, client, number):
        made = send(client, number).json()
        body = {"code": wrong(code_of(server, made["id"]))}
        path = f"/v1/verifications/{made['id']}/check"
        first, again = self.twice(client, path, "k", json=body)
        assert first.json()["attempts_left"] == 4
        self.same(first, again)
        assert client.get(f"/v1/verifications/{made['id']}").json()["attempts_left"] == 4

    def test_right_code(self, server, client, number):
        made = send(client, number).json()
        body = {"code": code_of(server, made["id"])}
        path = f"/v1/verifications/{made['id']}/check"
        first, again = self.twice(client, path, "k", json=body)
        assert first.json()["status"] == "approved"
        self.same(first, again)

    def test_final_verdict(self, server, client, number):
        made = send(client, number).json()
        client.delete(f"/v1/verifications/{made['id']}")
        path = f"/v1/verifications/{made['id']}/check"
        first, again = self.twice(client, path, "k", json={"code": "123456"})
        assert slug(first) == "cancelled"
        self.same(first, again)

    def test_another_body_is_refused(self, client, number):
        headers = {"idempotency-key": "k"}
        wanted = {**GOOD, "to": number}
        client.post("/v1/verifications", json=wanted, headers=headers)
        changed = {**wanted, "locale": "en-us"}
        answer = client.post("/v1/verifications", json=changed, headers=headers)
        assert (answer.status_code, slug(answer)) == (422, "idempotency-key-reused")

    def test_a_key_is_its_owners_and_its_routes(self, server, client, number):
        """The same word from another app, or on another verification, is another key."""
        headers = {"idempotency-key": "k"}
        wanted = {**GOOD, "to": number}
        first = client.post("/v1/verifications", json=wanted, headers=headers)
        with server.client(server.key()) as other:
            theirs = other.post("/v1/verifications", json=wanted, headers=headers)
        path = f"/v1/verifications/{first.json()['id']}/check"
        checked = client.post(path, json={"code": "000000x"}, headers=headers)
        assert theirs.json()["id"] != first.json()["id"]
        assert checked.status_code == 200

    @pytest.mark.parametrize("key", ["", "a b", "x" * 256, "schlüssel"])
    def test_a_malformed_key_is_refused(self, client, number, key):
        headers = {"idempotency-key": key.encode("latin-1")}
        wanted = {**GOOD, "to": number}
        answer = client.post("/v1/verifications", json=wanted, headers=headers)
        assert (answer.status_code, slug(answer)) == (400, "header-invalid")


@pytest.mark.parametrize("outcome", every_outcome("native"))
def test_every_outcome_has_a_reply(outcome):
    """The surface never has to invent an answer."""
    assert outcome in REPLIES


def test_a_mistake_of_ours_is_logged_where_all_are():
    """It is no answer of the dialect: web.py says 500 and writes down its name."""
    with pytest.raises(errors.KeyUnknown):
        refused(errors.KeyUnknown())


def test_every_closed_state_has_an_outcome():
    assert set(CLOSED) == {"approved", "exhausted", "expired", "cancelled"}


def test_the_reference_lists_every_problem(docs):
    """docs/native-api.md is true: each type with its status, and no other."""
    rows = {
        tuple(cell.strip(" `") for cell in line.split("|")[1:3])
        for line in docs.splitlines()
        if line.startswith("| `") and line.split("|")[2].strip().isdigit()
    }
    assert rows == {(kind.slug, str(kind.status)) for kind in kinds()}


@pytest.fixture
def docs(request):
    return (request.config.rootpath / "docs" / "native-api.md").read_text(encoding="utf-8")


def test_times_never_promise_too_much():
    """An expiry is rounded down, the next send up."""
    late = datetime(2026, 1, 2, 3, 4, 5, 900_000, tzinfo=UTC)
    assert msgspec.json.encode(wire._not_after(late)) == b'"2026-01-02T03:04:05Z"'
    assert msgspec.json.encode(wire._not_before(late)) == b'"2026-01-02T03:04:06Z"'
