"""Authlib as a client of the token endpoint; what it got is shown to services with the SDK."""

import json
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from typing import Any

import pytest

from watchword.errors import TokenError
from watchword.service import Watchword
from watchword.testing.forgery import Forgery
from watchword.testing.serving import serving_wsgi

PAGE = "authlib"


@pytest.fixture(scope="module", autouse=True)
def services(page: Any, running: Any, authority: Any) -> Iterator[None]:
    """Services that say what they found in their token, at the addresses of the page."""
    with (
        closing(Watchword(issuer=authority.url, audience="posts", environ={}, folder=page.folder)) as posts,
        closing(Watchword(issuer=authority.url, audience="users", environ={}, folder=page.folder)) as users,
        serving(posts) as posts_url,
        serving(users) as users_url,
    ):
        moved = {page.url(5002): posts_url, page.url(5001): users_url}
        for title in page.titles - {"trust.toml"}:
            page.write(title, **moved)
        yield


def serving(watchword: Watchword) -> AbstractContextManager[str]:
    def application(environ: Any, start: Any) -> list[bytes]:
        try:
            token = watchword.verify(environ["HTTP_AUTHORIZATION"].removeprefix("Bearer "))
        except TokenError as error:
            start("401 Unauthorized", [])
            return [error.code.encode()]
        start("200 OK", [("Content-Type", "application/json")])
        return [json.dumps([token.subject.id, *sorted(token.scope), *token.actors]).encode()]

    return serving_wsgi(application)


def answered(ran: Any) -> list[str]:
    assert ran.returncode == 0, ran.stderr
    status, _, body = ran.stdout.partition(" ")
    assert status == "200", ran.stdout
    return list(json.loads(body))


def test_a_worker_with_a_secret(running: Any) -> None:
    assert answered(running.run(sys.executable, "worker.py")) == ["service|worker", "posts:read"]


def test_a_worker_with_a_key(running: Any) -> None:
    assert answered(running.run(sys.executable, "reporter.py")) == ["service|reporter", "posts:read"]


def test_an_exchange(running: Any, authority: Any) -> None:
    ran = running.run(sys.executable, "exchange.py", said=authority.token())
    assert answered(ran) == ["service|worker", "users:read", "service|posts"]


@pytest.mark.parametrize(
    "kind", [Forgery.EXPIRED, Forgery.WRONG_AUDIENCE, Forgery.TAMPERED, Forgery.FOREIGN_KEY]
)
def test_a_forged_token_is_not_exchanged(running: Any, authority: Any, kind: Forgery) -> None:
    ran = running.run(sys.executable, "exchange.py", said=authority.forge(kind))
    assert ran.returncode != 0
    assert "OAuthError: invalid_request" in ran.stderr


@pytest.mark.parametrize("script", ["worker", "reporter"])
def test_a_wrong_secret_or_key_gets_nothing(page: Any, running: Any, script: str) -> None:
    kind = "secret" if script == "worker" else "key"
    made = running.run(
        "watchword", "clients", f"new-{kind}", "--client-id", script, "--out", f"stranger.{kind}"
    )
    assert made.returncode == 0, made.stderr
    text = page.text(f"{script}.py", **{f'"{script}.{kind}"': f'"stranger.{kind}"'})
    (page.folder / f"stranger_{script}.py").write_text(text)
    ran = running.run(sys.executable, f"stranger_{script}.py")
    assert ran.returncode != 0
    assert "OAuthError: invalid_client" in ran.stderr


def test_an_assertion_that_lives_for_an_hour_is_refused(page: Any, running: Any) -> None:
    text = page.text("reporter.py", **{", expires_in=60": ""})
    (page.folder / "hour.py").write_text(text)
    assert "OAuthError: invalid_client" in running.run(sys.executable, "hour.py").stderr


def test_an_assertion_for_the_token_endpoint_is_refused(page: Any, running: Any) -> None:
    text = page.text("reporter.py", **{"auth.client_id, ISSUER": "auth.client_id, token_endpoint"})
    (page.folder / "endpoint.py").write_text(text)
    assert "OAuthError: invalid_client" in running.run(sys.executable, "endpoint.py").stderr


def test_an_audience_that_no_rule_allows_is_refused(page: Any, running: Any) -> None:
    text = page.text("worker.py", **{'audience="posts"': 'audience="users"'})
    (page.folder / "elsewhere.py").write_text(text)
    assert "OAuthError: invalid_target" in running.run(sys.executable, "elsewhere.py").stderr
