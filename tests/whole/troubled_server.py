"""The usual server in a world of trouble: `python -m tests.whole.troubled_server serve ...`.

Everything logs as loud as it can. Carrier, texts and check come upon destinations and codes at
which they fail, each time with an exception that says all it should not, raised with the code in
its frames. Every code that is drawn is told to the file that $DRAWN names.
"""

import asyncio
import logging
import os
from pathlib import Path

from watchword import log
from watchword.channels.texts import Texts
from watchword.cli import main
from watchword.domain import code as codes
from watchword.domain.keys import KeyRing
from watchword.domain.message import Message
from watchword.errors import OutcomeUnknown, ProviderRefused, ProviderUnavailable
from watchword.providers.virtual import Virtual

_strewn: set[asyncio.Task[None]] = set()
_configure, _draw, _digests = log.configure, codes.draw, KeyRing.digests
_render, _send = Texts.render, Virtual.send


def configured(*arguments, **named):
    _configure(*arguments, **named)
    logging.getLogger().setLevel(logging.DEBUG)
    for name in logging.root.manager.loggerDict:
        logging.getLogger(name).setLevel(logging.DEBUG)


def drawn(alphabet, length):
    """Long enough to be found nowhere by chance, also where a dialect asks for fewer."""
    found = _draw(alphabet, max(length, 16))
    with Path(os.environ["DRAWN"]).open("a") as file:
        file.write(found + "\n")
    return found


def rendered(self, purpose, channel, language, words, *, to, **named):
    if to.endswith("0011"):
        raise UnicodeEncodeError("ascii", f"{words.code} is for {to}", 0, 1, "no such letter")
    return _render(self, purpose, channel, language, words, to=to, **named)


async def sent(self, message: Message):
    said = f"550 not this: {message.text} to {message.to}"
    match message.to[-4:]:
        case "0012":
            raise RuntimeError(said, message.code, message.to)
        case "0013":
            raise ProviderRefused(said)
        case "0014":
            raise ProviderUnavailable(said)
        case "0015":
            raise OutcomeUnknown(said)
        case "0016":
            _strewn.add(asyncio.create_task(nobody_waits_for(said)))
            _strewn.clear()
    return await _send(self, message)


async def nobody_waits_for(said):
    """Its failure is noticed by the event loop alone."""
    raise RuntimeError(said)


def digested(self, challenge_id, code, *, tests_of=""):
    if code.endswith("!"):
        raise RuntimeError(f"{challenge_id} was given {code}")
    return _digests(self, challenge_id, code, tests_of=tests_of)


if __name__ == "__main__":
    log.configure, codes.draw = configured, drawn
    Texts.render, KeyRing.digests = rendered, digested  # type: ignore[method-assign]
    Virtual.send = sent  # type: ignore[method-assign]
    main()
