"""A keyring as it is stored: a state that everybody may read, its stamp, and one sealed record for each key.

The stamp authenticates the whole state. Every save seals every key anew under the version that it makes, so
that a record, a state or a stamp of another time does not fit those that are there.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated

import msgspec
from msgspec import Meta

from watchword.errors import KeyRejected, KeyringError, SealBroken, SealingKeyUnusable
from watchword.keys.keyring import KeyEntry, Keyring, KeyState, UnusableKey
from watchword.keys.seal import RecordName, Seal
from watchword.tokens.private_key import PrivateKey

TOKENS = "tokens"
"""The purpose of keys that sign access tokens."""


class SealedKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of a key without opening its record."""

    kid: Annotated[str, Meta(min_length=1)]
    alg: str
    state: KeyState
    since: float
    thumbprint: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{43}\Z")]
    generation: Annotated[int, Meta(ge=1)]


class SealedState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything but the records."""

    store: Annotated[str, Meta(min_length=1)]
    """Random, made once: what was sealed elsewhere does not open here."""
    purpose: str
    version: Annotated[int, Meta(ge=1)]
    keys: list[SealedKey]

    def text(self) -> bytes:
        """Return its one form in JSON, which is stamped and stored."""
        return msgspec.json.encode(self)


@dataclass(frozen=True, slots=True)
class Sealed:
    """What a store writes, all of it in one commit."""

    state: SealedState
    stamp: bytes
    records: Mapping[str, bytes]
    """New records by `kid`; a key of `state` that is not among them keeps the one that it has."""


def seal_keyring(keyring: Keyring, seal: Seal, *, store: str, purpose: str) -> Sealed:
    """Return a keyring as it is stored under its version."""
    keys = [
        SealedKey(
            kid=entry.kid,
            alg=entry.key.alg,
            state=entry.state,
            since=float(entry.since),  # a number has one form, before and after it was stored
            thumbprint=entry.key.public.thumbprint(),
            generation=keyring.version,
        )
        for entry in keyring.entries
    ]
    records = {
        key.kid: seal.close(_name(key, store, purpose), entry.key.insecure_private_der())
        for key, entry in zip(keys, keyring.entries, strict=True)
    }
    keys += [_kept(lost) for lost in keyring.unusable]
    state = SealedState(store=store, purpose=purpose, version=keyring.version, keys=keys)
    stamp = seal.close(_stamp_name(state), b"", beside=state.text())
    return Sealed(state, stamp, records)


def open_state(text: bytes, stamp: bytes, seal: Seal, *, purpose: str, place: str) -> SealedState:
    """Return a state that is genuine.

    Args:
        text: as it was stored.
        stamp: beside it.
        seal: with the sealing key.
        purpose: that the keys must have.
        place: for messages.

    Raises:
        SealingKeyUnusable: it was sealed under another key.
        SealBroken: it was changed, exchanged or belongs to another purpose.
        KeyringError: it is of another release.
    """
    try:
        state = msgspec.json.decode(text, type=SealedState)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise KeyringError(f"{place} is damaged, restore it from a backup: {str(error).lower()}") from None
    if state.purpose != purpose:
        raise SealBroken(f"{place}: expected keys for {purpose}, found keys for {state.purpose!a:.40}")
    try:
        seal.open(_stamp_name(state), stamp, beside=state.text())
    except SealingKeyUnusable as error:
        raise SealingKeyUnusable(f"{place}: {error}; name the right one in SEAL") from None
    except SealBroken as error:
        raise SealBroken(f"{place}: its stamp does not hold: {error}; restore it from a backup") from None
    return state


def open_keyring(
    state: SealedState,
    record_of: Callable[[SealedKey], bytes | None],
    seal: Seal,
    *,
    place: str,
    known: Mapping[str, KeyEntry],
) -> Keyring:
    """Open the records of a state; those that do not open are told in `unusable`, and the others work.

    Args:
        state: from `open_state`.
        record_of: returns the record of a key; `None` if there is none.
        seal: with the sealing key.
        place: for messages.
        known: keys that were opened before, by `kid`: the same objects come back.

    Raises:
        SealBroken: there are keys, and not one of them opens.
    """
    entries, unusable = [], []
    for key in state.keys:
        found = _opened(key, record_of(key), seal, state, known.get(key.kid))
        if isinstance(found, str):
            unusable.append(_lost(key, found))
        else:
            entries.append(KeyEntry(found, key.state, key.since))
    if unusable and not entries:
        told = "; ".join(f"the record of {lost.kid}: {lost.problem}" for lost in unusable)
        raise SealBroken(f"{place}: no key can be used: {told}; restore it from a backup")
    return Keyring(tuple(entries), state.version, tuple(unusable))


def _opened(
    key: SealedKey, record: bytes | None, seal: Seal, state: SealedState, known: KeyEntry | None
) -> PrivateKey | str:
    """Return the key or what is wrong: an exception would carry this frame, which holds the key in clear."""
    if record is None:
        return "it is missing"
    try:
        der = seal.open(_name(key, state.store, state.purpose), record)
    except KeyringError as error:
        return str(error)
    try:
        private = PrivateKey.from_der(der, alg=key.alg, kid=key.kid)
    except KeyRejected as error:
        return str(error)
    if private.public.thumbprint() != key.thumbprint:
        return "it holds another key"
    if known is not None and known.key.public == private.public:
        return known.key
    return private


def problems(keyring: Keyring) -> Iterable[str]:
    """Return one line for each key that cannot be used."""
    return (f"the record of key {lost.kid} cannot be opened: {lost.problem}" for lost in keyring.unusable)


def _name(key: SealedKey, store: str, purpose: str) -> RecordName:
    return RecordName("key", store, purpose, key.kid, key.alg, key.generation)


def _stamp_name(state: SealedState) -> RecordName:
    return RecordName("keyring", state.store, state.purpose, generation=state.version)


def _lost(key: SealedKey, problem: str) -> UnusableKey:
    members = {name: getattr(key, name) for name in key.__struct_fields__}
    return UnusableKey(**members, problem=problem)


def _kept(lost: UnusableKey) -> SealedKey:
    return SealedKey(**{name: getattr(lost, name) for name in SealedKey.__struct_fields__})


def following(keyring: Keyring) -> Keyring:
    """Return the keyring as its next version."""
    return replace(keyring, version=keyring.version + 1)
