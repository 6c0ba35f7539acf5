"""Go and Java: go-oidc, oauth2 and Nimbus, as the page has them."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PAGE = "other-languages"
HERE = Path(__file__).parent
JARS = HERE / "java"
PATIENCE = 300.0  # a first build compiles the standard library, too


@pytest.fixture(scope="module")
def worker(page: Any, running: Any, authority: Any, installed: Callable[[str], str]) -> str:
    """Build the page's Go programs and start the guard; returns the worker."""
    go = installed("go")
    told = subprocess.run(
        [go, "env", "GOCACHE", "GOMODCACHE"], cwd=HERE / "go", capture_output=True, text=True, check=False
    )
    if told.returncode != 0:
        pytest.skip(f"expected the Go of interop/go/go.mod: {told.stderr.strip()}; install it")
    cache, modules = told.stdout.split()
    if not (Path(modules) / "github.com" / "coreos").is_dir():
        pytest.skip("the Go modules are not there; run: make interop-deps")
    for name in ("go.mod", "go.sum"):
        shutil.copy(HERE / "go" / name, page.folder)
    for program in ("guard", "worker"):
        page.write(f"{program}/main.go")
    offline = {"GOCACHE": cache, "GOMODCACHE": modules, "GOPROXY": "off", "GOFLAGS": "-mod=readonly"}
    built = subprocess.run(
        [go, "build", "-o", "bin/", "./guard", "./worker"], cwd=page.folder,
        env=os.environ | offline, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    running.start("guard", page.folder / "bin" / "guard", port=page.port(5001))
    return str(page.folder / "bin" / "worker")


@pytest.fixture(scope="module")
def java(page: Any, running: Any, authority: Any, installed: Callable[[str], str]) -> None:
    program = installed("java")
    found = sorted(JARS.glob("nimbus-jose-jwt-*.jar"))
    if not found:
        pytest.skip("nimbus-jose-jwt is not there; run: make interop-deps")
    source = page.write("Guard.java")
    running.start(
        "java", program, "-XX:TieredStopAtLevel=1", "-cp", found[-1], source,
        port=page.port(5002), patience=PATIENCE,
    )  # fmt: skip


@pytest.fixture(params=["go", "java"])
def guard(request: pytest.FixtureRequest, page: Any) -> str:
    request.getfixturevalue("worker" if request.param == "go" else "java")
    return str(page.url(5001 if request.param == "go" else 5002))


def test_a_worker_in_go_gets_a_token_and_is_let_in(worker: str, guard: str, running: Any) -> None:
    ran = running.run(worker, guard)
    assert (ran.stdout, ran.stderr) == ("200 service|worker\n", "")


def test_a_worker_with_a_wrong_secret_gets_nothing(worker: str, page: Any, running: Any) -> None:
    secret = page.folder / "worker.secret"
    genuine = secret.read_text()
    secret.chmod(0o600)
    try:
        secret.write_text("x" * 43)
        ran = running.run(worker, page.url(5001))
    finally:
        secret.write_text(genuine)
    assert ran.returncode != 0
    assert "invalid_client" in ran.stderr


def test_a_forged_token_is_refused(guard: str, authority: Any, ask: Any, forgery: Any) -> None:
    answer = ask(guard, authority.forge(forgery))
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'


def test_a_token_that_expired_a_second_ago_is_refused(guard: str, authority: Any, ask: Any) -> None:
    draft = authority.draft()
    late = draft.saying(exp=draft.claims["iat"] - 1, iat=draft.claims["iat"] - 100).signed()
    assert ask(guard, late).status == 401


@pytest.mark.parametrize(
    "claims", [{"sub": None}, {"client_id": None}, {"cnf": {"jkt": "of nobody"}}], ids=str
)
def test_what_rfc_9068_demands_is_demanded(
    guard: str, authority: Any, ask: Any, claims: dict[str, Any]
) -> None:
    assert ask(guard, authority.draft().saying(**claims).signed()).status == 401


def test_a_header_parameter_that_must_be_understood_is_refused(guard: str, authority: Any, ask: Any) -> None:
    assert ask(guard, authority.draft().headed(crit=["new"], new=True).signed()).status == 401


def test_a_genuine_token_without_the_scope_is_forbidden(guard: str, authority: Any, ask: Any) -> None:
    for scope in ("posts:write", "posts:readers", "", None):
        assert ask(guard, authority.draft().saying(scope=scope).signed()).status == 403
    assert ask(guard, authority.draft().saying(scope="posts:write posts:read").signed()).status == 200


def test_one_credential_is_asked_for(guard: str, authority: Any, ask: Any, ask_twice: Any) -> None:
    assert ask(guard).status == 401
    assert ask_twice(guard, authority.token(), authority.token()) == 401
