"""HAProxy verifies signatures; the rest is the page's rules."""

import sys
from collections.abc import Callable
from typing import Any

import pytest

from watchword.testing.issuer import TestIssuer

PAGE = "haproxy"


@pytest.fixture(scope="module")
def gateway(page: Any, running: Any, authority: Any, posts: None, installed: Callable[[str], str]) -> str:
    haproxy = installed("haproxy")
    fetch = page.write("fetch_keys.py")
    (page.folder / "keys").mkdir()
    fetched = running.run(sys.executable, fetch, authority.url, page.folder / "keys")
    assert fetched.stdout == "changed\n", fetched.stderr
    again = running.run(sys.executable, fetch, authority.url, page.folder / "keys")
    assert again.stdout == "as before\n", again.stderr
    running.start("haproxy", haproxy, "-db", "-f", page.write("haproxy.cfg"), port=page.port(8080))
    return str(page.url(8080))


def test_a_genuine_token_passes_and_the_service_learns_its_subject(
    gateway: str, authority: Any, ask: Any
) -> None:
    answer = ask(gateway, authority.token(), X_Token_Subject="forged")
    assert (answer.status, answer.body) == (200, b"service|worker")


def test_a_forged_token_is_refused(gateway: str, authority: Any, ask: Any, forgery: Any) -> None:
    answer = ask(gateway, authority.forge(forgery))
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'


def test_without_a_token_one_is_asked_for(gateway: str, ask: Any) -> None:
    assert ask(gateway).headers["www-authenticate"] == "Bearer"
    assert ask(gateway, Authorization="Basic eDp5").status == 401


def test_a_genuine_token_without_the_scope_is_forbidden(gateway: str, authority: Any, ask: Any) -> None:
    for scope in ("posts:write", "posts:readers", "my-posts:read", ""):
        assert ask(gateway, authority.draft().saying(scope=scope).signed()).status == 403
    wide = authority.draft().saying(scope="posts:write posts:read").signed()
    assert ask(gateway, wide).status == 200


def test_a_subject_cannot_bring_a_header_along(gateway: str, authority: Any, ask: Any) -> None:
    hostile = authority.draft().saying(sub="john\r\nX-Token-Subject: root").signed()
    assert ask(gateway, hostile).status == 401


def test_two_credentials_are_refused(gateway: str, authority: Any, ask_twice: Any) -> None:
    assert ask_twice(gateway, authority.token(), authority.token()) == 400


def test_every_published_key_gets_its_file(page: Any, running: Any) -> None:
    folder = page.folder / "changing"
    folder.mkdir()
    with TestIssuer.serving() as issuer:
        issuer.prepare()
        ran = running.run(sys.executable, page.write("fetch_keys.py"), issuer.url, folder)
    assert ran.stdout == "changed\n", ran.stderr
    first, second, third = ((folder / f"{number}.pem").read_bytes() for number in (1, 2, 3))
    assert first == issuer.public_pem() != second == third
