"""What a database is here: something that carries out intents durably.

An intent is one deed of a store (write this event, use up this value), written once as a generator that
yields SQL and receives rows. It knows no driver, no thread and no event loop. An engine carries out the
intents of many callers in one transaction and answers them after the commit.
"""

from collections.abc import Generator, Sequence
from typing import NamedTuple, Protocol, TypeVar

T = TypeVar("T")

Value = str | int | float | bytes | None


class Statement(NamedTuple):
    """One SQL statement, carried out at once. Parameters are `?1`, `?2`, …, never part of the text."""

    sql: str
    parameters: Sequence[Value] = ()


class Append(NamedTuple):
    """A row that is written when the intent has succeeded, together with those of its neighbours.

    The statement is `before`, then `VALUES` with the rows of the whole batch, then `after`: a hundred
    callers cost one statement. The intent learns nothing of it and must not read what it appended.
    """

    before: str
    row: tuple[Value, ...]
    after: str = ""
    amount: int | None = None
    """The last column, where the row is a counter: rows that are equal in all others are added up first."""


class Rows(NamedTuple):
    """What came of a statement."""

    rows: list[tuple[Value, ...]]
    changed: int
    """How many rows it changed."""


Intent = Generator[Statement | Append, Rows, T]


class BlockingDatabase(Protocol):
    """Carries out intents for a thread that may wait."""

    def run_blocking(self, intent: Intent[T]) -> T:
        """Carry out an intent as `Database.run` does; never on an event loop.

        Raises:
            StoreUnavailable: as there.
            StoreCorrupt: as there.
        """
        ...

    def read_blocking(self, intent: Intent[T]) -> T:
        """Carry out a small intent that changes nothing, at once and in this thread.

        It waits for no writer and no other reader's work, so that an event loop may ask for a few rows.

        Raises:
            StoreUnavailable: the database cannot be read now.
        """
        ...


class Database(BlockingDatabase, Protocol):
    """Carries out intents."""

    async def run(self, intent: Intent[T]) -> T:
        """Carry out an intent, all or nothing; durable on return.

        An error that the intent raises rolls back this intent alone and comes out here.

        Raises:
            StoreUnavailable: nothing was written; the same intent may work later. Only where the disk did
                not answer in time, which the message says, it may have been written after all.
            StoreCorrupt: the database refuses what the intent writes.
        """
        ...

    async def read(self, intent: Intent[T]) -> T:
        """Carry out an intent that changes nothing, on one snapshot of what is committed.

        Raises:
            StoreUnavailable: the database cannot be read now.
        """
        ...

    async def aclose(self) -> None:
        """Finish what was begun and let go of the database."""
        ...
