"""Keys that live as long as the process: for tests, and the reference of what a key store must do."""

import threading
from dataclasses import replace

from watchword.errors import KeyringConflict
from watchword.keys.keyring import Keyring


class MemoryKeyStore:
    """A `KeyStore` that forgets everything when the process ends."""

    __slots__ = ("_keyring", "_lock")

    def __init__(self) -> None:
        self._keyring = Keyring()
        self._lock = threading.Lock()

    def load(self) -> Keyring:
        """Return the keyring."""
        return self._keyring

    def save(self, keyring: Keyring, *, by: str | None = None) -> Keyring:
        """Replace the keyring if nobody else did since it was read."""
        with self._lock:
            if keyring.version != self._keyring.version:
                raise KeyringConflict(
                    f"expected keyring version {self._keyring.version}, found {keyring.version}"
                )
            self._keyring = replace(keyring, version=keyring.version + 1)
            return self._keyring
