"""What a subject token is, proven from the token; what its bearer declares must agree (RFC 8693 §3)."""

from collections.abc import Mapping
from typing import Any

from watchword.errors import TypeNotAllowed
from watchword.grants.token_exchange import ACCESS_TOKEN, ID_TOKEN, JWT
from watchword.tokens.jwk_set import printable
from watchword.tokens.policy import ACCESS_TOKEN_TYPE
from watchword.trust.model import TrustedIssuer

_SHORT_NAMES = {ACCESS_TOKEN: "access_token", JWT: "jwt", ID_TOKEN: "id_token"}

# Claims that only stand in an ID token (OpenID Connect Core §2, §3.1.3.6)
_ID_TOKEN_MARKS = frozenset({"nonce", "at_hash", "c_hash"})
# What Keycloak writes into the payload, where the header only says JWT
_ID_TOKEN_PAYLOAD_TYPE = "ID"  # a name, not a token
_REFUSED_PAYLOAD_TYPES = frozenset({"Refresh", "Offline", "Logout"})


def demand_own_type(declared: str) -> None:
    """Refuse anything but an access token or a JWT: that is what an `at+jwt` of ours is.

    Raises:
        TypeNotAllowed: another declared type.
    """
    if declared not in (ACCESS_TOKEN, JWT):
        raise _mismatch(declared, "an access token")


def demand_foreign_type(
    declared: str, header_type: str | None, claims: Mapping[str, Any], trusted: TrustedIssuer
) -> None:
    """Refuse a foreign token that is not what it is declared to be, or not of a type this issuer may send.

    Raises:
        TypeNotAllowed: a type that the issuer does not list, or one that the token contradicts.
    """
    name = _SHORT_NAMES.get(declared)
    if name is None or name not in trusted.subject_token_types:
        raise TypeNotAllowed(
            f"subject_token_type: expected {' or '.join(sorted(trusted.subject_token_types))} from issuer "
            f"{trusted.alias}, found {printable(declared)}"
        )
    payload_type = claims.get("typ")
    if payload_type in _REFUSED_PAYLOAD_TYPES or "events" in claims:
        raise _mismatch(declared, "a refresh, logout or security event token")
    is_access_token = header_type == ACCESS_TOKEN_TYPE
    is_id_token = not is_access_token and (
        payload_type == _ID_TOKEN_PAYLOAD_TYPE or not _ID_TOKEN_MARKS.isdisjoint(claims)
    )
    if name == "access_token" and not is_access_token:
        raise _mismatch(declared, "a JWT whose typ is not at+jwt")
    if name == "id_token" and is_access_token:
        raise _mismatch(declared, "an access token")
    if name != "id_token" and is_id_token:
        raise _mismatch(declared, "an ID token")


def _mismatch(declared: str, found: str) -> TypeNotAllowed:
    return TypeNotAllowed(f"subject_token_type: declared as {printable(declared)}, found {found}")
