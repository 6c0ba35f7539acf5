"""How a service proves to a token endpoint who it is (RFC 6749 §2.3, RFC 7523 §2.2, RFC 10070)."""

import base64
import math
import secrets
from typing import Literal, Protocol
from urllib.parse import quote

from watchword.tokens import base64url, strict_json
from watchword.tokens.jws import encode_header
from watchword.tokens.private_key import PrivateKey

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
CLIENT_ASSERTION_TYPE = "client-authentication+jwt"
ASSERTION_LIFETIME = 60

Form = list[tuple[str, str]]


class ClientAuthentication(Protocol):
    """Adds to a token request what proves the client."""

    @property
    def client_id(self) -> str:
        """Who the client is."""
        ...

    def authenticate(self, form: Form, headers: dict[str, str], *, issuer: str, now: float) -> None:
        """Add parameters or headers in place."""
        ...


class SecretAuthentication:
    """`client_secret_basic` or `client_secret_post` (RFC 6749 §2.3.1). Unprintable."""

    __slots__ = ("_method", "_secret", "client_id")

    def __init__(
        self,
        client_id: str,
        secret: str,
        *,
        method: Literal["client_secret_basic", "client_secret_post"] = "client_secret_basic",
    ) -> None:
        self.client_id = client_id
        self._secret = secret
        self._method = method

    def authenticate(self, form: Form, headers: dict[str, str], *, issuer: str, now: float) -> None:
        """Add the secret; `issuer` and `now` play no part."""
        if self._method == "client_secret_post":
            form += [("client_id", self.client_id), ("client_secret", self._secret)]
            return
        # both halves are encoded before they are joined, so that a colon in one does not shift the border; a
        # blank as %20, which form decoders and percent decoders read alike
        pair = f"{quote(self.client_id, safe='')}:{quote(self._secret, safe='')}"
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode("ascii")).decode("ascii")

    def __repr__(self) -> str:
        return f"SecretAuthentication(client_id={self.client_id!r}, method={self._method!r})"


class KeyAuthentication:
    """`private_key_jwt`: a fresh assertion for every request, one minute long (RFC 7523 §3).

    Args:
        client_id: `iss` and `sub` of the assertion.
        key: the private key whose public half the server has registered.
        audience: `aud`, one text. `None` is the issuer identifier, which RFC 10070 demands; a foreign server
            may want its token endpoint.
    """

    __slots__ = ("_audience", "_key", "client_id")

    def __init__(self, client_id: str, key: PrivateKey, *, audience: str | None = None) -> None:
        self.client_id = client_id
        self._key = key
        self._audience = audience

    @property
    def kid(self) -> str:
        """Which key it is, by its `kid`."""
        return self._key.kid

    def authenticate(self, form: Form, headers: dict[str, str], *, issuer: str, now: float) -> None:
        """Add a signed assertion with a `jti` of its own."""
        form += [
            ("client_id", self.client_id),
            ("client_assertion_type", ASSERTION_TYPE),
            ("client_assertion", self.assertion(issuer, now)),
        ]

    def assertion(self, issuer: str, now: float) -> str:
        """Return a signed assertion, valid for a minute and for one use."""
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": self._audience or issuer,
            "iat": math.floor(now),
            "exp": math.floor(now) + ASSERTION_LIFETIME,
            "jti": secrets.token_urlsafe(16),
        }
        header = encode_header(self._key.alg, self._key.kid, CLIENT_ASSERTION_TYPE)
        signing_input = header + b"." + base64url.encode(strict_json.encode(claims))
        return (signing_input + b"." + base64url.encode(self._key.sign(signing_input))).decode("ascii")

    def __repr__(self) -> str:
        return f"KeyAuthentication(client_id={self.client_id!r}, key={self._key!r})"
