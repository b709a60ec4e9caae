"""One application: whose a path is, and what happens when its owner stumbles."""

import asyncio
import json

import httpx2
import pytest

from watchword import web
from watchword.domain.app import Scope
from watchword.errors import StoreUnavailable
from watchword.surfaces.metrics import MOST_APPS, Tally, render

pytestmark = pytest.mark.store("sqlite")


async def through(application, path="/", method="GET", headers=(), query=b""):
    """One request straight through ASGI; what was sent, message by message."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": b""}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http", "method": method, "path": path, "query_string": query,
        "headers": list(headers),
    }  # fmt: skip
    await application(scope, receive, send)
    return sent


def problem(sent):
    return sent[0]["status"], json.loads(sent[1]["body"])["type"]


async def answering(scope, receive, send):
    body = scope["path"].encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


@pytest.mark.parametrize(
    ("path", "is_theirs"),
    [
        ("/a", True), ("/a/b", True), ("/a/b/c", True), ("/ab", False), ("/", False),
        ("/x/y", True), ("/x/y/z", True), ("/x", False), ("/x/yz", False), ("/x//y", False),
    ],
)  # fmt: skip
async def test_a_prefix_owns_whole_segments(server, path, is_theirs):
    """Its owner gets what is below it, and no neighbour that only begins alike."""
    application = web.application(server.service, [("/a", answering), ("/x/y", answering)])
    sent = await through(application, path)
    assert (sent[0]["status"] == 200) is is_theirs


async def test_a_stray_error_tells_nothing(server, capfd):
    """500 without a detail; the log holds its name, not its words."""

    async def stumbling(scope, receive, send):
        secret = "493817"
        raise ValueError(f"cannot send {secret}")

    application = web.application(server.service, [("/a", stumbling)])
    sent = await through(application, "/a")
    assert problem(sent) == (500, "urn:watchword:problem:internal")
    assert b"493817" not in sent[1]["body"]
    said = "".join(capfd.readouterr())
    assert "request_failed" in said
    assert "ValueError" in said
    assert "493817" not in said


async def test_an_unavailable_store_is_worth_another_try(server):
    """503 with Retry-After, whichever owner met it."""

    async def waiting(scope, receive, send):
        raise StoreUnavailable

    sent = await through(web.application(server.service, [("/a", waiting)]), "/a")
    assert problem(sent) == (503, "urn:watchword:problem:unavailable")
    assert (b"retry-after", b"1") in sent[0]["headers"]


async def test_a_server_without_lifespan_work_says_so(server):
    """Both halves of the protocol are acknowledged."""
    asked, said = iter(["lifespan.startup", "lifespan.shutdown"]), []

    async def receive():
        return {"type": next(asked)}

    async def send(message):
        said.append(message["type"])

    await web.application(server.service)({"type": "lifespan"}, receive, send)
    assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


BROWSER = {"accept": "text/html,application/xhtml+xml;q=0.9"}


def test_a_visitor_gets_a_page_that_runs_nothing(server):
    """It says where to look."""
    answer = httpx2.get(server.url, headers=BROWSER)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    for place in ("/openapi.json", "/livez", "/readyz", "docs/native-api.md"):
        assert place in answer.text


@pytest.mark.parametrize(
    ("method", "query", "headers"),
    [
        ("GET", "", {"accept": "*/*"}),
        ("GET", "", {"accept": "application/json"}),
        ("POST", "", BROWSER),
        ("GET", "?Action=Anything", BROWSER),
        ("GET", "?a=b&Action=", BROWSER),
        ("GET", "", {**BROWSER, "x-acs-action": "Anything"}),
    ],
)
def test_a_program_at_the_root_gets_no_page(server, method, query, headers):
    """Whoever names an Action, or asks for no HTML, hears Alibaba Cloud's dialect."""
    answer = httpx2.request(method, f"{server.url}/{query}", headers=headers)
    assert answer.status_code == 400
    assert b"<HostId>" in answer.content or answer.json()["HostId"]


@pytest.mark.parametrize("path", ["/", "/livez", "/readyz", "/openapi.json"])
def test_head_is_get_without_a_body(server, path):
    got, headed = (
        httpx2.request(method, server.url + path, headers=BROWSER) for method in ("GET", "HEAD")
    )
    assert (headed.status_code, headed.content) == (got.status_code, b"")
    assert headed.headers["content-length"] == str(len(got.content))


def test_probes_tell_a_rehearsal_from_the_real_thing(server):
    """readyz says whether a sandbox or virtual carriers are in use, on both ports."""
    for port in (server.port, server.admin_port):
        base = f"http://127.0.0.1:{port}"
        assert httpx2.get(f"{base}/livez").json() == {"status": "alive"}
        assert httpx2.get(f"{base}/readyz").json() == {
            "status": "ready", "sandbox": False, "virtual": True,
        }  # fmt: skip


def test_a_store_that_cannot_commit_is_not_ready(server, monkeypatch):
    async def full(self):
        raise StoreUnavailable

    monkeypatch.setattr(type(server.service.store), "ready", full)
    begun, _ = asyncio.run(through(web.application(server.service), "/readyz"))
    assert (begun["status"], dict(begun["headers"])[b"retry-after"]) == (503, b"1")


def test_whoever_asks_whether_it_is_ready_costs_the_store_little(server, monkeypatch):
    """All who ask at once wait for one look; whoever comes later has a look of his own."""
    looks = []

    async def ready(self):
        looks.append(self)
        if len(looks) == 1:
            raise StoreUnavailable

    monkeypatch.setattr(type(server.service.store), "ready", ready)

    async def asked(application):
        answers = await asyncio.gather(*(through(application, "/readyz") for _ in range(20)))
        return {begun["status"] for begun, _ in answers}

    async def twice():
        application = web.application(server.service)
        return [await asked(application) for _ in range(3)]

    assert asyncio.run(twice()) == [{503}, {200}, {200}]
    assert len(looks) == 3


def test_metrics_need_an_admin_key_or_the_admin_port(server, number):
    """They tell routes, verdicts and refusals, and no address and no code."""
    with server.client(server.key()) as client:
        wanted = {"to": number, "channel": "sms", "purpose": "reset"}
        sent = [client.post("/v1/verifications", json=wanted) for _ in range(2)]
        path = f"/v1/verifications/{sent[0].json()['id']}/check"
        client.post(path, json={"code": "not-a-code"})
        text = client.get("/metrics").text
    assert httpx2.get(f"http://127.0.0.1:{server.admin_port}/metrics").status_code == 200
    for line in (
        'watchword_requests_total{route="create",status="201"}',
        'watchword_request_seconds_bucket{le="+Inf",route="check"}',
        'channel="sms"', 'verdict="mismatch"', 'scope="resend"',
        "watchword_virtual 1.0", "watchword_sandbox 0.0",
    ):  # fmt: skip
        assert line in text
    assert number[3:] not in text


def test_a_scrape_stays_small_whoever_comes():
    """A hundred apps have names; the rest are one."""
    tally = Tally()
    for app in range(MOST_APPS + 20):
        tally.judged(f"app{app}", "match")
        tally.refused(f"app{app}", "destination")
    lines = render(tally, []).decode().splitlines()
    verdicts = [line for line in lines if line.startswith("watchword_verdicts_total{")]
    assert len(verdicts) == MOST_APPS + 1
    assert 'watchword_verdicts_total{app="other",verdict="match"} 20.0' in verdicts


def test_a_new_key_works_at_once(server):
    """An unknown credential is looked up before it is refused."""
    for _ in range(3):
        with server.client(server.key(Scope.READ)) as client:
            assert client.get("/v1/verifications/" + "0" * 26).status_code == 404
