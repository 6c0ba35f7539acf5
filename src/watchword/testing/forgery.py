"""Tokens that no service may accept: each is genuine but for one thing."""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from watchword.tokens import base64url, strict_json
from watchword.tokens.claims import MAX_ACTORS
from watchword.tokens.private_key import PrivateKey

_LONG = 3600  # seconds; no leeway forgives it


class Forgery(StrEnum):
    """What is wrong with a token; the value is how a report says it."""

    NO_TOKEN = "not a token at all"
    ALG_NONE = "alg none, unsigned"
    HS256_WITH_PUBLIC_KEY = "HS256, keyed with the public key"
    TAMPERED = "claims changed after signing"
    NO_SIGNATURE = "signature removed"
    UNKNOWN_KID = "signed by a key that the issuer does not publish"
    FOREIGN_KEY = "signed by a stranger's key under the issuer's kid"
    EMBEDDED_KEY = "signed by a stranger's key that the header brings along"
    FOREIGN_ISSUER = "a stranger's token"
    WRONG_ISSUER = "signed by the right key, iss of another"
    WRONG_AUDIENCE = "for another audience"
    EXPIRED = "expired"
    NO_EXPIRY = "without exp"
    NOT_YET_VALID = "not yet valid"
    WRONG_TYPE = "no access token: typ is not at+jwt"
    BOUND = "bound to a key by cnf, presented without proof"
    DEEP_ACT = "a chain of more actors than anybody allows"


@dataclass(frozen=True, slots=True)
class Draft:
    """A token before it is signed."""

    header: dict[str, Any]
    claims: dict[str, Any]
    key: PrivateKey

    def saying(self, **claims: Any) -> "Draft":
        """Return a draft with some claims replaced; `None` leaves one out."""
        members = self.claims | claims
        return replace(self, claims={name: value for name, value in members.items() if value is not None})

    def headed(self, **header: Any) -> "Draft":
        """Return a draft with some members of the header replaced; `None` leaves one out."""
        members = self.header | header
        return replace(self, header={name: value for name, value in members.items() if value is not None})

    def signing_input(self) -> bytes:
        """Return what is signed (RFC 7515 §5.1)."""
        return b".".join(base64url.encode(strict_json.encode(part)) for part in (self.header, self.claims))

    def signed(self) -> str:
        """Return the token."""
        text = self.signing_input()
        return _joined(text, self.key.sign(text))


def forge(kind: Forgery, draft: Draft, public_pem: bytes) -> str:
    """Return the forgery of this kind of a token that would be genuine."""
    return _FORGERS[kind](draft, public_pem)


def _joined(signing_input: bytes, signature: bytes) -> str:
    return f"{signing_input.decode()}.{base64url.encode(signature).decode()}"


def _hs256(draft: Draft, public_pem: bytes) -> str:
    text = draft.headed(alg="HS256").signing_input()
    return _joined(text, hmac.digest(public_pem, text, hashlib.sha256))


def _tampered(draft: Draft, _: bytes) -> str:
    signature = draft.signed().rpartition(".")[2]
    return f"{draft.saying(sub='somebody_else').signing_input().decode()}.{signature}"


def _stranger(draft: Draft) -> Draft:
    return replace(draft, key=PrivateKey.generate(draft.key.alg))


def _unknown(draft: Draft, _: bytes) -> str:
    stranger = _stranger(draft)
    return stranger.headed(kid=stranger.key.kid).signed()


def _embedded(draft: Draft, _: bytes) -> str:
    stranger = _stranger(draft)
    return stranger.headed(kid=stranger.key.kid, jwk=dict(stranger.key.public_jwk())).signed()


def _foreign(draft: Draft, _: bytes) -> str:
    stranger = _stranger(draft)
    return stranger.headed(kid=stranger.key.kid).saying(iss="https://stranger.test").signed()


def _chain(draft: Draft) -> dict[str, Any]:
    act: dict[str, Any] = {"sub": "service|0"}
    for number in range(1, MAX_ACTORS + 1):
        act = {"sub": f"service|{number}", "act": act}
    return act


_FORGERS: dict[Forgery, Callable[[Draft, bytes], str]] = {
    Forgery.NO_TOKEN: lambda *_: "not.atokenatall.butthree",
    Forgery.ALG_NONE: lambda draft, _: _joined(draft.headed(alg="none").signing_input(), b""),
    Forgery.HS256_WITH_PUBLIC_KEY: _hs256,
    Forgery.TAMPERED: _tampered,
    Forgery.NO_SIGNATURE: lambda draft, _: _joined(draft.signing_input(), b""),
    Forgery.UNKNOWN_KID: _unknown,
    Forgery.FOREIGN_KEY: lambda draft, _: _stranger(draft).signed(),
    Forgery.EMBEDDED_KEY: _embedded,
    Forgery.FOREIGN_ISSUER: _foreign,
    Forgery.WRONG_ISSUER: lambda draft, _: draft.saying(iss="https://stranger.test").signed(),
    Forgery.WRONG_AUDIENCE: lambda draft, _: draft.saying(aud="somebody_elses_service").signed(),
    Forgery.EXPIRED: lambda draft, _: draft.saying(
        iat=draft.claims["iat"] - 2 * _LONG, exp=draft.claims["iat"] - _LONG
    ).signed(),
    Forgery.NO_EXPIRY: lambda draft, _: draft.saying(exp=None).signed(),
    Forgery.NOT_YET_VALID: lambda draft, _: draft.saying(
        nbf=draft.claims["iat"] + _LONG, exp=draft.claims["iat"] + 2 * _LONG
    ).signed(),
    Forgery.WRONG_TYPE: lambda draft, _: draft.headed(
        typ="logout+jwt" if draft.header.get("typ") != "at+jwt" else "JWT"
    ).signed(),
    Forgery.BOUND: lambda draft, _: draft.saying(cnf={"jkt": draft.key.public.thumbprint()}).signed(),
    Forgery.DEEP_ACT: lambda draft, _: draft.saying(act=_chain(draft)).signed(),
}
