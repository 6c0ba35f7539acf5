"""The places of this installation's keys: one keyring for tokens, one for the audit, sealed under one key."""

import logging
from pathlib import Path

from watchword.app.config import ServerSettings
from watchword.app.sealing import open_seal
from watchword.errors import KeyringConflict, KeyringError
from watchword.keys.seal import Seal
from watchword.keys.sealed_keyring import TOKENS
from watchword.keys.store import KeyStore
from watchword.keystores import open_key_store
from watchword.keystores.files import FileKeyStore
from watchword.keystores.memory import MemoryKeyStore
from watchword.storage.database import BlockingDatabase
from watchword.storage.key_events import KeyEvents
from watchword.storage.keys import SqlKeyStore, is_begun
from watchword.storage.looking import Looking
from watchword.storage.recorded_keys import RecordedKeyStore

logger = logging.getLogger("watchword.app")

AUDIT = "audit"
"""The purpose of the key that signs statements about the audit."""
_FOLDERS = {TOKENS: "keys", AUDIT: "audit-keys"}


class KeyPlaces:
    """Opens key stores as the setting `KEYS` says. Blocks: not for an event loop.

    Args:
        settings: of the service.
        database: where sealed keys live by default, and where changes of keys are told.
        events: how they are told.

    Raises:
        SealingKeyUnusable: there is no sealing key, or it cannot be used.
        KeyringError: the database cannot be read.
    """

    def __init__(self, settings: ServerSettings, database: BlockingDatabase, events: KeyEvents) -> None:
        self._settings = settings
        self._database = database
        self._events = events
        self._seal: Seal | None = None
        if settings.keys != "memory:":
            folders = [self._folder(purpose) for purpose in _FOLDERS]
            begun = is_begun(database) or any(FileKeyStore(folder).is_sealed() for folder in folders)
            if any(source.kind == "env" for source in settings.seal):
                logger.warning(
                    "a sealing key is in the environment, where /proc shows it for as long as this process"
                    " lives; name a file or a descriptor in WATCHWORD_SEAL"
                )
            self._seal = open_seal(settings.seal, settings.data_folder, begun=begun)

    @property
    def sealing_key(self) -> str | None:
        """The name of the key that seals from now on; `None`: nothing is sealed."""
        return None if self._seal is None else self._seal.name

    def store(self, purpose: str) -> KeyStore:
        """Return the store of the keys for one purpose.

        Raises:
            KeyringError: it cannot be read.
        """
        if self._seal is None:
            return self._recorded(MemoryKeyStore(), purpose)
        if self._settings.keys == "database:":
            events = self._events if purpose == TOKENS else None
            store = SqlKeyStore(self._database, self._seal, events, purpose=purpose)
            self._take_over(store, purpose)
            return store
        place = f"files:{self._folder(purpose)}"
        return self._recorded(open_key_store(place, seal=self._seal, purpose=purpose), purpose)

    def _recorded(self, store: KeyStore, purpose: str) -> KeyStore:
        return RecordedKeyStore(store, self._database, self._events) if purpose == TOKENS else store

    def _folder(self, purpose: str) -> Path:
        kind, _, place = self._settings.keys.partition(":")
        if purpose == TOKENS and kind == "files":
            return Path(place)
        return self._settings.data_folder / _FOLDERS[purpose]

    def _take_over(self, store: SqlKeyStore, purpose: str) -> None:
        """Move the keys of a folder that an earlier start has used into an empty database."""
        folder = self._folder(purpose)
        if not (folder / "keyring.json").exists():
            return
        if not store.load().states:
            keyring = FileKeyStore(folder, seal=self._seal, purpose=purpose).load()
            if keyring.entries:
                try:
                    store.save(keyring.from_elsewhere())
                except KeyringConflict:
                    return  # another process of this service was faster
                logger.info("the keys in %s are in the database now", folder)
        logger.warning(
            "the keys are in the database, and a copy of them is in %s: remove that folder once you are sure",
            folder,
        )


def looked_at(settings: ServerSettings) -> KeyStore:
    """Return the store of the token keys for somebody who changes nothing, not even the sealing key.

    Raises:
        SealingKeyUnusable: there is no sealing key, or it cannot be used.
        KeyringError: the keys cannot be read.
    """
    if settings.keys == "memory:":
        return MemoryKeyStore()
    database = Looking(settings.database) if settings.database.exists() else None
    folder = Path(settings.keys.removeprefix("files:"))
    in_database = settings.keys == "database:"
    begun = database is not None and is_begun(database) if in_database else FileKeyStore(folder).is_sealed()
    if not begun:
        return MemoryKeyStore() if in_database else FileKeyStore(folder)
    seal = open_seal(settings.seal, settings.data_folder, begun=True)
    if database is not None and in_database:
        return SqlKeyStore(database, seal, None)
    return FileKeyStore(folder, seal=seal)


def keyring_problems(store: KeyStore) -> list[str]:
    """Return what is wrong with the keys, one line for each that cannot be used."""
    try:
        return [f"key {lost.kid} cannot be used: {lost.problem}" for lost in store.load().unusable]
    except KeyringError as error:
        return [str(error)]
