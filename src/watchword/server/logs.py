"""Logs as JSON, one line per event: nothing that comes from outside can start a line or move a cursor."""

import json
import logging
import traceback
from collections.abc import Mapping
from contextlib import nullcontext
from types import TracebackType
from typing import TextIO

import msgspec

from watchword.clock import SYSTEM_CLOCK
from watchword.errors import WatchwordError

FIELDS = "watchword_fields"
"""The `extra` of a log record that holds further members of the line."""

MAX_VALUE = 300
"""Characters of one value."""
_MAX_FRAMES = 20

ExceptionInfo = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]


def write(logger: logging.Logger, event: str, fields: Mapping[str, object]) -> None:
    """Log an event with its members at INFO, without looking for the line of code that does.

    Where our own handler is the only one, as in `watchword serve`, it gets the line without a record.
    """
    if not logger.isEnabledFor(logging.INFO):
        return
    handlers = logging.root.handlers
    if len(handlers) == 1 and type(handlers[0]) is _Handler and not logger.handlers:
        handlers[0].write(line_of(SYSTEM_CLOCK.now(), "info", logger.name, event, fields))
        return
    extra = {FIELDS: fields}
    logger.handle(logger.makeRecord(logger.name, logging.INFO, __file__, 0, event, (), None, None, extra))


def escaped(text: str, limit: int = MAX_VALUE) -> str:
    """Return text cut to `limit`, with every character escaped that is not printable.

    Line breaks, terminal sequences, bidirectional controls and lone surrogates become visible ASCII.
    """
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


class JSONFormatter(logging.Formatter):
    """Formats a record as one line of ASCII JSON with unique members."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        fields = getattr(record, FIELDS, None)
        told = dict(fields) if isinstance(fields, Mapping) else {}
        if record.exc_info:
            told |= _told(record.exc_info)
        return line_of(record.created, record.levelname.lower(), record.name, record.getMessage(), told)


def line_of(time: float, level: str, logger: str, event: str, fields: Mapping[str, object]) -> str:
    """Return one line, without its end.

    Args:
        time: seconds since the epoch.
        level: in lower case.
        logger: its name.
        event: what happened.
        fields: further members; those without a value are left out.
    """
    line: dict[str, object] = {
        "time": round(time, 3), "level": level, "logger": logger, "event": escaped(event),
    }  # fmt: skip
    for name, value in fields.items():
        if value is not None:
            line[name] = value if isinstance(value, _NUMBERS) or _is_plain(value) else _text(value)
    text = _encode(line)
    # nearly every line is ASCII as it is; `json` is slower, and writes escapes for the others
    return text.decode("ascii") if text.isascii() else json.dumps(line, separators=(",", ":"))


class _Handler(logging.StreamHandler[TextIO]):
    """Writes to one stream; a line that was made already, too."""

    def write(self, line: str) -> None:
        with self.lock or nullcontext():
            try:
                self.stream.write(line + self.terminator)
                self.stream.flush()
            except OSError:
                return  # nobody reads it: no reason not to answer


_NUMBERS = (int, float)
_encode = msgspec.json.Encoder().encode


def _is_plain(value: object) -> bool:
    return type(value) is str and len(value) <= MAX_VALUE and value.isprintable()


def _text(value: object) -> object:
    return [escaped(str(part)) for part in value] if isinstance(value, list) else escaped(str(value))


def _told(info: ExceptionInfo) -> dict[str, object]:
    """Say what broke and where; without the message of a foreign exception, which may quote its input."""
    error = info[1]
    told: dict[str, object] = {"exception": type(error).__qualname__}
    if isinstance(error, WatchwordError):
        told["message"] = escaped(str(error))
    frames = traceback.extract_tb(info[2])[-_MAX_FRAMES:]
    told["trace"] = [f"{escaped(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames]
    return told


def configure(stream: TextIO, *, level: int = logging.INFO) -> None:
    """Send every log record of this process, uvicorn's too, to `stream` as JSON."""
    handler = _Handler(stream)
    handler.setFormatter(JSONFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("watchword").setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        # its start and stop lines would repeat ours; an access line would hold the query
        logger.setLevel(logging.CRITICAL + 1 if name == "uvicorn.access" else logging.WARNING)
    logging.captureWarnings(True)
    # no line says them, and finding them out costs more than writing the line
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.raiseExceptions = False
