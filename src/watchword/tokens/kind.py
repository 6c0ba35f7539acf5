"""What kind of token a JWT is, proven from its `typ` and claims (RFC 8725 §2.8, §3.11).

One issuer signs many kinds of JWT with the same key. Where the header names the kind, that name decides.
Older issuers say only `JWT`, or nothing; there the payload must tell: by a claim that names the kind, as
Keycloak and others write it, or by a claim that only one kind has.
"""

from collections.abc import Mapping
from typing import Any, Literal, get_args

TokenKind = Literal[
    "access_token",
    "id_token",
    "refresh_token",
    "logout_token",
    "security_event",
    "dpop_proof",
    "client_assertion",
    "request_object",
    "introspection_response",
    "jwt_svid",
    "other",
]
TOKEN_KINDS: frozenset[str] = frozenset(get_args(TokenKind))

# Header types that say what the token is (RFC 9068, OIDC Back-Channel Logout, RFC 8417, RFC 9449, RFC 10070,
# RFC 9101, RFC 9701); every other type is some issuer's own habit, and the claims decide.
_HEADER_TYPES: dict[str, TokenKind] = {
    "at+jwt": "access_token",
    "logout+jwt": "logout_token",
    "secevent+jwt": "security_event",
    "dpop+jwt": "dpop_proof",
    "client-authentication+jwt": "client_assertion",
    "oauth-authz-req+jwt": "request_object",
    "token-introspection+jwt": "introspection_response",
}

# Claims with which issuers name the kind: Keycloak, Amazon Cognito, Simple JWT, Flask-JWT-Extended.
_NAMES: dict[str, dict[str, TokenKind]] = {
    "typ": {
        "bearer": "access_token",
        "dpop": "access_token",
        "id": "id_token",
        "refresh": "refresh_token",
        "offline": "refresh_token",
        "logout": "logout_token",
    },
    "token_use": {"access": "access_token", "id": "id_token"},
    "token_type": {"access": "access_token", "refresh": "refresh_token"},
    "type": {"access": "access_token", "refresh": "refresh_token"},
}
_ALWAYS_A_KIND = frozenset({"typ", "token_use"})  # a name that is not known here is some other kind's
_LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"

# Claims that only one kind has. An ID token's come last: some access tokens carry marks of a sign-in, too,
# but those name themselves.
_MARKS: tuple[tuple[frozenset[str], TokenKind], ...] = (
    (frozenset({"events"}), "security_event"),
    (frozenset({"htm", "htu"}), "dpop_proof"),
    (frozenset({"token_introspection"}), "introspection_response"),
    (frozenset({"response_type", "redirect_uri", "code_challenge"}), "request_object"),
    (frozenset({"nonce", "at_hash", "c_hash", "s_hash", "firebase"}), "id_token"),
)


def kind_of(typ: str | None, claims: Mapping[str, Any]) -> TokenKind:
    """Return what a token is; `access_token` when nothing speaks against it.

    Args:
        typ: of the header, as `jws.normal_type` returns it; `None` when absent.
        claims: the whole payload.
    """
    named = _HEADER_TYPES.get(typ or "")
    if named is None:
        named = _named_by_claims(claims)
    return _marked(claims) if named is None else named


def _named_by_claims(claims: Mapping[str, Any]) -> TokenKind | None:
    found: TokenKind | None = None
    for claim, names in _NAMES.items():
        if claim not in claims:
            continue
        value = claims[claim]
        name = value.lower() if isinstance(value, str) else ""
        kind = names.get(name)
        if kind is None and claim in _ALWAYS_A_KIND and name != "jwt":
            kind = "other"
        if kind is not None and kind != "access_token":
            return kind  # of two names that disagree, the one that is no access token holds
        found = kind or found
    return found


def _marked(claims: Mapping[str, Any]) -> TokenKind:
    for marks, kind in _MARKS:
        if not marks.isdisjoint(claims):
            events = claims.get("events")
            return "logout_token" if isinstance(events, dict) and _LOGOUT_EVENT in events else kind
    if claims.get("iss") == claims.get("sub"):
        return "client_assertion"  # RFC 7523 §3: issuer and subject are the client
    if str(claims.get("sub")).startswith("spiffe://"):
        return "jwt_svid"
    return "access_token"
