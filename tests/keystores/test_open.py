"""Key stores by the name that a setting gives them."""

from pathlib import Path

import pytest

from watchword.errors import ConfigurationError
from watchword.keys.keyring import Keyring
from watchword.keystores import KEY_STORES, open_key_store
from watchword.keystores.files import FileKeyStore
from watchword.keystores.memory import MemoryKeyStore


def test_a_setting_names_the_place(tmp_path: Path) -> None:
    store = open_key_store(f"files:{tmp_path}/keys")
    assert isinstance(store, FileKeyStore)
    store.save(Keyring())
    assert (tmp_path / "keys" / "keyring.json").exists()
    assert isinstance(open_key_store("memory:"), MemoryKeyStore)


@pytest.mark.parametrize("text", ["", "files", "files:", "memory:here", "vault:x", "/var/keys", "FILES:x"])
def test_a_setting_that_names_none_says_which_there_are(text: str) -> None:
    with pytest.raises(ConfigurationError, match="keys: expected") as refused:
        open_key_store(text)
    assert "files:" in str(refused.value) or "memory:" in str(refused.value)


def test_every_store_stands_in_the_table() -> None:
    assert set(KEY_STORES) == {"files", "memory"}
