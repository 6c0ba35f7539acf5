"""Starts the token services: one process on one core each, with the same clients and the same lifetimes."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from benchmarks.server_process import cores, free_port, serving
from benchmarks.token_servers.contender import CLIENT_KEY, LIFETIME, SECRET, Contender

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BENCH_PYTHON = ROOT / ".venv-bench" / "bin"


class PeerUnavailable(Exception):
    """Why a peer does not take part."""


@contextmanager
def watchword(
    folder: Path, *, alg: str = "ES256", audited: bool = True, name: str | None = None, strangers: int = 0
) -> Iterator[Contender]:
    """Start the product: `watchword serve` on SQLite, every answer audited durably before it leaves.

    Its rate limits are off, since everything comes from one client; everything else is as it comes.
    `strangers` are further services with a rule each, that nobody asks about.
    """
    port, name = free_port(), name or ("watchword" if audited else "unaudited")
    folder = _made(folder / name)
    (folder / "trust.toml").write_text(_trust() + _strangers(strangers))
    settings = {
        "ISSUER": f"http://127.0.0.1:{port}",
        "TRUST": str(folder / "trust.toml"),
        "SIGNING_ALGORITHM": alg,
        "RATE_PER_CLIENT": "0",
        "RATE_PER_ADDRESS": "0",
    }
    module = ["watchword", "serve"] if audited else ["benchmarks.token_servers.unaudited"]
    with serving(
        name,
        [sys.executable, "-m", *module],
        port,
        folder=folder,
        health="/health/ready",
        environ={f"WATCHWORD_{key}": value for key, value in settings.items()} | {"PYTHONPATH": str(ROOT)},
        core=cores()[0],
    ) as server:
        paths = {"token": "/token", "introspect": "/introspect", "keys": "/.well-known/jwks.json"}
        yield Contender(server, paths, lambda callee: {"audience": callee})


@contextmanager
def oidc_provider(folder: Path, *, alg: str = "ES256") -> Iterator[Contender]:
    """Start npm `oidc-provider` with its in-memory adapter: it keeps nothing, and writes nothing down."""
    if not (ROOT / "benchmarks" / "node_modules" / "oidc-provider").is_dir():
        raise PeerUnavailable("npm oidc-provider is not installed: make bench-deps")
    port = free_port()
    with serving(
        "oidc-provider",
        ["node", str(HERE / "oidc_provider.mjs")],
        port,
        folder=_made(folder / "oidc-provider"),
        health="/jwks",
        environ={"NODE_ENV": "production", "BENCH_SERVER": _asked(port, alg)},
        core=cores()[0],
    ) as server:
        paths = {"token": "/token", "introspect": "/token/introspection", "keys": "/jwks"}
        yield Contender(
            server,
            paths,
            lambda callee: {"resource": f"http://{callee}.example", "scope": f"{callee}:read"},
            lambda callee: {"resource": f"http://{callee}.example/opaque", "scope": f"{callee}:read"},
        )


@contextmanager
def authlib(folder: Path, *, alg: str = "ES256") -> Iterator[Contender]:
    """Start Authlib's server in Flask with SQLAlchemy on SQLite."""
    with _gunicorn("Authlib", "authlib_server:app", folder, alg, health="/jwks") as contender:
        yield contender({"token": "/token", "introspect": "/introspect", "keys": "/jwks"})


@contextmanager
def django(folder: Path, *, alg: str = "ES256") -> Iterator[Contender]:
    """Start django-oauth-toolkit on SQLite; it signs nothing."""
    health = "/"  # nothing is there, which it says once it serves
    with _gunicorn(
        "django-oauth-toolkit", "django_server:application", folder, alg, health=health
    ) as contender:
        yield contender({"token": "/o/token/", "introspect": "/o/introspect/"})


@contextmanager
def _gunicorn(name: str, application: str, folder: Path, alg: str, *, health: str) -> Iterator[type]:
    if not (BENCH_PYTHON / "gunicorn").is_file():
        raise PeerUnavailable(f"{name} is not installed: make bench-deps")
    port = free_port()
    command = [
        str(BENCH_PYTHON / "gunicorn"), "--workers", "1", "--worker-class", "gthread", "--threads", "16",
        "--keep-alive", "75", "--bind", f"127.0.0.1:{port}", "--no-control-socket",
        "--pythonpath", str(HERE), application,
    ]  # fmt: skip
    with serving(
        name,
        command,
        port,
        folder=_made(folder / name),
        health=health,
        environ={"BENCH_SERVER": _asked(port, alg)},
        core=cores()[0],
    ) as server:
        yield lambda paths: Contender(server, paths, lambda callee: {"scope": f"{callee}:read"})  # type: ignore[misc]


def _asked(port: int, alg: str) -> str:
    secret = {"client_secret": SECRET, "token_endpoint_auth_method": "client_secret_basic"}
    signed = {
        "client_id": "signed",
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [dict(CLIENT_KEY.public_jwk())]},
    }
    clients: list[Mapping[str, object]] = [{"client_id": name, **secret} for name in ("posts", "gateway")]
    return json.dumps({"port": port, "alg": alg, "lifetime": LIFETIME, "clients": [*clients, signed]})


def _trust() -> str:
    digest = sha256(SECRET.encode()).hexdigest()
    jwk = ", ".join(f'{name} = "{value}"' for name, value in CLIENT_KEY.public_jwk().items())
    proofs = {"gateway": None, "posts": None, "users": None, "signed": f"jwks = {{ keys = [{{ {jwk} }}] }}"}
    tables = [
        f'[services.{name}]\naudience = "{name}"\nscopes = ["{name}:read"]\n'
        + (proof or f'secret_sha256 = ["{digest}"]')
        for name, proof in proofs.items()
    ]
    rules = [
        f'[[services.{callee}.allow]]\ncaller = "{caller}"\nscopes = ["{callee}:read"]\n'
        f'on_behalf_of = "any"\nlifetime = "{LIFETIME}s"'
        for callee, caller in (("posts", "gateway"), ("users", "posts"), ("users", "signed"))
    ]
    # an exchange derives: what the caller got for itself says nothing of the callee's scopes
    rules.append(
        '[[services.users.allow]]\ncaller = "posts"\nscopes = ["users:read"]\non_behalf_of = "any"\n'
        f'when_subject_has = ["posts:read"]\nlifetime = "{LIFETIME}s"'
    )
    return "version = 1\n" + "\n".join([*tables, *rules]) + "\n"


def _strangers(number: int) -> str:
    digest = sha256(b"nobody's").hexdigest()
    return "".join(
        f'[services.s{n}]\naudience = "s{n}"\nscopes = ["s{n}:read"]\nsecret_sha256 = ["{digest}"]\n'
        f'[[services.s{n}.allow]]\ncaller = "s{(n + 1) % number}"\nscopes = ["s{n}:read"]\n'
        'on_behalf_of = "any"\n'
        for n in range(number)
    )


def _made(folder: Path) -> Path:
    folder.mkdir(mode=0o700)
    return folder
