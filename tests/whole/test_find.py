"""Why did my code not come? Asked of a server that runs, with a carrier that misbehaves. What the
stores answer is shown for each by their own suite (tests/contract/test_find.py)."""

import json

import pytest

from tests.whole.conftest import eventually


@pytest.mark.store("sqlite")
def test_find_explains_and_unlock_forgets(house):
    """Refused, down or delivered, in words, in any spelling, by an id too; never the code, nor the
    address. What the operator did then stands in the journal's chains."""
    with house.serving():
        house.run("demo")
        sent = [
            house.run("send", f"+861380013{ending}").stdout.strip()
            for ending in ("0001", "0002", "8000")
        ]

        def said(words, *asked):
            def look():
                report = house.run("find", *asked).stdout
                return report if words in report else ""

            return eventually(look, words)

        report = said("the provider refused it for good", "--to", "0086-13800130001")
        assert "no limit of this address refuses it" in report
        assert "; the last try failed" in said("it is tried again at 20", "--to", "13800130002")
        report = said("the provider says that it arrived", "--to", "+86 138 0013 8000")
        assert "+86*********00" in report
        assert "13800138000" not in report
        code = house.run("inbox", "last", "--to", "+8613800138000", "--code").stdout.strip()
        assert code
        assert code not in report
        assert sent[2] in said("the provider says that it arrived", "--id", sent[2])

        house.run("check", sent[2], "wrong1", check=False)
        assert "1 lately, 1 in a row" in house.run("find", "--to", "+8613800138000").stdout
        report = house.run("unlock", "--to", "0086-13800138000").stdout
        assert "1 wrong codes in a row are forgotten" in report
        assert "Limits on sends are not lifted" in report

        def exported():
            lines = map(json.loads, house.run("journal", "export").stdout.splitlines())
            bodies = [json.loads(line["body"]) for line in lines if "body" in line]
            return [b for b in bodies if b.get("details", {}).get("what") == "unlock"]

        (unlock,) = eventually(exported, "the deed is sealed")
        assert unlock["to"] == "+86*********00"
        assert ": unlock (" in house.run("journal", "show", "--to", "+8613800138000").stdout
