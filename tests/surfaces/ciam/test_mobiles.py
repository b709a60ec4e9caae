"""Whose number it is, however a client of the CIAM dialect spells it."""

import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from watchword.domain.destination import Kind
from watchword.errors import RequestInvalid
from watchword.surfaces.ciam.mobiles import LONGEST, mobile

pytestmark = pytest.mark.store("sqlite")

CHINESE = "+8615200000000"
REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
FORMATS = phonenumbers.PhoneNumberFormat


def example_mobile(region):
    """libphonenumber's own example; None for a region that has no mobiles."""
    return phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)


@pytest.mark.parametrize(
    "spelled",
    [
        "15200000000",
        "+8615200000000",
        "+86-15200000000",
        "86-15200000000",
        "8615200000000",
        "008615200000000",
        "0086-15200000000",
        "-15200000000",
        "  15200000000\t",
        "152 0000 0000",
        "152-0000-0000",
        "+86 152 0000 0000",
        "１５２００００００００",
        "＋８６－１５２００００００００",
    ],
)
def test_every_spelling_of_a_chinese_number_is_one_number(spelled):
    """So they share their passes, their limits and their codes."""
    found = mobile(spelled, "CN")
    assert (found.kind, found.identity, found.country) == (Kind.PHONE, CHINESE, "CN")
    assert found == mobile(CHINESE, "CN")


@pytest.mark.parametrize(
    "spelled", [CHINESE, "+86-15200000000", "86-15200000000", "0086" + "1" * 11]
)
@pytest.mark.parametrize("region", ["US", "DE", "HK"])
def test_a_country_code_that_is_written_counts_wherever_the_app_is(spelled, region):
    """86 and a dash is one even without its plus."""
    assert mobile(spelled, region).country == "CN"


@pytest.mark.parametrize(
    ("spelled", "region", "identity"),
    [
        ("51234567", "HK", "+85251234567"),
        ("0912 345 678", "TW", "+886912345678"),
        ("07400 123456", "GB", "+447400123456"),
        ("7400123456", "GB", "+447400123456"),
        ("(201) 555-0123", "US", "+12015550123"),
        ("8 (912) 345-67-89", "RU", "+79123456789"),
        ("312 345 6789", "IT", "+393123456789"),
        ("+852-51234567", "CN", "+85251234567"),
        ("+88-6912345678", "CN", "+886912345678"),
    ],
)
def test_a_number_without_its_country_code_is_one_of_the_apps_own_country(
    spelled, region, identity
):
    """With or without what is dialled before it there."""
    assert mobile(spelled, region).identity == identity


@pytest.mark.parametrize("region", [each for each in REGIONS if example_mobile(each)])
def test_every_countrys_example_number_is_read(region):
    """As the world writes it, as its country does, and bare."""
    number = example_mobile(region)
    e164 = phonenumbers.format_number(number, FORMATS.E164)
    national = phonenumbers.format_number(number, FORMATS.NATIONAL).replace(".", " ")
    international = phonenumbers.format_number(number, FORMATS.INTERNATIONAL)
    bare = phonenumbers.national_significant_number(number)
    for spelled in (e164, international, national, bare):
        assert mobile(spelled, region).identity == e164, spelled


@pytest.mark.parametrize(
    "spelled",
    [
        "",
        " ",
        "+",
        "00",
        "1520000000",
        "152000000000",
        "25200000000",
        "1012345678",
        "+861012345678",
        "+86152000000000",
        "86-1520000000",
        "0152 0000 0000",
        "1520000000.0",
        "1.52e10",
        "15200000000x3",
        "15200000000 ext. 3",
        "+8615200000000;ext=3",
        "15200000000#3",
        "15200000000,3",
        "+1-800-FLOWERS",
        "1520000000l",
        "tel:+8615200000000",
        "+86+15200000000",
        "++8615200000000",
        "+0015200000000",
        "+999 15200000000",
        "15200000000\n15200000001",
        "15200000000\x00",
        "١٥٢٠٠٠٠٠٠٠٠",
        "²5200000000",
        "--15200000000",
        "null",
        "ann@example.com",
        "\ud800",
        "1" * 10_000,
        "(" * 39,
        " " * LONGEST + "15200000000",
    ],
)
def test_what_is_no_mobile_number_is_refused(spelled):
    """Rather than to guess, for a digit more or less is somebody else's number."""
    with pytest.raises(RequestInvalid) as refusal:
        mobile(spelled, "CN")
    assert refusal.value.field == "/mobile"


@pytest.mark.parametrize("region", ["", "ZZ", "001", "cn", "China"])
def test_a_region_that_is_none_has_no_numbers_of_its_own(region):
    """A number with its country code is read all the same."""
    with pytest.raises(RequestInvalid):
        mobile("15200000000", region)
    assert mobile(CHINESE, region).identity == CHINESE


@given(
    st.text(max_size=50) | st.text("0123456789+-() ０１\t#x;", max_size=24),
    st.sampled_from(["CN", "HK", "US", "AR", "IT", "AU", "ZZ", ""]),
)
@example("00000000000000000000", "AU")
@example("0011 86 15200000000", "AU")
@example("+39 0", "CN")
def test_a_text_is_a_number_or_is_refused(text, region):
    """Nothing else happens, and what was read once is read as itself ever after."""
    try:
        found = mobile(text, region)
    except RequestInvalid:
        return
    assert found.identity == found.address == found.limit_key
    assert phonenumbers.is_possible_number(phonenumbers.parse(found.identity))
    assert mobile(found.identity, region) == mobile(found.identity, "CN") == found
