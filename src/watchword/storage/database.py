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
    """One SQL statement. Parameters are `?1`, `?2`, …, never part of the text."""

    sql: str
    parameters: Sequence[Value] = ()


class Rows(NamedTuple):
    """What came of a statement."""

    rows: list[tuple[Value, ...]]
    changed: int
    """How many rows it changed."""


Intent = Generator[Statement, Rows, T]


class Database(Protocol):
    """Carries out intents."""

    async def run(self, intent: Intent[T]) -> T:
        """Carry out an intent, all or nothing; durable on return.

        An error that the intent raises rolls back this intent alone and comes out here.

        Raises:
            StoreUnavailable: nothing was written; the same intent may work later.
        """
        ...

    async def read(self, intent: Intent[T]) -> T:
        """Carry out an intent that changes nothing, on what is committed.

        Raises:
            StoreUnavailable: the database cannot be read now.
        """
        ...

    async def aclose(self) -> None:
        """Finish what was begun and let go of the database."""
        ...
