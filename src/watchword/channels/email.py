"""E-mail: a subject, a plain text and the same in HTML, to a mailbox."""

from __future__ import annotations

from watchword.channels._channel import Channel
from watchword.domain.destination import Kind

CHANNEL = Channel(name="email", takes=Kind.MAILBOX)
