"""nginx asks a process with the SDK, and refuses what that refuses."""

import sys
from collections.abc import Callable
from typing import Any

import pytest

PAGE = "nginx"


@pytest.fixture(scope="module")
def gateway(page: Any, running: Any, authority: Any, posts: None, installed: Callable[[str], str]) -> str:
    nginx = installed("nginx")
    page.write("gate.py")
    running.start(
        "gate", sys.executable, "-m", "uvicorn", "gate:app", "--port", str(page.port(9100)),
        port=page.port(9100), WATCHWORD_ISSUER=authority.url, WATCHWORD_AUDIENCE="posts",
    )  # fmt: skip
    here = f"daemon off; pid {page.folder}/nginx.pid; error_log stderr;"
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")  # an unprivileged nginx writes here, too
    places = "".join(f"{kind}_temp_path {page.folder}/{kind}; " for kind in kinds)
    configuration = page.write("nginx.conf", **{"http {": f"http {{ access_log off; {places}"})
    running.start(
        "nginx",
        nginx,
        "-p",
        page.folder,
        "-e",
        "stderr",
        "-c",
        configuration,
        "-g",
        here,
        port=page.port(8080),
    )
    return str(page.url(8080))


def test_a_genuine_token_passes_and_the_service_learns_its_subject(
    gateway: str, authority: Any, ask: Any
) -> None:
    answer = ask(gateway, authority.token(), X_Token_Subject="forged")
    assert (answer.status, answer.body) == (200, b"service|worker")


def test_a_forged_token_is_refused(gateway: str, authority: Any, ask: Any, forgery: Any) -> None:
    answer = ask(gateway, authority.forge(forgery))
    assert answer.status == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


def test_without_a_token_one_is_asked_for(gateway: str, ask: Any) -> None:
    answer = ask(gateway)
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert "error" not in answer.headers["www-authenticate"]


def test_a_genuine_token_without_the_scope_is_forbidden(gateway: str, authority: Any, ask: Any) -> None:
    answer = ask(gateway, authority.draft().saying(scope="posts:write").signed())
    assert answer.status == 403
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]


def test_a_subject_cannot_bring_a_header_along(gateway: str, authority: Any, ask: Any) -> None:
    hostile = authority.draft().saying(sub="john\r\nX-Token-Subject: root").signed()
    answer = ask(gateway, hostile)
    assert answer.status == 401 or answer.body == b"john%0D%0AX-Token-Subject:%20root"


def test_two_credentials_never_pass(gateway: str, authority: Any, ask_twice: Any) -> None:
    assert ask_twice(gateway, authority.token(), authority.token()) in {400, 401}


def test_nobody_passes_when_the_process_is_gone(gateway: str, authority: Any, running: Any, ask: Any) -> None:
    token = authority.token()
    assert ask(gateway, token).status == 200
    running.stop("gate")
    assert ask(gateway, token).status == 500
