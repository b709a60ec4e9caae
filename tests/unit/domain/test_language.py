"""Which language is spoken, of those that are on offer."""

import pytest

from watchword.domain.language import choose

OFFERED = ("en-us", "zh-cn")


@pytest.mark.parametrize(
    ("asked", "app", "chosen"),
    [
        ("zh-cn", "", "zh-cn"),
        ("zh_CN", "", "zh-cn"),
        (" ZH-cn ", "", "zh-cn"),
        ("zh-tw", "", "zh-cn"),
        ("zh", "en-us", "zh-cn"),
        ("en-gb", "zh-cn", "en-us"),
        ("fr", "zh", "zh-cn"),
        ("fr", "de", "en-us"),
        (None, "zh-cn", "zh-cn"),
        ("", "", "en-us"),
        ("-", "-", "en-us"),
    ],
)
def test_the_nearest_language_is_spoken(asked, app, chosen):
    """The one asked for, its base, a sister; then the app's in the same way; then the first."""
    assert choose(asked, app, OFFERED) == chosen


@pytest.mark.parametrize(
    ("asked", "chosen"), [("zh-tw", "zh-tw"), ("zh-hk", "zh"), ("en-gb", "en-au")]
)
def test_exact_comes_before_base_and_base_before_sister(asked, chosen):
    assert choose(asked, "", ("en-au", "zh-cn", "zh", "zh-tw", "en-us")) == chosen
