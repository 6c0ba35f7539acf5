"""Apache, with either of two modules that verify tokens; the rest are the page's rules."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from watchword.testing.forgery import Forgery

PAGE = "apache"
PORTS = {"mod_oauth2": 8080, "mod_auth_openidc": 8081}
MODULES = Path("/usr/lib/apache2/modules")
USED = ("mpm_event", "authn_core", "authz_core", "authz_user", "headers", "proxy", "proxy_http", "rewrite")
BASE = """
ServerRoot {folder}
ServerName localhost
User www-data
Group www-data
PidFile {own}.pid
Mutex pthread default
ErrorLog /dev/stderr
{modules}
Include {own}.conf
"""


Started = Callable[..., AbstractContextManager[str]]


@pytest.fixture(scope="module")
def started(page: Any, running: Any, posts: None, over_tls: Any, installed: Callable[[str], str]) -> Started:
    """Start an Apache with one of the modules, which gets its keys from a relay."""
    program = installed("apache2")

    @contextmanager
    def start(name: str, relay: Any, port: int = 0) -> Iterator[str]:
        port = port or page.port(PORTS[name])
        used = [MODULES / f"mod_{module}.so" for module in (*USED, name.removeprefix("mod_"))]
        if not used[-1].exists():
            pytest.skip(f"{used[-1].name} is not installed; run: make interop-deps")
        with TemporaryDirectory() as shown:
            Path(shown).chmod(0o755)  # Apache's processes are www-data's where the test is root's
            ca = Path(shown) / "ca.pem"
            ca.write_bytes(over_tls.ca.read_bytes())
            keys = {
                f"http://127.0.0.1:{page.port(9000)}/.well-known": f"{relay.url}/.well-known",
                "https://tokens.example": relay.url,
                "/etc/ssl/certs/ca-certificates.crt": str(ca),
                f"127.0.0.1:{page.port(PORTS[name])}": f"127.0.0.1:{port}",
            }
            own = f"{name}-{port}"
            page.write(f"{name}.conf", **keys).rename(page.folder / f"{own}.conf")
            modules = "\n".join(
                f"LoadModule {module.stem.removeprefix('mod_')}_module {module}" for module in used
            )
            base = page.folder / f"{own}.base"
            base.write_text(BASE.format(folder=page.folder, own=own, modules=modules))
            running.start(own, program, "-D", "FOREGROUND", "-f", base, port=port)
            yield f"http://127.0.0.1:{port}"
            running.stop(own)

    return start


@pytest.fixture(scope="module", params=PORTS)
def relay(request: pytest.FixtureRequest, over_tls: Any) -> Iterator[Any]:
    """The published keys, and how often they were asked for; over TLS where the module wants it."""
    with over_tls.serving("localhost", plain=request.param == "mod_oauth2") as published:
        published.module = request.param
        yield published


@pytest.fixture(scope="module")
def gateway(started: Started, relay: Any) -> Iterator[str]:
    with started(relay.module, relay) as url:
        yield url


def test_a_genuine_token_passes_and_the_service_learns_its_subject(
    gateway: str, authority: Any, ask: Any
) -> None:
    answer = ask(gateway, authority.token(), X_Token_Subject="forged")
    assert (answer.status, answer.body) == (200, b"service|worker")


def test_a_forged_token_is_refused_but_for_its_type(
    gateway: str, authority: Any, ask: Any, forgery: Any
) -> None:
    answer = ask(gateway, authority.forge(forgery))
    if forgery is Forgery.WRONG_TYPE:
        assert answer.status == 200  # the one that it lets through, as the page says
        return
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Bearer ")


def test_a_token_that_expired_a_second_ago_is_refused(gateway: str, authority: Any, ask: Any) -> None:
    draft = authority.draft()
    late = draft.saying(exp=draft.claims["iat"] - 1, iat=draft.claims["iat"] - 100).signed()
    assert ask(gateway, late).status == 401


def test_without_a_token_one_is_asked_for(gateway: str, authority: Any, ask: Any) -> None:
    assert ask(gateway).headers["www-authenticate"].startswith("Bearer ")
    assert ask(gateway, Authorization="Basic eDp5").status == 401
    assert ask(f"{gateway}/?access_token={authority.token()}").status == 401


def test_a_genuine_token_without_the_scope_is_forbidden(gateway: str, authority: Any, ask: Any) -> None:
    for scope in ("posts:write", "posts:readers", "my-posts:read", "", None):
        answer = ask(gateway, authority.draft().saying(scope=scope).signed())
        assert answer.status == 403
        assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
    wide = authority.draft().saying(scope="posts:write posts:read").signed()
    assert ask(gateway, wide).status == 200


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "p osts"},
        {"aud": ["users", "posts"]},
        {"sub": "john\r\nX-Token-Subject: root"},
        {"sub": "john\n"},
        {"client_id": None},
        {"cnf": {"jkt": "of a key that nobody shows"}},
    ],
    ids=str,
)
def test_what_the_module_lets_through_the_rules_refuse(
    gateway: str, authority: Any, ask: Any, claims: dict[str, Any]
) -> None:
    answer = ask(gateway, authority.draft().saying(**claims).signed())
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'


def test_what_it_does_not_look_at_is_what_the_page_says(gateway: str, authority: Any, ask: Any) -> None:
    draft = authority.draft()
    assert ask(gateway, draft.headed(crit=["new"], new=True).signed()).status == 200
    assert ask(gateway, draft.saying(nbf=draft.claims["exp"] - 1).signed()).status == 200


def test_two_credentials_are_refused(gateway: str, authority: Any, ask_twice: Any) -> None:
    assert ask_twice(gateway, authority.token(), authority.token()) == 401


def test_each_token_that_does_not_verify_asks_the_issuer(
    gateway: str, authority: Any, ask: Any, relay: Any
) -> None:
    before = relay.asked
    for _ in range(3):
        assert ask(gateway, authority.forge(Forgery.UNKNOWN_KID)).status == 401
    assert relay.asked == before + 3


@pytest.mark.parametrize("certificate", [{}, {"trusted": False}, {"name": "other.example"}], ids=str)
def test_keys_are_taken_from_the_named_server_alone(
    started: Started, page: Any, over_tls: Any, authority: Any, ask: Any, certificate: dict[str, Any]
) -> None:
    with over_tls.serving(**{"name": "localhost"} | certificate) as published:
        published.url = f"https://localhost:{published.port}"
        with started("mod_auth_openidc", published, page.port(5003)) as gateway:
            assert ask(gateway, authority.token()).status == (401 if certificate else 200)
