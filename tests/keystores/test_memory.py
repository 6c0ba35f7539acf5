"""Keys in memory keep the contract of every key store."""

from pathlib import Path

from watchword.keys.store import KeyStore
from watchword.keystores.memory import MemoryKeyStore
from watchword.testing.key_stores import KeyStoreBehaviour


class TestMemoryKeyStore(KeyStoreBehaviour):
    survives = False

    def open(self, place: Path) -> KeyStore:
        return MemoryKeyStore()
