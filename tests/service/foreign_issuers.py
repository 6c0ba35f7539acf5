"""Issuers of others as their documentation and source describe them: documents, tokens, answers, refusals."""

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, unquote

from joserfc import jwk, jwt
from joserfc.errors import JoseError

from watchword.clock import SYSTEM_CLOCK
from watchword.testing.peers import Peer, Reply
from watchword.tokens.private_key import PrivateKey

ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SECRET = "a:secret/with+signs & blanks"


class ForeignIssuer(Peer):
    """Publishes a key and signs with it, RS256 and `typ` `JWT`."""

    def __init__(self, *, issuer: str, jwks: str, keys_besides: list[dict[str, Any]] | None = None) -> None:
        super().__init__()
        self.key = jwk.RSAKey.generate_key(2048, {"alg": "RS256", "use": "sig"}, auto_kid=True)
        self.issuer = self.url + issuer
        self.jwks_uri = self.url + jwks
        keys = [*(keys_besides or []), *jwk.KeySet([self.key]).as_dict(private=False)["keys"]]
        self.metadata: dict[str, Any] = {"issuer": self.issuer, "jwks_uri": self.jwks_uri}
        self.routes |= {
            f"{issuer.rstrip('/')}/.well-known/openid-configuration": lambda *_: Reply(200, self.metadata),
            jwks: lambda *_: Reply(200, {"keys": keys}),
        }

    def signed(self, claims: Mapping[str, Any], **header: Any) -> str:
        """Return a token; `None` leaves a claim out."""
        members = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode({"alg": "RS256", "typ": "JWT", "kid": self.key.kid} | header, members, self.key)

    def signing_key(self) -> PrivateKey:
        """Return its key, for forgeries."""
        return PrivateKey.from_pem(self.key.as_pem(private=True), alg="RS256", kid=self.key.kid)


class KeycloakShaped(ForeignIssuer):
    """Keycloak 26: a realm, its access tokens, and its standard token exchange with the form that it wants.

    Args:
        client_key: of `posts`, where it is registered for "Signed JWT" instead of a secret.
    """

    REALM = "/realms/shop"

    def __init__(self, client_key: PrivateKey | None = None) -> None:
        unusable = {"kid": "enc-key", "kty": "RSA", "alg": "RSA-OAEP", "use": "enc", "n": "AQAB", "e": "AQAB"}
        protocol = f"{self.REALM}/protocol/openid-connect"
        super().__init__(issuer=self.REALM, jwks=f"{protocol}/certs", keys_besides=[unusable])
        self._client_key = client_key
        self._used: set[str] = set()
        self.metadata |= {
            "authorization_endpoint": f"{self.url}{protocol}/auth",
            "token_endpoint": f"{self.url}{protocol}/token",
            "grant_types_supported": ["authorization_code", "refresh_token", EXCHANGE],
        }
        self.routes[f"{protocol}/token"] = self._token

    def claims(self, audience: str | list[str], **claims: Any) -> dict[str, Any]:
        """Return what an access token of a person says."""
        now = int(SYSTEM_CLOCK.now())
        return {
            "exp": now + 300, "iat": now, "auth_time": now - 2, "jti": "onrtac:7d0f0d7c-5f1b-41a1",
            "iss": self.issuer, "aud": audience, "sub": "a1b2c3", "typ": "Bearer", "azp": "web", "sid": "s-1",
            "acr": "1", "allowed-origins": ["https://web.example"],
            "realm_access": {"roles": ["default-roles-shop", "offline_access", "editor"]},
            "resource_access": {"account": {"roles": ["manage-account", "view-profile"]}},
            "scope": "email profile", "email_verified": True, "preferred_username": "ada",
        } | claims  # fmt: skip

    def token(self, audience: str | list[str], **claims: Any) -> str:
        """Return an access token of a person."""
        return self.signed(self.claims(audience, **claims))

    def _token(self, headers: Mapping[str, str], body: bytes) -> Reply:
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        if not self._authenticated(headers.get("authorization", ""), form):
            return Reply(
                401,
                {"error": "unauthorized_client", "error_description": "Invalid client or client credentials"},
            )
        wanted = {"grant_type": EXCHANGE, "subject_token_type": ACCESS_TOKEN}
        if any(form.get(name) != value for name, value in wanted.items()):
            return _refused("invalid_request", "Parameter 'subject_token' supports access tokens only")
        if form.get("requested_token_type", ACCESS_TOKEN) != ACCESS_TOKEN:
            return _refused("invalid_request", "requested_token_type unsupported")
        try:
            subject = jwt.decode(form["subject_token"], self.key, algorithms=["RS256"]).claims
        except JoseError:
            return _refused("invalid_request", "Invalid token")
        audience = subject["aud"]
        if subject["azp"] != "posts" and "posts" not in (
            [audience] if isinstance(audience, str) else audience
        ):
            return _refused("access_denied", "Client is not within the token audience", 403)
        if form["audience"] != "users":
            return _refused("invalid_request", f"Requested audience not available: {form['audience']}")
        if not set(form.get("scope", "").split()) <= {"users:read", "email", "profile"}:
            return _refused("invalid_scope", f"Invalid scopes: {form['scope']}")
        granted = "email profile users:read"
        return Reply(
            200,
            {
                "access_token": self.token("users", sub=subject["sub"], azp="posts", scope=granted),
                "expires_in": 300, "refresh_expires_in": 0, "token_type": "Bearer", "not-before-policy": 0,
                "session_state": "s-1", "scope": granted, "issued_token_type": ACCESS_TOKEN,
            },
        )  # fmt: skip

    def _authenticated(self, authorization: str, form: Mapping[str, str]) -> bool:
        if self._client_key is None:
            name, _, secret = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
            return authorization.startswith("Basic ") and (unquote(name), unquote(secret)) == (
                "posts",
                SECRET,
            )
        if form.get("client_assertion_type") != ASSERTION:
            return False
        registered = jwk.import_key(dict(self._client_key.public_jwk()))
        try:
            said = jwt.decode(form["client_assertion"], registered, algorithms=[self._client_key.alg]).claims
        except JoseError:
            return False
        fresh = said["jti"] not in self._used
        self._used.add(said["jti"])
        alive = SYSTEM_CLOCK.now() < said["exp"] <= SYSTEM_CLOCK.now() + 60
        # one audience, and it is the realm (AbstractBaseJWTValidator)
        return fresh and alive and said["iss"] == said["sub"] == "posts" and said["aud"] == self.issuer


class Auth0Shaped(ForeignIssuer):
    """A tenant of Auth0: an `iss` that ends in a slash, an API with permissions."""

    API = "https://api.acme.example"

    def __init__(self) -> None:
        super().__init__(issuer="/", jwks="/.well-known/jwks.json")

    def claims(self, **claims: Any) -> dict[str, Any]:
        """Return what an access token of a person says, in the dialect that Auth0 has by default."""
        now = int(SYSTEM_CLOCK.now())
        return {
            "https://acme.example/roles": ["editor"], "iss": self.issuer, "sub": "auth0|5f7c8ec7c33c6c",
            "aud": [self.API, f"{self.issuer}userinfo"], "iat": now, "exp": now + 86400, "azp": "web",
            "scope": "openid profile email", "permissions": ["posts:read", "posts:write"],
        } | claims  # fmt: skip


class FirebaseShaped(ForeignIssuer):
    """A project of Firebase: ID tokens, and keys at another place than the issuer's."""

    PROJECT = "acme-7d3f1"
    KEYS = "/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com"

    def __init__(self) -> None:
        super().__init__(issuer=f"/{self.PROJECT}", jwks=self.KEYS)

    def claims(self, **claims: Any) -> dict[str, Any]:
        """Return what an ID token says."""
        now = int(SYSTEM_CLOCK.now())
        return {
            "name": "John Doe", "iss": self.issuer, "aud": self.PROJECT, "auth_time": now - 100,
            "user_id": "Kf3kd93mFkQw2ooPfK1", "sub": "Kf3kd93mFkQw2ooPfK1", "iat": now, "exp": now + 3600,
            "email": "john@example.org", "email_verified": True,
            "firebase": {"identities": {"email": ["john@example.org"]}, "sign_in_provider": "password"},
        } | claims  # fmt: skip


def _refused(error: str, description: str, status: int = 400) -> Reply:
    return Reply(status, {"error": error, "error_description": description})
