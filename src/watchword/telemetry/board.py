"""Where a process writes its numbers down, so that those of all processes of a service can be added up.

A board has one row for each process and a cell for each number. In a service of one process the row is
plain memory; in one of several all rows stand in memory that they share, made before they parted. A process
writes in its own row only, so nobody waits for anybody. The row of a process that dies stays, and whoever
replaces it goes on counting there: no sum ever goes back.
"""

from collections.abc import Sequence
from typing import Self

CELLS = 4_096
"""Of a row: several times what is counted today."""
ROW_BYTES = 8 * CELLS


def row(memory: memoryview) -> "memoryview[float]":
    """Return memory as cells."""
    return memory.cast("d")


class Board:
    """Numbers of eight bytes, handed out in the order in which they are claimed.

    Every process of a service claims the same things in the same order; then each finds the others' numbers
    in the same places of their rows.

    Args:
        rows: one for each process, `CELLS` long.
        own: which of them this process writes.
    """

    __slots__ = ("_claimed", "_rows", "own")

    def __init__(self, rows: Sequence["memoryview[float]"], *, own: int) -> None:
        self._rows = tuple(rows)
        self.own = own
        """Which row this process writes."""
        self._claimed = 0

    def claim(self, cells: int) -> list["memoryview[float]"]:
        """Return the next cells of every row.

        Raises:
            ValueError: the row is full.
        """
        begin, end = self._claimed, self._claimed + cells
        if end > CELLS:
            raise ValueError(f"expected at most {CELLS} numbers on a board, found {end}")
        self._claimed = end
        return [row[begin:end] for row in self._rows]


class Tally:
    """Some cells of a board: those of this process to write, those of all to read."""

    __slots__ = ("_rows", "own")

    def __init__(self, rows: Sequence["memoryview[float]"], own: int) -> None:
        self._rows = rows
        self.own = rows[own]
        """The cells of this process."""

    @classmethod
    def of(cls, board: Board | None, cells: int) -> Self:
        """Return so many cells of a board; without one, of this process alone."""
        if board is None:
            return cls([row(memoryview(bytearray(8 * cells)))], 0)
        return cls(board.claim(cells), board.own)

    def totals(self) -> list[float]:
        """Return each cell's sum over all processes."""
        return [sum(column) for column in zip(*self._rows, strict=True)]
