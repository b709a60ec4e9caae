"""An event of the journal, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from watchword.cli.printing import instant

if TYPE_CHECKING:
    from watchword.service.read_journal import Happened

_WORDS = {
    "created": "a code was asked for",
    "resent": "a code was asked for again",
    "approved": "the right code was given",
    "failed": "a wrong code was given",
    "exhausted": "too many codes were wrong: the challenge was given up",
    "cancelled": "the challenge was cancelled",
    "expired": "the code was over before the right one was given",
    "message_accepted": "the provider took the message",
    "message_delivered": "the provider says that the message arrived",
    "message_refused": "the provider refused the message for good",
    "message_unknown": "the message may have arrived; nobody knows",
    "message_expired": "the code was over before the message went out",
    "message_cancelled": "the message was not sent, for it was not needed any more",
    "erased": "somebody was erased from the journal",
    "opened": "a chain begins here",
    "closed": "a chain ends here",
}


def in_words(event: Happened, *, app: bool = True) -> str:
    """One line. `app` also names app and person, where the reader does not know them."""
    said = f"{instant(event.at)}  {_what(event)}"
    about = [
        event.purpose,
        f"by {event.channel}" if event.channel else "",
        f"to {event.masked}" if app and event.masked else "",
        f"app {event.app_id}" if app and event.app_id else "",
        f"challenge {event.challenge_id}" if event.challenge_id else "",
    ]
    named = ", ".join(one for one in about if one)
    return f"{said} ({named})" if named else said


def _what(event: Happened) -> str:
    told = event.details
    if event.kind == "operator":
        by = f"{told.get('by', 'somebody')} on {told.get('host', 'some machine')}"
        sudo = f", by sudo of {told['sudo']}" if told.get("sudo") else ""
        return f"{by}{sudo}: {' '.join(filter(None, (told.get('what'), told.get('on'))))}"
    if event.kind == "refusals":
        return f"{told.get('times', 'some')} requests met the limit per {told.get('scope', '?')}"
    said = _WORDS.get(event.kind, event.kind)
    if provider := told.get("provider"):
        said = said.replace("the provider", provider, 1)
    if told.get("test"):
        said += ", of a test number"
    return said
