"""OpenBao takes our tokens at its `jwt` method."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from watchword.testing.forgery import Forgery

PAGE = "openbao"
AUDIENCE = "bao"
ROOT = Path(__file__).resolve().parents[1]
PASSWORD = "correct horse"


class Bao:
    def __init__(self, running: Any, folder: Path, url: str, root: str) -> None:
        self._running = running
        self._settings = {
            "BAO_ADDR": url,
            "PATH": f"{folder}:{os.environ['PATH']}",
            "HOME": str(running.folder),
        }
        self._root = {"BAO_TOKEN": root}

    def as_root(self, *argv: str | Path) -> None:
        ran = self._running.run(*argv, **self._settings, **self._root)
        assert ran.returncode == 0, ran.stderr

    def login(self, token: str) -> tuple[str, str]:
        """Return what the page's last command says when it is given a token."""
        ran = self._running.run("sh", "login.sh", said=token, **self._settings)
        return ran.stdout.strip(), ran.stderr


@pytest.fixture(scope="module")
def bao(page: Any, running: Any, authority: Any, installed: Callable[..., str]) -> Bao:
    folder = ROOT / ".venv-interop" / "bin"
    program = installed("bao", folder=folder)
    listen = f"127.0.0.1:{page.port(5004)}"
    running.start(
        "bao", program, "server", "-dev", "-dev-no-store-token",
        "-dev-root-token-id=root", f"-dev-listen-address={listen}", port=page.port(5004),
    )  # fmt: skip
    bao = Bao(running, folder, page.url(5004), "root")
    bao.as_root("sh", "-e", page.write("setup.sh"))
    bao.as_root("bao", "kv", "put", "secret/posts/database", f"password={PASSWORD}")
    page.write("login.sh")
    return bao


def test_a_service_logs_in_with_its_token_and_reads_its_secret(bao: Bao, authority: Any) -> None:
    assert bao.login(authority.token()) == (PASSWORD, "")


def test_a_forged_token_is_no_login_but_for_its_type(bao: Bao, authority: Any, forgery: Any) -> None:
    said, why = bao.login(authority.forge(forgery))
    if forgery is Forgery.WRONG_TYPE:
        assert said == PASSWORD  # the one that it lets through, as the page says
        return
    assert said == ""
    assert "Code: 400" in why


@pytest.mark.parametrize("claims", [{"sub": "service|other"}, {"client_id": "other"}, {"scope": "bao:read"}])
def test_a_genuine_token_of_somebody_else_is_no_login(
    bao: Bao, authority: Any, claims: dict[str, str]
) -> None:
    said, why = bao.login(authority.draft().saying(**claims).signed())
    assert said == ""
    assert "Code: 400" in why


def test_a_token_that_expired_a_second_ago_is_no_login(bao: Bao, authority: Any) -> None:
    draft = authority.draft()
    late = draft.saying(exp=draft.claims["iat"] - 1, iat=draft.claims["iat"] - 100).signed()
    assert bao.login(late)[0] == ""
