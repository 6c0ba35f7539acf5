"""A clock that a test can stop and move; otherwise it follows the machine's, and so `time-machine`."""

from datetime import datetime

from watchword.clock import SYSTEM_CLOCK


class TravellingClock:
    """Both times of a `Clock`: they are moved together, so that tokens and cached keys age together."""

    __slots__ = ("_ahead", "_stopped")

    def __init__(self) -> None:
        self._ahead = 0.0
        self._stopped: tuple[float, float] | None = None

    def now(self) -> float:
        """Return seconds since the epoch."""
        return self._ahead + (SYSTEM_CLOCK.now() if self._stopped is None else self._stopped[0])

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return self._ahead + (SYSTEM_CLOCK.monotonic() if self._stopped is None else self._stopped[1])

    def freeze(self, at: datetime | float | None = None) -> None:
        """Stop the clock, now or at another time of day: an aware `datetime`, or seconds since the epoch.

        Raises:
            ValueError: a `datetime` without a time zone is a different moment on every machine.
        """
        if isinstance(at, datetime):
            if at.tzinfo is None:
                raise ValueError("expected a datetime with a time zone, found one without")
            at = at.timestamp()
        wall, ages = (self.now() if at is None else float(at)), self.monotonic()
        self._ahead, self._stopped = 0.0, (wall, ages)

    def advance(self, seconds: float) -> None:
        """Let time pass, stopped or not.

        Raises:
            ValueError: it would go back; `freeze(at)` sets the time of day.
        """
        if not seconds >= 0:
            raise ValueError(f"expected seconds to go on by, found {seconds}")
        self._ahead += seconds
