"""Writes every committed event into the audit log: in order, at least once, and on nobody's time but its own.

A thread reads the database like anybody else and appends what is new. Whenever the log has taken all that
was given to it, it gives a sign of life. Whoever must not act while the log is full or blocked looks at the
age of that sign, and never waits for a disk.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from watchword.audit.lines import line_of, statement_line
from watchword.errors import StoreError
from watchword.storage.audit_file import AuditFile, open_audit
from watchword.storage.audit_log_file import LastEvent, LogFile
from watchword.storage.database import Database, Intent, Statement

logger = logging.getLogger("watchword.storage")

LOOK_EVERY = 0.2
"""Seconds between two looks at the database."""
BATCH = 1_000
_STOP_SECONDS = 5.0
_REMEMBER_EVERY = 300
"""Looks after which the position is written down; a log of its own says it better."""
_POSITION = (
    "INSERT INTO audit_log_position (id, sequence) VALUES (1, ?1)"
    " ON CONFLICT (id) DO UPDATE SET sequence = excluded.sequence"
)


class AuditLog:
    """The thread that writes the log; `start` begins, `close` writes what is left and ends.

    Args:
        path: of the database.
        database: where it remembers its position, for logs that cannot be read back.
        open_log: opens the log, each time that it was turned over.
        alive: called whenever the log has taken what there was, if only nothing.
    """

    def __init__(
        self, path: Path, database: Database, *, open_log: Callable[[], LogFile], alive: Callable[[], None]
    ) -> None:
        self._path = path
        self._database = database
        self._open_log = open_log
        self._alive = alive
        self._stop = threading.Event()
        self._log: LogFile | None = None
        self._position: int | None = None
        self._remembered: int | None = None
        self._checkpoint = 0
        self._troubled = False
        self._thread = threading.Thread(target=self._work, name="watchword-audit-log", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Write what is left and end; a log that does not take it is not waited for long."""
        self._stop.set()
        self._thread.join(_STOP_SECONDS)

    def _work(self) -> None:
        looks = 0
        last = False
        while not last:
            last = self._stop.is_set()
            try:
                with open_audit(self._path) as audit:
                    while True:
                        self._turn(audit)
                        looks += 1
                        if last or looks % _REMEMBER_EVERY == 0:
                            self._remember()
                        if last or self._stop.wait(LOOK_EVERY):
                            break
            except (OSError, sqlite3.Error, StoreError) as error:
                if not self._troubled:
                    logger.warning("the audit log cannot be written now: %s", error)
                self._troubled = True
                self._stop.wait(LOOK_EVERY)
        if self._log is not None:
            self._log.close()

    def _turn(self, audit: AuditFile) -> None:
        """Write everything that is committed and not written."""
        log = self._opened(audit)
        position = self._position or 0
        while events := list(audit.events(after=position, limit=BATCH)):
            log.write([line_of(event) for event in events])
            position = self._position = int(str(events[-1].values[0]))
            self._alive()
        for row in list(audit.checkpoints(after=self._checkpoint)):
            if row.sequence > position:
                break  # its events come first
            log.write([statement_line(checkpoint=str(row.statement))])
            self._checkpoint = row.number
        if self._troubled:
            logger.warning("the audit log is written again")
        self._troubled = False
        self._alive()

    def _opened(self, audit: AuditFile) -> LogFile:
        if self._log is not None and not self._log.turned_over():
            return self._log
        if self._log is not None:
            self._remember()
            self._log.close()
            self._log = None
        with ExitStack() as stack:
            log = self._open_log()
            stack.callback(log.close)
            if self._position is None:
                self._position = self._resumed(audit, log)
                numbers = [row.number for row in audit.checkpoints() if row.sequence <= self._position]
                self._checkpoint = numbers[-1] if numbers else 0
            if self._position == 0 and (anchor := audit.anchor()) is not None:
                log.write([statement_line(anchor=str(anchor.statement))])
            stack.pop_all()
        self._log = log
        return log

    def _resumed(self, audit: AuditFile, log: LogFile) -> int:
        """Return the number of the last event that was written by whoever wrote here before."""
        last = log.last()
        if last is not None and _fits(last, audit):
            return last.sequence
        remembered = audit.log_position()
        return 0 if remembered is None else remembered

    def _remember(self) -> None:
        if self._position is not None and self._position != self._remembered:
            self._database.run_blocking(_written(self._position))
            self._remembered = self._position


def _fits(last: LastEvent, audit: AuditFile) -> bool:
    """Return whether the last event of a log is of this database, which may have been put back."""
    anchor = audit.anchor()
    if anchor is not None and last.sequence <= anchor.sequence:
        return True
    return any(event.hash == last.hash for event in audit.events(after=last.sequence - 1, limit=1))


def _written(position: int) -> Intent[None]:
    yield Statement(_POSITION, (position,))
