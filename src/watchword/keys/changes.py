"""What happened between two keyrings, as deeds for the audit: a pure comparison."""

from typing import NamedTuple

from watchword.keys.keyring import Keyring, KeyState

_DEED = {
    KeyState.PREPARED: "key.prepared",
    KeyState.ACTIVE: "key.activated",
    KeyState.RETIRED: "key.retired",
    KeyState.REVOKED: "key.revoked",
}
_ORDER = (
    "key.prepared",
    "key.revoked",
    "key.retired",
    "key.activated",
    "key.discarded",
    "key.removed",
)
"""Of one change, what makes room comes before what takes it."""


class KeyDeed(NamedTuple):
    """One thing that happened to one key."""

    type: str
    """`key.prepared`, `key.activated`, `key.retired`, `key.revoked`, `key.removed` or `key.discarded`."""
    kid: str


def deeds(old: Keyring, new: Keyring) -> list[KeyDeed]:
    """Return what was done to the keys of `old` to make `new` of it; nothing where nothing changed.

    A key that appears in a later state than prepared was prepared and brought into that state at once.
    """
    before, after = old.states, new.states
    done = [KeyDeed("key.prepared", kid) for kid in after if kid not in before]
    done += [
        KeyDeed(_DEED[state], kid)
        for kid, state in after.items()
        if state is not before.get(kid, KeyState.PREPARED)
    ]
    done += [
        KeyDeed("key.discarded" if state is KeyState.PREPARED else "key.removed", kid)
        for kid, state in before.items()
        if kid not in after
    ]
    return sorted(done, key=lambda deed: _ORDER.index(deed.type))
