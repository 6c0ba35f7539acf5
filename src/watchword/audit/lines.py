"""Events as JSON lines: one event is one line of ASCII, whatever stands in it, and comes back byte for byte.

A line holds the columns that are not absent, in the order of `COVERED`, then `previous_hash` and `hash` in
hex. Lines with the one member `anchor` or `checkpoint` hold signed statements, so that a file can be verified
with nothing but a public key.
"""

import re
from binascii import unhexlify
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from watchword.audit.chain import COVERED
from watchword.audit.verification import SealedEvent, Values
from watchword.errors import StoreCorrupt

MAX_LINE = 1 << 20
"""Bytes: events are far shorter, a checkpoint of many writers may be long."""

_AWAY = re.compile(r"[^\x20-\x7e]")
_Hash = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]


class _Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    sequence: int
    writer: str
    time: float
    type: str
    outcome: str
    actor: str | None = None
    client: str | None = None
    subject: str | None = None
    audience: str | None = None
    jti: str | None = None
    parent_jti: str | None = None
    txn: str | None = None
    kid: str | None = None
    reason: str | None = None
    request_id: str | None = None
    previous_hash: _Hash | None = None
    hash: _Hash | None = None


class StatementLine(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A signed statement between the events."""

    anchor: str | None = None
    """What was forgotten before the first event of the file."""
    checkpoint: str | None = None
    """Where the chains were at some moment."""


class Line(NamedTuple):
    """What a line holds: one of the two."""

    event: SealedEvent | None
    statement: StatementLine | None


def ascii_json(value: object) -> str:
    """Return a value as JSON on one line of printable ASCII: nothing in it can move a cursor."""
    text = msgspec.json.encode(value).decode()
    return _AWAY.sub(_escape, text)


def members(event: SealedEvent) -> dict[str, object]:
    """Return an event as it stands in a line."""
    found: dict[str, object] = {
        name: _shown(value) for name, value in zip(COVERED, event.values, strict=True) if value is not None
    }
    for name, value in (("previous_hash", event.previous_hash), ("hash", event.hash)):
        if value is not None:
            found[name] = value.hex() if isinstance(value, bytes) else str(value)
    return found


def line_of(event: SealedEvent) -> bytes:
    """Return the line of an event, with its end."""
    return ascii_json(members(event)).encode() + b"\n"


def statement_line(*, anchor: str | None = None, checkpoint: str | None = None) -> bytes:
    """Return the line of a signed statement, with its end."""
    return ascii_json(StatementLine(anchor=anchor, checkpoint=checkpoint)).encode() + b"\n"


def read_line(line: bytes) -> Line:
    """Return what a line holds.

    Args:
        line: with its end.

    Raises:
        StoreCorrupt: it is not, byte for byte, a line as it is written here.
    """
    try:
        text = line.removesuffix(b"\n")
        if text.startswith((b'{"anchor"', b'{"checkpoint"')):
            statement = msgspec.json.decode(text, type=StatementLine)
            exact = statement_line(anchor=statement.anchor, checkpoint=statement.checkpoint)
            found = Line(None, statement)
        else:
            event = _event(msgspec.json.decode(text, type=_Line))
            exact, found = line_of(event), Line(event, None)
    except (msgspec.MsgspecError, UnicodeError, ValueError) as error:
        raise StoreCorrupt(f"expected a line with an event: {str(error).lower()}") from None
    if exact != line:
        raise StoreCorrupt("expected a line as it was written, found another form of it")
    return found


def _event(line: _Line) -> SealedEvent:
    values: Values = tuple(getattr(line, name) for name in COVERED)
    return SealedEvent(values, _bytes(line.previous_hash), _bytes(line.hash))


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else unhexlify(text)


def _shown(value: str | float | bytes) -> str | float:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value


def _escape(match: re.Match[str]) -> str:
    point = ord(match[0])
    if point < 0x10000:
        return f"\\u{point:04x}"
    point -= 0x10000
    return f"\\u{0xD800 + (point >> 10):04x}\\u{0xDC00 + (point & 0x3FF):04x}"
