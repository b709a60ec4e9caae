"""Why did my code not come? Asked of a server that runs, with a carrier that misbehaves."""

import json

import pytest

from tests.whole.conftest import eventually


def test_find_says_what_became_of_each_code(house):
    """Refused, down or delivered, in words, in any spelling; never the code, nor the address."""
    with house.serving():
        house.run("demo")
        for ending in ("0001", "0002", "8000"):
            house.run("send", f"+861380013{ending}")

        def said(words, spelled):
            def look():
                report = house.run("find", "--to", spelled).stdout
                return report if words in report else ""

            return eventually(look, words)

        assert "no limit of this address refuses it" in said(
            "the provider refused it for good", "0086-13800130001"
        )
        assert "it is tried again; the last try failed" in said("it is tried again", "13800130002")
        report = said("the provider says that it arrived", "+86 138 0013 8000")
        assert "+86*********00" in report
        assert "13800138000" not in report
        assert house.run("inbox", "last", "--to", "+8613800138000", "--code").stdout[:6] not in (
            report
        )


@pytest.mark.store("sqlite")
def test_find_tells_what_was_looked_at_where_nothing_is_known(house):
    house.run("app", "create", "shop")
    report = house.run("find", "--to", "ann@example.com").stdout
    assert "Nothing is known of a***@example.com in shop." in report
    assert "request_refused" in report
    told = json.loads(house.run("find", "--to", "ann@example.com", "--json").stdout)
    assert told["challenges"] == []
    assert [one["app"] for one in told["standings"]] == ["shop"]


@pytest.mark.store("sqlite")
def test_unlock_says_what_was_counted_and_what_stays(house):
    """Wrong codes are forgotten; a second time there is nothing to unlock."""
    with house.serving():
        house.run("demo")
        challenge = house.run("send", "+8613800138000").stdout.strip()
        house.run("check", challenge, "wrong1", check=False)
        found = house.run("find", "--to", "+8613800138000").stdout
        assert "wrong codes: 1 lately, 1 in a row" in found
        said = house.run("unlock", "--to", "0086-13800138000").stdout
        assert "1 wrong codes in a row are forgotten" in said
        assert "Limits on sends are not lifted" in said
        assert "nothing to unlock" in house.run("unlock", "--to", "13800138000").stdout
