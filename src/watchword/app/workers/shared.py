"""Memory that all processes of a service share: made by the supervisor, inherited by whoever it forks."""

import mmap

from watchword.server.accounts import SHARED_BYTES, SharedAccounts
from watchword.telemetry.board import ROW_BYTES, Board, row


class Shared:
    """Signs of life, numbers and accounts of so many processes; pages that nobody touches cost nothing.

    Args:
        processes: the supervisor among them; each has a number from 0 on.
    """

    __slots__ = ("_beats", "_rows", "address_accounts", "client_accounts")

    def __init__(self, processes: int) -> None:
        self._beats = _memory(8 * processes).cast("d")
        self._rows = [row(_memory(ROW_BYTES)) for _ in range(processes)]
        self.client_accounts = SharedAccounts(_memory(SHARED_BYTES))
        """What each client asks of all processes together."""
        self.address_accounts = SharedAccounts(_memory(SHARED_BYTES))
        """Likewise each network."""

    def board(self, process: int) -> Board:
        """Return the board as one process writes on it."""
        return Board(self._rows, own=process)

    def beat(self, process: int, now: float) -> None:
        """Give a sign of life; `now` is monotonic, which is one clock for all processes of a machine."""
        self._beats[process] = now

    def last_beat(self, process: int) -> float:
        """Return when a process last gave a sign of life; 0.0 if it never did."""
        return self._beats[process]


def _memory(size: int) -> memoryview:
    return memoryview(mmap.mmap(-1, size))
