"""Envoy verifies with `jwt_authn`; what that does not look at are the page's rules for `rbac`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from watchword.testing.forgery import Forgery
from watchword.testing.issuer import TestIssuer

PAGE = "envoy"
PROGRAMS = Path(__file__).resolve().parents[1] / ".venv-interop" / "bin"
FORBIDDEN = {Forgery.WRONG_TYPE, Forgery.WRONG_AUDIENCE}

Start = Callable[..., str]


@pytest.fixture(scope="module")
def envoy(page: Any, running: Any, authority: Any, posts: None, installed: Callable[..., str]) -> Start:
    """Start an Envoy with the page's configuration, changed where the test says; returns its address."""
    program = installed("envoy", folder=PROGRAMS)

    def start(name: str, port: int, **changed: str) -> str:
        configuration = page.write("envoy.yaml", **changed).rename(page.folder / f"{name}.yaml")
        running.start(
            name, program, "--config-path", configuration, "--concurrency", "1", "--disable-hot-restart",
            port=port,
        )  # fmt: skip
        return f"http://127.0.0.1:{port}"

    return start


@pytest.fixture(scope="module")
def gateway(envoy: Start, page: Any) -> str:
    return envoy("envoy", page.port(8080))


def test_a_genuine_token_passes_and_the_service_learns_its_subject(
    gateway: str, authority: Any, ask: Any
) -> None:
    answer = ask(gateway, authority.token(), X_Token_Subject="forged")
    assert (answer.status, answer.body) == (200, b"service|worker")


def test_a_forged_token_is_refused(gateway: str, authority: Any, ask: Any, forgery: Any) -> None:
    answer = ask(gateway, authority.forge(forgery))
    assert answer.status == (403 if forgery in FORBIDDEN else 401)
    assert answer.headers["www-authenticate"].startswith("Bearer ")


def test_a_token_that_expired_three_seconds_ago_is_refused(gateway: str, authority: Any, ask: Any) -> None:
    draft = authority.draft()
    late = draft.saying(exp=draft.claims["iat"] - 3, iat=draft.claims["iat"] - 100).signed()
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
        {"aud": "https://posts/"},
        {"sub": None},
        {"sub": "john\r\nX-Token-Subject: root"},
        {"cnf": {"jkt": "of a key that nobody shows"}},
    ],
    ids=str,
)
def test_what_jwt_authn_lets_through_the_rules_refuse(
    gateway: str, authority: Any, ask: Any, claims: dict[str, Any]
) -> None:
    assert ask(gateway, authority.draft().saying(**claims).signed()).status == 403


def test_a_header_parameter_that_must_be_understood_is_refused(
    gateway: str, authority: Any, ask: Any
) -> None:
    assert ask(gateway, authority.draft().headed(crit=["new"], new=True).signed()).status == 403


def test_two_credentials_are_refused(gateway: str, authority: Any, ask_twice: Any) -> None:
    assert ask_twice(gateway, authority.token(), authority.token()) == 401


def test_a_changed_key_is_taken_up_before_it_signs(envoy: Start, running: Any, ask: Any, page: Any) -> None:
    with TestIssuer.serving() as issuer:
        its = {f"127.0.0.1:{page.port(9000)}": issuer.url.removeprefix("http://")}
        port = issuer.url.rpartition(":")[2]
        here = {f"port_value: {page.port(9000)}": f"port_value: {port}", "600s": "0.2s"}
        other = page.port(5003)
        gateway = envoy("changing", other, **its, **here, **{str(page.port(8080)): str(other)})
        before = issuer.token(audience="posts", scope="posts:read")
        assert ask(gateway, before).status == 200
        issuer.prepare()
        issuer.rotate()
        after = issuer.token(audience="posts", scope="posts:read")
        running.wait_for("changing", lambda: ask(gateway, after).status == 200 or None)
        assert ask(gateway, before).status == 200
        running.stop("changing")


@pytest.mark.parametrize(
    ("served", "status"),
    [({}, 200), ({"name": "other.example"}, 401), ({"trusted": False}, 401)],
    ids=["genuine", "another name", "another CA"],
)
def test_keys_over_tls_are_taken_from_the_named_server_alone(
    envoy: Start, running: Any, authority: Any, ask: Any, page: Any, over_tls: Any, served: Any, status: int
) -> None:
    with over_tls.serving(**served) as published:
        plain = f"port_value: {page.port(9000)}"
        here = page.port(5004)
        tls = {
            "    - name: watchword\n": f"    - name: watchword\n{page.text('tls.yaml')}",
            plain: f"port_value: {published.port}",
            str(page.port(8080)): str(here),
        }
        gateway = envoy("tls", here, **tls)
        assert ask(gateway, authority.token()).status == status
        running.stop("tls")
