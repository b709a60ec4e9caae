"""No readable code and no full destination rests, or is said, where it is not needed.

A server in a world of trouble (troubled_server.py) is asked for 16-character codes, in every way
that goes right or wrong; then all it left is searched: files as raw bytes, so that free pages and
the write-ahead log count too, both streams, every answer, the metrics. A server's store is searched
in the same way, and what its tables give.
"""

import asyncio
import json
import socket
import subprocess
import sys
from base64 import b64encode
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from urllib.parse import quote

import apsw
import httpx2
import pytest

from tests import postgres_server
from tests.contract.places import Place
from tests.smtp_server import receiving
from tests.whole import bad_partner, bad_program
from tests.whole.bad_partner import BadPartner
from tests.whole.bad_program import BadProgram
from tests.whole.ciam import LITTLE_WORK
from tests.whole.conftest import DEADLINE_S, ROOT, House, eventually
from tests.whole.leaks import leaks, spellings
from watchword.bootstrap import bootstrap, now
from watchword.domain.app import Scope, Terms
from watchword.domain.destination import phone
from watchword.domain.event import Event, Kind, written

TROUBLED = (sys.executable, "-m", "tests.whole.troubled_server")
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
PHONES = {
    "5678": "delivered",
    "0001": "failed",
    "0002": "cancelled",  # tried in vain, until too many codes were wrong
    "0003": "accepted",
    "0011": "failed",  # its text cannot be made
    "0012": "cancelled",  # the carrier stumbles; it repeats harmlessly
    "0013": "failed",
    "0014": "cancelled",
    "0015": "cancelled",
    "0016": "delivered",  # something strewn about fails on its own
}
MAILBOXES = {"taken": "accepted", "refused": "failed", "later": "cancelled", "doubted": "unknown"}
PAGE = 8192
FIXED = "Zq7pXw3vRt9sKm5n"
TESTER = "+8613977240999"
SETTINGS = """
log = "{form}"
[policy]
resend_interval_s = 0
[providers.virtual]
slow_s = 0
[channels]
sms = "virtual"
email = "smtp"
[providers.smtp]
host = "127.0.0.1"
port = {port}
security = "none"
sender = "codes@example.com"
timeout_s = 2
"""
KINDS = {"code", "to", "token", "credential", "captcha token", "captcha answer", "profile"}
BELONGS = {"captcha_token", "id_token", "session_token"}
"""What an answer of the CIAM dialect is there to tell."""


class Gossip:
    """A relay that quotes the mail whenever it says no."""

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        quoted = b" ".join(envelope.content.split())[-400:].decode("ascii", "replace")
        said = f"{quoted} for {envelope.rcpt_tos[0]}"
        match envelope.rcpt_tos[0].partition(".")[0]:
            case "refused":
                return f"554 I do not like {said}"
            case "later":
                return f"451 I am too busy for {said}"
            case "doubted":
                return f"350 I wonder about {said}"
        return f"250 I like {said}"


class TroubledHouse(House):
    """A house whose server is the troubled one, each start with a log of its own."""

    starts = 0

    def start(self, *words, **environ):
        self.starts += 1
        with self.log.open("w") as log:
            return subprocess.Popen(
                [*TROUBLED, "serve", "--port", "0", *words, "--data", self.folder],
                cwd=ROOT,
                env=self.environment(DRAWN=str(self.drawn), PYTHONASYNCIODEBUG="1", **environ),
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def log(self):
        return self.folder.parent / f"serve-{self.starts}.log"

    @property
    def drawn(self):
        return self.folder.parent / "drawn"

    def codes(self):
        return self.drawn.read_text().split()


class Embedded:
    """The store is a file in the house's folder, and is searched with that."""

    place = None

    def at_rest(self):
        return {}

    def tells(self, event, remains, folder):
        """Let a copy of the store hold an event that waits, or one that is sealed."""
        copy = folder / "telling.db"
        copy.write_bytes(remains.places["watchword.db after the end"])
        with closing(apsw.Connection(str(copy))) as file:
            file.execute(*event)
            file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return {"copy": copy.read_bytes()}

    def forgets(self, note, remains, folder):
        """Let a copy of the store write a note and delete it: what the disk holds then."""
        copy = folder / "copy.db"
        copy.write_bytes(remains.places["watchword.db after the end"])
        with closing(apsw.Connection(str(copy))) as file:
            file.execute("PRAGMA secure_delete = OFF")
            file.execute("INSERT INTO records VALUES ('note', ?, 1, x'00', NULL)", (note,))
            file.execute("DELETE FROM records WHERE kind = 'note'")
            assert file.execute("SELECT * FROM records WHERE key = ?", (note,)).fetchall() == []
            file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return {"copy": copy.read_bytes()}


class OnAServer:
    """The store is a database on a server of its own: searched is what its tables give, and all
    that the server wrote to its disk since there is this database."""

    def __init__(self, server):
        self._server = server
        self.place = Place("postgresql", server.create_database())
        self._before = self._files()

    def at_rest(self):
        dump = b"\n".join(
            plain(value)
            for table in self.place.contents()
            for row in self.place.rows(f"SELECT * FROM {table}")  # noqa: S608
            for value in row
        )
        return {"tables": dump, **self._written()}

    def tells(self, event, remains, folder):
        """As a table gives it; then it is gone."""
        statement, given = event
        for value in given:
            literal = f"'\\x{value.hex()}'" if isinstance(value, bytes) else f"'{value}'"
            statement = statement.replace("?", literal, 1)
        self.place.rows(statement)
        found = self.at_rest()["tables"]
        self.place.rows("DELETE FROM events WHERE kind = 'planted'")
        self.place.rows("DELETE FROM journal WHERE chain = 999999")
        return {"tables": found}

    def forgets(self, note, remains, folder):
        put = "INSERT INTO records VALUES ('note', '{}', 1, '', NULL)"
        self.place.rows(put.format(note))
        self.place.rows("DELETE FROM records WHERE kind = 'note'")
        self.place.rows("CHECKPOINT")
        return self._written()

    def _written(self):
        """The pages of its files that were not there before."""
        found = {}
        for name, content in self._files().items():
            known = {*pages(self._before.get(name, b"")), bytes(PAGE)}
            found[name] = b"".join(page for page in pages(content) if page not in known)
        return {name: content for name, content in found.items() if content}

    def _files(self):
        folder, found = self._server.folder, {}
        for file in folder.rglob("*"):
            with suppress(FileNotFoundError):  # the server lives on, and tidies up
                if file.is_file():
                    found[str(file.relative_to(folder))] = file.read_bytes()
        return found


def pages(content):
    return [content[at : at + PAGE] for at in range(0, len(content), PAGE)]


def plain(value):
    """A value as bytes in which a secret would be seen."""
    if isinstance(value, list):
        return b" ".join(map(plain, value))
    return value if isinstance(value, bytes) else str(value).encode()


class Remains:
    """What there is to search, and what for."""

    def __init__(self, store):
        self.store = store
        self.secrets: dict[str, str] = {}  # what each of them is
        self.places: dict[str, bytes] = {}
        self.states: dict[str, str] = {}  # what became of the first delivery to a destination
        self.logs = ""

    def keep_files(self, house, when):
        for file in sorted(house.folder.iterdir()):
            self.places[f"{file.name} {when}"] = file.read_bytes()
        for name, content in self.store.at_rest().items():
            self.places[f"{name} {when}"] = content
        self.places[f"{house.log.name} {when}"] = house.log.read_bytes()
        self.logs += house.said()

    def keep_answer(self, response):
        """For every answer but the inbox's, which is where codes and addresses are needed."""
        response.read()
        head = f"{response.status_code} {response.headers.multi_items()}".encode()
        name = f"answer {len(self.places)}: {response.request.method} {response.status_code}"
        if "x-subject-token" not in response.headers:  # that answer is where a token belongs
            self.places[name] = head + without_what_belongs(response.content)


def without_what_belongs(answer):
    """The answer without the tokens that it is there to tell."""
    try:
        told = json.loads(answer)
    except ValueError:
        return answer
    if not isinstance(told, dict) or not BELONGS & set(told):
        return answer
    return json.dumps({name: told[name] for name in told if name not in BELONGS}).encode()


async def tenant(house):
    """An app with long codes and a test number, a key of it that may do everything; a partner of
    Huawei Cloud's dialect, and two clients of CIAM's."""
    async with bootstrap(house.loaded(), deliver=False) as service:
        app = await service.apps.create(name="Shop", origin="shop.example", now=now())
        terms = Terms(alphabet=LETTERS, length=16, max_attempts=3)
        await service.apps.set_terms(app.id, "*", lambda _: terms, now())
        ends_at = now() + timedelta(days=1)
        await service.apps.add_test_number(app.id, phone(TESTER), FIXED, ends_at, now())
        _, token = await service.apps.create_key(app.id, tuple(Scope), now=now())
        partner = await bad_partner.made(service, terms)
        return token, partner, await bad_program.made(service, terms, now())


def live_badly(api, house, remains):
    """Everything that a caller can do right or wrong, to destinations that go right or wrong."""
    destinations = [f"+861397724{ending}" for ending in PHONES]
    destinations += [f"{trick}.Long.Local.Part.{len(trick)}@example.com" for trick in MAILBOXES]
    sent: list[tuple[str, str]] = []
    for to in [*destinations, TESTER]:
        body = {"to": to, "channel": "email" if "@" in to else "sms", "purpose": "sign_in"}
        headers = {"idempotency-key": f"send-{len(sent)}"}
        for purpose in ("sign_in", "reset"):
            answer = api.post("/v1/verifications", json={**body, "purpose": purpose})
            assert answer.status_code == 201, answer.text
        id = answer.json()["id"]
        sent.append((id, to))
        api.post(f"/v1/verifications/{id}/resend", headers=headers)
        api.post(f"/v1/verifications/{id}/resend", headers=headers)
        api.post(f"/v1/verifications/{id}/resend", headers=headers, json={"channel": "sms"})
        remains.secrets[to.removeprefix("+86") if "@" not in to else to.partition("@")[0]] = "to"
    for code in house.codes():
        remains.secrets[code] = "code"
    remains.secrets[FIXED] = "code"
    eventually(lambda: is_at_rest(house), "a try of each")
    for id, to in sent:
        check_badly(api, id, to, house.codes()[-1], remains)
        ask_badly(api, id, to, house.codes()[-1])
    shout(api.base_url.port, destinations[0], house.codes()[0])
    return sent


def live_badly_as_a_partner(serving, made, house, remains):
    with api(serving, "", remains) as calls:
        calls.headers.pop("authorization")
        partner = BadPartner(made, calls)
        before = len(house.codes())
        partner.send_everywhere()
        fresh = house.codes()[before:]
        assert len(fresh) > len(bad_partner.PHONES)
        partner.go_wrong(fresh[-1])
        codes = dict.fromkeys(fresh, "code")
        remains.secrets |= {**partner.secrets, **codes, partner.token(): "token"}


def live_badly_as_a_program(serving, clients, house, remains):
    with BadProgram(serving["base_url"], clients, house.codes, remains.keep_answer) as program:
        program.live()
        remains.secrets |= program.secrets


def check_badly(api, id, to, wrong, remains):
    """Wrong codes till the end, a code that makes the server stumble; for some, the right one."""
    path = f"/v1/verifications/{id}/check"
    api.post(path, json={"code": f"{wrong}!"})
    if to == TESTER:
        assert api.post(path, json={"code": FIXED}).json()["status"] == "approved"
    for typed in (wrong[::-1], to, wrong, wrong, wrong):
        api.post(path, json={"code": typed}, headers={"idempotency-key": f"check-{typed}"})
    api.get(f"/v1/verifications/{id}")
    api.get(f"/v1/verifications/{id}/deliveries")


def ask_badly(api, id, to, code):
    """Requests that are refused, each with a code or a destination where it should not be."""
    path = f"/v1/verifications/{id}/check"
    right = {"to": to, "channel": "sms", "purpose": "sign_in"}
    for wrong in (
        {**right, "to": f"{to}{code}"},
        {**right, "to": [to, code]},
        {**right, "channel": f"{code} {to}"},
        {**right, "channel": "email" if "@" not in to else "sms"},
        {**right, "purpose": code},
        {**right, "locale": code * 3},
        {**right, "note": f"{code} {to}"},
        {**right, "binding": {to: code, code: [to]}},
        {**right, "client": {"ip": code, "fingerprint": to}},
        {**right, "client": {"ip": to}},
        {**right, "code_length": code},
    ):
        api.post("/v1/verifications", json=wrong)
    as_json = {"content-type": "application/json"}
    for bad in (f'{{"code": "{code}", "to": {to}', f'["{code}"]', f'{{"code": "{code}\ud800"}}'):
        api.post(path, content=bad.encode("utf-8", "surrogatepass"), headers=as_json)
    api.post(path, content=code.encode("utf-16"), headers=as_json)
    api.post(path, content=f"code={code}", headers={"content-type": f"text/{code}"})
    api.post(path, content=f'{{"code": "{code * 5000}"}}', headers=as_json)
    api.post(path, json={"code": code}, headers={"idempotency-key": f"{code} {quote(to)}"})
    api.get(f"/v1/verifications/{code}", params={"to": to})
    api.get(f"/{code}/{quote(to)}", params={"Action": to})
    api.get("/v1/inbox", params={"to": f"{to}{code}"})
    api.get("/v1/inbox", params={"to": to, "limit": code})
    api.get(f"/v1/verifications/{id}", headers={"authorization": f"Bearer {code}"})
    api.get(f"/v1/verifications/{id}", headers={"authorization": f"Basic {quote(to)}"})


def shout(port, to, code):
    """What is no HTTP at all."""
    for noise in (f"{code} {to}\r\n\r\n", f"GET /{to} HTTP/9\r\nx: {code}\r\n\r\n", f"\0{code}"):
        with socket.create_connection(("127.0.0.1", port), DEADLINE_S) as line:
            line.sendall(noise.encode())
            line.shutdown(socket.SHUT_WR)
            with suppress(ConnectionError):
                line.recv(4096)


@contextmanager
def embedded():
    yield Embedded()


@contextmanager
def on_a_server():
    with postgres_server.running({"full_page_writes": "on"}) as server:
        yield OnAServer(server)


@pytest.fixture(
    scope="module",
    params=[("json", embedded), ("text", embedded), ("json", on_a_server)],
    ids=["json", "text", "postgresql"],
)
def remains(request, tmp_path_factory):
    """Of a server that lived badly, was killed, lived on, and was stopped."""
    form, made = request.param
    with made() as store:
        yield what_is_left(store, form, tmp_path_factory.mktemp("troubled") / "data")


def what_is_left(store, form, folder):
    house, found = TroubledHouse(folder, store.place), Remains(store)
    house.folder.mkdir()
    token, partner, clients = asyncio.run(tenant(house))
    with receiving(Gossip()) as port:
        house.settings(SETTINGS.format(form=form, port=port) + LITTLE_WORK)
        house.run("demo")
        house.process = house.start()
        serving = house.announced()
        with api(serving, token, found) as calls:
            sent = live_badly(calls, house, found)
            live_badly_as_a_partner(serving, partner, house, found)
            live_badly_as_a_program(serving, clients, house, found)
            calls.get(f"{serving['admin_url']}/metrics")
            calls.get("/metrics")
            calls.get("/readyz")
        house.process.kill()
        house.process.wait()
        found.keep_files(house, "after kill -9")
        with house.serving() as serving, api(serving, token, found) as calls:
            for id, to in sent:
                (first, *_) = calls.get(f"/v1/verifications/{id}/deliveries").json()[
                    "deliveries"
                ] or [{"state": "none"}]
                found.states[to] = first["state"]
        found.keep_files(house, "after the end")
    return found


@contextmanager
def api(serving, token, remains):
    with httpx2.Client(
        base_url=serving["base_url"],
        headers={"authorization": f"Bearer {token}"},
        timeout=DEADLINE_S,
        event_hooks={"response": [remains.keep_answer]},
    ) as calls:
        yield calls


def is_at_rest(house):
    """Every message was tried, and none is being tried."""
    busy = "state IN ('leased', 'sending') OR (state = 'queued' AND tries = 0)"
    return house.rows(f"SELECT id FROM deliveries WHERE {busy}") == []  # noqa: S608


def test_nothing_readable_is_left(remains):
    """P5, as far as it goes: neither codes nor full destinations, in no spelling, anywhere."""
    codes = [secret for secret, kind in remains.secrets.items() if kind == "code"]
    assert len(codes) > 2 * (len(PHONES) + len(MAILBOXES))
    assert all(len(code) == 16 for code in codes)
    assert set(remains.secrets.values()) == KINDS
    assert sorted(set(leaks(remains.secrets, remains.places))) == []
    size = sum(map(len, remains.places.values()))
    print(f"{len(remains.secrets)} secrets, {len(remains.places)} places, {size} bytes")


def test_the_troubles_did_happen(remains):
    """Each of the failures that could have told a secret is there, told without it."""
    assert any("wal" in place and place.endswith("kill -9") for place in remains.places)
    for sign in ("RuntimeError", "request_failed", "never retrieved", "ciam_sms_verify"):
        assert sign in remains.logs
    for event in ("challenge_issued", "challenge_checked", "delivery_settled"):
        assert event in remains.logs
    assert any(" 500" in place for place in remains.places)
    expected = {f"+861397724{ending}": state for ending, state in PHONES.items()}
    expected |= {f"{k}.Long.Local.Part.{len(k)}@example.com": v for k, v in MAILBOXES.items()}
    assert remains.states == {**expected, TESTER: "none"}


@pytest.mark.parametrize("spelling", spellings("x"))
def test_a_planted_leak_is_found(remains, spelling):
    """In whatever spelling, wherever it lies."""
    for secret in (max(remains.secrets), min(remains.secrets)):
        needle = spellings(secret)[spelling]
        for place, content in remains.places.items():
            middle = len(content) // 2
            planted = {place: content[:middle] + needle + content[middle:]}
            assert place in {where for _, _, where in leaks([secret], planted)}


def test_every_planted_leak_is_found_among_all(remains):
    """As the search for all secrets goes: each of them, in each spelling."""
    planted = b"\n".join(
        needle for secret in remains.secrets for needle in spellings(secret).values()
    )
    found = {found[:2] for found in leaks(remains.secrets, {"here": planted})}
    assert found == {(secret, way) for secret in remains.secrets for way in spellings(secret)}


@pytest.mark.parametrize("before", range(6))
def test_a_secret_within_base64_is_found(before):
    """Wherever it begins in what was encoded, and whatever follows it."""
    hidden = b64encode(b"x" * before + FIXED.encode() + b"y" * (before // 2))
    assert list(leaks([FIXED], {"here": hidden}))


def test_a_deleted_row_is_found(remains, tmp_path):
    """What a database only forgot is still on the disk."""
    assert list(leaks([FIXED], remains.store.forgets(FIXED, remains, tmp_path)))


WAITING = "INSERT INTO events (at, kind, masked, details) VALUES (1, 'planted', ?, ?)"
SEALED = (
    "INSERT INTO journal (chain, position, commitment, mac, salt, body)"
    " VALUES (999999, 0, ?, ?, ?, ?)"
)


@pytest.mark.parametrize("secret", [FIXED, TESTER], ids=["code", "address"])
def test_a_leak_in_the_journal_is_found(remains, tmp_path, secret):
    """In an event that waits to be sealed, in its mask or its details, and in a sealed body."""
    body = written(Event(at=now(), kind=Kind.CREATED, masked=secret))
    details = json.dumps({"reason": f"sent to {secret}"})
    for event in (
        (WAITING, ("", details)),
        (WAITING, (secret, "{}")),
        (SEALED, (b"c", b"m", b"s", body)),
    ):
        assert list(leaks([secret], remains.store.tells(event, remains, tmp_path)))
    assert not list(leaks([secret], {"as it was": body.replace(secret.encode(), b"")}))
