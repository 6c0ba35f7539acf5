"""A JWK Set: the keys of one issuer, looked up by exact `kid` (RFC 7517 §5)."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple, Self

from watchword.errors import KeyRejected, KeySetInvalid, KeyUnknown, KeyUnusable, TokenMalformed
from watchword.tokens import strict_json
from watchword.tokens.algorithms import Check
from watchword.tokens.jwk import PRIVATE_MEMBERS, PublicKey
from watchword.tokens.jws import Header

MAX_KEYS = 100
_MAX_HEADERS = 1_024


class UnusableKey(NamedTuple):
    """A member of a JWK Set that will never verify, and why."""

    index: int  # type: ignore[assignment]  # a set's member has a place; tuple.index is not missed
    kid: str | None
    reason: str
    alarm: Literal["private_key", "kid_twice", "too_many_keys", "unusable_key"] = "unusable_key"


class KnownHeader(NamedTuple):
    """A header that parsed strictly and named a key of this set: all that its text can ever mean here."""

    header: Header
    check: Check


class JWKSet:
    """An immutable set of public keys of one issuer.

    A changed set is a new object, so whatever was remembered about headers under the old one dies with it.
    """

    __slots__ = ("_keys", "_nameless", "_refused", "known_headers", "unusable")

    def __init__(self, keys: Iterable[PublicKey], *, unusable: Iterable[UnusableKey] = ()) -> None:
        bad = tuple(unusable)
        self._refused = {key.kid: key.reason for key in bad if key.kid is not None}
        self._keys: dict[str, PublicKey] = {}
        nameless, twice = [], []
        for index, key in enumerate(keys):
            if key.kid is None:
                nameless.append(key)
            elif key.kid in self._keys or key.kid in self._refused:
                self._keys.pop(key.kid, None)
                self._refused[key.kid] = "two keys have this kid"
                twice.append(UnusableKey(index, key.kid, "two keys have this kid", "kid_twice"))
            else:
                self._keys[key.kid] = key
        self._nameless = tuple(nameless)
        self.unusable: tuple[UnusableKey, ...] = (*bad, *twice)
        """Members that will never verify; a running service raises an alarm for each."""
        self.known_headers: dict[bytes, KnownHeader] = {}
        """Headers by their exact base64url text; bounded, written by `remember` only."""

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Read a JWK Set; a bad key, a private one or a secret is unusable, not fatal (RFC 7517 §5).

        Raises:
            KeySetInvalid: not a JWK Set.
        """
        members = document.get("keys") if isinstance(document, Mapping) else None
        if not isinstance(members, list):
            raise KeySetInvalid("expected a JWK Set: an object with an array keys (RFC 7517 §5)")
        good: list[PublicKey] = []
        bad: list[UnusableKey] = []
        for index, jwk in enumerate(members[:MAX_KEYS]):
            if not isinstance(jwk, dict):
                bad.append(UnusableKey(index, None, "expected a JSON object"))
                continue
            kid = jwk.get("kid")
            try:
                good.append(PublicKey.from_jwk(jwk))
            except KeyRejected as error:
                private = not PRIVATE_MEMBERS.isdisjoint(jwk)
                bad.append(
                    UnusableKey(
                        index,
                        kid if isinstance(kid, str) else None,
                        str(error),
                        "private_key" if private else "unusable_key",
                    )
                )
        if len(members) > MAX_KEYS:
            bad.append(
                UnusableKey(
                    MAX_KEYS,
                    None,
                    f"only the first {MAX_KEYS} of {len(members)} keys are considered",
                    "too_many_keys",
                )
            )
        return cls(good, unusable=bad)

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """Read a JWK Set from its JSON text.

        Raises:
            KeySetInvalid: not strict JSON, or not a JWK Set.
        """
        try:
            document = strict_json.decode_object(text)
        except TokenMalformed as error:
            raise KeySetInvalid(f"expected a JWK Set: {error}") from None
        return cls.from_dict(document)

    @property
    def keys(self) -> tuple[PublicKey, ...]:
        """Every usable key, those without a `kid` last."""
        return (*self._keys.values(), *self._nameless)

    def __len__(self) -> int:
        return len(self._keys) + len(self._nameless)

    def __contains__(self, kid: str) -> bool:
        return kid in self._keys

    def named(self, kid: str) -> PublicKey:
        """Return the key with exactly this `kid`.

        Raises:
            KeyUnknown: the set does not have it; a newer set may.
            KeyUnusable: the set has it, but it must not verify.
        """
        key = self._keys.get(kid)
        if key is not None:
            return key
        if kid in self._refused:
            raise KeyUnusable(f"the key with kid {printable(kid)} cannot be used: {self._refused[kid]}")
        raise KeyUnknown(f"no key has kid {printable(kid)}", kid=kid)

    def only(self) -> PublicKey:
        """Return the one usable key of this set, for issuers that send no `kid`.

        Raises:
            KeyUnusable: there are none or several; trying all would let a stranger choose the work.
        """
        keys = self.keys
        if len(keys) != 1:
            raise KeyUnusable(f"a token without kid needs a set of exactly one key, found {len(keys)}")
        return keys[0]

    def remember(self, segment: bytes, known: KnownHeader) -> None:
        """Keep what a header's text means under this set; a full table starts anew."""
        if len(self.known_headers) >= _MAX_HEADERS:
            self.known_headers.clear()
        self.known_headers[segment] = known

    def to_dict(self) -> dict[str, list[dict[str, str]]]:
        """Return the set as it is published: public numbers only (RFC 7517 §9.2)."""
        return {"keys": [dict(key.jwk) for key in self.keys]}

    def __repr__(self) -> str:
        return f"JWKSet({[key.kid for key in self.keys]!r:.300}, unusable={len(self.unusable)})"


def printable(text: str) -> str:
    """Return untrusted text as one escaped line of at most 64 characters, in quotes."""
    return ascii(text if len(text) <= 64 else text[:63] + "…")
