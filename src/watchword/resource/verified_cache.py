"""Tokens that were verified before: the same text is not verified twice while nothing has changed.

The key is SHA-256 of the *whole* token, and a cache belongs to one verifier: its issuers and policies are
part of every entry by construction. What may change is looked at on every hit: the time, and the key set.
Refusals are never kept.
"""

from hashlib import sha256
from typing import NamedTuple

from watchword.clock import Clock
from watchword.resource.jwks import JWKSClient
from watchword.tokens.jwk_set import JWKSet
from watchword.tokens.jws import MAX_TOKEN_LENGTH
from watchword.tokens.shared_secret import SharedSecret
from watchword.tokens.verified import VerifiedToken

GENERATION_BYTES = 8 * 2**20
"""What the tokens of one of the two generations may be charged in all."""

# What a token takes in memory is charged by its length, generously: claims in the form that this project
# writes take a half of it, tokens of Keycloak's kind three quarters.
_CHARGE, _CHARGE_PER_CHARACTER = 1_000, 3


def digest_of(token: str) -> bytes | None:
    """Return the key of a token; `None` for what can be no token, which the verifier then refuses."""
    if type(token) is not str or len(token) > MAX_TOKEN_LENGTH or not token.isascii():
        return None
    return sha256(token.encode()).digest()


class _Entry(NamedTuple):
    token: VerifiedToken
    source: JWKSClient | JWKSet | SharedSecret
    keys: JWKSet | SharedSecret
    """The very set that it was verified with: another one, even with the same key, is another matter."""
    begins: float
    """The later of `nbf` and `iat`."""
    ends: float
    leeway: float
    charge: int


class _Generation:
    __slots__ = ("entries", "room")

    def __init__(self, room: int) -> None:
        self.entries: dict[bytes, _Entry] = {}
        self.room = room


class VerifiedCache:
    """Two generations of entries: bounded, the unused go first, and no lock that a fork could leave held.

    Threads may lose an entry to each other, which costs a second verification and nothing else.

    Args:
        clock: what `exp`, `nbf` and `iat` are compared with on every hit.
        generation_bytes: room of one of the two generations.
    """

    __slots__ = ("_clock", "_old", "_size", "_young", "hits")

    def __init__(self, clock: Clock, generation_bytes: int = GENERATION_BYTES) -> None:
        self._clock = clock
        self._size = generation_bytes
        self.hits = 0
        """How often a token was found and still good."""
        self.clear()

    def find(self, digest: bytes) -> VerifiedToken | None:
        """Return what the token says, if `verify` would say so again this very moment.

        Never waits; begins to fetch a key set that is due, as verifying does.
        """
        entry = self._young.entries.get(digest)
        if entry is None:
            entry = self._old.entries.get(digest)
            if entry is None:
                return None
            self._put(digest, entry)  # who is in use stays
        token, source, keys, begins, ends, leeway, _ = entry
        now = self._clock.now()
        if not (ends > now and begins <= now + leeway):  # also when `now` is no number
            self._drop(digest)
            return None
        if (source.held() if isinstance(source, JWKSClient) else source) is not keys:
            self.clear()  # the issuer changed its keys: nothing that was learned before may speak any more
            return None
        self.hits += 1  # exact over threads: no other one runs between reading and writing it
        return token

    def keep(
        self,
        digest: bytes,
        token: VerifiedToken,
        *,
        length: int,
        source: JWKSClient | JWKSet | SharedSecret,
        keys: JWKSet | SharedSecret,
        leeway: float,
    ) -> None:
        """Remember a token that `verify` has just accepted with these keys; one bound to a key never.

        Args:
            digest: of the whole token.
            token: what it says.
            length: of its text.
            source: where its issuer's keys come from.
            keys: the set that it was verified with.
            leeway: of the policy that it was held to.
        """
        claims = token.claims
        if "cnf" in claims:
            return  # whoever presents it has to prove the key each time
        begins = max(claims.get("nbf", 0), claims.get("iat", 0))
        charge = _CHARGE + length * _CHARGE_PER_CHARACTER
        self._put(digest, _Entry(token, source, keys, begins, token.expires_at, leeway, charge))

    def clear(self) -> None:
        """Forget everything."""
        self._old, self._young = _Generation(0), _Generation(self._size)

    def _put(self, digest: bytes, entry: _Entry) -> None:
        young = self._young
        if young.room < entry.charge:
            if self._young is young:
                self._old, self._young = young, _Generation(self._size)
            young = self._young
        young.room -= entry.charge
        young.entries[digest] = entry

    def _drop(self, digest: bytes) -> None:
        self._young.entries.pop(digest, None)
        self._old.entries.pop(digest, None)

    def __len__(self) -> int:
        return len(self._young.entries.keys() | self._old.entries.keys())

    def __repr__(self) -> str:
        return f"VerifiedCache({len(self)} tokens)"
