"""One scrape tells the whole server, however many processes it has, whoever answers it."""

import re
import urllib.request

import psutil
import pytest

from tests.whole.conftest import DEADLINE_S, eventually

pytestmark = pytest.mark.store("sqlite")
LINE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")


def scraped(url, key=""):
    """Every sample, by name and labels as they are written."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    request = urllib.request.Request(f"{url}/metrics", headers=headers)  # noqa: S310
    with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:  # noqa: S310
        lines = answer.read().decode().splitlines()
    found = (LINE.fullmatch(line) for line in lines if not line.startswith("#"))
    return {(one[1], one[2] or ""): float(one[3]) for one in found if one}


def total(samples, name, *labels):
    return sum(
        value
        for (named, said), value in samples.items()
        if named == name and all(label in said for label in labels)
    )


def sent(house, count, start=0):
    for number in range(start, start + count):
        house.run("send", f"+86138001{number + 100:05d}")


def fine(serving, name, *labels, least):
    return lambda: total(scraped(serving["admin_url"]), name, *labels) >= least


def test_all_processes_count_as_one(house):
    """What two answering processes and the delivering one did, from the admin address; and no
    restart of any makes a number smaller."""
    created = ('route="create"', 'status="201"')
    with house.serving("--workers", "2") as serving:
        house.run("demo")
        sent(house, 6)
        eventually(fine(serving, "watchword_requests_total", *created, least=6), "all counted")
        eventually(
            fine(serving, "watchword_deliveries_total", 'state="delivered"', least=6), "deliveries"
        )
        before = scraped(serving["admin_url"])
        assert total(before, "watchword_sends_total") == 6
        assert total(before, "watchword_handover_seconds_count") == 6
        assert total(before, "watchword_commit_acts_count") > 0
        for child in psutil.Process(house.process.pid).children():
            child.kill()
        eventually(lambda: scraped(serving["admin_url"]), "a successor")
        after = scraped(serving["admin_url"])
        for name in ("requests", "sends", "deliveries"):
            counted = f"watchword_{name}_total"
            assert total(after, counted) >= total(before, counted)
        sent(house, 2, start=6)
        eventually(fine(serving, "watchword_requests_total", *created, least=8), "both lives")
