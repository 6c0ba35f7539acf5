"""The how-to pages for Keycloak, Auth0 and Firebase: their code and trust documents, run as they stand."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import flask
import pytest

from watchword import IssuerSettings, Watchword
from watchword.client.authentication import SecretAuthentication
from watchword.errors import ExchangeDenied
from watchword.testing.forgery import Draft, Forgery, forge
from watchword.testing.peers import Peer

from .foreign_issuers import SECRET, Auth0Shaped, FirebaseShaped, ForeignIssuer, KeycloakShaped

PAGES = Path(__file__).resolve().parents[2] / "docs" / "how-to"
BLOCK = re.compile(r'^```\w+ title="([^"]+)"\n(.*?)^```', re.MULTILINE | re.DOTALL)
REFUSED = sorted(set(Forgery) - {Forgery.WRONG_TYPE, Forgery.BOUND, Forgery.DEEP_ACT})

Page = Callable[..., Any]


def read(page: str, title: str, **replaced: str) -> str:
    """Return a block of a page, its addresses moved."""
    text = dict(BLOCK.findall((PAGES / f"{page}.md").read_text()))[title]
    for here, there in replaced.items():
        assert here in text, here
        text = text.replace(here, there)
    return text


def run(text: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile(text, "page", "exec"), names)
    return names


def asked(app: flask.Flask, token: str) -> Any:
    return app.test_client().get("/posts", headers={"Authorization": f"Bearer {token}"})


def draft(issuer: ForeignIssuer, claims: dict[str, Any]) -> Draft:
    key = issuer.signing_key()
    return Draft({"alg": "RS256", "typ": "JWT", "kid": key.kid}, claims, key)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the secret of posts, and an environment without settings."""
    monkeypatch.chdir(tmp_path)
    Path("posts.secret").write_text(SECRET)
    Path("posts.secret").chmod(0o600)
    return tmp_path


@contextmanager
def served(*issuers: ForeignIssuer) -> Iterator[None]:
    if not issuers:
        yield
        return
    with issuers[0].running(), served(*issuers[1:]):
        yield


@pytest.fixture
def keycloak() -> Iterator[KeycloakShaped]:
    issuer = KeycloakShaped()
    with served(issuer):
        yield issuer


class TestKeycloak:
    @pytest.fixture
    def app(self, keycloak: KeycloakShaped, users: Peer) -> Any:
        moved = {"https://sso.example/realms/shop": keycloak.issuer, "https://users.example": users.url}
        return run(read("keycloak", "posts.py", **moved))["app"]

    def test_posts_verifies_and_exchanges(
        self, app: flask.Flask, keycloak: KeycloakShaped, users: Peer
    ) -> None:
        token = keycloak.token(["posts", "account"], scope="email profile posts:read")
        answer = asked(app, token)
        assert answer.status_code == 200, answer.text
        sent = answer.json["users"]["authorization"].removeprefix("Bearer ")
        assert sent != token
        policy = IssuerSettings(keycloak.issuer, token_types=["JWT"], algorithms=["RS256"])
        arrived = Watchword(issuer=policy, audience="users", environ={}).verify(sent)
        assert (answer.json["for"], arrived.subject.id, arrived.claims["azp"]) == (
            "a1b2c3",
            "a1b2c3",
            "posts",
        )
        assert "users:read" in arrived.scope
        assert arrived.actors == ()  # as the page says

    @pytest.mark.threat(47, 48)
    @pytest.mark.parametrize(
        ("claims", "code"),
        [
            ({"typ": "ID"}, "token_type_not_allowed"),
            ({"typ": "Refresh"}, "token_type_not_allowed"),
            ({"typ": "Logout"}, "token_type_not_allowed"),
            ({"aud": "account"}, "token_audience_mismatch"),
            ({"aud": ["users", "account"]}, "token_audience_mismatch"),
            ({"iss": "https://sso.example/realms/other"}, "token_issuer_not_trusted"),
            ({"sub": None}, "token_claim_invalid"),
            ({"azp": None}, "token_claim_invalid"),
        ],
        ids=str,
    )
    def test_what_is_refused_is_what_the_page_says(
        self, app: flask.Flask, keycloak: KeycloakShaped, claims: dict[str, Any], code: str
    ) -> None:
        answer = asked(app, keycloak.signed(keycloak.claims("posts", scope="posts:read") | claims))
        assert (answer.status_code, answer.json["code"]) == (401, code)
        if claims.get("azp", "") is not None:
            assert f"`{code}`" in (PAGES / "keycloak.md").read_text()

    @pytest.mark.parametrize("kind", REFUSED, ids=lambda kind: kind.name.lower())
    def test_a_forged_token_is_refused(
        self, app: flask.Flask, keycloak: KeycloakShaped, kind: Forgery
    ) -> None:
        genuine = draft(keycloak, keycloak.claims("posts", scope="posts:read"))
        assert asked(app, forge(kind, genuine, genuine.key.public.pem())).status_code == 401

    def test_a_scope_that_the_client_scope_does_not_give_is_missed(
        self, app: flask.Flask, keycloak: KeycloakShaped
    ) -> None:
        assert asked(app, keycloak.token("posts")).status_code == 403

    def test_token_types_cannot_be_forgotten(self, keycloak: KeycloakShaped, users: Peer) -> None:
        moved = {"https://sso.example/realms/shop": keycloak.issuer, "https://users.example": users.url}
        text = read("keycloak", "posts.py", **moved, **{'    token_types=["JWT"],\n': ""})
        answer = asked(run(text)["app"], keycloak.token("posts", scope="posts:read"))
        assert (answer.status_code, answer.json["code"]) == (401, "token_type_not_allowed")

    def test_what_keycloak_refuses_is_told_apart(self, keycloak: KeycloakShaped, users: Peer) -> None:
        policy = IssuerSettings(keycloak.issuer, token_types=["JWT"], requested_token_type="access_token")
        elsewhere = keycloak.token("elsewhere")
        for secret, token, options, error, door in (
            ("another", keycloak.token("posts"), {}, "unauthorized_client", "by this proof"),
            (SECRET, elsewhere, {}, "access_denied", "meant for another audience"),
            (
                SECRET,
                keycloak.token("posts"),
                {"audience": "billing"},
                "invalid_request",
                "cannot be exchanged",
            ),
            (SECRET, keycloak.token("posts"), {"scope": ["users:write"]}, "invalid_scope", "users:write"),
        ):
            posts = Watchword(
                issuer=policy, audience=["posts", "elsewhere"], client=SecretAuthentication("posts", secret),
                urls={"users": users.url}, environ={},
            )  # fmt: skip
            with posts.acting_for(token), pytest.raises(ExchangeDenied) as refused:
                posts.session("users", **options).get("/users")
            assert refused.value.error == error
            assert door in str(refused.value)
            assert f"`{error}`" in (PAGES / "keycloak.md").read_text()
            posts.close()

    def test_a_key_does_instead_of_a_secret(self, here: Path, client_key: Any, users: Peer) -> None:
        (here / "posts.key").write_bytes(client_key.insecure_private_pem())
        (here / "posts.key").chmod(0o600)
        issuer = KeycloakShaped(client_key)
        moved = {
            "https://sso.example/realms/shop": issuer.issuer,
            "https://users.example": users.url,
            'client_secret_file="posts.secret"': 'client_key_file="posts.key"',
        }
        with served(issuer):
            app = run(read("keycloak", "posts.py", **moved))["app"]
            for _ in range(2):
                assert asked(app, issuer.token("posts", scope="posts:read")).status_code == 200

    def test_it_stands_beside_our_server(self, keycloak: KeycloakShaped) -> None:
        ww = run(read("keycloak", "both.py", **{"https://sso.example/realms/shop": keycloak.issuer}))["ww"]
        assert ww.verify(keycloak.token("posts")).subject == (keycloak.issuer, "a1b2c3")
        ww.close()


class TestAuth0:
    @pytest.fixture
    def auth0(self) -> Iterator[Auth0Shaped]:
        issuer = Auth0Shaped()
        with served(issuer):
            yield issuer

    @pytest.fixture
    def app(self, auth0: Auth0Shaped) -> Any:
        text = read("auth0-and-firebase", "auth0.py", **{"https://acme.eu.auth0.com/": auth0.issuer})
        return run(text)["app"]

    def test_posts_verifies(self, app: flask.Flask, auth0: Auth0Shaped) -> None:
        assert asked(app, auth0.signed(auth0.claims())).json == {"for": "auth0|5f7c8ec7c33c6c"}

    @pytest.mark.parametrize(
        ("claims", "code"),
        [
            ({"aud": "my_client_id"}, "token_audience_mismatch"),
            ({"nonce": "n", "aud": Auth0Shaped.API}, "token_type_not_allowed"),
            ({"aud": ["https://api.other.example"]}, "token_audience_mismatch"),
            ({"iss": "https://acme.eu.auth0.com"}, "token_issuer_not_trusted"),
        ],
        ids=str,
    )
    def test_what_is_refused_is_what_the_page_says(
        self, app: flask.Flask, auth0: Auth0Shaped, claims: dict[str, Any], code: str
    ) -> None:
        answer = asked(app, auth0.signed(auth0.claims(**claims)))
        assert (answer.status_code, answer.json["code"]) == (401, code)
        assert f"`{code}`" in (PAGES / "auth0-and-firebase.md").read_text()

    def test_a_scope_is_no_permission(self, app: flask.Flask, auth0: Auth0Shaped) -> None:
        for permissions in ([], ["posts:write"], None):
            token = auth0.signed(auth0.claims(permissions=permissions, scope="posts:read"))
            assert asked(app, token).status_code == 403

    @pytest.mark.parametrize("kind", REFUSED, ids=lambda kind: kind.name.lower())
    def test_a_forged_token_is_refused(self, app: flask.Flask, auth0: Auth0Shaped, kind: Forgery) -> None:
        genuine = draft(auth0, auth0.claims())
        assert asked(app, forge(kind, genuine, genuine.key.public.pem())).status_code == 401

    def test_its_rfc_9068_dialect_needs_no_settings(self, auth0: Auth0Shaped) -> None:
        ww = Watchword(issuer=auth0.issuer, audience=Auth0Shaped.API, environ={})
        token = auth0.signed(auth0.claims(azp=None, client_id="web", jti="1"), typ="at+jwt")
        assert ww.verify(token).client_id == "web"


class TestFirebase:
    @pytest.fixture
    def firebase(self) -> Iterator[FirebaseShaped]:
        issuer = FirebaseShaped()
        with served(issuer):
            yield issuer

    @pytest.fixture
    def app(self, firebase: FirebaseShaped) -> Any:
        text = read(
            "auth0-and-firebase", "firebase.py",
            **{
                "https://securetoken.google.com/acme-7d3f1": firebase.issuer,
                f"https://www.googleapis.com{FirebaseShaped.KEYS}": firebase.jwks_uri,
            },
        )  # fmt: skip
        return run(text)["app"]

    def test_posts_verifies(self, app: flask.Flask, firebase: FirebaseShaped) -> None:
        assert asked(app, firebase.signed(firebase.claims())).json == {"for": "Kf3kd93mFkQw2ooPfK1"}

    @pytest.mark.parametrize("kind", REFUSED, ids=lambda kind: kind.name.lower())
    def test_a_forged_token_is_refused(
        self, app: flask.Flask, firebase: FirebaseShaped, kind: Forgery
    ) -> None:
        genuine = draft(firebase, firebase.claims())
        assert asked(app, forge(kind, genuine, genuine.key.public.pem())).status_code == 401

    def test_an_access_token_or_another_project_is_refused(
        self, app: flask.Flask, firebase: FirebaseShaped
    ) -> None:
        for claims in ({"firebase": None}, {"aud": "another-project"}, {"auth_time": None}):
            assert asked(app, firebase.signed(firebase.claims(**claims))).status_code == 401


TRUSTED = [
    ("keycloak", "https://sso.example/realms/shop", KeycloakShaped, "sso|a1b2c3", {"azp": "account-console"}),
    ("auth0-and-firebase", "https://acme.eu.auth0.com/", Auth0Shaped,
     "auth0|auth0|5f7c8ec7c33c6c", {"permissions": []}),
    ("auth0-and-firebase", "https://securetoken.google.com/acme-7d3f1", FirebaseShaped,
     "firebase|Kf3kd93mFkQw2ooPfK1", {"email_verified": False}),
]  # fmt: skip
NEW_SECRET = ("clients", "new-secret", "--client-id", "posts", "--out", "our.secret")
OURS = {
    KeycloakShaped: {"token_types": ["JWT"]},
    Auth0Shaped: {"token_types": ["JWT"], "scope_claim": "permissions", "audience": Auth0Shaped.API},
    FirebaseShaped: {"token_types": ["JWT"], "token_kinds": ["id_token"], "audience": FirebaseShaped.PROJECT},
}


@pytest.fixture
def server(here: Path, free_tcp_port: int) -> Iterator[Callable[[str], str]]:
    """Start `watchword serve` with a trust document; returns its issuer."""
    running: list[subprocess.Popen[bytes]] = []
    url = f"http://127.0.0.1:{free_tcp_port}"

    def start(trust: str) -> str:
        made = subprocess.run(
            [sys.executable, "-m", "watchword", *NEW_SECRET],
            cwd=here, capture_output=True, text=True, check=True,
        )  # fmt: skip
        line = made.stdout.splitlines()[-1]
        (here / "trust.toml").write_text(re.sub(r"^secret_sha256 .*$", line, trust, flags=re.MULTILINE))
        settings = {"WATCHWORD_ISSUER": url, "WATCHWORD_TRUST": "trust.toml"}
        process = subprocess.Popen(
            [sys.executable, "-m", "watchword", "serve"], cwd=here, env=settings, stderr=subprocess.PIPE
        )
        running.append(process)
        while process.poll() is None:
            try:
                with urlopen(f"{url}/health/ready", timeout=5):
                    return url
            except URLError:
                continue
        pytest.fail(str(process.communicate()))

    yield start
    for process in running:
        process.terminate()
        process.communicate(timeout=30)


@pytest.mark.parametrize(
    ("page", "issuer_url", "shape", "subject", "refused"), TRUSTED, ids=["keycloak", "auth0", "firebase"]
)
def test_our_server_takes_its_tokens_with_the_pages_document(
    server: Callable[[str], str], users: Peer, page: str, issuer_url: str, shape: type[Any], subject: str,
    refused: Any,
) -> None:  # fmt: skip
    foreign = shape()
    text = read(page, "trust.toml")
    for line in re.findall(r"^jwks_uri .*$", text, re.MULTILINE):
        if issuer_url in line or (shape is FirebaseShaped and "googleapis" in line):
            text = text.replace(line, f'jwks_uri = "{foreign.jwks_uri}"')
    text = text.replace(f'"{issuer_url}"', f'"{foreign.issuer}"')
    with served(foreign):
        url = server(text)
        demands = IssuerSettings(foreign.issuer, jwks_uri=foreign.jwks_uri, **OURS[shape])
        posts = Watchword(
            issuer=url, trusted_issuers={"foreign": demands},
            audience="posts", client_secret_file="our.secret", urls={"users": users.url}, environ={},
        )  # fmt: skip
        claims = foreign.claims("posts", scope="posts:read") if shape is KeycloakShaped else foreign.claims()
        with posts.acting_for(foreign.signed(claims)):
            sent = posts.session("users").get("/users").json()["authorization"].removeprefix("Bearer ")
        arrived = Watchword(issuer=url, audience="users", environ={}).verify(sent)
        assert (arrived.subject.id, arrived.actors) == (subject, ("service|posts",))
        assert arrived.scope == {"users:read"}
        assert arrived.roles == ({"editor"} if shape is KeycloakShaped else frozenset())
        with posts.acting_for(foreign.signed(claims | refused)), pytest.raises(ExchangeDenied):
            posts.session("users").get("/users")
        posts.close()
