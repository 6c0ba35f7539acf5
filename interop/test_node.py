"""Node.js: jose, openid-client, oauth4webapi and express-oauth2-jwt-bearer, as the page has them."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PAGE = "node"
PACKAGES = Path(__file__).parent / "node_modules"
ASKED = {"jose": 5002, "express-oauth2-jwt-bearer": 5001, "oauth4webapi": 5003}
MEANT = {"express-oauth2-jwt-bearer": {"aud": "users", "scope": "users:read"}}


@pytest.fixture(scope="module")
def node(page: Any, running: Any, authority: Any, installed: Callable[[str], str]) -> str:
    program = installed("node")
    for package in json.loads((PACKAGES.parent / "package.json").read_text())["dependencies"]:
        if not (PACKAGES / package).is_dir():
            pytest.skip(f"npm {package} is not installed; run: make interop-deps")
    os.symlink(PACKAGES, page.folder / "node_modules")
    for title in page.titles - {"trust.toml"}:
        page.write(title)
    for name, port in (("users", 5001), ("posts", 5002), ("guard", 5003)):
        running.start(name, program, f"{name}.mjs", port=page.port(port))
    return program


def test_a_worker_asks_posts_which_asks_users_for_it(node: str, running: Any) -> None:
    ran = running.run(node, "worker.mjs")
    assert ran.returncode == 0, ran.stderr + running.said("posts")
    status, _, body = ran.stdout.partition(" ")
    assert (status, json.loads(body)) == ("200", {"subject": "service|worker", "actor": "service|posts"})


def test_a_worker_with_a_wrong_secret_gets_nothing(node: str, page: Any, running: Any) -> None:
    secret = page.folder / "worker.secret"
    genuine = secret.read_text()
    secret.chmod(0o600)
    try:
        secret.write_text("x" * 43)
        ran = running.run(node, "worker.mjs")
    finally:
        secret.write_text(genuine)
    assert ran.returncode != 0
    assert "OAUTH_WWW_AUTHENTICATE_CHALLENGE" in ran.stderr


def test_posts_with_a_wrong_key_gets_no_exchange(
    node: str, page: Any, running: Any, authority: Any, ask: Any
) -> None:
    stranger = running.run("watchword", "clients", "new-key", "--client-id", "posts", "--out", "stranger.key")
    assert stranger.returncode == 0, stranger.stderr
    page.write("posts.mjs", **{"'posts.key'": "'stranger.key'", str(page.port(5002)): str(page.port(5004))})
    running.start("stranger", node, "posts.mjs", port=page.port(5004))
    assert ask(page.url(5004), authority.token()).status == 502
    assert "OAUTH_WWW_AUTHENTICATE_CHALLENGE" in running.said("stranger")


@pytest.mark.parametrize("package", ASKED)
def test_a_genuine_token_is_accepted(node: str, page: Any, authority: Any, ask: Any, package: str) -> None:
    token = authority.draft().saying(**MEANT.get(package, {})).signed()
    if package == "jose":
        token = authority.token()  # posts exchanges it, so that it must be the very token that was issued
    assert ask(page.url(ASKED[package]), token).status == 200


@pytest.mark.parametrize("package", ASKED)
def test_a_forged_token_is_refused(
    node: str, page: Any, authority: Any, ask: Any, package: str, forgery: Any
) -> None:
    answer = ask(page.url(ASKED[package]), authority.forge(forgery, **MEANT.get(package, {})))
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("package", ASKED)
def test_without_a_token_one_is_asked_for(node: str, page: Any, ask: Any, package: str) -> None:
    answer = ask(page.url(ASKED[package]))
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("package", ASKED)
def test_a_genuine_token_without_the_scope_is_forbidden(
    node: str, page: Any, authority: Any, ask: Any, package: str
) -> None:
    token = authority.draft().saying(**MEANT.get(package, {}) | {"scope": "posts:readers"}).signed()
    assert ask(page.url(ASKED[package]), token).status == 403
