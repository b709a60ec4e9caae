"""How long a code lives, in words."""

import pytest
from babel import localedata

from watchword.channels.texts.lifetime import is_known, lifetime
from watchword.domain.segments import cost


@pytest.mark.parametrize(
    ("minutes", "language", "said"),
    [
        (1, "en-us", "1 minute"),
        (10, "en-us", "10 minutes"),
        (60, "en-us", "60 minutes"),
        (90, "en-us", "90 minutes"),
        (120, "en-us", "2 hours"),
        (10, "zh-cn", "10 分钟"),
        (120, "zh-cn", "2 小时"),
        (10, "zh-tw", "10 分鐘"),
        (1, "ru", "1 минута"),
        (2, "ru-ru", "2 минуты"),
        (5, "ru", "5 минут"),
        (21, "ru", "21 минута"),
        (2, "ar", "دقيقتان"),
        (120, "fr", "2 heures"),
        (3, "sr-latn-rs", "3 minuta"),
    ],
)
def test_a_lifetime_is_said_as_people_say_it(minutes, language, said):
    """In the plural of the language, and never rounded."""
    assert lifetime(minutes, language) == said


def test_every_language_has_words_for_a_lifetime():
    """So that a folder is all that a new language takes."""
    for name in localedata.locale_identifiers():
        assert lifetime(10, name.replace("_", "-")), name


def test_a_lifetime_costs_no_encoding():
    """CLDR's blanks that do not break are none of GSM-7."""
    assert cost(lifetime(120, "fr")).encoding == "GSM-7"


@pytest.mark.parametrize("language", ["xx", "en-xx", "", "1", "d--e"])
def test_an_unknown_language_is_none(language):
    assert not is_known(language)
    with pytest.raises(ValueError):  # noqa: PT011
        lifetime(10, language)
