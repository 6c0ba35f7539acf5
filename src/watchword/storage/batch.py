"""One batch of intents in one transaction of SQLite: an intent that fails takes nobody with it.

Nearly always all goes well, so nothing is paid for the other case: at first no savepoint is set. When an
intent fails that has written something, the transaction begins anew: what the others before it asked is asked
again, with the same answers, and whoever comes after it gets a savepoint.

The appended rows come last, all together. If the database refuses one of them, each intent is carried out
again on its own, from what it asked. Whoever would get another answer this time, because it had seen what is
undone now, is asked to try again.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any

from watchword.errors import StoreCorrupt, StoreError, StoreUnavailable
from watchword.storage.chains import Tails, write_sealed
from watchword.storage.database import Append, Intent, Rows, Statement
from watchword.storage.group_commit import Outcome
from watchword.storage.statements import drive, execute, translated


class _Deed:
    """What one intent asked, what it was answered, and how it ended; who fails appends nothing."""

    __slots__ = ("appended", "asked", "outcome")

    def __init__(self) -> None:
        self.asked: list[tuple[Statement, Rows]] = []
        self.appended: list[Append] = []
        self.outcome = Outcome()

    @property
    def failed(self) -> bool:
        return self.outcome.error is not None

    def carry_out(self, intent: Intent[Any], connection: sqlite3.Connection) -> bool:
        """Drive the intent; return whether it left something that must be undone."""

        def ask(statement: Statement) -> Rows:
            rows = execute(statement, connection)
            self.asked.append((statement, rows))
            return rows

        changes = connection.total_changes
        try:
            value, self.appended = drive(intent, ask)
        except sqlite3.Error as error:
            _demand_transaction(error, connection)
            self.outcome = Outcome(error=translated(error))
            return True
        except BaseException as error:  # noqa: BLE001  # it is handed to whoever asked, and to nobody else
            self.outcome = Outcome(error=error)
            return connection.total_changes != changes
        self.outcome = Outcome(value)
        return False

    def ask_again(self, connection: sqlite3.Connection) -> None:
        for statement, rows in self.asked:
            if execute(statement, connection) != rows:
                raise StoreUnavailable("nothing was written: it depended on what a neighbour undid")

    def on_its_own(self, tails: Tails, connection: sqlite3.Connection) -> Tails:
        """Do it all again; return the tails after it, which are those before it if it fails."""
        connection.execute("SAVEPOINT deed")
        try:
            self.ask_again(connection)
            tails = write_sealed(self.appended, tails, connection)
        except sqlite3.Error as error:
            _demand_transaction(error, connection)
            self.outcome = Outcome(error=translated(error))
        except StoreError as error:
            self.outcome = Outcome(error=error)
        _close_savepoint(connection, undo=self.failed)
        return tails


def carry_out(
    intents: Sequence[Intent[Any]], connection: sqlite3.Connection, hashes: dict[str, bytes]
) -> list[Outcome]:
    """Carry out all intents and commit, durably; return how each ended.

    Args:
        intents: of all who wait.
        connection: the one that writes.
        hashes: the last hash of each writer's chain; brought up to date after the commit, and only then.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        deeds = _statements(intents, connection)
        tails = _appended(deeds, Tails(hashes), connection)
        if tails is None:
            tails = Tails(hashes)
            _begin_anew(connection)
            for deed in deeds:
                tails = deed.on_its_own(tails, connection)
        connection.execute("COMMIT")
        hashes.update(tails.hashes)
    except (sqlite3.Error, StoreError) as error:
        # nothing of this batch is on disk, so nobody may be told that it is
        failed = StoreUnavailable(f"the database cannot be written now: {error}")
        return [Outcome(error=failed)] * len(intents)
    finally:
        _roll_back(connection)
    return [deed.outcome for deed in deeds]


def _statements(intents: Sequence[Intent[Any]], connection: sqlite3.Connection) -> list[_Deed]:
    deeds: list[_Deed] = []
    careful = False
    for intent in intents:
        deed = _Deed()
        if careful:
            connection.execute("SAVEPOINT deed")
        undo = deed.carry_out(intent, connection)
        if careful:
            _close_savepoint(connection, undo=undo)
        elif undo:
            careful = True
            _begin_anew(connection)
            for earlier in deeds:
                if not earlier.failed:
                    earlier.ask_again(connection)
        deeds.append(deed)
    return deeds


def _appended(deeds: Sequence[_Deed], tails: Tails, connection: sqlite3.Connection) -> Tails | None:
    """Write the rows of all; return the tails after them, or `None` if the database did not take them."""
    try:
        return write_sealed((row for deed in deeds for row in deed.appended), tails, connection)
    except sqlite3.Error as error:
        _demand_transaction(error, connection)
        return None
    except StoreCorrupt:
        return None


def _demand_transaction(error: sqlite3.Error, connection: sqlite3.Connection) -> None:
    if not connection.in_transaction:
        raise error  # a full disk or a failed write ended the whole transaction, not this intent alone


def _close_savepoint(connection: sqlite3.Connection, *, undo: bool) -> None:
    if undo:
        connection.execute("ROLLBACK TO deed")
    connection.execute("RELEASE deed")


def _begin_anew(connection: sqlite3.Connection) -> None:
    connection.execute("ROLLBACK")
    connection.execute("BEGIN IMMEDIATE")


def _roll_back(connection: sqlite3.Connection) -> None:
    try:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    except sqlite3.Error:
        return  # SQLite rolled back by itself; the next BEGIN will tell if it is still unwell
