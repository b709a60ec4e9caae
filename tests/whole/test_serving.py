"""The life of a server: how it starts, whom it lets in, and how it ends."""

import json
import signal
import socket
import subprocess
import urllib.error
import urllib.request

import psutil
import pytest

from tests.contract.places import KINDS
from tests.whole.conftest import DEADLINE_S, ROOT, eventually

pytestmark = pytest.mark.store("sqlite")


def status(url):
    with urllib.request.urlopen(url, timeout=DEADLINE_S) as answer:  # noqa: S310
        return answer.status


def children(process):
    return psutil.Process(process.pid).children()


@pytest.mark.store(*KINDS)
def test_what_it_prints_to_try_works_as_printed(house):
    """The first minute needs no manual."""
    with house.serving():
        line = house.said().rpartition("Try it in another shell:\n")[2].strip()
        tried = subprocess.run(
            ["bash", "-c", line],
            env=house.environment(),
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
        )
        assert tried.returncode == 0, tried.stderr
        assert "export WATCHWORD_KEY=" in tried.stdout
        assert house.inbox("--code").isdigit()


def test_it_announces_itself_and_takes_its_word_back(house):
    """serve.json is there while the server is, and not longer."""
    with house.serving() as serving:
        assert serving["pid"] == house.process.pid
        assert status(serving["base_url"] + "/livez") == 200
        assert status(serving["admin_url"] + "/metrics") == 200
        assert (
            json.loads(house.run("demo", "--json").stdout)["native"]["base_url"]
            == (serving["base_url"])
        )
    assert not (house.folder / "serve.json").exists()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_container_says_by_its_environment_where_to_listen(house, workers):
    with house.serving(
        *("--workers", workers),
        WATCHWORD_SERVER__HOST="127.0.0.1",
        WATCHWORD_SERVER__ADMIN_HOST="127.0.0.1",
    ) as serving:
        assert serving["host"] == "127.0.0.1"
        assert status(serving["admin_url"] + "/metrics") == 200


def test_a_taken_port_is_a_sentence(house):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = house.run("serve", "--port", port, check=False)
    assert refused.returncode == 1
    assert len(refused.stderr.splitlines()) == 1
    assert port in refused.stderr
    assert "--port" in refused.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_second_server_on_a_folder_is_refused(house, workers):
    """And it does not take back the first one's word."""
    with house.serving("--workers", workers) as serving:
        refused = house.run("serve", "--port", "0", check=False)
        assert refused.returncode == 1
        assert serving["base_url"] in refused.stderr
        assert str(serving["pid"]) in refused.stderr
        assert json.loads((house.folder / "serve.json").read_text()) == serving
        told = house.run("doctor", check=False).stdout  # a store of tests forgets, which it minds
        assert "ok     A server answers" in told


@pytest.mark.store(*KINDS)
def test_a_store_without_its_key_ring_is_not_served(house):
    """A new ring would open nothing of it; the lost one has to come back."""
    house.run("app", "list")
    ring = house.folder / "keyring.json"
    ring.unlink()
    for words in (["serve", "--port", "0"], ["serve", "--port", "0", "--workers", "2"], ["demo"]):
        refused = house.run(*words, check=False)
        assert refused.returncode == 1
        assert "restore your copy" in refused.stderr
    assert not ring.exists()


def test_a_taken_admin_port_is_a_warning(house):
    """Codes go out although nobody can count them."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with house.serving(WATCHWORD_SERVER__ADMIN_PORT=port) as serving:
            assert serving["admin_url"] is None
            assert "No metrics" in house.said()
            assert status(serving["base_url"] + "/livez") == 200


@pytest.mark.parametrize("workers", ["1", "2"])
def test_strangers_cannot_reach_readable_codes(house, workers):
    """While codes can be read here, only this machine gets in."""
    words = ("serve", "--host", "0.0.0.0", "--port", "0", "--workers", workers)  # noqa: S104
    refused = house.run(*words, check=False)
    assert refused.returncode == 1
    assert "sandbox" in refused.stderr


def test_a_sandbox_may_be_reached_and_says_so(house):
    with house.serving("--host", "0.0.0.0", WATCHWORD_SANDBOX="true") as serving:  # noqa: S104
        assert "SANDBOX" in house.said()
        assert status(serving["base_url"] + "/livez") == 200


@pytest.mark.store(*KINDS)
def test_several_processes_answer_and_one_delivers(house):
    """The parent watches two that answer and one that delivers."""
    with house.serving("--workers", "2") as serving:
        assert len(children(house.process)) == 3
        assert status(serving["base_url"] + "/readyz") == 200
        assert status(serving["admin_url"] + "/metrics") == 200


def test_a_dead_child_is_replaced(house):
    """One crash costs one process, for a moment."""
    with house.serving("--workers", "2") as serving:
        victim = children(house.process)[1]
        victim.kill()
        eventually(
            lambda: victim not in (alive := children(house.process)) and len(alive) == 3, "a birth"
        )
        assert status(serving["base_url"] + "/livez") == 200


@pytest.mark.parametrize("workers", ["1", "2"])
def test_kill_9_of_the_parent_ends_all(house, workers):
    """No orphan goes on answering; the next start finds the way free."""
    process = house.process = house.start("--workers", workers)
    house.announced()
    family = children(process)
    process.kill()
    process.wait()
    _, left = psutil.wait_procs(family, DEADLINE_S)
    assert left == []
    with house.serving("--workers", workers) as serving:
        assert status(serving["base_url"] + "/livez") == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_signal_ends_it_in_order(house, workers, number):
    process = house.process = house.start("--workers", workers)
    house.announced()
    family = children(process)
    process.send_signal(number)
    assert process.wait(DEADLINE_S) == 0
    assert not [child for child in family if child.is_running()]
    assert "Traceback" not in house.said()


@pytest.mark.store(*KINDS)
def test_a_worker_delivers_alone(house):
    """What a server queued and could not deliver, a worker does."""
    worker = subprocess.Popen(
        [ROOT / ".venv/bin/watchword", "worker", "--data", house.folder],
        env=house.environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert worker.stdout
        assert worker.stdout.readline().startswith("Delivering")
        worker.terminate()
        assert worker.wait(DEADLINE_S) == 0
    finally:
        worker.kill()
        worker.communicate()


def test_a_request_that_never_ends_its_head_is_cut_off(house):
    """Nobody fills our memory with headers."""
    with house.serving() as serving:
        port = int(serving["base_url"].rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as connection:
            connection.sendall(b"GET /livez HTTP/1.1\r\nhost: x\r\n")
            answered = b""
            try:
                for number in range(10_000):
                    connection.sendall(b"x-%d: %s\r\n" % (number, b"y" * 1000))
                answered = connection.recv(100)
            except ConnectionError:
                pass
        assert answered == b"" or b" 431 " in answered
        assert status(serving["base_url"] + "/livez") == 200


def certificate(folder):
    """A self-signed certificate for 127.0.0.1."""
    from datetime import UTC, datetime, timedelta
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return str(folder / "cert.pem"), str(folder / "key.pem")


def test_it_speaks_https_when_given_a_certificate(house, tmp_path):
    """For SDKs that insist on it."""
    cert, key = certificate(tmp_path)
    with house.serving("--tls-cert", cert, "--tls-key", key) as serving:
        assert serving["base_url"].startswith("https://")
        house.run("demo")
        house.run("send", "+8613800138000", "--ca", cert)
        assert f"--ca {cert}" in house.said()
        refused = house.run("send", "+8613800138000", check=False)
        assert refused.returncode == 1
        assert "--ca FILE" in refused.stderr
        told = house.run("doctor", check=False).stdout  # a store of tests forgets, which it minds
        assert "ok     A server answers" in told
        assert house.inbox("--code").isdigit()


def test_a_certificate_that_cannot_be_used_is_a_sentence(house, tmp_path):
    (tmp_path / "cert.pem").write_text("nothing")
    words = ("serve", "--tls-cert", tmp_path / "cert.pem", "--tls-key", tmp_path / "cert.pem")
    refused = house.run(*words, check=False)
    assert refused.returncode == 1
    assert len(refused.stderr.splitlines()) == 1
