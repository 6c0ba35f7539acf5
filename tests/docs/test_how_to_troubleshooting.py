"""Troubleshooting starts from the error text: each text on the page is provoked here, for real."""

import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from flask import Flask

from watchword import errors
from watchword.flask import Watchword
from watchword.service import Watchword as Plain
from watchword.testing import Forgery, TestIssuer
from watchword.testing.peers import IssuingPeer, Peer, Reply
from watchword.tokens.private_key import PrivateKey

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "how-to" / "troubleshooting.md").read_text()
VARIES = [
    (r"http://127\.0\.0\.1:\d+|127\.0\.0\.1:\d+", "HOST"),
    (r"[A-Za-z0-9_-]{43}", "KID"),
    (r"(?<=process )\d+", "PID"),
    (r"(?<=expired )\d+", "N"),
    (r"/\S*/(?=watchword-data|other\.sock|k\.pem)", ""),
]
Told = dict[str, Any]


class Said:
    """What was said in a test, and whether the page quotes it."""

    def __init__(self) -> None:
        self.texts: set[str] = set()

    def add(self, *texts: str) -> None:
        self.texts.update(map(plain, texts))

    def demand(self, *titles: str) -> None:
        """Every text in these parts of the page was said here."""
        parts = [part for part in re.split(r"^## ", PAGE, flags=re.MULTILINE) if part.startswith(titles)]
        assert len(parts) == len(titles)
        quoted = re.findall(r"^```text\n(.*?)\n^```", "".join(parts), re.MULTILINE | re.DOTALL)
        assert quoted
        assert [text for text in map(plain, quoted) if text not in self.texts] == []


def plain(text: str) -> str:
    for pattern, name in VARIES:
        text = re.sub(pattern, name, text)
    return text


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[Said]:
    """Keeps what a service logs, too."""
    said = Said()

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.add(record.getMessage())

    caplog.set_level(logging.INFO, "watchword")
    keeping = Keeping()
    logging.getLogger("watchword").addHandler(keeping)
    yield said
    logging.getLogger("watchword").removeHandler(keeping)


def service(**told: Any) -> tuple[Watchword, Any]:
    """A Flask service that guards, and that calls users."""
    app = Flask(__name__)
    auth = Watchword(app, **{"issuer": "https://login.example", "audience": "posts", "environ": {}} | told)

    @app.get("/")
    @auth.require("posts:read", "posts:write", role="editor")
    def guarded() -> str:
        return "in"

    @app.get("/users")
    @auth.require()
    def calling() -> str:
        auth.session("users").get("/users", timeout=0.2).raise_for_status()
        return "called"

    return auth, app.test_client()


def call(client: Any, token: str | None = None, path: str = "/", scheme: str = "Bearer") -> int:
    headers = {} if token is None else {"Authorization": f"{scheme} {token}"}
    status: int = client.get(path, headers=headers).status_code
    return status


def test_what_a_guard_refuses(said: Said) -> None:
    auth, client = service()
    with TestIssuer("http://127.0.0.1:9000") as issuer:
        issuer.install(auth)
        everything: Told = {"scope": "posts:read posts:write", "roles": ["editor"]}
        assert call(client, issuer.token(**everything)) == 200
        for forgery in Forgery:
            assert call(client, issuer.forge(forgery, **everything)) == 401
        for wrong in ({"iss": "http://localhost:9000"}, {"aud": "users"}, {"client_id": None}):
            assert call(client, issuer.token(claims=wrong, **everything)) == 401
        assert call(client, issuer.token(header={"kid": None}, **everything)) == 401
        assert call(client) == call(client, "undefined") == call(client, "null") == 401
        assert call(client, "two tokens") == 400
        assert call(client, issuer.token(scope="posts:read")) == 403
        assert call(client, issuer.token(scope="posts:read posts:write")) == 403
        alive = issuer.token(**everything)
        issuer.revoke_key()
        issuer.clock.advance(30)  # a key that nobody knows was asked for a moment ago
        assert call(client, issuer.token(**everything)) == 200  # the new key is asked for
        assert call(client, alive) == 401
    said.demand("401", "400", "403")


def test_what_becomes_of_calls_to_others(said: Said, tmp_path: Path) -> None:
    key = tmp_path / "posts.key"
    key.write_bytes(PrivateKey.generate().insecure_private_pem())
    issuer, users, gone, enough = IssuingPeer(), Peer(Reply(500, {})), Peer(), threading.Event()
    told: Told = {"issuer": issuer.url, "client_key_file": key}
    (auth, client), (lonely, alone) = (service(**told, urls={"users": peer.url}) for peer in (users, gone))
    with gone.running():
        pass  # from now on nobody listens there
    with users.running():
        with issuer.running():
            assert call(client, issuer.token(), "/users") == 502
            users.routes["/users"] = lambda *_: Reply(200, {"waited": enough.wait(10)})
            assert call(client, issuer.token(), "/users") == 504
            enough.set()
            assert call(alone, issuer.token(), "/users") == 502
            issuer.denial = Reply(400, {"error": "invalid_target"})
            assert call(client, issuer.token(), "/users") == 502
            keys = issuer.routes["/.well-known/jwks.json"]
            issuer.routes["/.well-known/jwks.json"] = lambda *_: Reply(200, {"hello": "world"})
            unlucky, first = service(**told)
            assert call(first, issuer.token()) == 503
            issuer.routes["/.well-known/jwks.json"] = keys
        assert call(client, issuer.token(), "/users") == 503
        late, second = service(**told)
        assert call(second, issuer.token()) == 503
    for made in (auth, lonely, unlucky, late):
        made.close()
    said.demand("502")


def test_what_is_raised_in_code_of_ones_own(said: Said, tmp_path: Path) -> None:
    auth, _ = service()
    with TestIssuer() as issuer:
        issuer.install(auth, urls={"users": "http://127.0.0.1:5001"})
        with pytest.raises(errors.NoCaller) as nobody:
            auth.session("users")
        with auth.acting_for(issuer.token()), pytest.raises(errors.DestinationRefused) as elsewhere:
            auth.session("users").get("http://127.0.0.1:1/users")
        said.add(f"NoCaller: {nobody.value}", f"DestinationRefused: {elsewhere.value}")
    (tmp_path / "k.pem").write_text("no key")
    told: Told = {"issuer": "http://127.0.0.1:9000", "audience": "posts"}
    plain_http, no_key = {"urls": {"users": "http://users.example"}}, {"client_key_file": tmp_path / "k.pem"}
    for arguments in ({}, told | plain_http, told | no_key):
        with pytest.raises(errors.ConfigurationError) as wrong:
            Plain(folder=tmp_path, environ={}, **arguments)
        said.add(f"ConfigurationError: {wrong.value}")
    _command(said, tmp_path, "serve", ISSUER="http://127.0.0.1:9000", ISSUR="x")
    said.demand("500")


def test_what_the_token_service_says(said: Said, tmp_path: Path, reader: Any) -> None:
    (tmp_path / "trust.toml").write_text((ROOT / "examples" / "trust.toml").read_text())
    page = (ROOT / "examples" / "README.md").read_text()
    (set_up,) = (block for block in re.findall(r"^```sh\n[^`]*```\n", page, re.MULTILINE) if "serve" in block)
    reader.read(set_up, "README.md")
    url = reader.here("http://127.0.0.1:9000")
    secret = (tmp_path / "shop.secret").read_text()

    def ask(proof: str = secret, content: str | None = None, query: str = "", **form: str) -> int:
        headers = {"Content-Type": content} if content else {}
        answer = requests.post(
            f"{url}/token{query}", data=form, auth=("shop", proof), headers=headers, timeout=30
        )
        assert set(answer.json()) == {"error"}
        return answer.status_code

    own = {"grant_type": "client_credentials"}
    assert ask("wrong", audience="orders", **own) == 401
    assert ask(audience="stock", **own) == ask(audience="nobody", **own) == 400
    assert ask(audience="orders", scope="orders:write", **own) == 400
    assert ask(audience="orders") == ask(grant_type="password") == 400
    exchange = "urn:ietf:params:oauth:grant-type:token-exchange"
    kind = "urn:ietf:params:oauth:token-type:access_token"
    assert ask(grant_type=exchange, audience="orders", subject_token="abc", subject_token_type=kind) == 400
    assert ask(content="application/json", **own) == 415
    assert ask(query="?grant_type=x", **own) == 400
    assert reader.terminal.hears("found some in the query")
    for line in "".join(reader.terminal.said.values()).splitlines():
        said.add(*re.findall(r'"code":.*(?=})', line))

    _command(said, tmp_path, "serve", ISSUER=url)
    _command(said, tmp_path, "serve", ISSUER=url, LISTEN="127.0.0.1:0")
    _command(said, tmp_path, "keys", "show", ISSUER=url, ADMIN_SOCKET=str(tmp_path / "other.sock"))
    reader.terminal.end(*reader.terminal.running)

    folder = tmp_path / "watchword-data"
    (tmp_path / "bad.toml").write_text('version = 1\n[services.a]\naudience = "a"\nscops = ["x"]\n')
    _command(said, tmp_path, "serve", ISSUER=url, TRUST="bad.toml")
    (folder / "sealing.key").chmod(0o644)
    _command(said, tmp_path, "serve", ISSUER=url)
    sealing_key = (folder / "sealing.key").rename(tmp_path / "sealing.key")
    _command(said, tmp_path, "serve", ISSUER=url)
    sealing_key.rename(folder / "sealing.key").chmod(0o400)
    folder.chmod(0o777)
    _command(said, tmp_path, "serve", ISSUER=url)
    folder.chmod(0o700)
    (folder / "watchword.db").write_text("no database")
    _command(said, tmp_path, "serve", ISSUER=url)
    said.demand("The token service says no", "The token service does not start", "A command says no")


def _command(said: Said, folder: Path, *arguments: str, **settings: str) -> None:
    """Run `watchword` in a folder, see it fail, and keep what it writes to stderr."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WATCHWORD_")}
    ran = subprocess.run(
        [sys.executable, "-m", "watchword", *arguments],
        cwd=folder,
        env=clean | {f"WATCHWORD_{name}": value for name, value in settings.items()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode in (1, 2), ran.stdout
    said.add(*ran.stderr.splitlines())
