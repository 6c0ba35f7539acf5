"""A key store elsewhere, whose every change is told to the audit in the database."""

import threading
from collections.abc import Sequence

from watchword.errors import KeyringError, StoreError
from watchword.keys.keyring import Keyring
from watchword.keys.store import KeyStore
from watchword.storage.database import Append, BlockingDatabase, Intent
from watchword.storage.key_events import KeyEvents


class RecordedKeyStore:
    """A `KeyStore` that writes the events of a change right after it.

    A crash between the two loses the events, not the change: only `SqlKeyStore` can do both at once. Events
    that the database does not take are owed, and no further change is made before they are written.

    Args:
        store: where the keys live.
        database: where the audit is.
        events: what is written there.
    """

    __slots__ = ("_database", "_events", "_lock", "_owed", "_store")

    def __init__(self, store: KeyStore, database: BlockingDatabase, events: KeyEvents) -> None:
        self._store = store
        self._database = database
        self._events = events
        self._lock = threading.Lock()
        self._owed: list[Append] = []

    def load(self) -> Keyring:
        """Return the keyring."""
        return self._store.load()

    def save(self, keyring: Keyring, *, by: str | None = None) -> Keyring:
        """Replace the stored keyring, then write what was done.

        Raises:
            KeyringConflict: somebody else saved first; nothing was changed.
            KeyringError: the place cannot be written to, or the audit could not the last time and cannot now;
                nothing was changed.
        """
        with self._lock:
            self._pay()
            before = self._store.load()
            stored = self._store.save(keyring, by=by)
            self._owed += self._events.rows(before, stored, by=by)
            try:
                self._pay()
            except KeyringError:
                return stored  # it is done; its events come before anything else is
            return stored

    def _pay(self) -> None:
        if not self._owed:
            return
        try:
            self._database.run_blocking(_append(self._owed))
        except StoreError as error:
            raise KeyringError(f"a change of the keys cannot be written into the audit: {error}") from error
        self._owed = []

    def __repr__(self) -> str:
        return f"RecordedKeyStore({self._store!r})"


def _append(rows: Sequence[Append]) -> Intent[None]:
    for row in rows:  # noqa: UP028  # a list takes no `send`
        yield row
