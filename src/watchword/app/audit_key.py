"""The key that signs statements about the audit: never one that signs tokens, and kept apart from those."""

from watchword.audit.checkpoint import Checkpoint, signed, verified
from watchword.clock import Clock
from watchword.keys.live_keyring import LiveKeyring
from watchword.keys.store import KeyStore
from watchword.tokens.jwk_set import JWKSet
from watchword.tokens.private_key import DEFAULT_ALGORITHM


class AuditKey:
    """Signs checkpoints and anchors, and verifies those that it signed.

    Args:
        store: where the key lives; an empty one gets its key here.
        clock: of the key's states.

    Raises:
        KeyringError: the store cannot be read or written.
    """

    __slots__ = ("_keys",)

    def __init__(self, store: KeyStore, clock: Clock) -> None:
        self._keys = LiveKeyring(store, algorithm=DEFAULT_ALGORITHM, clock=clock)

    @property
    def public(self) -> JWKSet:
        """The keys by which anybody verifies."""
        return self._keys.current.jwk_set()

    @property
    def thumbprints(self) -> set[str]:
        """Of the keys (RFC 7638)."""
        return {entry.key.public.thumbprint() for entry in self._keys.current.entries}

    def reseal(self) -> None:
        """Save the key as it is: whatever seals it now, does so anew.

        Raises:
            KeyringError: the store cannot be read or written.
        """
        self._keys.change(lambda keyring: keyring)

    def sign(self, checkpoint: Checkpoint, typ: str) -> str:
        """Return a statement as a compact JWS.

        Raises:
            NoActiveKey: there is no key to sign with.
        """
        return signed(checkpoint, self._keys.current.active.key, typ=typ)

    def verify(self, statement: str, typ: str) -> Checkpoint:
        """Return what a statement says.

        Raises:
            CheckpointInvalid: it is none of ours.
        """
        return verified(statement, self.public, typ=typ)
