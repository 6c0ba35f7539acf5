"""Places where keys can live, one file each."""

from collections.abc import Callable

from watchword.errors import ConfigurationError
from watchword.keys.seal import Seal
from watchword.keys.sealed_keyring import TOKENS
from watchword.keys.store import KeyStore
from watchword.keystores.files import FileKeyStore
from watchword.keystores.memory import MemoryKeyStore

__all__ = ["KEY_STORES", "open_key_store"]

KEY_STORES: dict[str, Callable[[str, Seal | None, str], KeyStore]] = {
    "files": lambda place, seal, purpose: FileKeyStore(place, seal=seal, purpose=purpose),
    "memory": lambda *_: MemoryKeyStore(),
}
"""What may stand before the colon, and what it makes of the rest."""

_NEEDS_PLACE = frozenset({"files"})


def open_key_store(text: str, *, seal: Seal | None = None, purpose: str = TOKENS) -> KeyStore:
    """Return the key store that a text such as `files:/var/lib/watchword/keys` or `memory:` names.

    Args:
        text: kind and place.
        seal: with the sealing key; without one, keys that stay are in clear.
        purpose: of the keys.

    Raises:
        ConfigurationError: no such kind of place, or a place that is not named.
    """
    kind, colon, place = text.partition(":")
    if not colon or kind not in KEY_STORES:
        known = ", ".join(f"{name}:" for name in KEY_STORES)
        raise ConfigurationError(f"keys: expected one of {known} and a place, found {text!a:.100}")
    if kind in _NEEDS_PLACE and not place:
        raise ConfigurationError(f"keys: expected a place after {kind}:, as in {kind}:./watchword-data/keys")
    if place and kind not in _NEEDS_PLACE:
        raise ConfigurationError(f"keys: expected nothing after {kind}:, found {place!a:.100}")
    return KEY_STORES[kind](place, seal, purpose)
