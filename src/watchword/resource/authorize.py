"""Whether a verified token may do what is asked."""

from collections.abc import Collection

from watchword.errors import InsufficientScope, RoleRequired
from watchword.tokens.verified import VerifiedToken


def demand(token: VerifiedToken, scopes: Collection[str] = (), *, role: str | None = None) -> None:
    """Return if the token holds every scope and its subject the role.

    Raises:
        TypeError: `scopes` is one text: its letters would be taken for scopes.
        InsufficientScope: a scope is missing (RFC 6750 §3.1).
        RoleRequired: the role is missing.
    """
    if isinstance(scopes, str | bytes):
        raise TypeError("expected scopes as a list of texts, found one text")
    missing = set(scopes) - token.scope
    if missing:
        raise InsufficientScope(
            f"expected scope {' '.join(sorted(scopes))}, {' '.join(sorted(missing))} is missing",
            required=sorted(scopes),
        )
    if role is not None and role not in token.roles:
        raise RoleRequired(f"expected role {role}")
