"""What every channel tells of itself."""

from __future__ import annotations

import msgspec

from watchword.domain import destination
from watchword.domain.destination import Destination, Kind


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """`takes` is the kind of destination that it reaches."""

    name: str
    takes: Kind

    def read(self, text: str, *, field: str = "") -> Destination:
        """Read an address of this channel. Raises RequestInvalid at `field` for any other."""
        if self.takes is Kind.PHONE:
            return destination.phone(text, field=field)
        return destination.mailbox(text, field=field)
