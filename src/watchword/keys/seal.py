"""Sealing: AES-256-GCM with a random key for each record, which is itself wrapped under the sealing key.

```
 "wwseal" │ format │ id of the sealing key │ nonce, wrapped record key, tag │ nonce, secret, tag
     6    │   1    │           8           │        12 + 32 + 16            │   12 + n + 16   bytes
```

The first three fields and the name of the record are the associated data of both boxes: a record opens only
as what it was sealed as. Its name binds the store, the purpose, the `kid`, the algorithm and the generation.
"""

import secrets
from typing import NamedTuple, NoReturn

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from watchword.errors import SealBroken, SealingKeyUnusable
from watchword.keys.sealing_key import ID_BYTES, KEY_BYTES, NONCE_BYTES, SealingKey, decrypt, encrypt

_MAGIC = b"wwseal"
_FORMAT = 1
_TAG_BYTES = 16
_HEADER_BYTES = len(_MAGIC) + 1 + ID_BYTES
_WRAP_BYTES = NONCE_BYTES + KEY_BYTES + _TAG_BYTES


class RecordName(NamedTuple):
    """What a record is, all of it authenticated."""

    kind: str
    """`key`, `keyring`, `export`."""
    store: str
    """Which installation's; empty: it travels."""
    purpose: str
    kid: str = ""
    algorithm: str = ""
    generation: int = 0
    """The version of the keyring that it belongs to."""

    def aad(self) -> bytes:
        """Return the name as unambiguous bytes."""
        return msgspec.json.encode(["watchword", *self])


class Seal:
    """Closes with its first key, opens with any: that is how the sealing key is changed.

    Args:
        first: closes from now on.
        others: open what was closed before.
    """

    __slots__ = ("_first", "_keys")

    def __init__(self, first: SealingKey, *others: SealingKey) -> None:
        self._first = first
        self._keys = {key.id: key for key in (*others, first)}

    @property
    def name(self) -> str:
        """Of the key that closes, for messages."""
        return self._first.name

    def close(self, name: RecordName, secret: bytes, *, beside: bytes = b"") -> bytes:
        """Return the record that holds a secret.

        Args:
            name: what it is; it opens under this name only.
            secret: what nobody may read.
            beside: what everybody may read and nobody change; it is not part of the record.
        """
        header = _MAGIC + bytes([_FORMAT]) + self._first.id
        aad = header + name.aad() + beside
        record_key = secrets.token_bytes(KEY_BYTES)
        wrapped = self._first.encrypt(record_key, b"wrap" + aad)
        return header + wrapped + encrypt(AESGCM(record_key), secret, b"data" + aad)

    def open(self, name: RecordName, record: bytes, *, beside: bytes = b"") -> bytes:
        """Return the secret of a record.

        Raises:
            SealingKeyUnusable: it was closed under a key that is not here.
            SealBroken: it is not what was closed under this name.
        """
        header, rest = record[:_HEADER_BYTES], record[_HEADER_BYTES:]
        key = self._key_of(header)
        aad = header + name.aad() + beside
        secret = _unwrapped(key, rest, aad)
        if secret is None:
            raise SealBroken("it was changed or cut, or it is the record of another key or another time")
        return secret

    def _key_of(self, header: bytes) -> SealingKey:
        if len(header) < _HEADER_BYTES or not header.startswith(_MAGIC):
            raise SealBroken("it is no sealed record, or was cut")
        if header[len(_MAGIC)] != _FORMAT:
            raise SealBroken(f"expected format {_FORMAT}, found {header[len(_MAGIC)]} of a newer release")
        key = self._keys.get(header[-ID_BYTES:])
        if key is None:
            raise SealingKeyUnusable(
                f"sealed under the sealing key {header[-ID_BYTES:].hex()}; found "
                f"{', '.join(sorted(key.name for key in self._keys.values()))}"
            )
        return key

    def __repr__(self) -> str:
        return f"Seal({', '.join(key.name for key in self._keys.values())})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a seal cannot be pickled: it holds sealing keys")


def _unwrapped(key: SealingKey, rest: bytes, aad: bytes) -> bytes | None:
    # nothing is raised from here: its frame would hold the key of the record
    record_key = key.decrypt(rest[:_WRAP_BYTES], b"wrap" + aad)
    if record_key is None:
        return None
    return decrypt(AESGCM(record_key), rest[_WRAP_BYTES:], b"data" + aad)
