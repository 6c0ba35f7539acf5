"""Where a limiter keeps its accounts: in memory of one process, or in memory that several share."""

from typing import Protocol

MAX_KEYS = 16_384
"""How many a generation of `OwnAccounts` holds; there are two."""

_WAYS = 8
_SETS = 8_192
_PLACES = _WAYS * _SETS
SHARED_BYTES = 16 * _PLACES
"""Of one `SharedAccounts`."""


class Accounts(Protocol):
    """One number per key: the monotonic time when its account is empty again."""

    def empty_at(self, key: str, now: float) -> float:
        """Return the number of a key; `now` if it has none."""
        ...

    def keep(self, key: str, empty_at: float) -> None:
        """Remember the number of a key."""
        ...


class OwnAccounts:
    """Accounts of this process alone, in two generations.

    When the younger one is full, the older one is forgotten, and with it at most what each of its keys had
    used of its burst. To make that happen, somebody needs `MAX_KEYS` other keys, each within its own limit:
    forgetting gives away less than those keys have already.
    """

    __slots__ = ("_max_keys", "_old", "_young")

    def __init__(self, *, max_keys: int = MAX_KEYS) -> None:
        self._max_keys = max_keys
        self._young: dict[str, float] = {}
        self._old: dict[str, float] = {}

    def empty_at(self, key: str, now: float) -> float:
        """Return the number of a key; `now` if it has none."""
        known = self._young.get(key)
        return self._old.get(key, now) if known is None else known

    def keep(self, key: str, empty_at: float) -> None:
        """Remember the number of a key."""
        if key not in self._young and len(self._young) >= self._max_keys:
            self._old, self._young = self._young, {}
        self._young[key] = empty_at

    def __len__(self) -> int:
        return len(self._young) + len(self._old)


class SharedAccounts:
    """Accounts of all processes of a service, in a table of fixed size.

    A key has eight places where it may stand; when all are taken, the one that has used least of its burst is
    forgotten. Nobody locks: when two processes take from one account in the same microsecond, one of the two
    may go uncounted. The processes must have parted by fork, since the hash of a text is another one in every
    other process; it is keyed, so that nobody outside can choose keys that stand in each other's way.

    Args:
        memory: `SHARED_BYTES` that all of them see, zero at first.
    """

    __slots__ = ("_names", "_times")

    def __init__(self, memory: memoryview) -> None:
        self._names = memory[: 8 * _PLACES].cast("q")
        self._times = memory[8 * _PLACES :].cast("d")

    def empty_at(self, key: str, now: float) -> float:
        """Return the number of a key; `now` if it has none."""
        name = hash(key) or 1
        first = name % _SETS * _WAYS
        for place in range(first, first + _WAYS):
            if self._names[place] == name:
                return self._times[place]
        return now

    def keep(self, key: str, empty_at: float) -> None:
        """Remember the number of a key."""
        name = hash(key) or 1
        first = name % _SETS * _WAYS
        least = first
        for place in range(first, first + _WAYS):
            if self._names[place] == name:
                self._times[place] = empty_at
                return
            if self._times[place] < self._times[least]:
                least = place
        self._times[least] = empty_at
        self._names[least] = name
