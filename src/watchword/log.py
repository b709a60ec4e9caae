"""Events out, secrets kept in: past tense with fields, one JSON object a line or a readable line.

Only plain values are written as they are; anything else prints itself, so a Destination comes out
masked. An exception is a name and a place: its message may quote what a person typed, and its
frames hold it.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from datetime import date, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TextIO

import msgspec
import structlog
from structlog.typing import FilteringBoundLogger, Processor

_Event = MutableMapping[str, Any]

_PLAIN = (str, int, float, bool, type(None))
_LOUD = ("uvicorn.error",)
_SILENT = ("uvicorn.access",)
_QUOTED = re.compile(r"[\n(<].*", re.DOTALL)
_AMBIGUOUS = re.compile(r"[ \t=\r\n\"']")
_encoded = msgspec.json.Encoder().encode
_INTERNAL = ("_record", "_from_structlog", "exc_info", "stack_info")


def configure(
    form: Literal["json", "text"], level: str = "info", *, stream: TextIO = sys.stderr
) -> None:
    """Send every event of this level or above, ours and the libraries', to `stream`, in the form
    asked for: `text` for people, with colours where the stream is a terminal."""
    global _events
    lowest = getattr(logging, level.upper())
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        name_the_error,
        only_plain_values,
    ]
    written = _written(form, stream)
    structlog.configure(
        processors=[*shared, *written],
        logger_factory=lambda *_: _Lines(stream),
        wrapper_class=structlog.make_filtering_bound_logger(lowest),
        cache_logger_on_first_use=True,
    )
    _events = structlog.get_logger().bind()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter(shared, written))
    _route_libraries_to(handler, lowest)


def events() -> FilteringBoundLogger:
    """Where events go: `events().info("challenge_issued", app=app.id)`. One below the level that is
    asked for costs next to nothing."""
    return _events


def only_plain_values(logger: Any, method: str, event: _Event) -> _Event:
    for name, value in event.items():
        if name not in _INTERNAL and not isinstance(value, _PLAIN):
            event[name] = _printed(value)
    return event


def name_the_error(logger: Any, method: str, event: _Event) -> _Event:
    """An exception becomes its type and the line that raised it."""
    error = _error(event.pop("exc_info", None))
    event.pop("stack_info", None)
    if error is not None:
        event["error"] = type(error).__name__
        event["raised_at"] = _place(error.__traceback__)
    return event


def quote_nothing(logger: Any, method: str, event: _Event) -> _Event:
    """Keep the first line of what a library says, and of the event loop only its own words.

    Of a task that failed and that nobody awaited the loop prints the exception, words and all; of
    a callback, what it was called with.
    """
    said = str(event["event"])
    is_loop = event["_record"].name == "asyncio"
    event["event"] = _QUOTED.sub("", said).rstrip() if is_loop else said.partition("\n")[0]
    return event


def one_plain_line(logger: Any, method: str, event: _Event) -> _Event:
    """Name what a terminal would obey, or a reader not see, as in <U+202E>; JSON escapes it."""
    for name, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            event[name] = "".join(
                sign if sign.isprintable() else f"<U+{ord(sign):04X}>" for sign in value
            )
    return event


def readable(logger: Any, method: str, event: _Event) -> str:
    """The line that structlog's ConsoleRenderer makes without colours, at a fraction of its price:
    each send has such a line, and each check."""
    when, level, what = event.pop("timestamp"), event.pop("level"), event.pop("event")
    fields = [f"{name}={_spelled(event[name])}" for name in sorted(event)]
    return " ".join([f"{when} [{level:<9}] {what:<30}", *fields]).rstrip(" ")


class _Lines:
    """Writes each event as a line. A log that cannot be written to must not fail a request."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def msg(self, line: str) -> None:
        with suppress(OSError, ValueError):
            self._stream.write(line + "\n")
            self._stream.flush()

    debug = info = warning = error = critical = exception = msg


def _written(form: Literal["json", "text"], stream: TextIO) -> list[Processor]:
    if form == "json":
        return [structlog.processors.JSONRenderer(_json)]
    if stream.isatty():
        return [one_plain_line, structlog.dev.ConsoleRenderer()]
    return [one_plain_line, readable]


def _json(event: _Event, **_: Any) -> str:
    """An object on one line, in ASCII: what a terminal would obey is escaped."""
    with suppress(ValueError, OverflowError):  # half a character, or a number of over 64 bits
        line = _encoded(event).decode()
        if line.isascii() and line.isprintable():
            return line
    return json.dumps(event, separators=(",", ":"))


def _formatter(shared: list[Processor], written: list[Processor]) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, quote_nothing],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *written],
        keep_exc_info=False,
        keep_stack_info=False,
    )


def _route_libraries_to(handler: logging.Handler, lowest: int) -> None:
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(logging.WARNING, lowest))
    for name in _LOUD:
        logging.getLogger(name).setLevel(max(logging.INFO, lowest))
    for name in _SILENT:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def _printed(value: Any) -> str | list[str]:
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g}s"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"<{len(value)} bytes>"
    if isinstance(value, (list, tuple, set, frozenset)):
        return [str(item) if isinstance(item, _PLAIN) else str(_printed(item)) for item in value]
    return str(value)


def _spelled(value: Any) -> str:
    """Quoted where its end would not be seen."""
    if isinstance(value, str) and not _AMBIGUOUS.search(value):
        return value
    return repr(value)


def _error(exc_info: Any) -> BaseException | None:
    if exc_info is True:
        exc_info = sys.exc_info()
    if isinstance(exc_info, tuple):
        exc_info = exc_info[1]
    return exc_info if isinstance(exc_info, BaseException) else None


def _place(traceback: TracebackType | None) -> str:
    if traceback is None:
        return ""
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return f"{Path(traceback.tb_frame.f_code.co_filename).name}:{traceback.tb_lineno}"


_events: FilteringBoundLogger = structlog.get_logger()
"""Until `configure` is called, structlog's own."""
