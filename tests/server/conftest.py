"""A real `watchword serve` in a process of its own, and a client that sends exactly the bytes it is told."""

import base64
import contextlib
import hashlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest

ISSUER = "https://tokens.example"
SECRETS = {"posts": "posts-secret-" + "p" * 30, "users": "users-secret-" + "u" * 30}
TIMEOUT = 20.0

TRUST = f"""
version = 1

[services.users]
audience = "users"
url = "https://users.example"
scopes = ["users:read", "users:write"]
secret_sha256 = ["{hashlib.sha256(SECRETS["users"].encode()).hexdigest()}"]

[[services.users.allow]]
caller = "posts"
scopes = ["users:read"]
on_behalf_of = "any"

[services.posts]
audience = "posts"
url = "https://posts.example"
scopes = ["posts:read"]
secret_sha256 = ["{hashlib.sha256(SECRETS["posts"].encode()).hexdigest()}"]
"""


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Served:
    """A running token service."""

    issuer = ISSUER
    secrets = SECRETS

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.log_path = folder / "log.jsonl"
        environ = {name: value for name, value in os.environ.items() if not name.startswith("WATCHWORD_")}
        environ |= {"WATCHWORD_ISSUER": ISSUER, "WATCHWORD_LISTEN": "127.0.0.1:0"}
        environ |= {f"WATCHWORD_{name}": value for name, value in settings.items()}
        self.environ = environ
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "watchword", "serve", "--json"],
                cwd=folder, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
            )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.log_path.read_text()
        self.ready = json.loads(line)
        host, _, port = self.ready["address"].rpartition(":")
        self.address = (host, int(port))

    def command(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run `watchword` with the settings of this service, and those that are given."""
        environ = self.environ | {f"WATCHWORD_{name}": value for name, value in settings.items()}
        return subprocess.run(
            [sys.executable, "-m", "watchword", *arguments],
            cwd=self.folder, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip

    def at_socket(self, path: str, body: bytes = b"{}", *, method: str = "POST", **headers: str) -> Reply:
        """Ask at the operator's socket."""
        fields = {"Host": "x", "Content-Type": "application/json", "Content-Length": str(len(body))}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(TIMEOUT)
            connection.connect(str(self.folder / "watchword-data" / "admin.sock"))
            connection.sendall(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
            return read_reply(connection, head=method == "HEAD")

    def operation(self, name: str, **request: Any) -> Any:
        """Have an operation carried out and return what it tells."""
        reply = self.at_socket(f"/admin/{name.replace('.', '/')}", json.dumps(request).encode())
        assert reply.status == 200, reply.body
        return reply.json()

    def told(self, *arguments: str, exit_code: int = 0) -> Any:
        """Run `watchword … --json` and return what it says."""
        done = self.command(*arguments, "--json")
        assert done.returncode == exit_code, (done.stdout, done.stderr)
        return json.loads(done.stdout)

    def events(self) -> list[dict[str, Any]]:
        """Every event that is in the database, in its order."""
        with contextlib.closing(sqlite3.connect(self.folder / "watchword-data" / "watchword.db")) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute("SELECT * FROM audit_event ORDER BY sequence")]

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=TIMEOUT)

    def send(self, raw: bytes) -> Reply:
        """Send these bytes on a new connection and read one answer."""
        with self.connect() as connection:
            connection.sendall(raw)
            return read_reply(connection, head=raw.startswith(b"HEAD "))

    def request(
        self,
        method: str,
        path: str,
        *,
        form: Mapping[str, str] | list[tuple[str, str]] | None = None,
        body: bytes = b"",
        **headers: str,
    ) -> Reply:
        fields = {"Host": "localhost"} | {name.replace("_", "-"): value for name, value in headers.items()}
        if form is not None:
            body = urlencode(form).encode()
            fields = {"Content-Type": "application/x-www-form-urlencoded"} | fields
        if body:
            fields["Content-Length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return self.send(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body)

    def token(self, client: str = "posts", *, audience: str = "users", **headers: str) -> Reply:
        form = {"grant_type": "client_credentials", "audience": audience}
        return self.request("POST", "/token", form=form, Authorization=basic(client), **headers)

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log_path.read_text("ascii").splitlines()]

    def logged(self, request_id: str) -> dict[str, Any]:
        (line,) = [line for line in self.log() if line.get("request_id") == request_id]
        return line

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(TIMEOUT)
        finally:
            self.process.kill()
            if self.process.stdout is not None:
                self.process.stdout.close()

    @staticmethod
    def basic(client: str, secret: str | None = None) -> str:
        return basic(client, secret)

    @staticmethod
    def read_reply(connection: socket.socket, *, head: bool = False) -> Reply:
        return read_reply(connection, head=head)


def basic(client: str, secret: str | None = None) -> str:
    text = f"{client}:{SECRETS[client] if secret is None else secret}"
    return "Basic " + base64.b64encode(text.encode()).decode()


def read_reply(connection: socket.socket, *, head: bool = False) -> Reply:
    """Read one answer, exactly to its end; a connection that closes before is an error."""
    with connection.makefile("rb", buffering=0) as stream:
        top = b""
        while not top.endswith(b"\r\n\r\n"):
            byte = stream.read(1)
            if not byte:
                raise ConnectionError(f"closed after {top!r}")
            top += byte
        status_line, *lines = top.decode("latin-1").strip().split("\r\n")
        pairs = [line.split(": ", 1) for line in lines]
        headers = {name.lower(): value for name, value in pairs}
        assert len(headers) == len(pairs), lines
        left = 0 if head else int(headers.get("content-length", "0"))
        body = b""
        while len(body) < left:
            part = stream.read(left - len(body))
            if not part:
                raise ConnectionError("closed within the body")
            body += part
        return Reply(int(status_line.split()[1]), headers, body)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Start token services of one's own; whatever still runs at the end is stopped."""
    started: list[Served] = []

    def start_one(**settings: str) -> Served:
        (tmp_path / "trust.toml").write_text(TRUST)
        started.append(Served(tmp_path, **{"TRUST": "trust.toml"} | settings))
        return started[-1]

    yield start_one
    for served in started:
        served.stop()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "trust.toml").write_text(TRUST)
    served = Served(folder, TRUST="trust.toml")
    try:
        yield served
    finally:
        assert served.stop() == 0
