"""The clock: the only file that imports `time`."""

import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """Where the current time comes from; tests bring their own."""

    def now(self) -> float:
        """Return seconds since the epoch, UTC (a NumericDate, RFC 7519 §2)."""
        ...

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start that never jump; for timers and cache ages."""
        ...


class SystemClock:
    """The machine's clock."""

    __slots__ = ()

    now: Callable[[], float] = staticmethod(time.time)
    monotonic: Callable[[], float] = staticmethod(time.monotonic)


SYSTEM_CLOCK: Clock = SystemClock()
