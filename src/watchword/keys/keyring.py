"""A keyring: the signing keys of one issuer, each in one state of its life; a value."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from watchword.errors import KeyringError, KeyUnknown, NoActiveKey
from watchword.tokens.jwk_set import JWKSet
from watchword.tokens.private_key import PrivateKey


class KeyState(StrEnum):
    """Prepared and retired keys are published and do not sign; a revoked key is not even published."""

    PREPARED = "prepared"
    ACTIVE = "active"
    RETIRED = "retired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """One key and where it is in its life."""

    key: PrivateKey
    state: KeyState
    since: float
    """When it entered this state, seconds since the epoch."""

    @property
    def kid(self) -> str:
        """The key's `kid`."""
        return self.key.kid


@dataclass(frozen=True, slots=True, kw_only=True)
class UnusableKey:
    """A key that its store still has a record of, and cannot open."""

    kid: str
    alg: str
    state: KeyState
    since: float
    thumbprint: str
    generation: int
    """Version of the keyring under which the record was written."""
    problem: str
    """Why, for the operator."""


@dataclass(frozen=True, slots=True)
class Keyring:
    """All keys of an issuer; at most one is active."""

    entries: tuple[KeyEntry, ...] = ()
    version: int = 0
    """Counts saves; a store refuses a keyring whose version is not the one it holds."""
    unusable: tuple[UnusableKey, ...] = ()
    """Neither sign nor verify; their records stay where they are until they are removed."""

    def __post_init__(self) -> None:
        if sum(entry.state is KeyState.ACTIVE for entry in self.entries) > 1:
            raise KeyringError("a keyring has at most one active key")
        if len({*self.states}) != len(self.entries) + len(self.unusable):
            raise KeyringError("a keyring has each kid once")

    @property
    def states(self) -> dict[str, KeyState]:
        """Every `kid` with its state, also of those that cannot be used."""
        lost = {key.kid: key.state for key in self.unusable}
        return {entry.kid: entry.state for entry in self.entries} | lost

    @property
    def active(self) -> KeyEntry:
        """The key that signs.

        Raises:
            NoActiveKey: there is none.
        """
        for entry in self.entries:
            if entry.state is KeyState.ACTIVE:
                return entry
        raise NoActiveKey("no key of the keyring is active")

    def named(self, kid: str) -> KeyEntry:
        """Return the entry with this `kid`.

        Raises:
            KeyUnknown: there is none.
        """
        for entry in self.entries:
            if entry.kid == kid:
                return entry
        raise KeyUnknown("no key of the keyring has this kid", kid=kid)

    def prepare(self, key: PrivateKey, now: float) -> Self:
        """Add a key that is published but does not sign yet; it replaces an unusable one of its `kid`.

        Raises:
            KeyringError: a key of this `kid` is there already.
        """
        return replace(
            self,
            entries=(*self.entries, KeyEntry(key, KeyState.PREPARED, now)),
            unusable=tuple(lost for lost in self.unusable if lost.kid != key.kid),
        )

    def activate(self, kid: str, now: float) -> Self:
        """Let a prepared key sign; the one that signed retires and goes on verifying.

        Raises:
            KeyUnknown: no such key.
            KeyringError: the key is not prepared.
        """
        if self.named(kid).state is not KeyState.PREPARED:
            raise KeyringError(f"expected a prepared key, found one that is {self.named(kid).state}")
        return self._with(
            {
                entry.kid: KeyState.ACTIVE if entry.kid == kid else KeyState.RETIRED
                for entry in self.entries
                if entry.kid == kid or entry.state is KeyState.ACTIVE
            },
            now,
        )

    def remove(self, kid: str) -> Self:
        """Forget a retired, revoked or unusable key: tokens that it signed are refused from now on.

        Raises:
            KeyUnknown: no such key.
            KeyringError: the key is still prepared or active.
        """
        if any(lost.kid == kid for lost in self.unusable):
            return replace(self, unusable=tuple(lost for lost in self.unusable if lost.kid != kid))
        if self.named(kid).state not in (KeyState.RETIRED, KeyState.REVOKED):
            raise KeyringError(
                f"expected a retired or revoked key, found one that is {self.named(kid).state}"
            )
        return replace(self, entries=tuple(entry for entry in self.entries if entry.kid != kid))

    def discard(self, kid: str) -> Self:
        """Forget a prepared key, which never signed.

        Raises:
            KeyUnknown: no such key.
            KeyringError: the key is not prepared.
        """
        if self.named(kid).state is not KeyState.PREPARED:
            raise KeyringError(f"expected a prepared key, found one that is {self.named(kid).state}")
        return replace(self, entries=tuple(entry for entry in self.entries if entry.kid != kid))

    def revoke(self, kid: str, now: float) -> Self:
        """Stop trusting a key, in whatever state it is: it neither signs nor is published from now on.

        Raises:
            KeyUnknown: no such key.
        """
        self.named(kid)
        return self._with({kid: KeyState.REVOKED}, now)

    def _with(self, states: dict[str, KeyState], now: float) -> Self:
        entries = (
            KeyEntry(entry.key, states[entry.kid], now) if entry.kid in states else entry
            for entry in self.entries
        )
        # nobody but the one that takes over may say that it signs
        unusable = (
            replace(lost, state=KeyState.RETIRED, since=now)
            if lost.state is KeyState.ACTIVE and KeyState.ACTIVE in states.values()
            else lost
            for lost in self.unusable
        )
        return replace(self, entries=tuple(entries), unusable=tuple(unusable))

    def from_elsewhere(self) -> Self:
        """Return the usable keys with their states, as what an empty store gets first."""
        return replace(self, version=0, unusable=())

    def jwk_set(self) -> JWKSet:
        """Return the keys as verifiers may have them: every one that is not revoked, the active one first."""
        published = [entry for entry in self.entries if entry.state is not KeyState.REVOKED]
        published.sort(key=lambda entry: entry.state is not KeyState.ACTIVE)
        return JWKSet(entry.key.public for entry in published)
