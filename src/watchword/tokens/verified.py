"""The result of `verify`: the only way to look into a token."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, NoReturn, Self, TypeVar

from msgspec import UnsetType, to_builtins

from watchword.tokens.claims import AccessTokenClaims, parse_scope

_T = TypeVar("_T")


class Subject(NamedTuple):
    """Who a token speaks of: unique only as a pair."""

    issuer: str
    id: str


class VerifiedToken:
    """A token that passed every check; a view on its claims.

    Only `watchword.tokens.verify.verify` makes one. It does not keep the token's text.
    """

    __slots__ = ("_claims", "_members", "_scope", "key_id")

    _claims: AccessTokenClaims
    _members: dict[str, Any] | None
    _scope: str
    key_id: str | None
    """`kid` of the key that verified it."""

    def __new__(cls, *_: object, **__: object) -> Self:
        """Refuse: only `verify` makes one."""
        raise TypeError("a VerifiedToken is made by verify() only")

    def __init_subclass__(cls) -> None:
        raise TypeError("a VerifiedToken has no subclasses: isinstance must mean that verify() made it")

    @property
    def subject(self) -> Subject:
        """The issuer and its `sub`."""
        return Subject(self._claims.iss, self._claims.sub)

    @property
    def issuer(self) -> str:
        """`iss`."""
        return self._claims.iss

    @property
    def client_id(self) -> str | None:
        """The client that asked for the token (RFC 8693 §4.3)."""
        return _known(self._claims.client_id)

    @property
    def audience(self) -> tuple[str, ...]:
        """Everyone the token is meant for."""
        aud = self._claims.aud
        return (aud,) if isinstance(aud, str) else tuple(aud)

    @property
    def scope(self) -> frozenset[str]:
        """The scope tokens it holds."""
        return parse_scope(self._scope)

    @property
    def roles(self) -> frozenset[str]:
        """The roles of its subject (RFC 9068 §2.2.3.1)."""
        return frozenset(_known(self._claims.roles) or ())

    @property
    def actors(self) -> tuple[str, ...]:
        """Subjects of the actors, the current one first; empty if the subject acts itself (RFC 8693 §4.1)."""
        act = _known(self._claims.act)
        return act.chain() if act is not None else ()

    @property
    def token_id(self) -> str | None:
        """`jti`."""
        return _known(self._claims.jti)

    @property
    def story_id(self) -> str | None:
        """`txn`: the same through every exchange below one sign-in or call."""
        return _known(self._claims.txn)

    @property
    def session_id(self) -> str | None:
        """`sid`: the sign-in."""
        return _known(self._claims.sid)

    @property
    def issued_at(self) -> float | None:
        """`iat`, seconds since the epoch."""
        return _known(self._claims.iat)

    @property
    def expires_at(self) -> float:
        """`exp`, seconds since the epoch."""
        return self._claims.exp

    @property
    def claims(self) -> Mapping[str, Any]:
        """Every claim as it stands in the token, read-only; lists and objects inside are copies."""
        members = self._members
        return MappingProxyType(to_builtins(self._claims) if members is None else _copy(members))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a VerifiedToken is immutable")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a VerifiedToken is immutable")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a VerifiedToken cannot be pickled: verify again where it is needed")

    def __repr__(self) -> str:
        return (
            f"VerifiedToken(sub={self._claims.sub!a:.80}, aud={self.audience!a:.80}, exp={self._claims.exp})"
        )


def _copy(value: Any) -> Any:
    if type(value) is dict:
        return {name: _copy(member) for name, member in value.items()}
    if type(value) is list:
        return [_copy(member) for member in value]
    return value


def _known(value: _T | UnsetType) -> _T | None:
    return None if isinstance(value, UnsetType) else value


_new = object.__new__
_set_claims = VerifiedToken.__dict__["_claims"].__set__
_set_members = VerifiedToken.__dict__["_members"].__set__
_set_scope = VerifiedToken.__dict__["_scope"].__set__
_set_key_id = VerifiedToken.__dict__["key_id"].__set__


def _accept(
    claims: AccessTokenClaims, members: dict[str, Any] | None, scope: str, key_id: str | None
) -> VerifiedToken:
    """Make the view; `verify` calls this after its last check and nobody else may (an architecture test)."""
    token = _new(VerifiedToken)
    _set_claims(token, claims)
    _set_members(token, members)
    _set_scope(token, scope)
    _set_key_id(token, key_id)
    return token
