"""Logs as JSON, one line per event: nothing that comes from outside can start a line or move a cursor."""

import json
import logging
import traceback
from collections.abc import Mapping
from types import TracebackType
from typing import TextIO

from watchword.errors import WatchwordError

FIELDS = "watchword_fields"
"""The `extra` of a log record that holds further members of the line."""

MAX_VALUE = 300
"""Characters of one value."""
_MAX_FRAMES = 20

ExceptionInfo = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]


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
        line: dict[str, object] = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": escaped(record.getMessage()),
        }
        fields = getattr(record, FIELDS, None)
        if isinstance(fields, Mapping):
            line.update((name, _plain(value)) for name, value in fields.items() if value is not None)
        if record.exc_info:
            line.update(_told(record.exc_info))
        return json.dumps(line, ensure_ascii=True, separators=(",", ":"))


def _plain(value: object) -> object:
    return value if isinstance(value, int | float | bool) else escaped(str(value))


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
    handler = logging.StreamHandler(stream)
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
    logging.raiseExceptions = False
