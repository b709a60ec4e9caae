"""The line that binds a code to an origin, as browsers read it."""

import pytest

from watchword.domain.origin_bound import binds, bound, like_a_code, read


def test_what_we_write_every_browser_reads():
    text = f"492817 is your code.{bound('login.example.com', '492817')}"
    assert text.endswith("\n\n@login.example.com #492817")
    assert read(text) == ("login.example.com", "492817")
    assert bound("", "492817") == ""


@pytest.mark.parametrize(
    "text",
    [
        "492817",
        "492817\n@example.com #492817\nBye",  # it is not last
        "492817\nsee @example.com #492817",  # nothing stands before it
        "492817\n@example.com  #492817",  # one blank
        "492817\n#492817 @example.com",
        "From @evil.example #1.\n\n@example.com #492817",  # Chrome takes the first
        "492817\n\n@example.com/log-in #492817",
    ],
)
def test_what_browsers_disagree_on_is_not_read(text):
    """https://wicg.github.io/sms-one-time-codes/#parsing, and what Chrome makes of it."""
    assert read(text) != ("example.com", "492817")


@pytest.mark.parametrize("brand", ["Shop @evil.example #1", "@a #b"])
def test_what_would_bind_is_found_anywhere(brand):
    assert binds(brand)


@pytest.mark.parametrize("brand", ["Shop", "a@b.example #1", "@home", "#1 @home", "C# @ work"])
def test_what_would_not_bind_is_left_alone(brand):
    assert not binds(brand)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("call 95588", ("95588",)),
        ("call +1 202-555-0100 now", ("+1 202-555-0100",)),
        ("客服电话95588。", ("95588",)),
        ("since 2024, and 2024", ("2024",)),
        ("valid for 10 minutes, 2 tries", ()),
        ("Studio 54", ()),
        ("AB1234CD", ()),
    ],
)
def test_numbers_that_look_like_codes_are_found(text, found):
    assert like_a_code(text) == found
