"""What the texts say, and what a template cannot do."""

import re
from itertools import product

import pytest

from watchword.channels.texts import Texts, ours, render
from watchword.domain.message import Message, Words, one_line
from watchword.domain.purpose import Purpose
from watchword.domain.segments import cost
from watchword.errors import ChannelUnavailable, ConfigInvalid

LANGUAGES = ("en-us", "zh-cn")
EVERY = list(product(Purpose, ("sms", "email"), LANGUAGES))


def words(**changes):
    return Words(**{"code": "492817", "minutes": 10, "brand": "Acme", **changes})


def said(purpose=Purpose.SIGN_IN, channel="sms", language="en-us", **changes):
    return render(purpose, channel, language, words(**changes), key="k1", to="a@example.com")


def folder(tmp_path, **templates):
    """A folder of texts whose SMS for signing in reads as given."""
    place = tmp_path / "sms" / "en-us"
    place.mkdir(parents=True)
    for name, text in templates.items():
        (place / f"{name}.txt").write_text(text)
    return tmp_path


@pytest.mark.parametrize(("purpose", "channel", "language"), EVERY)
def test_every_text_says_what_it_must(purpose, channel, language):
    """Brand, code, lifetime and the warning are in every text, for each purpose and language."""
    message = said(purpose, channel, language, minutes=7)
    warning = "Do not share it" if language == "en-us" else "请勿"
    for body in (message.text, message.html) if channel == "email" else (message.text,):
        assert "Acme" in body
        assert "492817" in body
        assert re.search(r"\b7 (minutes|分钟)", body)
        assert warning in body
    assert (message.language, message.code, message.brand) == (language, "492817", "Acme")


@pytest.mark.parametrize(("channel", "language"), list(product(("sms", "email"), LANGUAGES)))
def test_a_text_says_what_its_code_is_for(channel, language):
    """Nobody who is asked for a sign-in code can be made to read out another."""
    texts = {said(purpose, channel, language).text for purpose in Purpose}
    assert len(texts) == len(Purpose)


@pytest.mark.parametrize(("minutes", "phrase"), [(1, "1 minute."), (2, "2 minutes.")])
def test_one_minute_is_one_minute(minutes, phrase):
    assert phrase in said(minutes=minutes).text


@pytest.mark.parametrize("purpose", Purpose)
def test_an_english_sms_is_one_segment(purpose):
    """Up to a brand of 20 characters and a code of 8, it costs one message."""
    text = said(purpose, brand="B" * 20, code="98765432", minutes=10).text
    assert cost(text).segments == 1
    assert text.isascii()


def test_a_chinese_sms_starts_with_its_signature():
    """Carriers in China ask for 【brand】 in front."""
    assert said(language="zh-cn").text.startswith("【Acme】")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_origin_binds_the_code_in_the_last_line(language):
    """WebOTP: an empty line, then `@host #code`, and nothing behind it."""
    lines = said(language=language, origin="login.example.com").text.split("\n")
    assert lines[-2:] == ["", "@login.example.com #492817"]


def test_an_sms_without_origin_is_one_line():
    assert "\n" not in said().text
    assert "@" not in said().text


def test_a_mail_is_not_bound_to_an_origin():
    assert "#492817" not in said(channel="email", origin="example.com").text


@pytest.mark.parametrize(("purpose", "language"), list(product(Purpose, LANGUAGES)))
def test_a_subject_keeps_the_code_to_itself(purpose, language):
    """Lock screens and the logs of mail servers show subjects."""
    subject = said(purpose, "email", language).subject
    assert subject
    assert "492817" not in subject


@pytest.mark.parametrize(("purpose", "language"), list(product(Purpose, LANGUAGES)))
def test_a_page_loads_nothing_from_elsewhere(purpose, language):
    """Opening a mail tells nobody that it was opened."""
    html = said(purpose, "email", language).html
    assert not re.search(r"https?:|//|<(img|link|script|iframe)|url\(|@import", html)
    assert f'<html lang="{language}">' in html
    assert 'content="light dark"' in html
    assert re.search(r"<code [^>]*monospace[^>]*user-select: all[^>]*>492817</code>", html)


def test_a_brand_is_no_markup():
    html = said(channel="email", brand="<b>A&B</b>").html
    assert "<b>" not in html
    assert "&lt;b&gt;A&amp;B&lt;/b&gt;" in html


def test_a_plain_text_is_not_escaped():
    assert said(brand="A&B").text.startswith("A&B: ")


@pytest.mark.parametrize(
    "brand", ["A\r\nBcc: x@y", "A\x00\x1b[2J", "A\u202eB", "A\u2028B", "\ud800A"]
)
def test_a_brand_breaks_no_line(brand):
    """Neither a header nor the last line of an SMS is open to what an app is called."""
    message = said(channel="email", brand=brand)
    assert one_line(message.subject) == message.subject
    assert one_line(message.brand) == message.brand
    assert "\n" not in said(brand=brand).text


def test_an_origin_breaks_no_line():
    text = said(origin="exa\r\nmple.com").text
    assert text.split("\n")[-1] == "@example.com #492817"


def test_a_long_brand_is_cut_and_an_empty_one_replaced():
    assert said(brand="B" * 200).brand == "B" * 64
    assert said(brand=" \n").brand == "watchword"


@pytest.mark.parametrize("asked", ["fr-fr", "", "en-GB"])
def test_a_language_without_words_falls_back(asked):
    """A message is never lost for want of a translation."""
    assert said(language=asked).language == "en-us"
    assert said(language="zh-TW").language == "zh-cn"


def test_a_channel_without_words_is_refused():
    with pytest.raises(ChannelUnavailable):
        said(channel="pigeon")


@pytest.mark.parametrize("purpose", Purpose)
def test_every_channel_has_the_same_languages(purpose):
    assert ours().languages(purpose, "sms") == ours().languages(purpose, "email") == LANGUAGES


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{% for a in code %}{{ a }}{% endfor %}", "may not use For"),
        ("{{ brand.__class__ }}", "may not use Getattr"),
        ("{{ code * 9999999 }}", "may not use Mul"),
        ("{{ range(9) }}", "may not use Call"),
        ("{{ code|upper }}", "may not use Filter"),
        ("{% macro a() %}{{ a() }}{% endmacro %}", "may not use Macro"),
        ("{% include 'other.txt' %}", "may not use Include"),
        ("{{ password }}", "says 'password', which it is not given"),
        ("{{ code", "cannot be read"),
    ],
)
def test_a_template_that_does_more_than_speak_is_refused(tmp_path, text, complaint):
    """Found when the texts are read, not when the first message goes out."""
    with pytest.raises(ConfigInvalid, match=re.escape(complaint)):
        Texts(folder(tmp_path, sign_in=text))


def test_every_mistake_is_told_at_once(tmp_path):
    with pytest.raises(ConfigInvalid) as refused:
        Texts(folder(tmp_path, sign_in="{{ a }}", reset="{{ b }}"))
    assert len(refused.value.mistakes) == 2


def test_a_text_says_at_most_4_kib(tmp_path):
    """Counted in bytes, because that is what travels."""
    texts = Texts(folder(tmp_path, sign_in="{{ code }}" + "验" * 1364, reset="{{ code }}"))
    with pytest.raises(ConfigInvalid, match="longer than 4096 bytes"):
        texts.render(Purpose.SIGN_IN, "sms", "en-us", words(), key="k", to="+1")
    assert texts.render(Purpose.RESET, "sms", "en-us", words(), key="k", to="+1").text == "492817"


def test_a_message_prints_none_of_its_secrets():
    """Neither in a log, nor in a traceback with locals."""
    message = said(channel="email")
    for shown in (repr(message), str(message), f"{message}", repr(message.__rich_repr__())):
        assert "492817" not in shown
        assert "example.com" not in shown
    assert isinstance(message, Message)


def test_words_print_without_their_code():
    shown = f"{words()!r} {words()} {words().__rich_repr__()}"
    assert "492817" not in shown
    assert "Acme" in shown
