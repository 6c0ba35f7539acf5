"""Useful without our server: a whole story against Authlib's, and one in the shape of Keycloak's answers."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import flask
import pytest
from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import (
    BaseGrant,
    ClientMixin,
    InvalidRequestError,
    OAuth2Error,
    TokenEndpointMixin,
)
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
from joserfc import jwk, jwt
from werkzeug.serving import make_server

from watchword import IssuerSettings, Watchword
from watchword.client.authentication import KeyAuthentication, SecretAuthentication
from watchword.clock import SYSTEM_CLOCK
from watchword.errors import ExchangeDenied, TypeNotAllowed
from watchword.testing.peers import Peer
from watchword.tokens.private_key import PrivateKey

from .foreign_issuers import ACCESS_TOKEN, EXCHANGE, SECRET, KeycloakShaped

METHODS = ("client_secret_basic", "client_secret_post", "client_assertion_jwt")


class InvalidTarget(OAuth2Error):
    error = "invalid_target"


class Client(ClientMixin):
    """`posts`, as Authlib's server knows it."""

    def get_client_id(self) -> str:
        return "posts"

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == SECRET

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return True

    def check_grant_type(self, grant_type: str) -> bool:
        return True


class ForeignServer:
    """An authorization server of Authlib and joserfc: its own parsing, its own client authentication."""

    def __init__(self, client_public_key: Mapping[str, Any]) -> None:
        self.key = jwk.RSAKey.generate_key(2048, {"alg": "RS256", "use": "sig"}, auto_kid=True)
        self.assertions: list[str] = []
        self.methods: list[str] = []
        self.url = ""
        app = flask.Flask(__name__)
        server = AuthorizationServer(app, query_client=lambda _: Client(), save_token=lambda *_: None)
        foreign = self

        class Exchange(BaseGrant, TokenEndpointMixin):
            GRANT_TYPE = EXCHANGE
            TOKEN_ENDPOINT_AUTH_METHODS = (
                "client_secret_basic",
                "client_secret_post",
                "client_assertion_jwt",
            )

            def validate_token_request(self) -> None:
                self.request.client = self.authenticate_token_endpoint_client()
                foreign.methods.append(self.request.auth_method)
                form = self.request.form
                if form["subject_token_type"] != ACCESS_TOKEN:
                    raise InvalidRequestError("subject_token_type")
                if form["audience"] != "users":
                    raise InvalidTarget
                jwt.decode(form["subject_token"], foreign.key)

            def create_token_response(self) -> Any:
                form = self.request.form
                subject = jwt.decode(form["subject_token"], foreign.key).claims["sub"]
                token = foreign.token(subject, form["audience"], scope=form.get("scope", "users:read"))
                body = {
                    "access_token": token,
                    "issued_token_type": ACCESS_TOKEN,
                    "token_type": "Bearer",
                    "expires_in": 60,
                }
                return 200, body, [("Content-Type", "application/json")]

        class Assertion(JWTBearerClientAssertion):
            def get_audiences(self) -> list[str]:
                return [foreign.url]

            def resolve_client_public_key(self, client: ClientMixin) -> Any:
                return dict(client_public_key)

            def validate_jti(self, claims: Mapping[str, Any], jti: str) -> bool:
                fresh = jti not in foreign.assertions
                foreign.assertions.append(jti)
                return fresh

        server.register_grant(Exchange)
        server.register_client_auth_method("client_assertion_jwt", Assertion())

        app.post("/oauth/token", endpoint="token")(server.create_token_response)
        app.get("/jwks", endpoint="jwks")(
            lambda: flask.jsonify(jwk.KeySet([self.key]).as_dict(private=False))
        )
        app.get("/.well-known/openid-configuration", endpoint="metadata")(
            lambda: {
                "issuer": self.url,
                "jwks_uri": f"{self.url}/jwks",
                "token_endpoint": f"{self.url}/oauth/token",
            }
        )
        self.app = app

    def token(self, subject: str, audience: str, **claims: Any) -> str:
        now = int(SYSTEM_CLOCK.now())
        header = {"alg": "RS256", "kid": self.key.kid, "typ": "JWT"}
        members = {"iss": self.url, "sub": subject, "aud": [audience], "iat": now, "exp": now + 300}
        return jwt.encode(header, members | claims, self.key)

    @contextmanager
    def running(self) -> Iterator[None]:
        listening = make_server("127.0.0.1", 0, self.app, threaded=True)
        self.url = f"http://127.0.0.1:{listening.server_port}"
        thread = threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            listening.shutdown()
            thread.join(10)
            listening.server_close()


@pytest.fixture
def foreign(client_key: PrivateKey) -> Iterator[ForeignServer]:
    server = ForeignServer(client_key.public_jwk())
    with server.running():
        yield server


def clients(key: PrivateKey) -> dict[str, Any]:
    return {
        "client_secret_basic": SecretAuthentication("posts", SECRET),
        "client_secret_post": SecretAuthentication("posts", SECRET, method="client_secret_post"),
        "client_assertion_jwt": KeyAuthentication("posts", key),
    }


@pytest.mark.parametrize("method", METHODS)
def test_a_whole_story_at_an_authlib_server(
    foreign: ForeignServer, users: Peer, client_key: PrivateKey, tmp_path: Path, method: str
) -> None:
    issuer = IssuerSettings(foreign.url, token_types=["JWT"], algorithms=["RS256"])
    posts = Watchword(
        issuer=issuer,
        audience="posts",
        client=clients(client_key)[method],
        urls={"users": users.url},
        environ={},
        folder=tmp_path,
    )
    callee = Watchword(issuer=issuer, audience="users", environ={}, folder=tmp_path)
    for person in ("ada", "bob"):
        with posts.acting_for(foreign.token(person, "posts")) as verified:
            assert verified.subject == (foreign.url, person)
            session = posts.session("users", scope=["users:read"])
            sent = session.get("/users").json()["authorization"]
        arrived = callee.verify(sent.removeprefix("Bearer "))
        assert (arrived.subject.id, arrived.scope) == (person, {"users:read"})
    assert foreign.methods == [method, method]
    assert len(set(foreign.assertions)) == (2 if method == "client_assertion_jwt" else 0)
    posts.close()


def test_an_authlib_server_that_says_no_is_understood(
    foreign: ForeignServer, users: Peer, client_key: PrivateKey, tmp_path: Path
) -> None:
    wrong = SecretAuthentication("posts", "another secret")
    for client, audience, error in (
        (clients(client_key)["client_secret_basic"], "billing", "invalid_target"),
        (wrong, "users", "invalid_client"),
    ):
        posts = Watchword(
            issuer=IssuerSettings(foreign.url, token_types=["JWT"]),
            audience="posts",
            client=client,
            urls={"users": users.url},
            environ={},
            folder=tmp_path,
        )
        with posts.acting_for(foreign.token("ada", "posts")), pytest.raises(ExchangeDenied) as refused:
            posts.session("users", audience=audience).get("/users")
        assert refused.value.error == error
    assert users.requests == []


@pytest.fixture
def keycloak(start: Callable[[Peer], Peer]) -> KeycloakShaped:
    peer = KeycloakShaped()
    start(peer)
    return peer


def test_a_whole_story_at_a_keycloak_shaped_server(
    keycloak: KeycloakShaped, users: Peer, tmp_path: Path
) -> None:
    issuer = IssuerSettings(keycloak.issuer, token_types=["JWT"], requested_token_type="access_token")
    posts = Watchword(
        issuer=issuer,
        audience="posts",
        client=SecretAuthentication("posts", SECRET),
        urls={"users": users.url},
        environ={},
        folder=tmp_path,
    )
    callee = Watchword(issuer=issuer, audience="users", environ={}, folder=tmp_path)
    with posts.acting_for(keycloak.token(["posts", "account"])):
        sent = posts.session("users").get("/users").json()["authorization"]
        with pytest.raises(ExchangeDenied):
            posts.session("users", audience="billing").get("/users")
    arrived = callee.verify(sent.removeprefix("Bearer "))
    assert arrived.subject == (keycloak.issuer, "a1b2c3")
    assert arrived.scope == {"email", "profile", "users:read"}
    assert arrived.client_id is None


@pytest.mark.threat(47, 48)
def test_a_type_that_was_not_asked_for_is_refused_from_a_foreign_server_too(
    keycloak: KeycloakShaped, tmp_path: Path
) -> None:
    strict = Watchword(issuer=keycloak.issuer, audience="posts", environ={}, folder=tmp_path)
    with pytest.raises(TypeNotAllowed):
        strict.verify(keycloak.token("posts"))
