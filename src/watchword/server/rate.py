"""How often somebody may ask, in bounded memory: the generic cell rate algorithm (ITU-T I.371)."""

from typing import NamedTuple

from watchword.clock import SYSTEM_CLOCK, Clock
from watchword.server.accounts import Accounts, OwnAccounts


class Rate(NamedTuple):
    """Requests per second in the long run, and how many may come at once after a pause."""

    per_second: float
    burst: int

    def __str__(self) -> str:
        return f"{self.per_second:g}/{self.burst}"


class RateLimiter:
    """Says of each request whether it comes too early; one number per key: when its account is empty again.

    Args:
        rate: the same for every key.
        accounts: where the numbers are kept; by default in this process alone.
        clock: its monotonic time decides.
    """

    __slots__ = ("_accounts", "_clock", "_interval", "_slack", "rate")

    def __init__(self, rate: Rate, *, accounts: Accounts | None = None, clock: Clock = SYSTEM_CLOCK) -> None:
        self.rate = rate
        self._clock = clock
        self._accounts = OwnAccounts() if accounts is None else accounts
        self._interval = 1 / rate.per_second
        self._slack = (rate.burst - 1) * self._interval

    def take(self, key: str) -> float:
        """Take one request off the account of `key`.

        Returns:
            0.0 if it may pass; else the seconds until one may, and nothing was taken.
        """
        now = self._clock.monotonic()
        empty_at = max(now, self._accounts.empty_at(key, now))
        early = empty_at - now - self._slack
        # within a nanosecond it is on time: sums of intervals are not exact
        if early > 1e-9:
            return early
        self._accounts.keep(key, empty_at + self._interval)
        return 0.0

    def give_back(self, key: str) -> None:
        """Put one request back that turned out not to be the key's own."""
        now = self._clock.monotonic()
        self._accounts.keep(key, self._accounts.empty_at(key, now) - self._interval)
