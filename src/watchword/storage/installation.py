"""Who writes here, and whether this is still the database that was closed last."""

import secrets
import sqlite3
from typing import NamedTuple

from watchword.audit.event import AuditEvent
from watchword.errors import StoreUnavailable
from watchword.storage.chains import Tails, write_sealed
from watchword.storage.data_folder import DataFolder
from watchword.storage.database import Statement
from watchword.storage.events import append
from watchword.storage.statements import execute

_READ = "SELECT writer, epoch FROM installation WHERE id = 1"
_WRITE = (
    "INSERT INTO installation (id, writer, epoch) VALUES (1, ?1, ?2)"
    " ON CONFLICT (id) DO UPDATE SET writer = excluded.writer, epoch = excluded.epoch"
)


class Installation(NamedTuple):
    """What is known at the start."""

    writer: str
    """Names the writer in each event; with the sequence number it is unique."""
    restored: bool
    """The database is older than its folder: somebody put a copy back."""


def enter(connection: sqlite3.Connection, folder: DataFolder, now: float) -> Installation:
    """Count this start in the database and in the file `epoch` beside it, and compare the two.

    A database that was put back goes on under a new writer, so that its sequence numbers are not taken for
    those that it forgot, and begins with the event `store.restored`.
    """
    found = connection.execute(_READ).fetchone()
    writer, epoch = found or (secrets.token_hex(8), 0)
    beside = folder.epoch()
    restored = found is not None and beside > epoch
    if restored:
        writer = secrets.token_hex(8)
    following = max(epoch, beside) + 1
    connection.execute("BEGIN IMMEDIATE")
    try:
        execute(Statement(_WRITE, (writer, following)), connection)
        if restored:
            reason = f"epoch {epoch}, expected {beside}"
            event = append(AuditEvent(type="store.restored", time=now, reason=reason), writer=writer)
            write_sealed([event], Tails({}), connection)
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    folder.write_epoch(following)  # the database first: a crash between the two is no alarm
    return Installation(writer, restored)


def leave(connection: sqlite3.Connection, folder: DataFolder) -> None:
    """Count the stop as well, so that a copy taken while the server ran is older than the folder."""
    try:
        following = int(connection.execute(_READ).fetchone()[1]) + 1
        execute(Statement("UPDATE installation SET epoch = ?1 WHERE id = 1", (following,)), connection)
        folder.write_epoch(following)
    except (sqlite3.Error, StoreUnavailable):
        return  # a full disk must not keep a server from stopping
