"""Strangers and our tokens: real processes on loopback, configured by what the how-to pages say."""

import base64
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPRedirectHandler, Request, build_opener

import pytest

from watchword.keystores.files import FileKeyStore
from watchword.testing.forgery import Draft, Forgery, forge

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "how-to"
PEERS = Path(__file__).parent
REQUIRE_ALL = os.environ.get("WATCHWORD_REQUIRE_ALL") == "1"
GUARD = 30.0
BLOCK = re.compile(r'^```\w+ title="([^"]+)"\n(.*?)^```', re.MULTILINE | re.DOTALL)
PORT = re.compile(r"(?<=127\.0\.0\.1:)\d+|(?<=\.listen\()\d+")

TRUST = """
version = 1

[services.posts]
audience      = "posts"
scopes        = ["posts:read", "posts:write"]
jwks          = { keys = [] }

[[services.posts.allow]]
caller        = "worker"
scopes        = ["posts:read"]
on_behalf_of  = "service"

[services.worker]
audience      = "worker"
secret_sha256 = ["…"]
"""

REFUSED = sorted(set(Forgery) - {Forgery.BOUND, Forgery.DEEP_ACT, Forgery.NOT_YET_VALID})
"""What every stranger must refuse; our tokens say no `nbf`, and `cnf` and long `act` are ours alone."""


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skipped although WATCHWORD_REQUIRE_ALL=1: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse_skip(report)
    return report


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "forgery" in metafunc.fixturenames:
        metafunc.parametrize("forgery", REFUSED, ids=lambda kind: kind.name.lower())


def installed(program: str, *, folder: Path | None = None) -> str:
    """Return where a program is, or skip loudly."""
    found = shutil.which(program, path=str(folder or f"{os.environ['PATH']}:/usr/sbin"))
    if found is None:
        pytest.skip(f"{program} is not installed; run: make interop-deps")
    return found


class Reply:
    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body

    def json(self) -> Any:
        return json.loads(self.body)


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def ask(url: str, token: str | None = None, *, data: bytes | None = None, **headers: str) -> Reply:
    """Send one request, with the token if there is one."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    if token is not None:
        fields["Authorization"] = f"Bearer {token}"
    try:
        with build_opener(_NoRedirects).open(Request(url, data, fields), timeout=GUARD) as answer:
            return Reply(answer.status, dict(answer.headers), answer.read())
    except HTTPError as refused:
        with refused:
            return Reply(refused.code, dict(refused.headers), refused.read())


class Page:
    """A how-to page, its addresses moved to free ports."""

    def __init__(self, name: str, folder: Path) -> None:
        self.folder = folder
        text = (PAGES / f"{name}.md").read_text()
        self._ports = free_ports({"9000", "5003", "5004", *PORT.findall(text)})
        self._files = dict(BLOCK.findall(text))
        self.titles = set(self._files)
        self.folders = {f"/etc/{program}/": f"{folder}/" for program in ("haproxy", "nginx", "prometheus")}

    def url(self, port: int) -> str:
        return f"http://127.0.0.1:{self.port(port)}"

    def port(self, port: int) -> int:
        return int(self._ports[str(port)])

    def text(self, title: str, **replaced: str) -> str:
        text = PORT.sub(lambda port: self._ports[port[0]], self._files[title])
        for here, there in {**self.folders, **replaced}.items():
            text = text.replace(here, there)
        return text

    def write(self, title: str, **replaced: str) -> Path:
        path = self.folder / title
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.text(title, **replaced))
        return path


class Running:
    """Processes of one test module; each is watched while it starts and ended with its children."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("WATCHWORD_")}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return clean | {"PATH": path, "HOME": str(self.folder), "NO_PROXY": "127.0.0.1"} | dict(settings)

    def start(self, name: str, *argv: str | Path, port: int, **settings: str) -> None:
        """Start a process and return when it listens on `port`; what it says is in `<name>.log`."""
        with (self.folder / f"{name}.log").open("wb") as log:
            process = self.processes[name] = subprocess.Popen(
                argv, cwd=self.folder, env=self.environment(settings), start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        deadline = time.monotonic() + GUARD
        while time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return
            with suppress(subprocess.TimeoutExpired):
                status = process.wait(timeout=0.05)
                pytest.fail(f"{name} ended with {status}\n{self.said(name)}")
        pytest.fail(f"{name} does not listen\n{self.said(name)}")

    def wait_for(self, name: str, found: Callable[[], Any]) -> Any:
        """Return what is found as soon as there is something, while the process lives."""
        deadline = time.monotonic() + GUARD
        while time.monotonic() < deadline:
            if (something := found()) is not None:
                return something
            with suppress(subprocess.TimeoutExpired):
                pytest.fail(f"{name} ended with {self.processes[name].wait(timeout=0.05)}\n{self.said(name)}")
        pytest.fail(f"{name}: nothing was found\n{self.said(name)}")

    def run(self, *argv: str | Path, said: str = "", **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; `said` is its standard input."""
        return subprocess.run(
            argv, cwd=self.folder, env=self.environment(settings), input=said,
            capture_output=True, text=True, timeout=GUARD, check=False,
        )  # fmt: skip

    def said(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def stop(self, name: str) -> None:
        process = self.processes.pop(name)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(GUARD)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(GUARD)

    def close(self) -> None:
        for name in [*self.processes]:
            self.stop(name)


class Authority:
    """A running token service, and tokens of it: genuine ones by its endpoint, forged ones by its own key."""

    def __init__(self, page: Page, running: Running, audience: str) -> None:
        self.url = page.url(9000)
        self._audience = audience
        self._folder = running.folder
        self._keys = running.folder / "watchword-data" / "keys"
        trust = page.text("trust.toml") if "trust.toml" in page.titles else TRUST
        (running.folder / "trust.toml").write_text(registered(trust, running))
        running.start(
            "watchword", sys.executable, "-m", "watchword", "serve", "--json",
            port=page.port(9000), WATCHWORD_ISSUER=self.url, WATCHWORD_TRUST="trust.toml",
        )  # fmt: skip

    def token(self, client: str = "worker") -> str:
        form = urlencode({"grant_type": "client_credentials", "audience": self._audience}).encode()
        secret = (self._folder / f"{client}.secret").read_text().strip()
        basic = base64.b64encode(f"{client}:{secret}".encode()).decode()
        answer = ask(f"{self.url}/token", data=form, Authorization=f"Basic {basic}")
        assert answer.status == 200, answer.body
        return str(answer.json()["access_token"])

    def draft(self) -> Draft:
        """Return a genuine token taken apart, with the key that signed it."""
        parts = self.token().split(".")[:2]
        header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in parts)
        return Draft(header, claims, FileKeyStore(self._keys).load().active.key)

    def forge(self, kind: Forgery, **claims: Any) -> str:
        draft = self.draft().saying(**claims)
        return forge(kind, draft, draft.key.public.pem())


def registered(trust: str, running: Running) -> str:
    """Do as a reader does: make a secret or a key for each client, put the printed line where `…` stands."""
    lines, client = [], ""
    for line in trust.splitlines():
        client = line[10:-1] if line.startswith("[services.") else client
        if "…" in line:
            kind = "secret" if line.startswith("secret_sha256") else "key"
            command = ("clients", f"new-{kind}", "--client-id", client, "--out", f"{client}.{kind}")
            made = running.run(sys.executable, "-m", "watchword", *command)
            assert made.returncode == 0, made.stderr
            lines.append(made.stdout.splitlines()[-1])
        else:
            lines.append(line)
    return "\n".join(lines)


class Posts(BaseHTTPRequestHandler):
    """The service behind a gateway: says whom the gateway let through."""

    def do_GET(self) -> None:
        body = ",".join(self.headers.get_all("X-Token-Subject", [])).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def free_ports(names: set[str]) -> dict[str, str]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in names]
        return {name: str(probe.getsockname()[1]) for name, probe in zip(names, probes, strict=True)}


@pytest.fixture(scope="module")
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Page:
    name = request.module.PAGE
    return Page(name, tmp_path_factory.mktemp(name))


@pytest.fixture(scope="module")
def running(page: Page) -> Iterator[Running]:
    running = Running(page.folder)
    yield running
    running.close()


@pytest.fixture(scope="module")
def authority(request: pytest.FixtureRequest, page: Page, running: Running) -> Authority:
    return Authority(page, running, getattr(request.module, "AUDIENCE", "posts"))


@pytest.fixture(scope="module")
def posts(page: Page) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", page.port(5002)), Posts)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="session")
def ask_twice() -> Callable[..., int]:
    """Return the status of a request with several credentials."""

    def send(url: str, *tokens: str) -> int:
        with closing(HTTPConnection(url.removeprefix("http://"), timeout=GUARD)) as connection:
            connection.putrequest("GET", "/")
            for token in tokens:
                connection.putheader("Authorization", f"Bearer {token}")
            connection.endheaders()
            return connection.getresponse().status

    return send


@pytest.fixture(scope="session", name="ask")
def ask_fixture() -> Callable[..., Reply]:
    return ask


@pytest.fixture(scope="session", name="installed")
def installed_fixture() -> Callable[..., str]:
    return installed
