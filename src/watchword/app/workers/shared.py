"""Memory that all processes of a service share: made by the supervisor, inherited by whoever it forks."""

import mmap

from watchword.telemetry.board import ROW_BYTES, Board, row

_BEATS_BYTES = 4_096


class Shared:
    """Numbers and signs of life of so many processes.

    Args:
        processes: the supervisor among them; each has a number from 0 on.
    """

    __slots__ = ("_beats", "_rows")

    def __init__(self, processes: int) -> None:
        memory = memoryview(mmap.mmap(-1, _BEATS_BYTES + processes * ROW_BYTES))
        self._beats = memory[:_BEATS_BYTES].cast("d")
        self._rows = [
            row(memory[start : start + ROW_BYTES])
            for start in range(_BEATS_BYTES, _BEATS_BYTES + processes * ROW_BYTES, ROW_BYTES)
        ]

    def board(self, process: int) -> Board:
        """Return the board as one process writes on it."""
        return Board(self._rows, own=process)

    def beat(self, process: int, now: float) -> None:
        """Give a sign of life; `now` is monotonic, which is one clock for all processes of a machine."""
        self._beats[process] = now

    def last_beat(self, process: int) -> float:
        """Return when a process last gave a sign of life; 0.0 if it never did."""
        return self._beats[process]
