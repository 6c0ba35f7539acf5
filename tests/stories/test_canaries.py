"""Some hundred secrets go through the whole product, and none of them comes out where it must not."""

import base64
import hashlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from watchword.client.authentication import KeyAuthentication
from watchword.keys.seal import Seal
from watchword.keys.sealing_key import SealingKey, new_sealing_key
from watchword.storage.keys import SqlKeyStore
from watchword.storage.looking import Looking
from watchword.tokens.private_key import PrivateKey

from .canary import Canaries, all_hits

GUARD = 60
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


class House:
    """A token service with a sealed store, clients of every kind, and everything that any of them wrote."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.canaries = Canaries()
        self.written: list[tuple[str, bytes]] = []
        self.processes: list[subprocess.Popen[bytes]] = []
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.url = f"http://127.0.0.1:{free.getsockname()[1]}"
        self.sealing_key = self._secret("the sealing key", new_sealing_key())
        self.gateway = self._secret("the gateway's secret", f"gateway-{os.urandom(20).hex()}")
        self.users = self._secret("the secret of users", f"users-{os.urandom(20).hex()}")
        self.posts = self.key("the key of posts")
        self.environ = {n: v for n, v in os.environ.items() if not n.startswith("WATCHWORD_")}
        self.environ |= {
            "WATCHWORD_ISSUER": self.url,
            "WATCHWORD_TRUST": "trust.toml",
            "WATCHWORD_SEAL": "env:SEALING_KEY",
            "SEALING_KEY": self.sealing_key,
        }
        (folder / "posts.pem").write_bytes(self.posts.insecure_private_pem())
        (folder / "posts.pem").chmod(0o600)
        self._write_trust()

    def _secret(self, name: str, text: str) -> str:
        self.canaries.add(name, text)
        return text

    def key(self, name: str, alg: str = "ES256") -> PrivateKey:
        key = PrivateKey.generate(alg)
        self.canaries.add_key(name, key)
        return key

    def _write_trust(self) -> None:
        jwk = ", ".join(f'{name} = "{value}"' for name, value in self.posts.public_jwk().items())
        (self.folder / "trust.toml").write_text(f"""
version = 1
[services.gateway]
audience = "gateway"
secret_sha256 = ["{_sha256(self.gateway)}"]
[services.users]
audience = "users"
url = "http://127.0.0.1:9"
scopes = ["users:read"]
secret_sha256 = ["{_sha256(self.users)}"]
[[services.users.allow]]
caller = "posts"
scopes = ["users:read"]
when_subject_has = ["posts:read"]
on_behalf_of = "any"
[services.posts]
audience = "posts"
url = "http://127.0.0.1:8"
scopes = ["posts:read"]
jwks = {{ keys = [{{ {jwk} }}] }}
[[services.posts.allow]]
caller = "gateway"
scopes = ["posts:read"]
on_behalf_of = "any"
""")

    # --- processes --------------------------------------------------------------------------------

    def serve(self, name: str, **settings: str) -> "subprocess.Popen[bytes]":
        log = (self.folder / name).open("wb")
        process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-m", "watchword", "serve"],
            cwd=self.folder,
            env=self.environ | settings,
            stdout=subprocess.PIPE,
            stderr=log,
        )
        log.close()
        self.processes.append(process)
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said, (self.folder / name).read_text()
        self.written.append((f"stdout of {name}", said))
        return process

    def watch(self, process: "subprocess.Popen[bytes]") -> None:
        """Look at what everybody can see of a process."""
        for name in ("environ", "cmdline"):
            self.written.append((f"/proc {name}", Path("/proc", str(process.pid), name).read_bytes()))

    def end(self, process: "subprocess.Popen[bytes]", number: int = signal.SIGTERM) -> None:
        process.send_signal(number)
        out, _ = process.communicate(timeout=GUARD)
        self.written.append(("stdout at the end", out))

    def command(
        self, *arguments: str, typed: bytes = b"", **settings: str
    ) -> "subprocess.CompletedProcess[bytes]":
        ran = subprocess.run(
            [sys.executable, "-m", "watchword", *arguments],
            cwd=self.folder,
            env=self.environ | {"WATCHWORD_DEBUG": "1"} | settings,
            input=typed,
            capture_output=True,
            timeout=GUARD,
            check=False,
        )
        self.written.append((f"watchword {' '.join(arguments)}", ran.stdout + ran.stderr))
        return ran

    # --- requests ---------------------------------------------------------------------------------

    def ask(
        self, path: str = "/token", headers: dict[str, str] | None = None, **form: str
    ) -> requests.Response:
        answer = requests.post(f"{self.url}{path}", data=form, headers=headers, timeout=GUARD)
        self.written.append((f"headers of {path}", repr(dict(answer.headers)).encode()))
        if answer.status_code != 200 or path != "/token":
            self.written.append((f"answer of {path}", answer.content))
        return answer

    def basic(self, client: str, secret: str) -> dict[str, str]:
        header = base64.b64encode(f"{client}:{secret}".encode()).decode()
        self.canaries.add(f"a header of {client}", header)
        return {"Authorization": f"Basic {header}"}

    def token(self) -> str:
        """A token for posts, in the name of the gateway."""
        answer = self.ask(
            headers=self.basic("gateway", self.gateway),
            grant_type="client_credentials",
            audience="posts",
            scope="posts:read",
        )
        token: str = answer.json()["access_token"]
        self.canaries.add_token("a token", token)
        return token

    def exchanged(self, token: str) -> requests.Response:
        assertion = KeyAuthentication("posts", self.posts).assertion(self.url, time.time())
        self.canaries.add_token("an assertion", assertion)
        answer = self.ask(
            grant_type=EXCHANGE,
            subject_token=token,
            subject_token_type=ACCESS_TOKEN,
            audience="users",
            client_id="posts",
            client_assertion_type="urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            client_assertion=assertion,
        )
        if answer.status_code == 200:
            self.canaries.add_token("an exchanged token", answer.json()["access_token"])
        return answer

    # --- what lies about --------------------------------------------------------------------------

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Every file but those whose purpose is to hold one secret."""
        own = {"posts.pem", "second.key", "its.key", "own.pem", "own.jwk", "variables.txt"}
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and path.name not in own:
                yield str(path.relative_to(self.folder)), path.read_bytes()

    def metrics(self) -> None:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(GUARD)
            connection.connect(str(self.folder / "watchword-data" / "admin.sock"))
            connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            told = b"".join(iter(lambda: connection.recv(65_536), b""))
        assert b"watchword_" in told
        self.written.append(("metrics", told))


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _forged(token: str) -> str:
    head, _, signature = token.rpartition(".")
    return f"{head}.{signature[::-1]}"


def hostile_requests(house: House, token: str) -> None:
    """Secrets in every place where they do not belong."""
    canaries = house.canaries
    for number in range(12):
        wrong = house._secret("a wrong secret", f"wrong-{number}-{os.urandom(20).hex()}")
        house.ask(headers=house.basic("gateway", wrong), grant_type="client_credentials", audience="posts")
        house.ask(grant_type="client_credentials", client_id="gateway", client_secret=wrong)
        house.ask(f"/token?client_secret={wrong}", grant_type="client_credentials")
        house.ask(headers={"X-Password": wrong, "Cookie": f"session={wrong}"}, grant_type=f"password {wrong}")
    for bad in (_forged(token), token + "A" * 20, f"..{token}", token.replace(".", "!")):
        canaries.add("a forged token", bad.rpartition(".")[2])
        house.exchanged(bad)
        house.ask("/introspect", headers=house.basic("users", house.users), token=bad)
    house.ask("/introspect", headers=house.basic("users", house.users), token=token)
    raw = requests.post(
        f"{house.url}/token",
        data=json.dumps({"client_secret": house.gateway, "token": token}),
        headers={"Content-Type": "application/json"},
        timeout=GUARD,
    )
    house.written.append(("answer to JSON", raw.content))


def work_with_keys(house: House) -> None:
    """Every command that has a key in its hands, and how each of them fails."""
    own = house.key("an imported key", "EdDSA")
    (house.folder / "own.pem").write_bytes(own.insecure_private_pem())
    house.command("keys", "import", "own.pem")
    house.command("keys", "import", "own.pem")  # it is there already
    weak = house.key("a key under another algorithm")
    (house.folder / "own.pem").write_bytes(weak.insecure_private_pem())
    house.command("keys", "import", "own.pem", "--algorithm", "RS256")
    strange = house.key("a damaged key", "EdDSA")
    d = base64.urlsafe_b64encode(strange.insecure_private_der()[-32:]).decode().rstrip("=")
    jwk = {"kty": "OKP", "crv": "Ed25519", "d": d, "x": own.public.jwk["x"]}
    (house.folder / "own.jwk").write_text(json.dumps(jwk))
    house.command("keys", "import", "own.jwk")
    assert house.command("keys", "export", "--out", "travelling", "--key-out", "its.key").returncode == 0
    house.canaries.add("the key of the exported file", (house.folder / "its.key").read_text().strip())
    house.command("keys", "import", "travelling", "--key", "its.key")
    house.command("keys", "import", "travelling", "--key", "posts.pem")
    assert house.command("keys", "new-seal", "--out", "second.key").returncode == 0
    house.canaries.add("a second sealing key", (house.folder / "second.key").read_text().strip())
    house.command("keys", "prepare")
    house.command("keys", "show")
    house.command("audit", "tail")
    house.command("audit", "export")
    house.command("audit", "verify")
    house.command("doctor")
    house.command("doctor", "--json")


def know_the_signing_keys(house: House, sealing_key: str) -> None:
    """Learn what only the sealing key opens, to look for it everywhere."""
    database = Looking(house.folder / "watchword-data" / "watchword.db")
    for purpose in ("tokens", "audit"):
        store = SqlKeyStore(database, Seal(SealingKey.from_text(sealing_key)), None, purpose=purpose)
        for entry in store.load().entries:
            house.canaries.add_key(f"a key for {purpose}", entry.key)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    built = House(tmp_path)
    yield built
    for process in built.processes:
        if process.poll() is None:
            process.kill()
            process.communicate(timeout=GUARD)


@pytest.mark.threat(155, 156, 158, 163)
@pytest.mark.xdist_group("canaries")
def test_no_secret_comes_out_anywhere(house: House, tmp_path: Path) -> None:
    server = house.serve("first.log")
    house.watch(server)
    tokens = [house.token() for _ in range(10)]
    assert {house.exchanged(token).status_code for token in tokens[:8]} == {200}
    hostile_requests(house, tokens[0])
    work_with_keys(house)
    house.metrics()
    house.watch(server)
    know_the_signing_keys(house, house.sealing_key)

    service = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("canary_service.py"))],
        cwd=tmp_path,
        env=house.environ
        | {"WATCHWORD_AUDIENCE": "posts", "WATCHWORD_CLIENT_KEY_FILE": "posts.pem", "WATCHWORD_TRUST": ""}
        | {"WATCHWORD_URL_USERS": "http://127.0.0.1:9", "WATCHWORD_SEAL": "", "SEALING_KEY": ""},
        input=json.dumps([*tokens[:2], _forged(tokens[2]), "not a token"]).encode(),
        capture_output=True,
        timeout=GUARD,
        check=False,
    )
    assert service.returncode == 0, service.stderr.decode()
    assert b"callee_unreachable" in service.stdout, service.stdout.decode()
    house.written.append(("a service", service.stdout + service.stderr))

    house.command("token", "inspect", typed=tokens[3].encode())
    house.command("token", "verify", "--issuer", house.url, "--audience", "posts", typed=tokens[3].encode())
    house.command(
        "token", "verify", "--issuer", house.url, "--audience", "x", typed=_forged(tokens[3]).encode()
    )
    copied = tmp_path / "copied"
    copied.mkdir()
    for path in (tmp_path / "watchword-data").glob("watchword.db*"):
        shutil.copy(path, copied)  # with the WAL as it is while the server runs
    assert any(path.name.endswith("-wal") for path in copied.iterdir())
    house.end(server, signal.SIGABRT)  # faulthandler writes where each thread was
    crash(house)

    with sqlite3.connect(tmp_path / "watchword-data" / "watchword.db") as database:
        house.written.append(("dump", "\n".join(database.iterdump()).encode("utf-8", "surrogateescape")))
    house.written += house.files()
    assert len(house.canaries) >= 64
    assert sum(len(content) for _, content in house.written) > 100_000
    hits = all_hits(house.canaries, house.written)
    assert not hits, "\n".join(hits)
    variables = (tmp_path / "variables.txt").read_bytes()
    assert b"watchword/client" in variables
    shown = [hit for hit in house.canaries.hits("variables", variables) if "token" not in hit]
    assert not shown, "\n".join(shown)
    control(house)


def crash(house: House) -> None:
    """Starts that fail, and a server whose ground is taken away."""
    wrong = house._secret("a wrong sealing key", new_sealing_key())
    assert house.command("serve", SEALING_KEY=wrong).returncode == 1
    assert house.command("serve", SEALING_KEY=f"{house.sealing_key}x").returncode == 1
    assert house.command("serve", WATCHWORD_SEAL=house.sealing_key).returncode == 2
    assert house.command("serve", WATCHWORD_SEAL_FILE="second.key").returncode == 2
    server = house.serve("second.log")
    token = house.token()
    with sqlite3.connect(house.folder / "watchword-data" / "watchword.db", isolation_level=None) as database:
        database.execute("ALTER TABLE audit_event RENAME TO gone")
        database.execute("UPDATE keyring_record SET record = zeroblob(200)")
    house.exchanged(token)
    house.ask(
        headers=house.basic("gateway", house.gateway), grant_type="client_credentials", audience="posts"
    )
    house.command("keys", "show")
    house.command("keys", "prepare")
    house.command("keys", "export", "--out", "again", "--key-out", "again.key")
    with sqlite3.connect(house.folder / "watchword-data" / "watchword.db", isolation_level=None) as database:
        database.execute("ALTER TABLE gone RENAME TO audit_event")
    house.end(server)
    assert house.command("serve").returncode == 1


def control(house: House) -> None:
    """Whatever was written down would have been found: every secret is, in every form."""
    for name, forms in house.canaries.forms.items():
        for form in forms:
            planted: list[tuple[str, Any]] = [("planted", b'{"event": "' + form + b'"}')]
            assert any(hit.startswith(name) for hit in all_hits(house.canaries, planted)), (name, form)
