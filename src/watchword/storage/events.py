"""Deeds as rows of `audit_event`."""

from operator import attrgetter

import msgspec

from watchword.audit.chain import COVERED
from watchword.audit.event import AuditEvent
from watchword.audit.event_types import demand_known
from watchword.storage.database import Append, Intent, Statement, Value

_MAX_TEXT = 1_024
_COLUMNS = COVERED[2:]  # number and writer are the store's matter
_members = attrgetter(*_COLUMNS[1:])

# the names are ours: no value ever stands in the text of a statement
EVENT = f"INSERT INTO audit_event (writer, {', '.join(_COLUMNS)})"
"""An `Append` of this very text is an event: the engine numbers and seals it (`watchword.storage.chains`)."""

_READ = (
    f"SELECT sequence, {', '.join(_COLUMNS)} FROM audit_event WHERE sequence > ?1 ORDER BY sequence LIMIT ?2"  # noqa: S608
)


def append(event: AuditEvent, *, writer: str) -> Append:
    """Return the step that writes an event; every intent that changes something yields one.

    Raises:
        ValueError: there is no such type of event.
    """
    demand_known(event)
    members = _members(event)
    text = "".join(filter(None, members))  # nearly always short and plain: one look at all of them
    if len(text) > _MAX_TEXT or not text.isascii() or "\0" in text:
        members = tuple(map(storable, members))
    # as it will be read back, because it is hashed: a float, and no negative zero
    return Append(EVENT, (writer, float(event.time) + 0.0, *members))


def events(after: int, limit: int) -> Intent[list[tuple[int, AuditEvent]]]:
    """Return at most `limit` events with a sequence number above `after`, oldest first."""
    found = yield Statement(_READ, (after, limit))
    return [
        (int(row[0] or 0), msgspec.convert(dict(zip(_COLUMNS, row[1:], strict=True)), AuditEvent))
        for row in found.rows
    ]


def storable(value: Value) -> Value:
    """Return any value as it is, but text cut to a kibibyte and without what databases do not keep.

    That is lone surrogates and, in PostgreSQL, NUL: they are written as escapes.
    """
    return storable_text(value) if isinstance(value, str) else value


def storable_text(text: str) -> str:
    """Return text likewise."""
    cut = text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "…"
    if not cut.isascii():
        cut = cut.encode("utf-8", "backslashreplace").decode("utf-8")
    return cut.replace("\0", "\\x00")
