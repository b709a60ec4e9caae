"""The texts from a shell: tried, shown, and nothing made on the way."""

import json

import pytest


@pytest.fixture
def app(shell):
    return shell("app", "create", "shop", "--brand", "Shop", "--origin", "shop.example").strip()


def write(shell, name, text):
    path = shell.folder / "templates" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_every_text_is_tried(shell):
    """All purposes and languages of both channels, and what each costs."""
    found = shell.json("template", "check")
    assert shell.code == 0
    assert len(found["texts"]) == 5 * 2 * 2
    assert found["mistakes"] == []
    sms = [text for text in found["texts"] if text["channel"] == "sms"]
    assert {text["language"]: text["encoding"] for text in sms} == {
        "en-us": "GSM-7",
        "zh-cn": "UCS-2",
    }
    assert all(text["bytes"] for text in found["texts"])
    assert not shell.folder.exists()


def test_a_mistake_is_told_with_its_place(shell):
    path = write(shell, "sms/en-us/sign_in.txt", "{{ brand }}: hello")
    said = shell("template", "check")
    assert shell.code == 1
    assert f"MISTAKE {path}: never says {{{{ code }}}}" in said
    assert shell.json("template", "check")["mistakes"] != []


def test_an_apps_own_texts_are_tried_under_its_brand(shell, app):
    write(shell, f"apps/{app}/sms/en-us/sign_in.txt", "{{ brand }} {{ code }}")
    found = shell.json("template", "check")
    assert len(found["texts"]) == 40
    (text,) = [
        one
        for one in shell.json("template", "check", "--app", app)["texts"]
        if (one["channel"], one["language"], one["purpose"]) == ("sms", "en-us", "sign_in")
    ]
    bound = "Shop 492817\n\n@shop.example #492817"
    assert (text["app"], text["segments"], text["bytes"]) == (app, 1, -(-len(bound) * 7 // 8))


@pytest.mark.parametrize("command", ["check", "preview"])
def test_an_app_that_is_not_there_is_a_sentence(shell, command):
    shell("template", command, "--app", "nobody")
    assert shell.code == 1
    assert shell.said == "There is no app 'nobody': watchword app list names them.\n"
    assert not shell.folder.exists()


def test_a_text_is_shown_as_people_get_it(shell, app):
    """The text on stdout, its costs on stderr."""
    said = shell("template", "preview", "--app", app, "--purpose", "reset")
    assert said == (
        "Shop: 492817 is your code to reset your password. It is valid for 10 minutes. Do not "
        "share it with anyone.\n\n@shop.example #492817\n"
    )
    assert shell.said == "1 message, GSM-7, 113 bytes.\n"


def test_what_costs_is_named(shell):
    shell("template", "preview", "--brand", "Café’s")
    assert "UCS-2" in shell.said
    assert shell.said.endswith("Not GSM-7 because of: ’ (U+2019).\n")


def test_a_mail_is_shown_with_its_page(shell, tmp_path):
    page = tmp_path / "page.html"
    words = ("--channel", "email", "--language", "zh-CN", "--brand", "<b>", "--html", str(page))
    said = shell("template", "preview", *words)
    assert said.startswith("Subject: 【<b>】登录验证码\n\n<b>\n")
    assert "&lt;b&gt;" in page.read_text(encoding="utf-8")
    assert f"The page is in {page}." in shell.said


def test_a_language_without_words_says_so(shell):
    assert "sign-in code" in shell("template", "preview", "--language", "fr-fr")
    assert shell.said.startswith("There are no words in fr-fr; this is en-us.\n")


@pytest.mark.parametrize(
    "words", [("--minutes", "0"), ("--minutes", "61"), ("--html", "x"), ("--purpose", "fun")]
)
def test_what_cannot_be_meant_is_misuse(shell, words):
    shell("template", "preview", *words)
    assert shell.code == 2


def test_a_brand_is_changed_per_language_and_taken_back(shell, app):
    """What is not named stays."""
    shell("app", "brand", app, "商店", "--language", "zh_CN")
    shown = json.loads(shell("app", "brand", app, "Corner Shop"))
    assert (shown["brand"], shown["brands"]) == ("Corner Shop", {"zh-cn": "商店"})
    assert "【商店】" in shell("template", "preview", "--app", app, "--language", "zh-cn")
    assert "Corner Shop: " in shell("template", "preview", "--app", app)
    assert "【Other】" in shell(
        "template", "preview", "--app", app, "--language", "zh-cn", "--brand", "Other"
    )
    assert json.loads(shell("app", "brand", app, "", "--language", "zh-cn"))["brands"] == {}


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("x" * 65,), "A brand is one line of 1 to 64 characters."),
        (("a\nb",), "A brand is one line of 1 to 64 characters."),
        (("Shop @evil.example #1",), "browsers take that for a bound code"),
        (("Shop", "--language", "Chinese!"), "'Chinese!' is no language; write it as in zh-cn."),
    ],
)
def test_a_brand_that_cannot_be_said_is_refused(shell, app, words, complaint):
    shell("app", "brand", app, *words)
    assert shell.code == 1
    assert complaint in shell.said


def test_the_doctor_tells_of_the_texts(shell, app):
    assert "ok     Every text can be said, in en-us, zh-cn." in shell("doctor")
    path = write(shell, "sms/en-us/sign_in.txt", "{{ brand }}: hello")
    assert f"BROKEN A text is wrong: {path}: never says {{{{ code }}}}" in shell("doctor")


def test_the_doctor_does_not_call_broken_settings_read(shell):
    shell.folder.mkdir()
    (shell.folder / "watchword.toml").write_text("[captcha.jigsaw]\nahed = 3\n")
    said = shell("doctor")
    assert "The settings are read" not in said
    assert "captcha.jigsaw.ahed: unknown; did you mean captcha.jigsaw.ahead?" in said
