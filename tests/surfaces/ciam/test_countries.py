"""GET country-codes: which countries there are, and what their mobile numbers look like."""

import json
import re

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchword.surfaces.ciam.countries import definitions
from watchword.surfaces.ciam.mobiles import mobile

pytestmark = pytest.mark.store("sqlite")

COUNTRIES = {
    each["countryCode"]: each for each in json.loads(definitions("CN"))["phoneAreaCodeDefinitions"]
}
NUMBERS = {
    region: number
    for region in phonenumbers.SUPPORTED_REGIONS
    if (number := phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE))
}


def spellings(region):
    """How a form writes this country's example: with its code, a dash behind it or none."""
    number = phonenumbers.national_significant_number(NUMBERS[region])
    return [f"+{COUNTRIES[region]['areaCode']}{dash}{number}" for dash in ("", "-")]


def test_every_country_that_has_mobile_numbers_is_there():
    """Once each."""
    listed = json.loads(definitions("CN"))["phoneAreaCodeDefinitions"]
    assert len(listed) == len(COUNTRIES)
    assert set(COUNTRIES) == set(NUMBERS)


def test_the_first_four_are_the_documents():
    """The vendor's page shows these values, of which China's pattern is kept to the letter."""
    listed = json.loads(definitions("CN"))["phoneAreaCodeDefinitions"]
    assert listed[0] == {
        "areaCode": "86",
        "displayMapping": {"zh-TW": "中國大陸", "en": "China", "zh-CN": "中国大陆"},
        "countryCode": "CN",
        "mobileRegex": r"^(\+86){0,1}\-?1\d{10}$",
        "areaCodeSuffixes": [],
    }
    told = [(c["areaCode"], c["displayMapping"]["zh-CN"], c["countryCode"]) for c in listed[1:4]]
    assert told == [("852", "中国香港", "HK"), ("886", "中国台湾", "TW"), ("853", "中国澳门", "MO")]


def test_all_others_follow_by_their_names():
    """Åland among the As."""
    names = [country["displayMapping"]["en"] for country in COUNTRIES.values()][4:]
    assert names.index("Åland Islands") < names.index("Zimbabwe")
    ascii_names = [name for name in names if name.isascii()]
    assert ascii_names == sorted(ascii_names)


@pytest.mark.parametrize("region", sorted(COUNTRIES))
def test_a_country_is_told_in_the_documented_shape(region):
    """Names in three languages, the code without its plus, and lists that are lists."""
    told = COUNTRIES[region]
    assert list(told) == [
        "areaCode",
        "displayMapping",
        "countryCode",
        "mobileRegex",
        "areaCodeSuffixes",
    ]
    assert list(told["displayMapping"]) == ["zh-TW", "en", "zh-CN"]
    assert all(told["displayMapping"].values())
    assert told["areaCode"] == str(phonenumbers.country_code_for_region(region))
    assert all(re.fullmatch(r"[2-9]\d\d", suffix) for suffix in told["areaCodeSuffixes"])


def test_countries_that_share_a_code_say_by_which_area_codes_they_are_told_apart():
    """Those of +1, save the two that have hundreds."""
    assert COUNTRIES["JM"]["areaCodeSuffixes"] == ["658", "876"]
    assert COUNTRIES["DO"]["areaCodeSuffixes"] == ["809", "829", "849"]
    without = {c for c, each in COUNTRIES.items() if not each["areaCodeSuffixes"]}
    assert {c for c in without if COUNTRIES[c]["areaCode"] == "1"} == {"US", "CA"}


@pytest.mark.parametrize("region", sorted(COUNTRIES))
def test_a_pattern_takes_its_countrys_example(region):
    """With a dash behind the country code and without; and not a digit more."""
    pattern = re.compile(COUNTRIES[region]["mobileRegex"], re.ASCII)
    for spelled in spellings(region):
        assert pattern.fullmatch(spelled)
        assert not pattern.fullmatch(spelled.replace("+", "+0", 1))
        assert not pattern.fullmatch(spelled + "0" * 9)
        assert mobile(spelled, "CN").identity == spelled.replace("-", "")


def test_the_patterns_are_javascripts_too(node):
    """A form compiles them; there they take the same numbers, and nothing around them."""
    right, wrong = [], []
    for region, country in COUNTRIES.items():
        for spelled in spellings(region):
            right.append((country["mobileRegex"], spelled))
            wrong.append((country["mobileRegex"], f"{spelled} "))
            wrong.append((country["mobileRegex"], f"x{spelled}"))
    assert node("matches", pairs=right) == [True] * len(right)
    assert node("matches", pairs=wrong) == [False] * len(wrong)


@given(st.data())
@settings(max_examples=300)
def test_what_a_pattern_takes_a_send_takes(data):
    """A form never lets through what is refused as no number afterwards."""
    country = COUNTRIES[data.draw(st.sampled_from(sorted(COUNTRIES)))]
    pattern = re.compile(country["mobileRegex"].removesuffix("$") + r"\Z", re.ASCII)
    spelled = data.draw(st.from_regex(pattern, fullmatch=True))
    digits = re.sub(r"\D", "", spelled).removeprefix(country["areaCode"])
    assert mobile(spelled, "CN").identity == f"+{country['areaCode']}{digits}"


@pytest.mark.parametrize("region", ["CN", "HK", "US", "ZZ"])
def test_the_preferred_country_is_the_apps_own(region):
    """By its ISO code, as on the vendor's page."""
    told = json.loads(definitions(region))
    assert list(told) == ["phoneAreaCodeDefinitions", "preferredAreaCode"]
    assert told["preferredAreaCode"] == region
