"""Whether a verified token may do what is asked."""

import re
from collections.abc import Collection

from watchword.errors import InsufficientScope, RoleRequired
from watchword.tokens.verified import VerifiedToken

# RFC 6749 §3.3: visible ASCII without quote and backslash; no space, which would make two of them
_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+")


def scope_tokens(scopes: Collection[object]) -> tuple[str, ...]:
    """Return what a guard was told to demand, checked where it is written and not at the first request.

    Raises:
        TypeError: something else than texts, such as the function of a decorator without parentheses.
        ValueError: a text that no scope can equal, such as two scopes in one text.
    """
    found = []
    for scope in scopes:
        if not isinstance(scope, str):
            raise TypeError(
                f"expected scopes as texts, found {type(scope).__name__}; a decorator needs its parentheses"
            )
        if not _SCOPE_TOKEN.fullmatch(scope):
            raise ValueError(f"expected one scope per text, found {scope!a:.80}")
        found.append(scope)
    return tuple(found)


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
