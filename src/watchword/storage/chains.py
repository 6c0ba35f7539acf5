"""Sealing events: each batch gets its numbers and hashes inside the transaction that writes it.

Only one process at a time is in a transaction that writes, so the next number is read once for a batch. Each
writer has a chain of its own and its tail is kept in memory: whatever somebody else puts into the table while
we run is never taken for ours.
"""

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from watchword.audit.chain import COVERED, GENESIS, link
from watchword.storage.database import Append, Value
from watchword.storage.events import EVENT
from watchword.storage.statements import write, write_rows

_SEALED = f"INSERT INTO audit_event ({', '.join(COVERED)}, previous_hash, hash)"
_TAIL = "INSERT INTO audit_chain (writer, sequence, hash, events)"
_MOVE_TAIL = (
    "ON CONFLICT (writer) DO UPDATE SET sequence = excluded.sequence, hash = excluded.hash,"
    " events = audit_chain.events + excluded.events"
)
_LAST_NUMBER = (
    "SELECT max(coalesce((SELECT max(sequence) FROM audit_event), 0),"
    " coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'audit_event'), 0))"
)
_NONE = (0, 0)
_READ_TAIL = "SELECT hash FROM audit_chain WHERE writer = ?"


class Tails(NamedTuple):
    """Where the chains are inside one transaction; kept only when it commits."""

    hashes: dict[str, bytes]
    """By writer; of those that have written through this connection."""
    last: int | None = None
    """The highest number of an event; `None`: not looked at in this transaction."""


def write_sealed(appended: Iterable[Append], tails: Tails, connection: sqlite3.Connection) -> Tails:
    """Write rows in their order, the events among them numbered and sealed; return the tails after them.

    Args:
        appended: the rows of a batch.
        tails: as they are before these rows.
        connection: inside a transaction that writes.

    Raises:
        sqlite3.Error: SQLite refuses one of them; others may be written.
        StoreCorrupt: a value that no database keeps; likewise.
    """
    others: list[Append] = []
    events: list[tuple[Value, ...]] = []
    hashes, last = dict(tails.hashes), tails.last
    added: dict[str, tuple[int, int]] = {}
    for row in appended:
        before, event, _, _ = row
        if before is not EVENT:
            others.append(row)
            continue
        if last is None:
            last = int(connection.execute(_LAST_NUMBER).fetchone()[0])
        last += 1
        writer: str = event[0]  # type: ignore[assignment]  # it stands first
        previous = hashes.get(writer) or _tail(writer, connection)
        values = (last, *event)
        hashes[writer] = sealed = link(previous, values)
        events.append((*values, previous, sealed))
        added[writer] = last, added.get(writer, _NONE)[1] + 1
    others += [
        Append(_TAIL, (writer, number, hashes[writer], events_more), _MOVE_TAIL)
        for writer, (number, events_more) in added.items()
    ]
    write(others, connection)
    write_rows(_SEALED, events, connection)
    return Tails(hashes, last)


def _tail(writer: str, connection: sqlite3.Connection) -> bytes:
    found = connection.execute(_READ_TAIL, (writer,)).fetchone()
    return GENESIS if found is None else bytes(found[0])
