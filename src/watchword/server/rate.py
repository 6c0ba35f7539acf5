"""How often somebody may ask, in bounded memory: the generic cell rate algorithm (ITU-T I.371)."""

from typing import NamedTuple

from watchword.clock import SYSTEM_CLOCK, Clock

MAX_KEYS = 16_384
"""How many a generation of the table holds; there are two."""


class Rate(NamedTuple):
    """Requests per second in the long run, and how many may come at once after a pause."""

    per_second: float
    burst: int

    def __str__(self) -> str:
        return f"{self.per_second:g}/{self.burst}"


class RateLimiter:
    """Says of each request whether it comes too early; one number per key: when its account is empty again.

    The table has two generations. When the younger one is full, the older one is forgotten, and with it at
    most what each of its keys had used of its burst. To make that happen, somebody needs `MAX_KEYS` other
    keys, each within its own limit: forgetting gives away less than those keys have already.

    Args:
        rate: the same for every key.
        clock: its monotonic time decides.
    """

    __slots__ = ("_clock", "_interval", "_max_keys", "_old", "_slack", "_young", "rate")

    def __init__(self, rate: Rate, *, clock: Clock = SYSTEM_CLOCK, max_keys: int = MAX_KEYS) -> None:
        self.rate = rate
        self._clock = clock
        self._max_keys = max_keys
        self._interval = 1 / rate.per_second
        self._slack = (rate.burst - 1) * self._interval
        self._young: dict[str, float] = {}
        self._old: dict[str, float] = {}

    def take(self, key: str) -> float:
        """Take one request off the account of `key`.

        Returns:
            0.0 if it may pass; else the seconds until one may, and nothing was taken.
        """
        now = self._clock.monotonic()
        empty_at = max(now, self._empty_at(key, now))
        early = empty_at - now - self._slack
        # within a nanosecond it is on time: sums of intervals are not exact
        if early > 1e-9:
            return early
        self._keep(key, empty_at + self._interval)
        return 0.0

    def give_back(self, key: str) -> None:
        """Put one request back that turned out not to be the key's own."""
        now = self._clock.monotonic()
        self._keep(key, self._empty_at(key, now) - self._interval)

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def _empty_at(self, key: str, now: float) -> float:
        known = self._young.get(key)
        return self._old.get(key, now) if known is None else known

    def _keep(self, key: str, empty_at: float) -> None:
        if key not in self._young and len(self._young) >= self._max_keys:
            self._old, self._young = self._young, {}
        self._young[key] = empty_at
