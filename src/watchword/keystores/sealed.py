"""The form of a folder whose keys are sealed: one record per key, named by its thumbprint and generation."""

import re
import secrets
from collections.abc import Callable
from functools import partial
from typing import Annotated

import msgspec
from msgspec import Meta

from watchword.errors import SealBroken, TokenMalformed
from watchword.keys.keyring import Keyring
from watchword.keys.seal import Seal
from watchword.keys.sealed_keyring import SealedKey, SealedState, open_state, seal_keyring
from watchword.keystores.plain import Written
from watchword.tokens import base64url

FORMAT = 2
_KEY_FILE = re.compile(r"[A-Za-z0-9_-]{43}\.[1-9][0-9]{0,18}\.sealed")
_STORE_BYTES = 16


class SealedFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The state file."""

    format: int
    sealed: SealedState
    stamp: Annotated[str, Meta(min_length=1)]


def is_key_file(name: str) -> bool:
    """Return whether a file of this name holds a sealed key."""
    return _KEY_FILE.fullmatch(name) is not None


def file_of(key: SealedKey) -> str:
    """Return the name of a key's file; another generation has another one, so that none is overwritten."""
    return f"{key.thumbprint}.{key.generation}.sealed"


def written(keyring: Keyring, seal: Seal, *, store: str, purpose: str) -> Written:
    """Return what a folder is to hold: every key sealed anew, in a new file."""
    store = store or secrets.token_hex(_STORE_BYTES)
    made = seal_keyring(keyring, seal, store=store, purpose=purpose)
    file = SealedFile(format=FORMAT, sealed=made.state, stamp=base64url.encode(made.stamp).decode("ascii"))
    names = {key.kid: file_of(key) for key in made.state.keys}
    return Written(
        text=msgspec.json.format(msgspec.json.encode(file), indent=2) + b"\n",
        new={names[kid]: partial(bytes, record) for kid, record in made.records.items()},
        files=frozenset(names.values()),
        store=store,
    )


def genuine_state(file: SealedFile, seal: Seal, *, purpose: str, place: str) -> SealedState:
    """Return the state if its stamp holds.

    Raises:
        SealingKeyUnusable: it was sealed under another key.
        SealBroken: it was changed, or has another purpose.
    """
    try:
        stamp = base64url.decode(file.stamp.encode("ascii", "replace"))
    except TokenMalformed:
        raise SealBroken(f"{place}: its stamp is no base64url; restore it from a backup") from None
    return open_state(file.sealed.text(), stamp, seal, purpose=purpose, place=place)


class Reading:
    """Reads records and remembers which were missing: the state may have been replaced meanwhile."""

    __slots__ = ("_read", "missing")

    def __init__(self, read: Callable[[str], bytes | None]) -> None:
        self._read = read
        self.missing = False

    def record_of(self, key: SealedKey) -> bytes | None:
        """Return the record of a key; `None` if there is none."""
        record = self._read(file_of(key))
        self.missing |= record is None
        return record
