"""Keys as owner-only files: one PEM per key, and one state file whose replacement is the commit."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from watchword.errors import KeyRejected, KeyringConflict, KeyringError
from watchword.keys.keyring import KeyEntry, Keyring, KeyState
from watchword.keystores.owner_only import OwnerOnlyFolder
from watchword.tokens.private_key import PrivateKey

_STATE = "keyring.json"
_FORMAT = 1
_KEY_FILE = re.compile(r"[A-Za-z0-9_-]{43}\.pem")  # the RFC 7638 thumbprint: it names what is inside
_MAX_READS = 8


class _Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kid: Annotated[str, Meta(min_length=1)]
    alg: str
    state: KeyState
    since: float
    file: Annotated[str, Meta(pattern=rf"\A{_KEY_FILE.pattern}\Z")]


class _State(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: int
    version: Annotated[int, Meta(ge=0)]
    keys: list[_Entry]


class FileKeyStore:
    """A `KeyStore` in a folder of mode 0700 with files of mode 0600, made at the first save.

    The keys are in clear: whoever can read as this user, or reads a backup, has them.
    A changed keyring appears whole or not at all, whenever the process or the machine stops.

    Args:
        folder: its path. No other program may keep files there.
    """

    __slots__ = ("_folder", "_seen")

    def __init__(self, folder: Path | str) -> None:
        self._folder = Path(folder).absolute()
        self._seen: tuple[bytes | None, Keyring] = (None, Keyring())

    def load(self) -> Keyring:
        """Return the keyring; keys that were read before are not read again.

        Raises:
            KeyFileUnsafe: somebody else could read or replace a file; the message says what to do.
            KeyringError: a file is missing or damaged.
        """
        with OwnerOnlyFolder.opened(self._folder) as folder:
            return Keyring() if folder is None else self._read(folder)

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
                if held.version != keyring.version:
                    raise KeyringConflict(f"expected keyring version {held.version}, found {keyring.version}")
                return self._replace(folder, held, replace(keyring, version=keyring.version + 1))

    def _replace(self, folder: OwnerOnlyFolder, held: Keyring, keyring: Keyring) -> Keyring:
        folder.remove_unfinished()
        if held.version == 0:
            # key files without a state file mean that somebody removed it, never that we were interrupted
            folder.write(_STATE, _state_text(held))
            folder.sync()
        there = {_file_of(entry) for entry in held.entries}
        wanted = {_file_of(entry): entry.key for entry in keyring.entries}
        for name, key in wanted.items():
            if name not in there:
                folder.write(name, key.insecure_private_pem())
        folder.sync()
        text = _state_text(keyring)
        folder.write(_STATE, text)
        folder.sync()
        self._seen = (text, keyring)
        for name in folder.names():
            if _KEY_FILE.fullmatch(name) and name not in wanted:
                folder.remove(name)
        return keyring

    def _read(self, folder: OwnerOnlyFolder) -> Keyring:
        """Read until state and keys are of one moment: a key file may go while its old state is read."""
        for _ in range(_MAX_READS):
            text = folder.read(_STATE)
            if text is None:
                if any(map(_KEY_FILE.fullmatch, folder.names())):
                    raise KeyringError(f"{folder.path} has keys but no {_STATE}; restore it from a backup")
                return Keyring()
            seen, keyring = self._seen
            if text == seen:
                return keyring
            state = _parse_state(text, folder.path / _STATE)
            known = {(entry.kid, entry.key.alg, _file_of(entry)): entry.key for entry in keyring.entries}
            missing = ""
            entries = []
            for entry in state.keys:
                key = known.get((entry.kid, entry.alg, entry.file)) or _read_key(folder, entry)
                if key is None:
                    missing = entry.file
                    break
                entries.append(KeyEntry(key, entry.state, entry.since))
            else:
                read = Keyring(tuple(entries), state.version)
                self._seen = (text, read)
                return read
            if folder.read(_STATE) == text:
                raise KeyringError(f"{folder.path / missing} is missing; restore it from a backup")
        raise KeyringError(f"{folder.path} changes faster than it can be read")

    def __repr__(self) -> str:
        return f"FileKeyStore({str(self._folder)!r})"


def _file_of(entry: KeyEntry) -> str:
    return f"{entry.key.public.thumbprint()}.pem"


def _state_text(keyring: Keyring) -> bytes:
    entries = [
        _Entry(kid=entry.kid, alg=entry.key.alg, state=entry.state, since=entry.since, file=_file_of(entry))
        for entry in keyring.entries
    ]
    state = _State(format=_FORMAT, version=keyring.version, keys=entries)
    return msgspec.json.format(msgspec.json.encode(state), indent=2) + b"\n"


def _parse_state(text: bytes, path: Path) -> _State:
    try:
        state = msgspec.json.decode(text, type=_State)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise KeyringError(f"{path} is damaged, restore it from a backup: {str(error).lower()}") from None
    if state.format != _FORMAT:
        raise KeyringError(f"{path}: expected format {_FORMAT}, found {state.format} of a newer release")
    return state


def _read_key(folder: OwnerOnlyFolder, entry: _Entry) -> PrivateKey | None:
    pem = folder.read(entry.file)
    if pem is None:
        return None
    key = _parse_key(pem, entry)
    del pem  # a traceback that shows variables must not show a key
    if isinstance(key, str):
        raise KeyringError(f"{folder.path / entry.file} cannot be used: {key}")
    return key


def _parse_key(pem: bytes, entry: _Entry) -> PrivateKey | str:
    """Return the key, or what is wrong: an exception from here would carry the frames that hold the PEM."""
    try:
        key = PrivateKey.from_pem(pem, alg=entry.alg, kid=entry.kid)
    except KeyRejected as error:
        return str(error)
    if entry.file != f"{key.public.thumbprint()}.pem":
        return "expected the key whose thumbprint is the file's name, found another"
    return key
