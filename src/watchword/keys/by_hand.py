"""What an operator may do to a keyring, decided purely: never a key that verifiers lack by accident."""

from collections.abc import Iterator, Sequence
from enum import StrEnum

from watchword.errors import KeyNotReady, KeyringError, NoSuccessor
from watchword.keys.keyring import KeyEntry, Keyring, KeyState
from watchword.keys.rotation import RotationPolicy
from watchword.tokens.private_key import PrivateKey


class Unready(StrEnum):
    """What happens when the key that signs is revoked and no other is published long enough."""

    REFUSE = "refuse"
    """Nothing is changed: the operator chooses."""
    STOP_ISSUING = "stop_issuing"
    """No token is issued until the next key is published long enough."""
    ACTIVATE_UNPUBLISHED = "activate_unpublished"
    """The next key signs at once; verifiers that do not look for it refuse its tokens for a while."""


def ready_at(entry: KeyEntry, policy: RotationPolicy) -> float:
    """Return when every verifier has a prepared key, seconds since the epoch."""
    return entry.since + policy.publish_for


def activated(keyring: Keyring, kid: str, policy: RotationPolicy, now: float) -> Keyring:
    """Return the keyring in which a prepared key signs; the one that signed retires.

    Raises:
        KeyUnknown: no such key.
        KeyNotReady: it is not published long enough; says how long to wait.
        KeyringError: the key is not prepared.
    """
    entry = keyring.named(kid)
    if entry.state is KeyState.PREPARED and now < ready_at(entry, policy):
        raise _not_ready(entry, policy, now)
    return keyring.activate(kid, now)


def retired(keyring: Keyring, kid: str, policy: RotationPolicy, now: float) -> Keyring:
    """Return the keyring in which a key signs no more, or never will: the reserve takes over.

    Raises:
        KeyUnknown: no such key.
        KeyNotReady: it signs, and no other key is published long enough.
        KeyringError: it is retired or revoked already.
    """
    state = keyring.named(kid).state
    if state is KeyState.PREPARED:
        return keyring.discard(kid)
    if state is not KeyState.ACTIVE:
        raise KeyringError(f"expected a key that is active or prepared, found one that is {state}")
    heir = _heir(keyring)
    if heir is None:
        raise KeyNotReady("no other key is prepared: prepare one, and wait until it is published long enough")
    if now < ready_at(heir, policy):
        raise _not_ready(heir, policy, now)
    return keyring.activate(heir.kid, now)


def revoked(
    keyring: Keyring,
    kid: str,
    policy: RotationPolicy,
    now: float,
    *,
    fresh: Sequence[PrivateKey],
    unready: Unready = Unready.REFUSE,
) -> Keyring:
    """Return the keyring that no longer trusts a key, with another one that signs and one in reserve.

    Args:
        keyring: as it is stored.
        kid: of the key.
        policy: how long a key is published before it signs.
        now: seconds since the epoch.
        fresh: two new keys, used where none is in reserve.
        unready: what happens if no other key is published long enough.

    Raises:
        KeyUnknown: no such key.
        NoSuccessor: nobody could sign after it, and `unready` says to refuse.
        KeyringError: it is revoked already.
    """
    state = keyring.named(kid).state
    if state is KeyState.REVOKED:
        raise KeyringError("expected a key that is not revoked, found one that is")
    signed = state is KeyState.ACTIVE
    spare = iter(fresh)
    changed = _with_reserve(keyring.revoke(kid, now), spare, now)
    heir = _heir(changed)
    if not signed or heir is None:
        return changed
    if now >= ready_at(heir, policy) or unready is Unready.ACTIVATE_UNPUBLISHED:
        return _with_reserve(changed.activate(heir.kid, now), spare, now)
    if unready is Unready.STOP_ISSUING:
        return changed
    wait = ready_at(heir, policy) - now
    raise NoSuccessor(
        f"key {kid} signs, and no other key is published long enough: nothing was changed. Choose:"
        f" --stop-issuing, and no token is issued for {_words(wait)}; or --activate-unpublished, and"
        f" verifiers that do not look for a key they lack refuse new tokens for {_words(policy.cached_for)}"
    )


def _with_reserve(keyring: Keyring, spare: Iterator[PrivateKey], now: float) -> Keyring:
    return keyring if _heir(keyring) is not None else keyring.prepare(next(spare), now)


def _heir(keyring: Keyring) -> KeyEntry | None:
    """Return the key that has been prepared longest."""
    reserve = [entry for entry in keyring.entries if entry.state is KeyState.PREPARED]
    return min(reserve, key=lambda entry: entry.since, default=None)


def _not_ready(entry: KeyEntry, policy: RotationPolicy, now: float) -> KeyNotReady:
    wait = ready_at(entry, policy) - now
    return KeyNotReady(
        f"key {entry.kid} is published for {_words(now - entry.since)}, and verifiers may keep a key set that"
        f" lacks it for {_words(policy.publish_for)} (KEY_CACHED_FOR and CLOCK_SKEW): wait another"
        f" {_words(wait)}"
    )


def _words(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
