"""Events out, secrets kept in."""

import io
import json
import logging
from datetime import UTC, datetime, timedelta

import pytest
from structlog.dev import ConsoleRenderer

from watchword import log
from watchword.domain import destination


def lines(written):
    return [json.loads(line) for line in written.getvalue().splitlines()]


def test_an_event_is_one_json_object(written):
    """Its name, its fields, when and how grave."""
    log.configure("json", stream=written)
    log.events().info("challenge_issued", app="a1", attempts=5, ttl=timedelta(minutes=10))
    (event,) = lines(written)
    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "event": "challenge_issued", "level": "info", "app": "a1", "attempts": 5, "ttl": "600s",
    }  # fmt: skip


def test_what_is_not_plain_prints_itself(written):
    """A destination comes out masked, bytes by their number."""
    log.configure("json", stream=written)
    phone = destination.phone("+8613800138000")
    at = datetime(2026, 1, 2, tzinfo=UTC)
    log.events().info("sent", to=phone, all=[phone], code=b"493817", at=at)
    (event,) = lines(written)
    assert "13800138" not in written.getvalue()
    assert "493817" not in written.getvalue()
    assert (event["code"], event["at"]) == ("<6 bytes>", "2026-01-02T00:00:00+00:00")


@pytest.mark.parametrize("form", ["json", "text"])
def test_an_error_is_a_name_and_a_place(written, form):
    """Neither its words nor its frames: both may hold what a person typed."""
    log.configure(form, stream=written)
    code = "493817"
    try:
        raise ValueError(f"cannot read {code}")
    except ValueError:
        log.events().exception("check_failed")
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
    said = written.getvalue()
    assert said.count("ValueError") == 2
    assert said.count("test_log.py:") == 2
    assert code not in said
    assert "Traceback" not in said


def test_libraries_speak_through_us_and_only_when_it_matters(written):
    """One form for all; no access log, no request lines of HTTP libraries."""
    log.configure("json", stream=written)
    logging.getLogger("httpx2").info("HTTP Request: GET https://example.com/?token=x")
    logging.getLogger("uvicorn.access").info("GET /v1/inbox?to=+8613800138000")
    logging.getLogger("uvicorn.access").error("the same")
    logging.getLogger("aiosmtplib").warning("connection %s", "lost")
    (event,) = lines(written)
    assert (event["event"], event["level"]) == ("connection lost", "warning")


def test_the_readable_form_has_the_same_fields(written):
    log.configure("text", stream=written)
    log.events().warning("limit_met", scope="destination")
    assert "limit_met" in written.getvalue()
    assert "scope=destination" in written.getvalue()


@pytest.mark.parametrize(
    "said",
    ["plain", "", "it's", 'a "b"', "a=b", "a b", "街角", "a\\b", 5, 0.5, True, None, ["a", "b c"]],
)
def test_the_readable_form_is_the_one_that_a_terminal_has_without_its_colours(written, said):
    """Two renderers, one form."""
    log.configure("text", stream=written)
    log.events().warning("limit_met", scope="destination", account=said, body=said)
    fields = {"scope": "destination", "account": said, "body": said}
    plain = ConsoleRenderer(colors=False)
    when = written.getvalue().partition(" ")[0]
    event = {"timestamp": when, "level": "warning", "event": "limit_met", **fields}
    assert written.getvalue() == plain(None, "warning", event) + "\n"


def test_what_is_below_the_level_is_not_written(written):
    """A busy server may be asked for warnings alone; libraries follow."""
    log.configure("json", "warning", stream=written)
    log.events().info("challenge_issued")
    logging.getLogger("uvicorn.error").info("Started server process")
    log.events().warning("provider_unavailable")
    assert [event["event"] for event in lines(written)] == ["provider_unavailable"]


def test_a_log_that_cannot_be_written_fails_nobody(written):
    """A full disk costs the line, not the request."""

    class Full(io.StringIO):
        def write(self, text):
            raise OSError(28, "No space left on device")

    log.configure("json", stream=Full())
    log.events().error("request_failed", error="ValueError")


@pytest.mark.parametrize(
    "sign", ["\x1b[2J", "\x07", "\x7f", "\x9b31m", "\u202e", "\u2028", "\ud800"]
)
def test_the_readable_form_is_one_plain_line_whatever_was_typed(written, sign):
    """A terminal obeys some signs, and others turn the line round: each is named instead, in an
    event's own fields and in what a library says."""
    log.configure("text", stream=written)
    log.events().warning("request_refused", account=f"a{sign}b", all=[f"c{sign}"])
    logging.getLogger("aiosmtplib").warning("greeted by %s", f"d{sign}e")
    assert len(written.getvalue().splitlines()) == 2
    assert written.getvalue().replace("\n", "").isprintable()
    named = f"<U+{ord(sign[0]):04X}>{sign[1:]}"
    assert f"account=a{named}b" in written.getvalue()
    assert f"d{named}e" in written.getvalue()


@pytest.mark.parametrize(
    "said",
    ["\x1b[2J", "\n", "\x7f", "\x9b31m", "\u202e", "\ud800", "街角", 1 << 70, 0.5, None, ["a"]],
)
def test_a_line_of_json_is_ascii_and_says_it_all(written, said):
    """A terminal that shows it obeys nothing; whoever reads it gets back what was said."""
    log.configure("json", stream=written)
    log.events().warning("request_refused", account=said)
    (line,) = written.getvalue().splitlines()
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["account"] == said


def test_what_can_be_read_stays_as_it_is(written):
    log.configure("text", stream=written)
    log.events().info("request_refused", brand="街角小店", path="a\\b", said="it's 7 o'clock")
    said = written.getvalue()
    assert all(one in said for one in ("brand=街角小店", "path=a\\b", "\"it's 7 o'clock\""))
