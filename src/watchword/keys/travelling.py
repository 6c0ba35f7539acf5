"""Keys that travel: a sealed file that any installation opens which has the file's own key.

Unlike a record that rests, nothing in it names an installation. What it holds, and that all of it is there,
is authenticated.
"""

from collections.abc import Sequence

import msgspec

from watchword.errors import KeyRejected, SealBroken, SealingKeyUnusable, TokenMalformed
from watchword.keys.seal import RecordName, Seal
from watchword.keys.sealed_keyring import TOKENS
from watchword.keys.sealing_key import SealingKey, new_sealing_key
from watchword.tokens import base64url
from watchword.tokens.private_key import PrivateKey

_WHAT = "watchword keys"
_FORMAT = 1
_LIST = RecordName("exports", "", TOKENS)


class _Key(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kid: str
    alg: str
    record: str


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    what: str
    format: int
    keys: list[_Key]
    stamp: str

    def listed(self) -> bytes:
        return msgspec.json.encode(self.keys)


def export_keys(keys: Sequence[PrivateKey]) -> tuple[bytes, str]:
    """Return the file that holds these keys, and the text of the new key that opens it."""
    text = new_sealing_key()
    seal = Seal(SealingKey.from_text(text))
    listed = [_exported(key, seal) for key in keys]
    stamp = seal.close(_LIST, b"", beside=msgspec.json.encode(listed))
    file = _File(what=_WHAT, format=_FORMAT, keys=listed, stamp=_encoded(stamp))
    return msgspec.json.format(msgspec.json.encode(file), indent=2) + b"\n", text


def is_export(content: bytes) -> bool:
    """Return whether this looks like a file of `export_keys`; the key decides whether it is one."""
    return content.lstrip().startswith(b"{") and _WHAT.encode() in content[:200]


def import_keys(content: bytes, key: SealingKey) -> list[PrivateKey]:
    """Return the keys of a file.

    Raises:
        SealingKeyUnusable: the key is that of another file.
        SealBroken: the file was changed, cut, or is none.
        KeyRejected: it holds a key that must not be used.
    """
    try:
        file = msgspec.json.decode(content, type=_File)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise SealBroken(
            "expected a file that watchword keys export has made, found something else"
        ) from None
    if (file.what, file.format) != (_WHAT, _FORMAT):
        raise SealBroken(
            f"expected format {_FORMAT} of exported keys, found {file.format} of a newer release"
        )
    seal = Seal(key)
    try:
        seal.open(_LIST, _decoded(file.stamp), beside=file.listed())
    except SealingKeyUnusable:
        raise SealingKeyUnusable("the file was sealed under another key than this one") from None
    except SealBroken:
        raise SealBroken("the file of exported keys was changed or cut") from None
    return [_imported(exported, seal) for exported in file.keys]


def _exported(key: PrivateKey, seal: Seal) -> _Key:
    record = seal.close(_name(key.kid, key.alg), key.insecure_private_der())
    return _Key(kid=key.kid, alg=key.alg, record=_encoded(record))


def _imported(exported: _Key, seal: Seal) -> PrivateKey:
    key = _opened(exported, seal)
    if isinstance(key, str):
        raise KeyRejected(f"the key {exported.kid!a:.80} cannot be used: {key}")
    return key


def _opened(exported: _Key, seal: Seal) -> PrivateKey | str:
    # nothing is raised from here: its frame would hold the key in clear
    try:
        der = seal.open(_name(exported.kid, exported.alg), _decoded(exported.record))
        return PrivateKey.from_der(der, alg=exported.alg, kid=exported.kid)
    except (SealBroken, SealingKeyUnusable, KeyRejected) as error:
        return str(error)


def _name(kid: str, alg: str) -> RecordName:
    return RecordName("export", "", TOKENS, kid, alg)


def _encoded(content: bytes) -> str:
    return base64url.encode(content).decode("ascii")


def _decoded(text: str) -> bytes:
    try:
        return base64url.decode(text.encode("ascii", "replace"))
    except TokenMalformed:
        raise SealBroken("it is no base64url") from None
