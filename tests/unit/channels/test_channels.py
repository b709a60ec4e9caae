"""What each channel takes."""

import pytest

from watchword.channels import email, sms
from watchword.domain.destination import Kind
from watchword.errors import RequestInvalid


def test_a_channel_takes_one_kind_of_destination():
    assert sms.CHANNEL.read("+86 138-0013-8000").kind is Kind.PHONE
    assert email.CHANNEL.read("Ann@Example.COM").kind is Kind.MAILBOX


@pytest.mark.parametrize(
    ("channel", "address"), [(sms.CHANNEL, "ann@example.com"), (email.CHANNEL, "+8613800138000")]
)
def test_an_address_of_another_channel_is_refused(channel, address):
    """At the field that it came in."""
    with pytest.raises(RequestInvalid) as refused:
        channel.read(address, field="/to")
    assert refused.value.field == "/to"
