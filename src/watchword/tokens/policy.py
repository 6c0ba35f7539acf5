"""What a verifier demands; nothing about security has a silent default (RFC 8725 §3)."""

from collections.abc import Collection, Iterator
from collections.abc import Set as AbstractSet
from typing import Literal

from watchword.errors import ConfigurationError
from watchword.tokens.algorithms import PUBLIC_KEY_ALGORITHMS
from watchword.tokens.claims import MAX_ACTORS
from watchword.tokens.jws import MAX_TOKEN_LENGTH, normal_type
from watchword.tokens.kind import TOKEN_KINDS

Names = AbstractSet[str] | tuple[str, ...] | list[str]
"""Several names. One text is not meant: as a `Collection[str]` it would be, and `in` would look inside it."""

ACCESS_TOKEN_TYPE = "at+jwt"
MAX_LEEWAY = 60

# RFC 9068 §2.2 for at+jwt. Any other type is some issuer's own habit: it must at least say who, until when.
_REQUIRED_BY_RFC_9068 = frozenset({"iat", "jti", "client_id"})


class VerificationPolicy:
    """Issuer, audience and algorithms of the tokens that are accepted; immutable.

    Args:
        issuer: the exact `iss`.
        audience: our name or names; one of the token's must be among them.
        algorithms: names of RFC 7518/8037/9864 algorithms. `HS256` only alone, with a `SharedSecret`.
        token_types: accepted `typ`, compared without case and `application/`. `JWT` also means no `typ`.
        token_kinds: what a token may be, as `kind.kind_of` proves it; access tokens only by default. Matters
            where the header says no more than `JWT`: an ID token of the same issuer looks alike.
        leeway: seconds by which `nbf` and `iat` may lie ahead, 0 to 60. `exp` never has leeway.
        required_claims: claims that must be present beyond `iss, sub, aud, exp`, and beyond what
            RFC 9068 §2.2 demands of every `at+jwt`.
        missing_kid: `single_key` accepts a token without `kid` if the set has exactly one usable key.
        scope_claim: where scopes stand; a list of texts is understood there unless the name is `scope`.
        max_actors: the longest chain of actors.
        max_length: the longest token in characters.

    Raises:
        TypeError: a list of names is one text: membership in a text is a substring test.
        ConfigurationError: a value that cannot be meant; all of them at once.
    """

    __slots__ = (
        "algorithms",
        "audiences",
        "issuer",
        "leeway",
        "max_actors",
        "max_length",
        "missing_kid",
        "required_claims",
        "required_of_access_tokens",
        "scope_claim",
        "token_kinds",
        "token_types",
    )

    issuer: str
    audiences: frozenset[str]
    algorithms: frozenset[str]
    token_types: frozenset[str | None]
    token_kinds: frozenset[str]
    leeway: float
    required_claims: frozenset[str]
    required_of_access_tokens: frozenset[str]
    missing_kid: Literal["refuse", "single_key"]
    scope_claim: str
    max_actors: int
    max_length: int

    def __init__(
        self,
        issuer: str,
        audience: str | Collection[str],
        algorithms: Names,
        *,
        token_types: Names = (ACCESS_TOKEN_TYPE,),
        token_kinds: Names = ("access_token",),
        leeway: float = 0,
        required_claims: Names = (),
        missing_kid: Literal["refuse", "single_key"] = "refuse",
        scope_claim: str = "scope",
        max_actors: int = MAX_ACTORS,
        max_length: int = MAX_TOKEN_LENGTH,
    ) -> None:
        for name, value in (
            ("algorithms", algorithms),
            ("token_types", token_types),
            ("token_kinds", token_kinds),
            ("required_claims", required_claims),
        ):
            if isinstance(value, str | bytes):
                raise TypeError(f"expected {name} as a list of names, found one text")
        audiences = frozenset((audience,) if isinstance(audience, str) else audience)
        types = frozenset(normal_type(typ) if isinstance(typ, str) else "" for typ in token_types)
        names, kinds = frozenset(algorithms), frozenset(token_kinds)
        problems = [*_names_problems(issuer, audiences, names), *_kinds_problems(types, kinds)]
        if not 0 <= leeway <= MAX_LEEWAY:
            problems.append(f"leeway: expected 0 to {MAX_LEEWAY} seconds, found {leeway}")
        if problems:
            raise ConfigurationError(problems)
        values: dict[str, object] = {
            "issuer": issuer,
            "audiences": audiences,
            "algorithms": names,
            "token_types": types | {None} if "jwt" in types else types,
            "token_kinds": kinds,
            "leeway": leeway,
            "required_claims": frozenset(required_claims),
            "required_of_access_tokens": frozenset(required_claims) | _REQUIRED_BY_RFC_9068,
            "missing_kid": missing_kid,
            "scope_claim": scope_claim,
            "max_actors": max_actors,
            "max_length": max_length,
        }
        for attribute, meant in values.items():
            object.__setattr__(self, attribute, meant)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a VerificationPolicy is immutable; make a new one")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("a VerificationPolicy is immutable; make a new one")

    def __repr__(self) -> str:
        return (
            f"VerificationPolicy(issuer={self.issuer!r}, audiences={sorted(self.audiences)}, "
            f"algorithms={sorted(self.algorithms)})"
        )


def _names_problems(issuer: object, audiences: frozenset[str], algorithms: frozenset[str]) -> Iterator[str]:
    if not isinstance(issuer, str) or not issuer:
        yield "issuer: expected the exact text of the issuer's iss"
    if not audiences or not all(isinstance(name, str) and name for name in audiences):
        yield "audience: expected the name under which tokens are meant for this service"
    if not algorithms:
        yield "algorithms: expected at least one"
    unknown = sorted(str(name) for name in algorithms - PUBLIC_KEY_ALGORITHMS - {"HS256"})
    if unknown:
        known = ", ".join(sorted(PUBLIC_KEY_ALGORITHMS))
        yield f"algorithms: unknown {', '.join(unknown)}; known are {known}"
    if "HS256" in algorithms and len(algorithms) > 1:
        yield "algorithms: HS256 never together with public keys (RFC 8725 §3.1)"


def _kinds_problems(types: frozenset[str], kinds: frozenset[str]) -> Iterator[str]:
    if not types or "" in types:
        yield f"token_types: expected at least one media type such as {ACCESS_TOKEN_TYPE}"
    if not kinds or not kinds <= TOKEN_KINDS:
        yield f"token_kinds: expected some of {', '.join(sorted(TOKEN_KINDS))}"
    if ACCESS_TOKEN_TYPE in types and "access_token" not in kinds:
        yield f"token_kinds: typ {ACCESS_TOKEN_TYPE} is an access token, and those are not listed"
