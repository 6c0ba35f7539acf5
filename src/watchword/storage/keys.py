"""Keys in the database: sealed, and every change in one transaction with the events that tell it."""

import secrets
from typing import NamedTuple, NoReturn

from watchword.errors import KeyRejected, KeyringConflict, KeyringError, SealBroken, StoreError
from watchword.keys.keyring import KeyEntry, Keyring
from watchword.keys.seal import Seal
from watchword.keys.sealed_keyring import (
    TOKENS,
    Sealed,
    SealedState,
    following,
    open_keyring,
    open_state,
    seal_keyring,
)
from watchword.storage.database import Append, BlockingDatabase, Intent, Statement
from watchword.storage.key_events import KeyEvents

_STORE_BYTES = 16
_VERSION = "SELECT version FROM keyring WHERE purpose = ?1"
_STATE = "SELECT state, stamp FROM keyring WHERE purpose = ?1"
_RECORDS = "SELECT kid, record FROM keyring_record WHERE purpose = ?1"
_ELSEWHERE = "SELECT purpose FROM keyring_record WHERE thumbprint = ?1 AND purpose <> ?2"
_WRITE_STATE = (
    "INSERT INTO keyring (purpose, version, state, stamp) VALUES (?1, ?2, ?3, ?4)"
    " ON CONFLICT (purpose) DO UPDATE"
    " SET version = excluded.version, state = excluded.state, stamp = excluded.stamp"
)
_REMOVE = "DELETE FROM keyring_record WHERE purpose = ?1 AND kid = ?2"
_WRITE_RECORD = "INSERT INTO keyring_record (purpose, kid, thumbprint, record) VALUES (?1, ?2, ?3, ?4)"


class _Seen(NamedTuple):
    text: bytes
    stamp: bytes
    keyring: Keyring
    store: str


class SqlKeyStore:
    """A `KeyStore` on any database that carries out intents; `save` waits for it, so call it on a thread.

    Args:
        database: where to.
        seal: with the sealing key.
        events: what is written beside each change; `None`: nothing is.
        purpose: of the keys; each has a keyring of its own, and no key is in two of them.
    """

    __slots__ = ("_database", "_events", "_purpose", "_seal", "_seen")

    def __init__(
        self, database: BlockingDatabase, seal: Seal, events: KeyEvents | None, *, purpose: str = TOKENS
    ) -> None:
        self._database = database
        self._seal = seal
        self._events = events
        self._purpose = purpose
        self._seen = _Seen(b"", b"", Keyring(), "")

    def load(self) -> Keyring:
        """Return the keyring; records are opened when it has changed.

        Raises:
            SealingKeyUnusable: it was sealed under another sealing key.
            SealBroken: it was changed, or an old one was put back.
            KeyringError: the database cannot be read.
        """
        return self._load().keyring

    def save(self, keyring: Keyring, *, by: str | None = None) -> Keyring:
        """Replace the stored keyring if its version is still `keyring.version`, and write what was done.

        Raises:
            KeyringConflict: somebody else saved first; nothing was changed.
            KeyRejected: one of the keys is in use for another purpose; nothing was changed.
            KeyringError: the database does not take it; the old keyring is still whole.
        """
        held = self._load()
        if held.keyring.version != keyring.version:
            raise _conflict(held.keyring.version, keyring.version)
        stored = following(keyring)
        store = held.store or secrets.token_hex(_STORE_BYTES)
        sealed = seal_keyring(stored, self._seal, store=store, purpose=self._purpose)
        rows = self._events.rows(held.keyring, stored, by=by) if self._events else []
        try:
            self._database.run_blocking(self._write(sealed, rows, keyring.version))
        except StoreError as error:
            raise KeyringError(f"the keys cannot be written to the database: {error}") from error
        self._seen = _Seen(sealed.state.text(), sealed.stamp, stored, store)
        return stored

    def _load(self) -> _Seen:
        seen = self._seen
        try:
            text, stamp = self._database.read_blocking(_state(self._purpose))
            if (text, stamp) == seen[:2]:
                return seen
            text, stamp, records = self._database.read_blocking(_whole(self._purpose))
        except StoreError as error:
            raise KeyringError(f"the keys cannot be read from the database: {error}") from error
        if not text:
            if seen.text:
                raise SealBroken(f"{self._place} is gone from the database")
            return seen
        state = open_state(text, stamp, self._seal, purpose=self._purpose, place=self._place)
        if state.version < seen.keyring.version:
            raise SealBroken(
                f"{self._place}: expected version {seen.keyring.version} or later, found"
                f" {state.version}: somebody put an old one back"
            )
        keyring = open_keyring(
            state,
            lambda key: records.get(key.kid),
            self._seal,
            place=self._place,
            known=_by_kid(seen.keyring),
        )
        self._seen = _Seen(text, stamp, keyring, state.store)
        return self._seen

    def _write(self, sealed: Sealed, rows: list[Append], expected: int) -> Intent[None]:
        state = sealed.state
        found = yield Statement(_VERSION, (self._purpose,))
        version = int(found.rows[0][0] or 0) if found.rows else 0
        if version != expected:
            raise _conflict(version, expected)
        for key in state.keys:
            elsewhere = yield Statement(_ELSEWHERE, (key.thumbprint, self._purpose))
            if elsewhere.rows:
                raise KeyRejected(
                    f"the key {key.kid} is in use for {elsewhere.rows[0][0]!s}: one key, one purpose"
                )
        yield Statement(_WRITE_STATE, (self._purpose, state.version, state.text().decode(), sealed.stamp))
        yield from self._write_records(state, sealed)
        yield from rows_of(rows)

    def _write_records(self, state: SealedState, sealed: Sealed) -> Intent[None]:
        there = yield Statement(_RECORDS, (self._purpose,))
        keys = {key.kid: key for key in state.keys}
        for kid, _ in there.rows:
            if kid not in keys or kid in sealed.records:
                yield Statement(_REMOVE, (self._purpose, kid))
        for kid, record in sealed.records.items():
            yield Statement(_WRITE_RECORD, (self._purpose, kid, keys[kid].thumbprint, record))

    @property
    def _place(self) -> str:
        return f"the keyring for {self._purpose}"

    def __repr__(self) -> str:
        return f"SqlKeyStore({self._purpose!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key store cannot be pickled: it holds keys")


def is_begun(database: BlockingDatabase) -> bool:
    """Return whether the database holds sealed keys of any purpose.

    Raises:
        KeyringError: it cannot be read.
    """
    try:
        return database.read_blocking(_begun())
    except StoreError as error:
        raise KeyringError(f"the keys cannot be read from the database: {error}") from error


def rows_of(rows: list[Append]) -> Intent[None]:
    """Append these rows."""
    for row in rows:  # noqa: UP028  # a list takes no `send`
        yield row


def _begun() -> Intent[bool]:
    found = yield Statement("SELECT 1 FROM keyring LIMIT 1")
    return bool(found.rows)


def _state(purpose: str) -> Intent[tuple[bytes, bytes]]:
    found = yield Statement(_STATE, (purpose,))
    for text, stamp in found.rows:
        return str(text).encode(), stamp if isinstance(stamp, bytes) else b""
    return b"", b""


def _whole(purpose: str) -> Intent[tuple[bytes, bytes, dict[str, bytes]]]:
    text, stamp = yield from _state(purpose)
    found = yield Statement(_RECORDS, (purpose,))
    records = {str(kid): record for kid, record in found.rows if isinstance(record, bytes)}
    return text, stamp, records


def _by_kid(keyring: Keyring) -> dict[str, KeyEntry]:
    return {entry.kid: entry for entry in keyring.entries}


def _conflict(held: int, found: int) -> KeyringConflict:
    return KeyringConflict(f"expected keyring version {held}, found {found}")
