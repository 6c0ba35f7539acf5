"""Where the public keys of other issuers, and of clients with a `jwks_uri`, come from."""

from typing import Protocol

from watchword.tokens.jwk_set import JWKSet


class KeySource(Protocol):
    """Fetches and keeps JWK Sets; asked only for a `jwks_uri` of the trust document, never of a token."""

    async def keys(self, jwks_uri: str, kid: str | None) -> JWKSet:
        """Return the keys that are published there.

        Args:
            jwks_uri: exactly as the trust document has it.
            kid: the key that is looked for. If the cached set lacks it, a source may fetch again, within its
                cool-down; `None` when the token names none.

        Raises:
            KeysUnavailable: they cannot be had now, and none are cached.
        """
        ...
