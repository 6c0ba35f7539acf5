"""Apache, with either of two modules that verify tokens; the rest are the page's rules."""

from collections.abc import Callable, Iterator
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
PidFile {name}.pid
Mutex pthread default
ErrorLog /dev/stderr
{modules}
Include {name}.conf
"""


@pytest.fixture(scope="module")
def relay(over_tls: Any) -> Iterator[Any]:
    """The published keys over https, and how often they were asked for."""
    with over_tls.serving("localhost") as published:
        yield published


@pytest.fixture(scope="module", params=PORTS)
def gateway(
    request: pytest.FixtureRequest, page: Any, running: Any, posts: None, over_tls: Any, relay: Any,
    installed: Callable[[str], str],
) -> Iterator[str]:  # fmt: skip
    program = installed("apache2")
    name = request.param
    used = [MODULES / f"mod_{module}.so" for module in (*USED, name.removeprefix("mod_"))]
    if not used[-1].exists():
        pytest.skip(f"{used[-1].name} is not installed; run: make interop-deps")
    with TemporaryDirectory() as shown:
        Path(shown).chmod(0o755)  # Apache's processes are www-data's where the test is root's
        ca = Path(shown) / "ca.pem"
        ca.write_bytes(over_tls.ca.read_bytes())
        page.write(
            f"{name}.conf",
            **{"https://tokens.example": relay.url, "/etc/ssl/certs/ca-certificates.crt": str(ca)},
        )
        modules = "\n".join(
            f"LoadModule {module.stem.removeprefix('mod_')}_module {module}" for module in used
        )
        base = page.folder / f"{name}.base"
        base.write_text(BASE.format(folder=page.folder, name=name, modules=modules))
        running.start(name, program, "-D", "FOREGROUND", "-f", base, port=page.port(PORTS[name]))
        yield page.url(PORTS[name])
        running.stop(name)


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
    gateway: str, authority: Any, ask: Any, relay: Any, request: pytest.FixtureRequest
) -> None:
    if "mod_auth_openidc" not in request.node.callspec.id:
        return
    before = relay.asked
    for _ in range(3):
        ask(gateway, authority.forge(Forgery.UNKNOWN_KID))
    assert relay.asked == before + 3
