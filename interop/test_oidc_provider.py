"""npm `oidc-provider` as the issuer of services with the SDK, and as one that our token service trusts."""

import base64
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from interop.authority import Authority
from joserfc import jwk

from watchword import Watchword
from watchword.clock import SYSTEM_CLOCK
from watchword.errors import ExchangeDenied
from watchword.testing.forgery import Draft, Forgery, forge
from watchword.tokens.private_key import PrivateKey

PAGE = "oidc-provider"
PACKAGES = Path(__file__).parent / "node_modules"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


class Provider:
    """The page's provider, its keys, and people's tokens of it."""

    def __init__(self, page: Any, running: Any, node: str) -> None:
        self.url = page.url(3000)
        self._page = page
        self._start = lambda: running.start("provider", node, "provider.mjs", port=page.port(3000))
        self._stop = lambda: running.stop("provider")
        self.keys = [self.new_key()]
        self._write()
        self._start()

    @staticmethod
    def new_key() -> Any:
        return jwk.ECKey.generate_key("P-256", {"alg": "ES256", "use": "sig"}, auto_kid=True)

    def _write(self) -> None:
        keys = [key.as_dict(private=True) for key in self.keys]
        (self._page.folder / "provider-keys.json").write_text(json.dumps({"keys": keys}))

    def change_keys(self, *keys: Any) -> None:
        self.keys = [*keys]
        self._write()
        self._stop()
        self._start()

    def draft(self, subject: str = "ada", audience: str = "posts", **claims: Any) -> Draft:
        """Return what the provider would sign for a person who signed in at it."""
        now = int(SYSTEM_CLOCK.now())
        key = PrivateKey.from_pem(self.keys[0].as_pem(private=True), kid=self.keys[0].kid)
        header = {"alg": "ES256", "typ": "at+jwt", "kid": key.kid}
        members = {
            "subject_kind": "person", "jti": f"{subject}-{now}", "sub": subject, "iat": now, "exp": now + 120,
            "scope": f"{audience}:read", "client_id": "web", "iss": self.url, "aud": audience,
        }  # fmt: skip
        return Draft(header, members, key).saying(**claims)


@pytest.fixture(scope="module")
def provider(page: Any, running: Any, installed: Callable[[str], str]) -> Provider:
    node = installed("node")
    if not (PACKAGES / "oidc-provider").is_dir():
        pytest.skip("npm oidc-provider is not installed; run: make interop-deps")
    os.symlink(PACKAGES, page.folder / "node_modules")
    for kind, client in (("key", "posts"), ("secret", "worker")):
        command = ("clients", f"new-{kind}", "--client-id", client, "--out", f"{client}.{kind}")
        assert running.run("watchword", *command).returncode == 0
    openssl = installed("openssl")
    assert running.run(openssl, "pkey", "-in", "posts.key", "-pubout", "-out", "posts.pem").returncode == 0
    page.write("provider.mjs")
    return Provider(page, running, node)


@pytest.fixture(scope="module")
def services(page: Any, running: Any, provider: Provider) -> None:
    page.write("worker.py")
    start_services(page, running, provider)


def start_services(page: Any, running: Any, provider: Provider) -> None:
    for name, port, settings in (
        ("users", 5001, {}),
        ("posts", 5002, {"CLIENT_KEY_FILE": "posts.key", "URL_USERS": page.url(5001)}),
    ):
        page.write(f"{name}.py")
        running.start(
            name, sys.executable, "-m", "flask", "--app", name, "run", "--port", str(page.port(port)),
            port=page.port(port), WATCHWORD_ISSUER=provider.url, WATCHWORD_AUDIENCE=name,
            **{f"WATCHWORD_{setting}": value for setting, value in settings.items()},
        )  # fmt: skip


def worked(running: Any) -> tuple[str, Any]:
    ran = running.run(sys.executable, "worker.py")
    assert ran.returncode == 0, ran.stderr + running.said("posts") + running.said("provider")
    status, _, body = ran.stdout.partition(" ")
    return status, json.loads(body)


def test_a_worker_asks_posts_which_asks_users_for_it(services: None, running: Any) -> None:
    assert worked(running) == ("200", {"subject": "worker", "actors": ["posts"], "aud": ["users"]})


def test_posts_acts_for_a_person(services: None, page: Any, provider: Provider, ask: Any) -> None:
    answer = ask(page.url(5002), provider.draft().signed())
    assert answer.json() == {"subject": "ada", "actors": ["posts"], "aud": ["users"]}


@pytest.mark.parametrize(("port", "audience"), [(5001, "users"), (5002, "posts")], ids=["users", "posts"])
def test_a_forged_token_is_refused(
    services: None, page: Any, provider: Provider, ask: Any, port: int, audience: str, forgery: Forgery
) -> None:
    draft = provider.draft(audience=audience)
    assert ask(page.url(port), draft.signed()).status == 200
    answer = ask(page.url(port), forge(forgery, draft, draft.key.public.pem()))
    assert answer.status == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


def test_a_token_without_the_scope_is_forbidden(
    services: None, page: Any, provider: Provider, ask: Any
) -> None:
    assert ask(page.url(5002), provider.draft(scope="users:read").signed()).status == 403


def test_the_provider_refuses_what_its_own_table_does_not_allow(
    services: None, page: Any, provider: Provider
) -> None:
    posts = Watchword(
        issuer=provider.url, audience="posts", client_key_file=page.folder / "posts.key",
        urls={"users": page.url(5001)}, environ={}, folder=page.folder,
    )  # fmt: skip
    with posts.acting_for(provider.draft().signed()):
        assert posts.session("users", resource="https://users.example").get("/").status_code == 200
        for resource in ("https://posts.example", "https://stranger.example"):
            with pytest.raises(ExchangeDenied) as refused:
                posts.session("users", resource=resource).get("/")
            assert refused.value.error == "invalid_target"
    posts.close()


def test_its_keys_change_and_nobody_notices(
    services: None, page: Any, running: Any, provider: Provider, ask: Any
) -> None:
    for name in ("users", "posts"):  # fresh ones: what forged `kid`s have cost is forgotten
        running.stop(name)
    start_services(page, running, provider)
    first, second = provider.keys[0], provider.new_key()
    old = provider.draft().signed()
    for keys in ([first, second], [second, first]):  # published, then signing
        provider.change_keys(*keys)
        assert worked(running)[0] == "200"
        assert ask(page.url(5002), old).status == 200
        assert ask(page.url(5002), provider.draft().signed()).status == 200


@pytest.fixture(scope="module")
def exchanged(provider: Provider, page: Any, running: Any, ask: Any) -> Iterator[Callable[[str], Any]]:
    """Start our token service, which trusts the provider; returns what it says to posts and a token."""
    authority = Authority(page, running, "users")
    secret = (page.folder / "posts.secret").read_text().strip()
    basic = base64.b64encode(f"posts:{secret}".encode()).decode()

    def post(token: str) -> Any:
        form = {
            "grant_type": EXCHANGE,
            "subject_token": token,
            "subject_token_type": ACCESS_TOKEN,
            "audience": "users",
        }
        return ask(f"{authority.url}/token", data=urlencode(form).encode(), Authorization=f"Basic {basic}")

    yield post
    running.stop("watchword")


def test_our_token_service_takes_a_persons_token_of_it(exchanged: Any, provider: Provider) -> None:
    answer = exchanged(provider.draft().signed())
    assert answer.status == 200, answer.body
    claims = json.loads(base64.urlsafe_b64decode(answer.json()["access_token"].split(".")[1] + "=="))
    assert (claims["sub"], claims["aud"], claims["act"]) == ("op|ada", "users", {"sub": "service|posts"})


def test_our_token_service_takes_no_forged_one(exchanged: Any, provider: Provider, forgery: Forgery) -> None:
    draft = provider.draft()
    answer = exchanged(forge(forgery, draft, draft.key.public.pem()))
    assert (answer.status, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("claims", "error"),
    [
        ({"subject_kind": "service", "sub": "worker"}, "invalid_request"),
        ({"subject_kind": None}, "invalid_request"),
        ({"aud": "users"}, "invalid_request"),
        ({"scope": "posts:write"}, "invalid_scope"),
    ],
    ids=str,
)
def test_our_token_service_refuses_what_the_page_says(
    exchanged: Any, provider: Provider, claims: dict[str, Any], error: str
) -> None:
    answer = exchanged(provider.draft(**claims).signed())
    assert (answer.status, answer.json()["error"]) == (400, error)


def test_our_token_service_takes_no_token_that_the_provider_gave_to_a_client(
    exchanged: Any, provider: Provider, page: Any, ask: Any
) -> None:
    secret = (page.folder / "worker.secret").read_text().strip()
    basic = base64.b64encode(f"worker:{secret}".encode()).decode()
    form = {"grant_type": "client_credentials", "resource": "https://posts.example", "scope": "posts:read"}
    given = ask(f"{provider.url}/token", data=urlencode(form).encode(), Authorization=f"Basic {basic}")
    assert given.status == 200, given.body
    assert exchanged(given.json()["access_token"]).json()["error"] == "invalid_request"
    assert exchanged("an-opaque-token").json()["error"] == "invalid_request"
