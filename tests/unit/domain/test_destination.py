"""Two spellings of one destination are one destination, before any key is made of it."""

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.domain import destination
from watchword.domain.destination import Kind, mailbox, mask, phone, read
from watchword.errors import RequestInvalid

ANN = "+8613800138000"


@pytest.mark.parametrize(
    ("spelled", "e164", "country"),
    [
        (ANN, ANN, "CN"),
        ("+86 138-0013-8000", ANN, "CN"),
        ("+86 (138) 0013.8000", ANN, "CN"),
        ("008613800138000", ANN, "CN"),
        ("0086 138 0013 8000", ANN, "CN"),
        ("  +8613800138000\t", ANN, "CN"),
        ("+44 (0)20 7946 0958", "+442079460958", "GB"),
        ("+1 415 555 0123", "+14155550123", "US"),
        ("+49 1512 3456789", "+4915123456789", "DE"),
        ("+39 06 6982", "+39066982", "VA"),
        ("+39 312 345 6789", "+393123456789", "IT"),
    ],
)
def test_a_phone_is_one_however_it_is_spelled(spelled, e164, country):
    number = phone(spelled)
    assert number.kind is Kind.PHONE
    assert (number.address, number.identity, number.limit_key) == (e164, e164, e164)
    assert number.country == country
    assert read(spelled) == number


@pytest.mark.parametrize(
    "spelled",
    [
        *("", "+", "00", "+86", "13800138000", "8613800138000", "tel:+8613800138000"),
        *("+861", "+861380013800000000", "+8613800138000x12", "+8613800138000;ext=1"),
        *("+86 138 0013 800O", "++8613800138000", "+86138\n00138000", "+999123456789"),
        *("+८६१३८००१३८०००", "+8613800138000\x00", "+" + "1" * 400),
    ],
)
def test_what_is_no_phone_is_refused_at_its_field(spelled):
    """Nothing is guessed: a digit too few is somebody else's number."""
    with pytest.raises(RequestInvalid) as refusal:
        phone(spelled, field="/to")
    assert refusal.value.field == "/to"


@pytest.mark.parametrize(
    ("spelled", "identity", "limit_key"),
    [
        ("ann@example.com", "ann@example.com", "ann@example.com"),
        ("Ann@Example.COM", "ann@example.com", "ann@example.com"),
        ("Ann+News@example.com", "ann+news@example.com", "ann@example.com"),
        ("ann+a+b@example.com", "ann+a+b@example.com", "ann@example.com"),
        ("+tag@example.com", "+tag@example.com", "+tag@example.com"),
        ("a.n.n@example.com", "a.n.n@example.com", "a.n.n@example.com"),
        ("ann@bücher.example", "ann@xn--bcher-kva.example", "ann@xn--bcher-kva.example"),
        ("ann@BÜCHER.example", "ann@xn--bcher-kva.example", "ann@xn--bcher-kva.example"),
        ("ann@xn--bcher-kva.example", "ann@xn--bcher-kva.example", "ann@xn--bcher-kva.example"),
        ("STRASSE@example.com", "strasse@example.com", "strasse@example.com"),
        ("straße@example.com", "straße@example.com", "strasse@example.com"),
        ("Straße+a@example.com", "straße+a@example.com", "strasse@example.com"),
        ('"ann"@example.com', "ann@example.com", "ann@example.com"),
        ('"Ann Lee"@example.com', '"ann lee"@example.com', "ann lee@example.com"),
        ('"Ann+a b"@example.com', '"ann+a b"@example.com', "ann@example.com"),
        ("用户@例子.example", "用户@xn--fsqu00a.example", "用户@xn--fsqu00a.example"),
    ],
)
def test_a_mailbox_is_one_however_it_is_spelled(spelled, identity, limit_key):
    """Case and IDN do not matter; a +tag matters to who it is, and not to its limits."""
    box = mailbox(spelled)
    assert box.kind is Kind.MAILBOX
    assert (box.identity, box.limit_key) == (identity, limit_key)
    assert box.address == spelled
    assert (box.prefix, box.country) == ("", "")
    assert read(spelled) == box


@pytest.mark.parametrize(
    "spelled",
    [
        *("", "@", "ann", "ann@", "@example.com", "a@b@example.com", "ann@example..com"),
        *("ann @example.com", "ann@exa mple.com", "ann.@example.com", ".ann@example.com"),
        *("ann@example.com\n", "ann\r\nBcc: bob@example.com", "Ann <ann@example.com>"),
        *("ann@-example.com", "ann@" + "a" * 64 + ".com"),
        *("a" * 65 + "@example.com", "用" * 22 + "@example.com"),
        *("a" * 400 + "@example.com", "ann\ud800@example.com", "ann@\ud800.com", "ann\x00@b.com"),
    ],
)
def test_what_is_no_mailbox_is_refused_at_its_field(spelled):
    with pytest.raises(RequestInvalid) as refusal:
        mailbox(spelled, field="/to")
    assert refusal.value.field == "/to"


@given(st.text(max_size=60))
def test_whatever_is_given_is_read_or_refused(text):
    """Never another error, and what was read is read again as itself."""
    try:
        found = read(text)
    except RequestInvalid:
        return
    assert read(found.address).identity == found.identity
    assert read(found.identity).limit_key == found.limit_key


def test_what_is_read_may_be_read_again():
    """Canonical means that doing it twice changes nothing."""
    for spelled in ("+86 138-0013-8000", "Ann+News@Bücher.example", '"Ann Lee"@example.com'):
        once = read(spelled)
        assert read(once.identity).identity == once.identity


@pytest.mark.parametrize(
    ("identity", "masked"),
    [
        (ANN, "+86*********00"),
        ("+39066982", "+39****82"),
        ("ann@example.com", "a***@example.com"),
        ("a@example.com", "a***@example.com"),
        ('"a@b"@example.com', '"***@example.com'),
    ],
)
def test_a_mask_shows_whose_it_is_only_to_its_owner(identity, masked):
    assert mask(identity) == masked


def test_a_destination_prints_itself_masked():
    """In f-strings, logs and tracebacks alike."""
    for found in (phone(ANN), mailbox("ann@example.com")):
        for printed in (str(found), repr(found), f"{found}", f"{[found]}"):
            assert found.masked in printed
            assert found.address not in printed


def test_a_phone_counts_under_its_block_of_a_thousand():
    assert phone(ANN).prefix == "+8613800138"
    assert destination.phone("+8613800138999").prefix == phone(ANN).prefix


@pytest.mark.parametrize("region", sorted(phonenumbers.SUPPORTED_REGIONS))
def test_a_number_spelled_plainly_is_read_as_the_parser_reads_it(region):
    """The short way round the parser never ends elsewhere."""
    kinds = phonenumbers.PhoneNumberType.values()
    examples = [phonenumbers.example_number_for_type(region, kind) for kind in kinds]
    numbers = {
        phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        for number in examples
        if number is not None
    }
    for number in numbers:
        assert phone(number) == phone(f"{number[:4]} {number[4:]}")


codes = st.sampled_from(sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE))
digits = st.text("0123456789", max_size=16)


@given(codes, digits)
def test_whatever_follows_a_country_code_is_read_as_the_parser_reads_it(code, rest):
    """Refused too where that refuses it."""
    assert told(f"+{code}{rest}") == told(f"+{code} {rest}")


def told(spelled):
    try:
        return phone(spelled)
    except RequestInvalid as refusal:
        return str(refusal)
