"""Keys as owner-only files: one file per key, and one state file whose replacement is the commit."""

from pathlib import Path
from typing import NamedTuple, NoReturn, TypeVar

import msgspec

from watchword.errors import KeyringConflict, KeyringError, SealBroken, SealingKeyUnusable
from watchword.keys.keyring import KeyEntry, Keyring
from watchword.keys.seal import Seal
from watchword.keys.sealed_keyring import TOKENS, following, open_keyring
from watchword.keystores import plain, sealed
from watchword.keystores.owner_only import OwnerOnlyFolder

_STATE = "keyring.json"
_MAX_READS = 8


T = TypeVar("T")


class _Format(msgspec.Struct):
    format: int


class _Seen(NamedTuple):
    text: bytes | None
    keyring: Keyring
    store: str
    """Empty while the keys are in clear."""
    files: frozenset[str]


_NOTHING = _Seen(None, Keyring(), "", frozenset())


class FileKeyStore:
    """A `KeyStore` in a folder of mode 0700 with files of mode 0600, made at the first save.

    A changed keyring appears whole or not at all, whenever the process or the machine stops.

    Without a seal the keys are in clear: whoever can read as this user, or reads a backup, has them. A folder
    of keys in clear is taken over when a seal is given, and is sealed with the next save; the way back is an
    export.

    Args:
        folder: its path. No other program may keep files there.
        seal: with the sealing key.
        purpose: of the keys, where they are sealed.
    """

    __slots__ = ("_folder", "_purpose", "_seal", "_seen")

    def __init__(self, folder: Path | str, *, seal: Seal | None = None, purpose: str = TOKENS) -> None:
        self._folder = Path(folder).absolute()
        self._seal = seal
        self._purpose = purpose
        self._seen = _NOTHING

    def load(self) -> Keyring:
        """Return the keyring; keys that were read before are not read again.

        Raises:
            KeyFileUnsafe: somebody else could read or replace a file; the message says what to do.
            SealingKeyUnusable: the keys are sealed, and the sealing key is not here.
            SealBroken: a file was changed, or an old one was put back.
            KeyringError: a file is missing or damaged.
        """
        with OwnerOnlyFolder.opened(self._folder) as folder:
            return Keyring() if folder is None else self._read(folder).keyring

    def is_sealed(self) -> bool:
        """Return whether the keys are sealed; no sealing key is needed for that.

        Raises:
            KeyringError: the folder cannot be read.
        """
        with OwnerOnlyFolder.opened(self._folder) as folder:
            text = None if folder is None else folder.read(_STATE)
        return text is not None and _parse(text, self._folder / _STATE, _Format).format == sealed.FORMAT

    def save(self, keyring: Keyring, *, by: str | None = None) -> Keyring:
        """Replace the stored keyring if its version is still `keyring.version`.

        Raises:
            KeyringConflict: another process saved first; nothing was changed.
            KeyFileUnsafe: somebody else could read or replace a file.
            KeyringError: the folder cannot be written to; the old keyring is still whole.
        """
        OwnerOnlyFolder.create(self._folder)
        with OwnerOnlyFolder.opened(self._folder) as folder:
            if folder is None:
                raise KeyringError(f"{self._folder} disappeared while it was written to")
            with folder.locked():
                held = self._read(folder)
                if held.keyring.version != keyring.version:
                    raise KeyringConflict(
                        f"expected keyring version {held.keyring.version}, found {keyring.version}"
                    )
                return self._replace(folder, held, following(keyring))

    def _replace(self, folder: OwnerOnlyFolder, held: _Seen, keyring: Keyring) -> Keyring:
        folder.remove_unfinished()
        if held.keyring.version == 0:
            # key files without a state file mean that somebody removed it, never that we were interrupted
            folder.write(_STATE, plain.state_text(Keyring()))
            folder.sync()
        if self._seal is None:
            made = plain.written(keyring, held.files)
        else:
            made = sealed.written(keyring, self._seal, store=held.store, purpose=self._purpose)
        for name, content in made.new.items():
            folder.write(name, content())
        folder.sync()
        folder.write(_STATE, made.text)
        folder.sync()
        self._seen = _Seen(made.text, keyring, made.store, made.files)
        for name in folder.names():
            if _is_key_file(name) and name not in made.files:
                folder.remove(name)
        return keyring

    def _read(self, folder: OwnerOnlyFolder) -> _Seen:
        """Read until state and keys are of one moment: a key file may go while its old state is read."""
        for _ in range(_MAX_READS):
            text = folder.read(_STATE)
            if text is None:
                if any(map(_is_key_file, folder.names())):
                    raise KeyringError(f"{folder.path} has keys but no {_STATE}; restore it from a backup")
                return _NOTHING
            seen = self._seen
            if text == seen.text:
                return seen
            found = self._understood(folder, text, seen)
            if found is not None:
                self._seen = found
                return found
        raise KeyringError(f"{folder.path} changes faster than it can be read")

    def _understood(self, folder: OwnerOnlyFolder, text: bytes, seen: _Seen) -> _Seen | None:
        """Return what a state file says; `None` if it was replaced while its files were read."""
        form = _parse(text, folder.path / _STATE, _Format).format
        if form == plain.FORMAT:
            return self._read_plain(folder, text, seen)
        if form == sealed.FORMAT:
            return self._read_sealed(folder, text, seen)
        raise KeyringError(f"{folder.path / _STATE}: expected format 1 or 2, found {form} of a newer release")

    def _read_plain(self, folder: OwnerOnlyFolder, text: bytes, seen: _Seen) -> _Seen | None:
        state = _parse(text, folder.path / _STATE, plain.PlainState)
        keyring = plain.read_keys(folder, state, _by_kid(seen.keyring))
        if isinstance(keyring, str):
            if folder.read(_STATE) != text:
                return None
            raise KeyringError(f"{folder.path / keyring} is missing; restore it from a backup")
        if seen.store and keyring.version:
            raise SealBroken(f"{folder.path / _STATE} is in clear, and was sealed before")
        return _Seen(text, keyring, "", frozenset(entry.file for entry in state.keys))

    def _read_sealed(self, folder: OwnerOnlyFolder, text: bytes, seen: _Seen) -> _Seen | None:
        path = folder.path / _STATE
        if self._seal is None:
            raise SealingKeyUnusable(f"{path}: the keys are sealed, and no sealing key was given")
        file = _parse(text, path, sealed.SealedFile)
        state = sealed.genuine_state(file, self._seal, purpose=self._purpose, place=str(path))
        if state.version < seen.keyring.version:
            raise SealBroken(
                f"{path}: expected version {seen.keyring.version} or later, found {state.version}:"
                " somebody put an old one back"
            )
        reading = sealed.Reading(folder.read)
        try:
            keyring = open_keyring(
                state, reading.record_of, self._seal, place=str(folder.path), known=_by_kid(seen.keyring)
            )
        except SealBroken:
            if reading.missing and folder.read(_STATE) != text:
                return None
            raise
        if reading.missing and folder.read(_STATE) != text:
            return None
        return _Seen(text, keyring, state.store, frozenset(map(sealed.file_of, state.keys)))

    def __repr__(self) -> str:
        return f"FileKeyStore({str(self._folder)!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key store cannot be pickled: it holds keys")


def _is_key_file(name: str) -> bool:
    return plain.is_key_file(name) or sealed.is_key_file(name)


def _by_kid(keyring: Keyring) -> dict[str, KeyEntry]:
    return {entry.kid: entry for entry in keyring.entries}


def _parse(text: bytes, path: Path, form: type[T]) -> T:
    try:
        return msgspec.json.decode(text, type=form)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise KeyringError(f"{path} is damaged, restore it from a backup: {str(error).lower()}") from None
