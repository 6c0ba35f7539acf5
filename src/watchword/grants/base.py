"""What every grant is: a pure decision, written as a generator that asks for what it cannot decide alone.

A grant gets who asks, what for and what is trusted. It yields what somebody with keys or a store must do
first (a subject token to be verified), receives the result, and returns the claims of the new token with
the facts that the audit keeps; or it raises the `OAuthError` that the client is answered.
"""

import math
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from watchword.grants.parameters import Parameters
from watchword.tokens.claims import AccessTokenClaims, Actor
from watchword.trust.model import Service, SubjectKind, TrustDocument

IssuedEvent = Literal["token.issued", "token.exchanged"]

RESERVED_CLAIMS = frozenset(AccessTokenClaims.__struct_fields__)
"""Claims that only this server writes: nothing that a callee lists in its `claims` reaches them."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One token request of an authenticated client, and the world that it is decided in."""

    client: Service
    parameters: Parameters
    document: TrustDocument
    issuer: str
    now: float
    """Seconds since the epoch."""
    token_id: str
    """The `jti` that the new token will have."""
    story_id: str
    """The `txn` of a story that starts here; unused where one goes on."""


@dataclass(frozen=True, slots=True)
class SubjectClaims:
    """What a verified subject token says, in our words whoever issued it; times in seconds."""

    sub: str
    """With its name space: `local|…`, `<alias>|…` or `service|…`."""
    kind: SubjectKind
    scope: frozenset[str]
    expires: float
    token_id: str | None
    """`jti`, with the alias in front if somebody else issued it."""
    story_id: str | None
    session_id: str | None = None
    act: Actor | None = None
    may_act: Mapping[str, Any] | None = None
    auth_time: float | None = None
    acr: str | None = None
    amr: tuple[str, ...] | None = None
    roles: tuple[str, ...] | None = None
    claims: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """What it says by our names for it; of what only this server writes, a callee gets nothing from here."""

    @property
    def actors(self) -> tuple[str, ...]:
        """Subjects of those who acted before, the latest first."""
        return () if self.act is None else self.act.chain()


class VerifySubject(NamedTuple):
    """A grant's wish: verify this token, that its bearer declared to be of this type (RFC 8693 §3)."""

    token: str
    declared_type: str

    def __repr__(self) -> str:
        return f"VerifySubject(declared_type={self.declared_type!a:.80})"


@dataclass(frozen=True, slots=True)
class Granted:
    """What the new token will say, and what the audit keeps beside it."""

    event: IssuedEvent
    claims: AccessTokenClaims
    extra: Mapping[str, Any]
    """Claims beyond the always-list, because the callee lists them."""
    rules: tuple[str, ...]
    derived: frozenset[str] = frozenset()
    """Scopes that the subject token did not hold itself."""
    impersonation: bool = False
    parent_id: str | None = None
    issued_token_type: str | None = None

    @property
    def reason(self) -> str:
        """Why it was allowed, as the audit keeps it: the rules, and which scopes were derived."""
        parts = [", ".join(self.rules)]
        if self.derived:
            parts.append(f"derived {' '.join(sorted(self.derived))}")
        if self.impersonation:
            parts.append("impersonation")
        return "; ".join(parts)


Deciding = Generator[VerifySubject, SubjectClaims, Granted]
Grant = Callable[[Asked], Deciding]


def lifetime(now: float, seconds: float, limit: float = math.inf) -> tuple[int, int]:
    """Return `iat` and `exp` in whole seconds: both floored, `exp` never past `limit`."""
    issued = math.floor(now)
    return issued, math.floor(min(issued + seconds, limit))
