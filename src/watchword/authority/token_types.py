"""What a subject token is declared to be, turned into what it must prove to be (RFC 8693 §3)."""

from typing import NamedTuple

from watchword.errors import TypeNotAllowed
from watchword.grants.token_exchange import ACCESS_TOKEN, ID_TOKEN, JWT
from watchword.tokens.jwk_set import printable
from watchword.tokens.jws import normal_type
from watchword.tokens.kind import TokenKind
from watchword.tokens.policy import ACCESS_TOKEN_TYPE
from watchword.trust.model import TrustedIssuer

_SHORT_NAMES = {ACCESS_TOKEN: "access_token", JWT: "jwt", ID_TOKEN: "id_token"}


class Proof(NamedTuple):
    """What the token must show: one of these header types, and claims of this kind."""

    header_types: frozenset[str]
    kind: TokenKind


def demand_own_type(declared: str) -> None:
    """Refuse anything but an access token or a JWT: that is what an `at+jwt` of ours is.

    Raises:
        TypeNotAllowed: another declared type.
    """
    if declared not in (ACCESS_TOKEN, JWT):
        raise TypeNotAllowed(f"subject_token_type: declared as {printable(declared)}, found an access token")


def proof_of_type(declared: str, trusted: TrustedIssuer) -> Proof:
    """Return what a token of this issuer must show to be what it is declared to be.

    An access token says so in its header; an ID token by claims that only an ID token has; what is called a
    JWT may be any token of the issuer that bears access and is no ID token.

    Raises:
        TypeNotAllowed: a type that this issuer may not send.
    """
    name = _SHORT_NAMES.get(declared)
    if name is None or name not in trusted.subject_token_types:
        raise TypeNotAllowed(
            f"subject_token_type: expected {' or '.join(sorted(trusted.subject_token_types))} from issuer "
            f"{trusted.alias}, found {printable(declared)}"
        )
    types = frozenset(map(normal_type, trusted.token_types))
    if name == "access_token":
        types &= {ACCESS_TOKEN_TYPE}
    elif name == "id_token":
        types -= {ACCESS_TOKEN_TYPE}
    if not types:
        raise TypeNotAllowed(
            f"subject_token_type: no token of issuer {trusted.alias} can be proven to be an {name}"
        )
    return Proof(types, "id_token" if name == "id_token" else "access_token")
