"""What a place for keys must do, and what something that signs must do."""

from typing import Protocol

from watchword.keys.keyring import Keyring
from watchword.tokens.jwk import PublicKey


class KeyStore(Protocol):
    """A place that remembers one keyring. Its exported contract suite is `watchword.testing.key_stores`."""

    def load(self) -> Keyring:
        """Return the keyring; an empty one of version 0 if nothing was ever saved.

        Raises:
            KeyringError: what is there cannot be used, and why.
        """
        ...

    def save(self, keyring: Keyring, *, by: str | None = None) -> Keyring:
        """Replace the stored keyring if its version is still `keyring.version`, durably, all or nothing.

        Args:
            keyring: what was loaded, changed.
            by: who changed it, for the audit: `operator|<uid>`; `None`: the issuer itself.

        Returns:
            The keyring as stored, its version one higher.

        Raises:
            KeyringConflict: somebody else saved first; nothing was changed.
            KeyringError: the place cannot be written to; the old keyring is still whole.
        """
        ...


class Signer(Protocol):
    """Signs without showing its key: a local key, a KMS, a Transit engine."""

    @property
    def public(self) -> PublicKey:
        """The key that verifies what this signs; its `kid` goes into the header."""
        ...

    @property
    def alg(self) -> str:
        """The one algorithm."""
        ...

    async def asign(self, signing_input: bytes) -> bytes:
        """Return the signature in its JOSE form."""
        ...
