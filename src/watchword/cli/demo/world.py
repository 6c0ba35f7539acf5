"""The three processes of the demonstration, their folder, keys and settings; all of it is gone afterwards."""

import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from watchword.cli.demo.process import DemoFailed, Process, demand_free, free_ports, uninterrupted
from watchword.tokens import strict_json
from watchword.tokens.private_key import PrivateKey

HOST = "127.0.0.1"
KEY_ACTIVE_FOR, KEY_CACHED_FOR = 5, 2
"""Seconds; in real life 30 days and an hour. Key sets are kept for a second, half of what is allowed."""
_JWKS_MAX_AGE = "1"
CLIENTS = ("posts", "reports")
_ORIGINS = {"users": f"http://{HOST}:5001", "posts": f"http://{HOST}:5002"}


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the three listen; 0 is any free port."""

    tokens: int = 9000
    users: int = 5001
    posts: int = 5002

    def settled(self) -> "Ports":
        """Return the ports with every 0 replaced, and refuse what is taken.

        Raises:
            DemoFailed: a port is taken; the text names the option that chooses another.
        """
        wanted = (
            (self.tokens, "the token service", "--port"),
            (self.users, "users-service", "--users-port"),
            (self.posts, "posts-service", "--posts-port"),
        )
        chosen = [port for port, _, _ in wanted if port]
        if len(set(chosen)) != len(chosen):
            raise DemoFailed(f"three different ports are needed, found {', '.join(map(str, chosen))}")
        for port, service, option in wanted:
            if port:
                demand_free(HOST, port, service=service, option=option)
        free = iter(free_ports(HOST, len(wanted)))
        return Ports(*(port or next(free) for port, _, _ in wanted))


def example_folder() -> Path:
    """Return the folder of the two services: in a checkout `examples/users_posts`, else beside this package.

    Raises:
        DemoFailed: neither is there.
    """
    here = Path(__file__).resolve()
    installed = here.parents[1] / "users_posts"
    for folder in (installed, here.parents[4] / "examples" / "users_posts"):
        if (folder / "trust.toml").is_file():
            return folder
    raise DemoFailed(f"expected the example services in {installed}, found none; install the package anew")


class World:
    """The token service, users-service and posts-service as real processes on loopback.

    A context manager: what was started is stopped and the folder is removed, however the block ends.
    """

    __slots__ = ("_exit", "example", "folder", "ports", "posts", "tokens", "trust", "users")

    def __init__(self, ports: Ports, *, example: Path | None = None) -> None:
        self.example = example or example_folder()
        self.ports = ports.settled()
        self._exit = ExitStack()

    def _prepare(self) -> None:
        try:
            with uninterrupted():
                self.folder = Path(tempfile.mkdtemp(prefix="watchword-demo-"))
                self._exit.callback(shutil.rmtree, self.folder, ignore_errors=True)
            self.folder.chmod(0o700)  # mkdtemp obeys the umask, and a strange one may forbid even us
            self.trust = self._write_trust()
            for service in CLIENTS:
                self._write_key(service)
        except OSError as error:
            raise DemoFailed(
                f"expected to write to a temporary folder: {error.strerror}; name another one in TMPDIR"
            ) from None
        self.tokens = self._process(
            "the token service",
            ["-m", "watchword", "serve"],
            health=f"{self.issuer}/health/ready",
            settings={
                "ISSUER": self.issuer,
                "LISTEN": f"{HOST}:{self.ports.tokens}",
                "DATABASE": str(self.database),
                "TRUST": str(self.trust),
                "KEY_ACTIVE_FOR": str(KEY_ACTIVE_FOR),
                "KEY_CACHED_FOR": str(KEY_CACHED_FOR),
                "CLOCK_SKEW": "0",
                "JWKS_MAX_AGE": _JWKS_MAX_AGE,
            },
        )
        self.users = self._process(
            "users-service",
            [
                "-m",
                "uvicorn",
                "--host",
                HOST,
                "--port",
                str(self.ports.users),
                "--no-access-log",
                "users_service:app",
            ],
            health=f"{self.users_url}/health",
            settings={
                "ISSUER": self.issuer,
                "AUDIENCE": "users",
                "URL_USERS": self.users_url,
                "KEYS": f"files:{self.users_keys}",
                "JWKS_MAX_AGE": _JWKS_MAX_AGE,
            },
            example_settings={
                "USERS_KEY_ACTIVE_FOR": str(KEY_ACTIVE_FOR),
                "USERS_KEY_CACHED_FOR": str(KEY_CACHED_FOR),
                "USERS_KEY_SKEW": "0",
            },
        )
        self.posts = self._process(
            "posts-service",
            ["-m", "flask", "--app", "posts_service", "run", "--host", HOST, "--port", str(self.ports.posts)],
            health=f"{self.posts_url}/health",
            settings={
                "ISSUER": self.issuer,
                "TRUSTED_ISSUERS": f"people={self.users_url}",
                "AUDIENCE": "posts",
                "CLIENT_ID": "posts",
                "CLIENT_KEY_FILE": str(self.client_key("posts")),
                "URL_USERS": self.users_url,
                "JWKS_MAX_AGE": _JWKS_MAX_AGE,
            },
        )

    @property
    def issuer(self) -> str:
        """The token service."""
        return f"http://{HOST}:{self.ports.tokens}"

    @property
    def users_url(self) -> str:
        """users-service, which is also the issuer of people's tokens."""
        return f"http://{HOST}:{self.ports.users}"

    @property
    def posts_url(self) -> str:
        """posts-service."""
        return f"http://{HOST}:{self.ports.posts}"

    @property
    def database(self) -> Path:
        """The token service's SQLite file."""
        return self.folder / "tokens" / "watchword.db"

    @property
    def users_keys(self) -> Path:
        """The folder with the key by which users-service signs."""
        return self.folder / "users-keys"

    def client_key(self, service: str) -> Path:
        """Return the private key file by which a service proves who it is."""
        return self.folder / f"{service}.key"

    def __enter__(self) -> Self:
        try:
            self._prepare()
            for process in (self.tokens, self.users, self.posts):
                self._exit.callback(process.stop)
                process.start()
            for process in (self.tokens, self.users, self.posts):
                process.wait_until_healthy()
        except BaseException:
            self._exit.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()

    def _process(
        self,
        name: str,
        arguments: list[str],
        *,
        health: str,
        settings: Mapping[str, str],
        example_settings: Mapping[str, str] = MappingProxyType({}),
    ) -> Process:
        environment = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("WATCHWORD_", "FLASK_", "UVICORN_")) and not key.lower().endswith("_proxy")
        }
        environment |= {f"WATCHWORD_{key}": value for key, value in settings.items()} | dict(example_settings)
        environment |= {
            "PYTHONPATH": os.pathsep.join(filter(None, [str(self.example), os.environ.get("PYTHONPATH")]))
        }
        environment |= {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        log = self.folder / f"{name.removeprefix('the ').replace(' ', '-')}.log"
        return Process(name, [sys.executable, *arguments], environment=environment, health=health, log=log)

    def _write_trust(self) -> Path:
        text = (self.example / "trust.toml").read_text(encoding="utf-8")
        for service, url in (("users", self.users_url), ("posts", self.posts_url)):
            text = text.replace(f'"{_ORIGINS[service]}', f'"{url}')
        path = self.folder / "trust.toml"
        path.write_text(text, encoding="utf-8")
        return path

    def _write_key(self, service: str) -> None:
        """Give a service its own key: the private half for it alone, the public half beside `trust.toml`."""
        key = PrivateKey.generate()
        path = self.client_key(service)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)
            file.write(key.insecure_private_pem())
        (self.folder / f"{service}.jwks.json").write_bytes(
            strict_json.encode({"keys": [dict(key.public.jwk)]})
        )
