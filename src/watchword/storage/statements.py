"""Carrying out the steps of an intent on a connection of SQLite."""

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Generic, NamedTuple, TypeVar

from watchword.errors import StoreCorrupt, StoreError, StoreUnavailable
from watchword.storage.database import Append, Intent, Rows, Statement, Value

T = TypeVar("T")

_NOTHING = Rows([], 0)
_MOST_ROWS = 128
_NUMBERED = re.compile(r"\?(\d+)")


class Driven(NamedTuple, Generic[T]):
    """What came of an intent, and the rows that it appends."""

    value: T
    appended: list[Append]


def drive(intent: Intent[T], execute: Callable[[Statement], Rows]) -> Driven[T]:
    """Carry out the statements of an intent and gather its appended rows."""
    appended: list[Append] = []
    try:
        step = next(intent)
        while True:
            if isinstance(step, Append):
                appended.append(step)
                step = intent.send(_NOTHING)
            else:
                step = intent.send(execute(step))
    except StopIteration as done:
        return Driven(done.value, appended)


def execute(statement: Statement, connection: sqlite3.Connection) -> Rows:
    """Carry out one statement.

    Raises:
        sqlite3.Error: SQLite refuses.
        StoreCorrupt: a parameter that no database keeps.
    """
    sql, order = _nameless(statement.sql)
    return _execute(sql, [statement.parameters[index] for index in order], connection)


def write(appended: Iterable[Append], connection: sqlite3.Connection) -> None:
    """Write rows in their order, those of one table with few statements.

    Raises:
        sqlite3.Error: SQLite refuses one of them; others may be written.
        StoreCorrupt: a value that no database keeps; likewise.
    """
    tables: dict[tuple[str, str], list[tuple[Value, ...]]] = {}
    counters: dict[tuple[str, str], dict[tuple[Value, ...], int]] = {}
    for before, row, after, amount in appended:
        if amount is None:
            tables.setdefault((before, after), []).append(row)
        else:
            sums = counters.setdefault((before, after), {})
            sums[row] = sums.get(row, 0) + amount
    for table, sums in counters.items():
        tables[table] = [(*row, amount) for row, amount in sums.items()]
    for (before, after), rows in tables.items():
        write_rows(before, rows, connection, after=after)


def write_rows(
    before: str, rows: list[tuple[Value, ...]], connection: sqlite3.Connection, *, after: str = ""
) -> None:
    """Write rows of one table likewise."""
    for chunk in _chunks(rows):
        values = [value for row in chunk for value in row]
        _execute(_text(before, len(chunk), len(chunk[0]), after), values, connection)


def _execute(sql: str, values: Sequence[Value], connection: sqlite3.Connection) -> Rows:
    try:
        cursor = connection.execute(sql, values)
    except UnicodeError:
        raise StoreCorrupt("expected text that can be stored, found a lone surrogate") from None
    except OverflowError:
        raise StoreCorrupt("expected a number of 64 bits, found a larger one") from None
    return Rows(cursor.fetchall(), cursor.rowcount)


def translated(error: sqlite3.Error) -> StoreError:
    """Return our error for one of SQLite's; its message names no value."""
    if isinstance(error, sqlite3.OperationalError):
        return StoreUnavailable(f"the database cannot be used now: {error}")
    return StoreCorrupt(f"the database refuses: {error}")


def _chunks(rows: list[tuple[Value, ...]]) -> Iterator[list[tuple[Value, ...]]]:
    # powers of two: few different texts, which SQLite has compiled already
    start, left = 0, len(rows)
    while left:
        size = min(_MOST_ROWS, 1 << left.bit_length() - 1)
        yield rows[start : start + size]
        start, left = start + size, left - size


@lru_cache(maxsize=256)
def _text(before: str, rows: int, columns: int, after: str) -> str:
    group = f"({', '.join('?' * columns)})"
    return f"{before} VALUES {', '.join([group] * rows)} {after}"


@lru_cache(maxsize=1_024)
def _nameless(sql: str) -> tuple[str, tuple[int, ...]]:
    """Return `?` for `?1`, `?2`, … and their order: CPython 3.12 before 3.12.4 takes numbers for names."""
    return _NUMBERED.sub("?", sql), tuple(int(number) - 1 for number in _NUMBERED.findall(sql))
