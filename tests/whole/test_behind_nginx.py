"""Behind the nginx we ship a configuration for: codes go through, limits count who really calls,
and no log has a query string."""

import json
import re
import ssl

import httpx2
import pytest

from tests import nginx
from tests.whole.conftest import DEADLINE_S
from tests.whole.test_serving import certificate

pytestmark = pytest.mark.store("sqlite")
SETTINGS = """
trusted_proxies = ["127.0.0.1"]
[captcha]
network = ["2/1h"]
"""
ASKED = {"captchaType": "blockPuzzle"}
TOLD = "what-a-person-typed"


@pytest.fixture
def front(house, tmp_path):
    """Where nginx answers for a server, and its certificate; afterwards its logs are whole."""
    if reason := nginx.absent():
        pytest.skip(reason)
    cert, key = certificate(tmp_path)
    house.settings(SETTINGS)
    with house.serving() as serving:
        house.run("demo")
        port = int(serving["base_url"].rpartition(":")[2])
        with nginx.before(port, tmp_path, cert, key) as url:
            yield url, cert


def shown_a_captcha(front, source, **headers):
    """Whether a caller at this address of the machine is shown one."""
    url, cert = front
    transport = httpx2.HTTPTransport(
        local_address=source, verify=ssl.create_default_context(cafile=cert)
    )
    with httpx2.Client(transport=transport, timeout=DEADLINE_S) as calls:
        answer = calls.post(f"{url}/captcha/get?q={TOLD}", json=ASKED, headers=headers)
    assert answer.status_code == 200
    return answer.json()["repCode"] == "0000"


def test_a_code_is_sent_and_checked_through_it(house, front):
    url, cert = front
    sent = house.run("send", "+8613800138000", "--url", url, "--ca", cert, "--json")
    id = json.loads(sent.stdout)["id"]
    checked = house.run("check", id, house.inbox("--code"), "--url", url, "--ca", cert)
    assert checked.stdout == "Approved.\n"


def test_limits_count_who_really_calls(front):
    """Each address on its own, whatever it claims to have been forwarded for."""
    assert shown_a_captcha(front, "127.0.0.2")
    assert shown_a_captcha(front, "127.0.0.2", **{"x-forwarded-for": "192.0.2.7"})
    assert not shown_a_captcha(front, "127.0.0.2", **{"x-forwarded-for": "192.0.2.8"})
    assert shown_a_captcha(front, "127.0.0.3")


def test_its_logs_have_paths_and_no_query_strings(house, front, tmp_path):
    """Nor when there is nobody behind it."""
    assert shown_a_captcha(front, "127.0.0.2")
    house.process.kill()
    house.process.wait()
    url, cert = front
    trusted = ssl.create_default_context(cafile=cert)
    answer = httpx2.get(f"{url}/livez?q={TOLD}", verify=trusted, timeout=DEADLINE_S)
    assert answer.status_code == 502
    logs = "".join(log.read_text() for log in tmp_path.glob("*.log"))
    assert "POST /captcha/get" in logs
    assert "GET /livez" in logs
    assert TOLD not in logs
    house.process = house.start()
    house.announced()


def test_metrics_are_not_for_the_world(front):
    url, cert = front
    answer = httpx2.get(f"{url}/metrics", verify=ssl.create_default_context(cafile=cert))
    assert answer.status_code == 404


def test_a_path_writes_no_line_of_its_own_into_the_redirect(front, tmp_path):
    (port,) = re.findall(r"listen 127\.0\.0\.1:(\d+);", (tmp_path / "nginx.conf").read_text())
    asked = f"http://127.0.0.1:{port}/a%20b%0d%0aSet-Cookie:%20c=d?{TOLD}"
    answer = httpx2.get(asked, headers={"host": "codes.example.com"}, timeout=DEADLINE_S)
    assert answer.status_code == 301
    location = "https://codes.example.com/a%20b%0d%0aSet-Cookie:%20c=d"
    assert answer.headers["location"].casefold() == location.casefold()
    assert "set-cookie" not in answer.headers
