"""Tokens that must be refused, made from a genuine one as an attacker would."""

import hashlib
import hmac
from pathlib import Path
from typing import Any

import msgspec

from watchword.cli.demo.call import unverified_parts
from watchword.keys.issuer import Issuer
from watchword.keystores.files import FileKeyStore
from watchword.tokens import base64url
from watchword.tokens.private_key import PrivateKey


def _segment(members: dict[str, Any]) -> bytes:
    return base64url.encode(msgspec.json.encode(members))


def tampered(token: str, **claims: Any) -> str:
    """Return the token with other claims and its old signature."""
    header, _, signature = token.split(".")
    _, members = unverified_parts(token)
    return f"{header}.{_segment(members | claims).decode()}.{signature}"


def unsigned(token: str) -> str:
    """Return the token with `alg` none and no signature (RFC 8725 §2.1)."""
    header, members = unverified_parts(token)
    return f"{_segment(header | {'alg': 'none'}).decode()}.{_segment(members).decode()}."


def keyed_with_public_key(token: str, pem: bytes) -> str:
    """Return the token signed by HS256, the published public key being the secret (RFC 8725 §2.1)."""
    header, members = unverified_parts(token)
    signing_input = _segment(header | {"alg": "HS256"}) + b"." + _segment(members)
    signature = base64url.encode(hmac.digest(pem, signing_input, hashlib.sha256))
    return (signing_input + b"." + signature).decode()


def expired(token: str, issuer: str, *, keys: Path) -> str:
    """Return the token as it would be had it been issued two hours ago, signed by the issuer's real key."""
    _, members = unverified_parts(token)
    key = Issuer(issuer, FileKeyStore(keys)).keyring.active.key
    hours = 7_200
    return signed_by(key, token, iat=members["iat"] - hours, exp=members["exp"] - hours)


def signed_by(key: PrivateKey, token: str, **claims: Any) -> str:
    """Return the token with other claims, signed by another key under that key's own `kid`."""
    header, members = unverified_parts(token)
    signing_input = _segment(header | {"kid": key.kid, "alg": key.alg}) + b"." + _segment(members | claims)
    return (signing_input + b"." + base64url.encode(key.sign(signing_input))).decode()
