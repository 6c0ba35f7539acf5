"""The settings of a token service, checked; every mistake is told at once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from watchword.app import setting_values as values
from watchword.app.others import SEEN_WITHIN
from watchword.app.seal_sources import SealSource, seal_sources
from watchword.app.setting_source import SettingSource
from watchword.app.setting_values import Address
from watchword.authority.build import DEFAULT_LEEWAY
from watchword.errors import ConfigurationError
from watchword.keys.rotation import DAY, RotationPolicy
from watchword.keystores import KEY_STORES
from watchword.server.rate import Rate
from watchword.server.tls import Pair
from watchword.tokens.algorithms import PUBLIC_KEY_ALGORITHMS
from watchword.tokens.policy import MAX_LEEWAY

T = TypeVar("T")

DEFAULT_AUDIT_RETENTION = 400 * DAY
_LONGEST = 3_650 * DAY
DEFAULT_DATABASE = Path("watchword-data", "watchword.db")
DEFAULT_RATE_PER_CLIENT = Rate(200, 1_000)
"""A service for 12,000 people at once who use two callees, two minutes a token; the burst is its restart."""
DEFAULT_RATE_PER_ADDRESS = Rate(1_000, 2_000)
"""Several services on one machine; well below what one process can refuse, so that others are served."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """What a token service was told. Paths are absolute."""

    issuer: str
    database: Path
    keys: str
    """`database:`, or as `watchword.keystores.open_key_store` reads it."""
    seal: tuple[SealSource, ...] = ()
    """Where the sealing keys come from, the one that seals first; empty: a file in the data folder."""
    rotation: RotationPolicy = field(default_factory=RotationPolicy)
    """How long a signing key lives in each state, and the algorithm of new ones."""
    listen: Address
    workers: int = 1
    """Processes that answer requests."""
    admin_socket: Path | None = None
    """`None`: `admin.sock` in the data folder."""
    metrics_listen: Address | None = None
    """On loopback; `None`: metrics are read at the admin socket only."""
    tls: Pair | None = None
    rate_per_client: Rate | None = DEFAULT_RATE_PER_CLIENT
    """`None`: no limit."""
    rate_per_address: Rate | None = DEFAULT_RATE_PER_ADDRESS
    trust: Path | None = None
    leeway: float = DEFAULT_LEEWAY
    """Seconds."""
    audit_retention: float | None = DEFAULT_AUDIT_RETENTION
    """Seconds for which audit events are kept; `None`: for ever."""
    audit_log: "Path | Literal['-'] | None" = None
    """Where each event is written besides: a file, or `-` for stderr."""
    audit_log_full: Literal["refuse", "issue"] = "refuse"
    """What the token endpoint does while the log cannot be written."""
    ca_file: Path | None = None
    jwks_max_age: float | None = None
    """Seconds for which keys of trusted issuers are kept; `None`: what their headers say, within bounds."""
    warnings: tuple[str, ...] = ()
    """What is strange but does no harm."""

    @property
    def data_folder(self) -> Path:
        """The folder of the database: keys and lock stand there too."""
        return self.database.parent

    @property
    def operators_socket(self) -> Path:
        """Where the operator's Unix socket is."""
        return self.admin_socket or self.data_folder / "admin.sock"

    @classmethod
    def load(cls, environ: Mapping[str, str], *, folder: Path) -> Self:
        """Read `WATCHWORD_…` from the environment, and what it does not say from `folder/watchword.toml`.

        Raises:
            ConfigurationError: every mistake, with what was expected and what was found.
        """
        source = SettingSource(environ, folder.absolute())
        issuer = _read(source, "ISSUER", values.issuer)
        if issuer is None and not any("ISSUER" in problem for problem in source.problems):
            source.wrong(
                "ISSUER", "expected the URL of this token service, as in http://127.0.0.1:9000, found none"
            )
        listen = _read(source, "LISTEN", values.address)
        leeway = _read(source, "LEEWAY", lambda text: values.duration(text, longest=MAX_LEEWAY))
        metrics_listen = _read(source, "METRICS_LISTEN", values.loopback)
        tls = _tls(source)
        if tls is not None and issuer is not None and issuer.startswith("http:"):
            source.warnings.append("WATCHWORD_TLS_CERT: expected an ISSUER with https, found http")
        per_client = _rate(source, "RATE_PER_CLIENT", DEFAULT_RATE_PER_CLIENT)
        per_address = _rate(source, "RATE_PER_ADDRESS", DEFAULT_RATE_PER_ADDRESS)
        workers = _read(source, "WORKERS", values.workers) or 1
        rotation = _rotation(source, seen_within=SEEN_WITHIN if workers > 1 else 0.0)
        database = _database(source)
        keys = _read(source, "KEYS", lambda text: _keys(text, source.folder)) or _usual_keys(source, database)
        seal = _read(source, "SEAL", lambda text: seal_sources(text, source.folder))
        if workers > 1 and keys is not None and keys.startswith("memory:"):
            source.wrong("WORKERS", "expected 1 with KEYS in memory, which processes do not share")
        kept = _read(source, "AUDIT_RETENTION", lambda text: values.duration(text, longest=_LONGEST))
        audit_log = _audit_log(source)
        full = _read(source, "AUDIT_LOG_FULL", _audit_log_full)
        jwks_max_age = _read(source, "JWKS_MAX_AGE", lambda text: values.duration(text, longest=_LONGEST))
        trust, ca_file = _file(source, "TRUST"), _file(source, "CA_FILE")
        if issuer is None or source.problems:
            raise ConfigurationError(source.problems)
        return cls(
            issuer=issuer,
            database=database,
            keys=keys,
            seal=seal or (),
            rotation=rotation,
            listen=listen or values.default_address(issuer),
            workers=workers,
            admin_socket=source.path("ADMIN_SOCKET"),
            metrics_listen=metrics_listen,
            tls=tls,
            rate_per_client=per_client,
            rate_per_address=per_address,
            trust=trust,
            leeway=DEFAULT_LEEWAY if leeway is None else leeway,
            audit_retention=DEFAULT_AUDIT_RETENTION if kept is None else kept or None,
            audit_log=audit_log,
            audit_log_full=full or "refuse",
            ca_file=ca_file,
            jwks_max_age=jwks_max_age,
            warnings=tuple(source.warnings),
        )


def _read(source: SettingSource, name: str, read: Callable[[str], T]) -> T | None:
    text = source.text(name)
    if text is None:
        return None
    try:
        return read(text)
    except ValueError as error:
        source.wrong(name, str(error))
        return None


def _tls(source: SettingSource) -> Pair | None:
    """Return the pair; one half of it protects nothing, so it is a mistake."""
    found = {name: _file(source, name) for name in ("TLS_CERT", "TLS_KEY")}
    for name, other in (("TLS_CERT", "TLS_KEY"), ("TLS_KEY", "TLS_CERT")):
        if source.text(name) is not None and source.text(other) is None:
            source.wrong(other, f"expected it beside {name}, found nothing")
    certificate, key = found["TLS_CERT"], found["TLS_KEY"]
    return Pair(certificate, key) if certificate is not None and key is not None else None


def _rate(source: SettingSource, name: str, default: Rate) -> Rate | None:
    # 0 reads as `None` too, so the text decides whether it was set at all
    return default if source.text(name) is None else _read(source, name, values.rate)


def _rotation(source: SettingSource, *, seen_within: float) -> RotationPolicy:
    """Return the policy of key changes; settings in which a key would sign too soon are one more mistake."""
    algorithm = _read(source, "SIGNING_ALGORITHM", _algorithm)
    given: dict[str, Any] = {"seen_within": seen_within}
    if algorithm is not None:
        given["algorithm"] = algorithm
    for name, member in (
        ("KEY_ACTIVE_FOR", "active_for"),
        ("KEY_CACHED_FOR", "cached_for"),
        ("CLOCK_SKEW", "skew"),
    ):
        seconds = _read(source, name, lambda text: values.duration(text, longest=_LONGEST))
        if seconds is not None:
            given[member] = seconds
    try:
        return RotationPolicy(**given)
    except ConfigurationError as error:
        for problem in error.problems:
            source.wrong("KEY_ACTIVE_FOR", problem.partition(": ")[2])
        return RotationPolicy()


def _audit_log(source: SettingSource) -> "Path | Literal['-'] | None":
    if source.text("AUDIT_LOG") == "-":
        return "-"
    path = source.path("AUDIT_LOG")
    if path is not None and path.exists() and not path.is_file():
        source.wrong("AUDIT_LOG", f"expected a file, or - for stderr, found something else at {path}")
    elif path is not None and not path.parent.is_dir():
        source.wrong("AUDIT_LOG", f"expected a file in a folder that exists, found no {path.parent}")
    return path


def _audit_log_full(text: str) -> Literal["refuse", "issue"]:
    if text == "refuse":
        return "refuse"
    if text == "issue":
        return "issue"
    raise ValueError(f"expected refuse or issue, found {values.shown(text)}")


def _database(source: SettingSource) -> Path:
    default = source.folder / DEFAULT_DATABASE
    text = source.text("DATABASE")
    if text is None:
        return default
    if "://" in text or text.startswith(":"):
        source.wrong("DATABASE", f"expected the path of an SQLite file, found {values.shown(text)}")
        return default
    path = source.folder / Path(text).expanduser()
    if path.is_dir() or text.endswith("/"):
        source.wrong("DATABASE", f"expected the path of a file, found the folder {values.shown(text)}")
    return path


def _usual_keys(source: SettingSource, database: Path) -> str:
    """Return the database, unless the keys of an earlier release are in their folder: those go on."""
    folder = database.parent / "keys"
    if source.text("KEYS") is not None or not (folder / "keyring.json").exists():
        return "database:"
    source.warnings.append(
        f"WATCHWORD_KEYS: not set, and keys of an earlier release are in {folder}: they stay there and are"
        f" sealed with their next change; set files:{folder} to keep it so, or database: to move them"
    )
    return f"files:{folder}"


def _keys(text: str, folder: Path) -> str:
    kind, colon, place = text.partition(":")
    if not colon or kind not in {"database", *KEY_STORES} or (kind == "files") != bool(place):
        raise ValueError(f"expected database:, files:<folder> or memory:, found {values.shown(text)}")
    return f"files:{folder / Path(place).expanduser()}" if kind == "files" else text


def _algorithm(text: str) -> str:
    if text not in PUBLIC_KEY_ALGORITHMS:
        raise ValueError(
            f"expected one of {', '.join(sorted(PUBLIC_KEY_ALGORITHMS))}, found {values.shown(text)}"
        )
    return text


def _file(source: SettingSource, name: str) -> Path | None:
    path = source.path(name)
    if path is not None and "-----BEGIN" in str(path):
        # NAME_FILE holds what NAME would say: a path. Nothing of this may be shown
        source.wrong(
            name, f"expected the path of a file, found its content; name the file in WATCHWORD_{name}"
        )
        return None
    if path is not None and not path.is_file():
        source.wrong(name, f"expected a file, found {'a folder' if path.is_dir() else 'nothing'} at {path}")
    return path
