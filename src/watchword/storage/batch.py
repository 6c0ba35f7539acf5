"""One batch of intents in one transaction of SQLite: an intent that fails takes nobody with it.

Nearly always all goes well, so it costs nothing to be ready for the other case: no savepoint is set. When
an intent fails that has written something, the transaction is rolled back and those that succeeded are
carried out again, from what they asked and were answered, each in a savepoint of its own.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any

from watchword.errors import StoreCorrupt, StoreError, StoreUnavailable
from watchword.storage.database import Append, Intent, Rows, Statement
from watchword.storage.group_commit import Outcome
from watchword.storage.statements import drive, execute, translated, write


class _Deed:
    """What one intent asked, what it was answered, and how it ended."""

    __slots__ = ("appended", "asked", "outcome")

    def __init__(self) -> None:
        self.asked: list[tuple[Statement, Rows]] = []
        self.appended: list[Append] = []
        self.outcome = Outcome()

    @property
    def failed(self) -> bool:
        return self.outcome.error is not None

    def first(self, intent: Intent[Any], connection: sqlite3.Connection) -> None:
        def ask(statement: Statement) -> Rows:
            rows = execute(statement, connection)
            self.asked.append((statement, rows))
            return rows

        value, self.appended = drive(intent, ask)
        self.outcome = Outcome(value)

    def again(self, connection: sqlite3.Connection) -> None:
        connection.execute("SAVEPOINT deed")
        try:
            for statement, rows in self.asked:
                if execute(statement, connection) != rows:
                    raise StoreUnavailable("nothing was written: another answer than before")
            write(self.appended, connection)
        except sqlite3.Error as error:
            _demand_transaction(error, connection)
            self.outcome = Outcome(error=translated(error))
        except StoreError as error:
            self.outcome = Outcome(error=error)
        if self.failed:
            connection.execute("ROLLBACK TO deed")
        connection.execute("RELEASE deed")


def carry_out(intents: Sequence[Intent[Any]], connection: sqlite3.Connection) -> list[Outcome]:
    """Carry out all intents and commit, durably; return how each ended."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        deeds, clean = _all_at_once(intents, connection)
        if not clean:
            connection.execute("ROLLBACK")
            connection.execute("BEGIN IMMEDIATE")
            for deed in deeds:
                if not deed.failed:
                    deed.again(connection)
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        # nothing of this batch is on disk, so nobody may be told that it is
        failed = StoreUnavailable(f"the database cannot be written now: {error}")
        return [Outcome(error=failed)] * len(intents)
    finally:
        _roll_back(connection)
    return [deed.outcome for deed in deeds]


def _all_at_once(intents: Sequence[Intent[Any]], connection: sqlite3.Connection) -> tuple[list[_Deed], bool]:
    """Carry out all intents; return also whether nothing is written that must not be committed."""
    clean = True
    deeds = []
    for intent in intents:
        deed = _Deed()
        deeds.append(deed)
        changes = connection.total_changes
        try:
            deed.first(intent, connection)
        except sqlite3.Error as error:
            _demand_transaction(error, connection)
            deed.outcome = Outcome(error=translated(error))
            clean = False
        except BaseException as error:  # noqa: BLE001  # it is handed to whoever asked, and to nobody else
            deed.outcome = Outcome(error=error)
            clean = clean and connection.total_changes == changes
    if clean:
        try:
            write((row for deed in deeds if not deed.failed for row in deed.appended), connection)
        except sqlite3.Error as error:
            _demand_transaction(error, connection)
            clean = False
        except StoreCorrupt:
            clean = False
    return deeds, clean


def _demand_transaction(error: sqlite3.Error, connection: sqlite3.Connection) -> None:
    if not connection.in_transaction:
        raise error  # a full disk or a failed write ended the whole transaction, not this intent alone


def _roll_back(connection: sqlite3.Connection) -> None:
    try:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    except sqlite3.Error:
        return  # SQLite rolled back by itself; the next BEGIN will tell if it is still unwell
