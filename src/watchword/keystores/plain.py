"""The form of a folder whose keys are in clear: one PEM per key, named by its thumbprint."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from watchword.errors import KeyRejected, KeyringError
from watchword.keys.keyring import KeyEntry, Keyring, KeyState
from watchword.keystores.owner_only import OwnerOnlyFolder
from watchword.tokens.private_key import PrivateKey

FORMAT = 1
_KEY_FILE = re.compile(r"[A-Za-z0-9_-]{43}\.pem")  # the RFC 7638 thumbprint: it names what is inside


class _Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kid: Annotated[str, Meta(min_length=1)]
    alg: str
    state: KeyState
    since: float
    file: Annotated[str, Meta(pattern=rf"\A{_KEY_FILE.pattern}\Z")]


class PlainState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The state file."""

    format: int
    version: Annotated[int, Meta(ge=0)]
    keys: list[_Entry]


class Written(NamedTuple):
    """What a save puts into a folder, in either form."""

    text: bytes
    """Of the state file."""
    new: Mapping[str, Callable[[], bytes]]
    """Makes what each new file holds: no variable should hold keys in clear."""
    files: frozenset[str]
    """The names of all files, the new ones among them."""
    store: str = ""
    """Which installation's, where the keys are sealed."""


def is_key_file(name: str) -> bool:
    """Return whether a file of this name holds a key in clear."""
    return _KEY_FILE.fullmatch(name) is not None


def written(keyring: Keyring, there: Collection[str]) -> Written:
    """Return what a folder is to hold; the keys of files that are there are not written again."""
    files = {_file_of(entry): entry.key.insecure_private_pem for entry in keyring.entries}
    new = {name: content for name, content in files.items() if name not in there}
    return Written(text=state_text(keyring), new=new, files=frozenset(files))


def state_text(keyring: Keyring) -> bytes:
    """Return the state file's text."""
    entries = [
        _Entry(kid=entry.kid, alg=entry.key.alg, state=entry.state, since=entry.since, file=_file_of(entry))
        for entry in keyring.entries
    ]
    state = PlainState(format=FORMAT, version=keyring.version, keys=entries)
    return msgspec.json.format(msgspec.json.encode(state), indent=2) + b"\n"


def read_keys(folder: OwnerOnlyFolder, state: PlainState, known: Mapping[str, KeyEntry]) -> Keyring | str:
    """Return the keyring, or the name of the file that is missing.

    Raises:
        KeyringError: a file is damaged.
    """
    entries = []
    for entry in state.keys:
        held = known.get(entry.kid)
        if held is not None and (held.key.alg, _file_of(held)) == (entry.alg, entry.file):
            key = held.key
        else:
            read = _read_key(folder, entry)
            if read is None:
                return entry.file
            key = read
        entries.append(KeyEntry(key, entry.state, entry.since))
    return Keyring(tuple(entries), state.version)


def _file_of(entry: KeyEntry) -> str:
    return f"{entry.key.public.thumbprint()}.pem"


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
