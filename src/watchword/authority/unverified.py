"""The two names in a token that say under which policy it must be verified.

Nothing else may be learned before the signature held, and these serve for one exact look-up each.
"""

from typing import NamedTuple

from watchword.errors import ClaimInvalid
from watchword.tokens import base64url, strict_json
from watchword.tokens.jws import parse_header, split


class UnverifiedNames(NamedTuple):
    """What the token says of itself; whoever made it may have lied."""

    issuer: str
    kid: str | None


def unverified_names(token: str) -> UnverifiedNames:
    """Return `iss` and `kid` of a token that nobody has verified.

    Raises:
        TokenError: not a compact JWS of strict JSON objects with a text `iss`.
    """
    parts = split(token)
    header = parse_header(parts.header)
    issuer = strict_json.decode_object(base64url.decode(parts.payload)).get("iss")
    if type(issuer) is not str or not issuer:
        raise ClaimInvalid("iss: expected text")
    return UnverifiedNames(issuer, header.kid)
