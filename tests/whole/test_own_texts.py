"""Own texts on a real server: refused at the start, said once they are right."""

import json

import pytest

from tests.contract.places import KINDS

STARTS = (["serve", "--port", "0"], ["serve", "--port", "0", "--workers", "2"], ["worker"])


def write(house, name, text):
    path = house.folder / "templates" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.store("sqlite")
@pytest.mark.parametrize("words", STARTS, ids=" ".join)
def test_a_wrong_text_keeps_every_process_from_starting(house, words):
    """All mistakes at once, and no command that could mend them is kept from running."""
    place = write(house, "sms/en-us/sign_in.txt", "{{ brand }}: hello")
    gap = write(house, "sms/de-de/sign_in.txt", "{{ brand }}: {{ code }}").parent
    refused = house.run(*words, check=False)
    assert refused.returncode == 1
    assert refused.stderr.startswith("The texts are wrong:\n")
    assert f"{place}: never says {{{{ code }}}}" in refused.stderr
    assert "sms/de-de: lacks sign_up.txt, reset.txt" in refused.stderr
    assert gap.is_dir()
    house.run("app", "list")
    house.run("inbox")


@pytest.mark.store(*KINDS)
def test_an_apps_own_text_and_brand_travel(house):
    """By the app's id, on every store."""
    house.run("demo")
    for one in json.loads(house.run("app", "list", "--json").stdout):
        house.run("app", "brand", one["id"], "商店", "--language", "zh-cn")
        write(house, f"apps/{one['id']}/sms/zh-cn/sign_in.txt", "{{ brand }}来信：{{ code }}")
    with house.serving():
        house.run("send", "+8613800138000", "--locale", "zh-TW")
        assert house.inbox("--to", "+8613800138000").startswith("商店来信：")
