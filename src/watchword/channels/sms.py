"""SMS: one short plain text to a phone."""

from __future__ import annotations

from watchword.channels._channel import Channel
from watchword.domain.destination import Kind

CHANNEL = Channel(name="sms", takes=Kind.PHONE)
