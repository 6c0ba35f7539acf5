"""The request by which a service exchanges a person's token, spelt out (RFC 8693 §2.1, RFC 7523 §2.2)."""

from pathlib import Path

import msgspec

from watchword.clock import SYSTEM_CLOCK
from watchword.keys.issuer import new_token_id
from watchword.tokens import base64url
from watchword.tokens.jws import encode_header
from watchword.tokens.private_key import PrivateKey

_ASSERTION_LIFETIME = 60


def exchange_form(
    client: str, key_file: Path, *, issuer: str, subject_token: str, scope: str, audience: str = "users"
) -> dict[str, str]:
    """Return the form of an exchange; the client proves by `private_key_jwt` who it is."""
    return {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": subject_token,
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "audience": audience,
        "scope": scope,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": _assertion(client, PrivateKey.from_pem(key_file.read_bytes()), issuer=issuer),
    }


def _assertion(client: str, key: PrivateKey, *, issuer: str) -> str:
    now = int(SYSTEM_CLOCK.now())
    claims = {
        "iss": client,
        "sub": client,
        "aud": issuer,
        "iat": now,
        "exp": now + _ASSERTION_LIFETIME,
        "jti": new_token_id(),
    }
    header = encode_header(key.alg, key.kid, "client-authentication+jwt")
    signing_input = header + b"." + base64url.encode(msgspec.json.encode(claims))
    return (signing_input + b"." + base64url.encode(key.sign(signing_input))).decode()
