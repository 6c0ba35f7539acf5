"""Clients that authenticate with a generated secret (RFC 6749 §2.3.1)."""

import base64
import binascii
import hmac
import re
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from watchword.errors import InvalidClient
from watchword.tokens.jwk_set import printable
from watchword.trust.model import Service, TrustDocument

_MAX_CREDENTIALS = 4_096
_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")

# SHA-256 of nothing that anybody could send; it fills the place of a secret that is not there
_NOBODY = ("0" * 64, "0" * 64)


class Credentials(NamedTuple):
    """A client identifier and what it presented as its secret."""

    client_id: str
    secret: str

    def __repr__(self) -> str:
        return f"Credentials(client_id={printable(self.client_id)}, secret=…)"


def read_basic(authorization: str) -> Credentials:
    """Read `Basic` credentials: base64 of two form-urlencoded texts with a colon between.

    Raises:
        InvalidClient: another scheme, or not of that form.
    """
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic" or not scheme.isascii():
        raise InvalidClient("expected the Basic scheme in the Authorization header")
    if len(encoded) > _MAX_CREDENTIALS:
        raise InvalidClient(f"expected Basic credentials of at most {_MAX_CREDENTIALS} characters")
    try:
        text = base64.b64decode(encoded.strip(" "), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise InvalidClient("expected Basic credentials as base64 of UTF-8") from None
    client_id, colon, secret = text.partition(":")
    if not colon:
        raise InvalidClient("expected Basic credentials with a colon")
    return Credentials(_form_decoded(client_id), _form_decoded(secret))


def _form_decoded(text: str) -> str:
    if "%" not in text and "+" not in text:
        return text
    if _PERCENT.search(text):
        raise InvalidClient("expected Basic credentials to be form-urlencoded (RFC 6749 §2.3.1)")
    try:
        return unquote_to_bytes(text.replace("+", " ")).decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidClient("expected Basic credentials to be form-urlencoded UTF-8") from None


def demand_secret(credentials: Credentials, document: TrustDocument, now: float) -> Service:
    """Return the service that these credentials are of; a secret that has ended is none.

    An unknown client, one without secrets and one with a wrong secret cost the same hash and the same two
    comparisons, each in constant time.

    Raises:
        InvalidClient: unknown client, another method than the registered one, or a wrong secret.
    """
    service = document.services.get(credentials.client_id)
    known = () if service is None else service.secret_sha256
    stored = tuple(secret for secret in known if service is not None and service.valid(secret, now))
    digest = sha256(credentials.secret.encode("utf-8", "surrogatepass")).hexdigest()
    first, second = (*stored, *_NOBODY)[:2]
    matches = hmac.compare_digest(digest, first) | hmac.compare_digest(digest, second)
    if service is None:
        raise InvalidClient(f"no client is called {printable(credentials.client_id)}")
    if not known:
        keyless = service.jwks is None and service.jwks_uri is None
        what = "has no credential yet" if keyless else "is registered for a key, not for a secret"
        raise InvalidClient(f"client {service.client_id} {what}")
    if not matches:
        what = "has ended: it was replaced" if digest in known else "is wrong"
        raise InvalidClient(f"the secret of client {service.client_id} {what}")
    return service
