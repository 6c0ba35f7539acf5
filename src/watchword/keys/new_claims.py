"""The claims of a token that is about to be signed: complete, bounded, and nothing that nobody asked for."""

import re
from binascii import b2a_base64
from collections.abc import Collection, Mapping
from functools import lru_cache
from os import urandom
from typing import Any, TypedDict

from msgspec import UNSET

from watchword.errors import ClaimInvalid, ConfigurationError
from watchword.tokens.claims import AccessTokenClaims, typed

DEFAULT_LIFETIME = 300
MAX_LIFETIME = 3600

_MAX_TEXT = 512
_MAX_SCOPE = 4096
_ONE_TEXT = (str, bytes)
# What an embedding service may say beyond the always-list. `act` and `cnf` are the token server's, and
# names, e-mail addresses and passwords have no place in a token that travels between services.
_FURTHER_CLAIMS = frozenset({"auth_time", "acr", "amr", "may_act"})
_SCOPE = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+(?: [\x21\x23-\x5B\x5D-\x7E]+)*")  # RFC 6749 §3.3


class ClaimOptions(TypedDict, total=False):
    """The optional arguments of `Issuer.issue`, which explains them."""

    client_id: str | None
    scope: Collection[str]
    lifetime: int
    roles: Collection[str] | None
    session_id: str | None
    story_id: str | None
    claims: Mapping[str, Any] | None


def new_token_id() -> str:
    """Return a fresh `jti` or `txn`: 22 base64url characters, 132 random bits."""
    return _random_text(18)[:22]


def new_claims(
    issuer: str,
    now: float,
    subject: str,
    audience: str,
    *,
    client_id: str | None = None,
    scope: Collection[str] = (),
    lifetime: int = DEFAULT_LIFETIME,
    roles: Collection[str] | None = None,
    session_id: str | None = None,
    story_id: str | None = None,
    claims: Mapping[str, Any] | None = None,
) -> AccessTokenClaims:
    """Return the claims of a new access token; `now` in seconds since the epoch is floored.

    Raises:
        ConfigurationError: a value that no verifier should see; it is named.
    """
    if client_id is None:
        client_id = issuer
    if type(lifetime) is not int or not 1 <= lifetime <= MAX_LIFETIME:
        raise ConfigurationError(
            f"lifetime: expected 1 to {MAX_LIFETIME} whole seconds, found {lifetime!a:.40}"
        )
    for claim, value in (("sub", subject), ("aud", audience), ("client_id", client_id)):
        if type(value) is not str or not 0 < len(value) <= _MAX_TEXT or not value.isprintable():
            _demand_name(claim, value)
    issued = int(now)
    ids = _random_text(33)
    made = AccessTokenClaims(
        iss=issuer,
        sub=subject,
        aud=audience,
        exp=issued + lifetime,
        iat=issued,
        jti=ids[:22],
        client_id=client_id,
        scope=_scope_text(scope),
        txn=ids[22:] if story_id is None else _demand_name("txn", story_id),
        sid=UNSET if session_id is None else _demand_name("sid", session_id),
        roles=UNSET if roles is None else _sorted_roles(roles),
    )
    return made if claims is None else _with_further(made, claims)


def demand_contract(claims: AccessTokenClaims, issuer: str) -> None:
    """Refuse claims that are not what every access token of `issuer` says (RFC 9068 §2.2).

    Raises:
        ConfigurationError: every claim that is missing or wrong.
    """
    problems = [
        f"{name}: expected text of the issuing service, found {type(getattr(claims, name)).__name__}"
        for name in ("sub", "aud", "jti", "client_id", "scope", "txn")
        if type(getattr(claims, name)) is not str
    ]
    if claims.iss != issuer:
        problems.append("iss: expected the issuer that signs")
    if claims.nbf is not UNSET:
        problems.append("nbf: expected none, since iat says it")
    if type(claims.iat) is not int or type(claims.exp) is not int:
        problems.append("iat, exp: expected whole seconds")
    elif not 1 <= claims.exp - claims.iat <= MAX_LIFETIME:
        problems.append(f"exp: expected 1 to {MAX_LIFETIME} seconds after iat")
    if problems:
        raise ConfigurationError(problems)


def _random_text(size: int) -> str:
    return b2a_base64(urandom(size), newline=False).translate(_TO_URL).decode("ascii")


_TO_URL = bytes.maketrans(b"+/", b"-_")


def _demand_name(claim: str, value: str) -> str:
    # not printable are control characters and lone surrogates: they would break a log, a header or the JSON
    if type(value) is not str or not 0 < len(value) <= _MAX_TEXT or not value.isprintable():
        found = f"{len(value)} characters" if isinstance(value, str) else type(value).__name__
        raise ConfigurationError(
            f"{claim}: expected one text of 1 to {_MAX_TEXT} printable characters, found {found}"
        )
    return value


def _scope_text(scope: Collection[str]) -> str:
    if isinstance(scope, _ONE_TEXT):
        raise ConfigurationError("scope: expected a collection of scope tokens, found one text")
    try:
        return _format_scope(frozenset(scope))
    except TypeError:
        raise ConfigurationError("scope: expected texts (RFC 6749 §3.3)") from None


@lru_cache(maxsize=1024)  # a service knows few scopes and asks for them in few combinations
def _format_scope(scope: frozenset[str]) -> str:
    text = " ".join(sorted(scope))
    if len(text) > _MAX_SCOPE or (scope and (not _SCOPE.fullmatch(text) or text.count(" ") >= len(scope))):
        raise ConfigurationError(
            'scope: expected scope tokens of visible ASCII without blank, " and \\ (RFC 6749 §3.3)'
        )
    return text


def _sorted_roles(roles: Collection[str]) -> list[str]:
    if isinstance(roles, _ONE_TEXT):
        raise ConfigurationError("roles: expected a collection of roles, found one text")
    return sorted(_demand_name("roles", role) for role in set(roles))


def _with_further(made: AccessTokenClaims, claims: Mapping[str, Any]) -> AccessTokenClaims:
    strangers = sorted(map(str, claims.keys() - _FURTHER_CLAIMS))
    if strangers:
        raise ConfigurationError(
            f"claims: expected only {', '.join(sorted(_FURTHER_CLAIMS))}, found {', '.join(strangers)!a:.200}"
        )
    members = {name: getattr(made, name) for name in made.__struct_fields__}
    try:
        return typed({name: value for name, value in members.items() if value is not UNSET} | dict(claims))
    except ClaimInvalid as error:
        raise ConfigurationError(str(error)) from None
