"""The keyring of a running process: read from its store, looked at again, changed by whoever comes first."""

import math
import threading
from collections.abc import Callable
from typing import NoReturn

from watchword.clock import Clock
from watchword.errors import KeyringConflict, KeyringError
from watchword.keys.keyring import Keyring
from watchword.keys.rotation import Evidence, Prepare, RotationPolicy, Step, Wait, next_step, perform
from watchword.keys.store import KeyStore
from watchword.tokens.private_key import PrivateKey

RELOAD_SECONDS = 5
"""How soon a key change by another process is seen here."""

_MAX_ATTEMPTS = 16  # each lost race means that somebody else's change went through


class LiveKeyring:
    """What a store holds, as this process knows it; may be shared by threads.

    A change by another process is seen within `RELOAD_SECONDS`. If the store cannot be read then, the keys
    at hand go on working and `problem` says what is wrong.

    Args:
        store: where the keys live. An empty store gets its first key here.
        algorithm: of the first key.
        clock: of the states' times, and of when to look again.

    Raises:
        KeyringError: the store cannot be read or written.
    """

    __slots__ = ("_clock", "_held", "_lock", "_look_again", "_store", "problem")

    def __init__(self, store: KeyStore, *, algorithm: str, clock: Clock) -> None:
        self.problem: KeyringError | None = None
        """Why the store could not be read when it was last looked at; `None` when it could."""
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._held = store.load()
        self._look_again = clock.monotonic() + RELOAD_SECONDS
        if not self._held.entries:
            self._make_first_key(algorithm)

    @property
    def current(self) -> Keyring:
        """The keys, as they were at most `RELOAD_SECONDS` ago; the same object until something changes."""
        if self._clock.monotonic() >= self._look_again:
            self._look_again = self._clock.monotonic() + RELOAD_SECONDS
            self.look()
        return self._held

    def look_only_when_told(self) -> None:
        """Let `current` never read the store from now on; whoever serves calls `look` beside its requests."""
        self._look_again = math.inf

    def change(self, step: Callable[[Keyring], Keyring], *, by: str | None = None) -> None:
        """Save what `step` makes of the stored keyring; whoever loses a race reads again and decides anew.

        Args:
            step: from the stored keyring to the wanted one.
            by: who wants it, as in `KeyStore.save`.

        Raises:
            KeyringError: what `step` raises, or the store cannot be read or written to; nothing changed.
        """
        with self._lock:
            for _ in range(_MAX_ATTEMPTS):
                try:
                    self._held = self._store.save(step(self._store.load()), by=by)
                    return
                except KeyringConflict:
                    continue
        raise KeyringConflict(f"the keyring was changed by others {_MAX_ATTEMPTS} times in a row; try again")

    def reload(self) -> None:
        """Read the keyring again now.

        Raises:
            KeyringError: the store cannot be read; the keys at hand are kept.
        """
        with self._lock:
            self._held = self._store.load()

    def rotate(self, policy: RotationPolicy, evidence: Evidence) -> Step:
        """Do the one step that is due in the life of the keys and return it; `Wait` if none is.

        The decision is made on the keyring as it is stored at that moment: of two processes that rotate at
        once, one does the step and the other finds it done.

        Raises:
            KeyringError: the store cannot be read or written to; nothing changed.
        """
        planned = next_step(self._store.load(), policy, evidence, self._clock.now())
        if isinstance(planned, Wait):
            return planned
        # made before the lock is taken: an RSA key takes its time, and issuing goes on meanwhile
        fresh = PrivateKey.generate(planned.algorithm) if isinstance(planned, Prepare) else None

        def decide(keyring: Keyring) -> Keyring:
            now = self._clock.now()
            if next_step(keyring, policy, evidence, now) != planned:
                raise _AlreadyDone
            return perform(keyring, planned, now, fresh)

        try:
            self.change(decide)
        except _AlreadyDone:
            self.reload()
            return Wait(self._clock.now())
        return planned if fresh is None else Prepare(fresh.alg, fresh.kid)

    def __repr__(self) -> str:
        return f"LiveKeyring(keys={len(self._held.entries)}, version={self._held.version})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a keyring in use cannot be pickled")

    def look(self) -> None:
        """Read the keyring again; what cannot be read now changes nothing, and is the `problem`."""
        try:
            keyring = self._store.load()
        except KeyringError as problem:
            self.problem = problem
            return
        self.problem = None
        if not self._lock.acquire(blocking=False):
            return  # a change in this process waits for its disk, and nobody may wait for that here
        try:
            # a slow reader must not take back what a change in this process has put there meanwhile
            if keyring.version > self._held.version:
                self._held = keyring
        finally:
            self._lock.release()

    def _make_first_key(self, algorithm: str) -> None:
        key = PrivateKey.generate(algorithm)

        def begin(keyring: Keyring) -> Keyring:
            if keyring.entries:
                raise _AlreadyDone
            now = self._clock.now()
            return keyring.prepare(key, now).activate(key.kid, now)

        try:
            self.change(begin)
        except _AlreadyDone:
            self.reload()  # another process came first: its key is ours too


class _AlreadyDone(Exception):
    """Another process did the step that was planned here."""
