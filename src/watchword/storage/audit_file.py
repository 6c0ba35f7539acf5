"""The audit in a database file, beside a running server or in a copy: read, and never written."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from watchword.audit.chain import COVERED
from watchword.audit.checkpoint import ChainTail
from watchword.audit.verification import SealedEvent
from watchword.errors import StoreCorrupt, StoreUnavailable
from watchword.storage.statements import translated

_BUSY_SECONDS = 5.0
_READ = f"SELECT {', '.join(COVERED)}, previous_hash, hash FROM audit_event"  # noqa: S608  # names of ours


_ALL: Mapping[str, Sequence[str]] = MappingProxyType({})


class StoredCheckpoint(NamedTuple):
    """A row of `audit_checkpoint`."""

    number: int
    sequence: int
    time: float
    statement: str | bytes


class StoredAnchor(NamedTuple):
    """The row of `audit_anchor`."""

    sequence: int
    statement: str | bytes


class AuditFile:
    """The tables of the audit, as they stand there; made by `open_audit`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """See one state of everything for the time of a `with`, whatever is written meanwhile."""
        self._connection.execute("SAVEPOINT look")  # the state is that of the first read after it
        try:
            yield
        finally:
            self._connection.execute("RELEASE look")

    def events(
        self, *, after: int = 0, where: Mapping[str, Sequence[str]] = _ALL, limit: int = -1
    ) -> Iterator[SealedEvent]:
        """Yield events above a number, in order, one at a time.

        Args:
            after: the number.
            where: only those in which each of these columns of `COVERED` has one of its values.
            limit: at most so many; -1: all.
        """
        condition, values = _condition(where)
        for row in self._connection.execute(
            f"{_READ} WHERE sequence > ?{condition} ORDER BY sequence LIMIT ?", (after, *values, limit)
        ):
            yield SealedEvent(row[:-2], row[-2], row[-1])

    def number_before_last(self, count: int, *, where: Mapping[str, Sequence[str]] = _ALL) -> int:
        """Return the number after which the last `count` such events come."""
        condition, values = _condition(where)
        if count == 0:
            last = self._connection.execute("SELECT coalesce(max(sequence), 0) FROM audit_event").fetchone()
            return int(last[0])
        found = self._connection.execute(
            f"SELECT sequence FROM audit_event WHERE TRUE{condition}"  # noqa: S608  # names of ours
            " ORDER BY sequence DESC LIMIT 1 OFFSET ?",
            (*values, count),
        ).fetchone()
        return 0 if found is None else int(found[0])

    def unchained(self) -> int:
        """Return up to which number events are older than the chain."""
        found = self._connection.execute("SELECT sequence FROM audit_unchained WHERE id = 1").fetchone()
        if found is None:
            raise StoreCorrupt("expected the row that says where the chain begins, found none")
        return int(found[0])

    def tails(self) -> Iterator[ChainTail]:
        """Yield where the chains end, by writer."""
        for writer, sequence, digest, events in self._connection.execute(
            "SELECT writer, sequence, hash, events FROM audit_chain ORDER BY writer"
        ):
            yield ChainTail(
                writer=_text(writer), sequence=int(sequence), hash=bytes(digest).hex(), events=int(events)
            )

    def anchor(self) -> StoredAnchor | None:
        """Return what was forgotten, if anything was."""
        found = self._connection.execute(
            "SELECT sequence, statement FROM audit_anchor WHERE id = 1"
        ).fetchone()
        return None if found is None else StoredAnchor(*found)

    def checkpoints(self, *, after: int = 0) -> Iterator[StoredCheckpoint]:
        """Yield the checkpoints that are kept and have a number above `after`, the oldest first."""
        for row in self._connection.execute(
            "SELECT number, sequence, time, statement FROM audit_checkpoint WHERE number > ? ORDER BY number",
            (after,),
        ):
            yield StoredCheckpoint(*row)

    def log_position(self) -> int | None:
        """Return up to which number events were written to the log outside; `None`: there was none."""
        found = self._connection.execute("SELECT sequence FROM audit_log_position WHERE id = 1").fetchone()
        return None if found is None else int(found[0])


@contextmanager
def open_audit(path: Path) -> Iterator[AuditFile]:
    """Open the audit in the database at `path` for the time of a `with`.

    Raises:
        StoreUnavailable: there is no such file, or it cannot be read now.
        StoreCorrupt: it is no database of this version.
    """
    if not path.is_file():
        raise StoreUnavailable(f"expected a database at {path}, found nothing")
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_SECONDS, isolation_level=None
        )
        try:
            connection.text_factory = _text_or_bytes
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'audit_chain'").fetchone():
                raise StoreCorrupt(
                    f"expected a database that this version has opened, found another at {path}:"
                    " start the server once"
                )
            yield AuditFile(connection)
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise translated(error) from error


def _condition(where: Mapping[str, Sequence[str]]) -> tuple[str, list[str]]:
    named = [(name, values) for name, values in where.items() if name in COVERED]
    text = "".join(f" AND {name} IN ({', '.join('?' * len(values))})" for name, values in named)
    return text, [value for _, values in named for value in values]


def _text_or_bytes(raw: bytes) -> str | bytes:
    """Return text; what is no UTF-8 was never written by us and stays as it is, so that it is found."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "backslashreplace")
