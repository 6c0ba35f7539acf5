"""The settings of a token service, checked; every mistake is told at once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

from watchword.app import setting_values as values
from watchword.app.setting_source import SettingSource
from watchword.app.setting_values import Address
from watchword.authority.build import DEFAULT_LEEWAY
from watchword.errors import ConfigurationError
from watchword.keystores import KEY_STORES
from watchword.tokens.algorithms import PUBLIC_KEY_ALGORITHMS
from watchword.tokens.policy import MAX_LEEWAY
from watchword.tokens.private_key import DEFAULT_ALGORITHM

T = TypeVar("T")

DEFAULT_DATABASE = Path("watchword-data", "watchword.db")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """What a token service was told. Paths are absolute."""

    issuer: str
    database: Path
    keys: str
    """As `watchword.keystores.open_key_store` reads it."""
    signing_algorithm: str = DEFAULT_ALGORITHM
    listen: Address
    trust: Path | None = None
    leeway: float = DEFAULT_LEEWAY
    """Seconds."""
    ca_file: Path | None = None
    warnings: tuple[str, ...] = ()
    """What is strange but does no harm."""

    @property
    def data_folder(self) -> Path:
        """The folder of the database: keys and lock stand there too."""
        return self.database.parent

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
        algorithm = _read(source, "SIGNING_ALGORITHM", _algorithm)
        database = _database(source)
        keys = _read(source, "KEYS", lambda text: _keys(text, source.folder))
        trust, ca_file = _file(source, "TRUST"), _file(source, "CA_FILE")
        if issuer is None or source.problems:
            raise ConfigurationError(source.problems)
        return cls(
            issuer=issuer,
            database=database,
            keys=keys or f"files:{database.parent / 'keys'}",
            signing_algorithm=algorithm or DEFAULT_ALGORITHM,
            listen=listen or values.default_address(issuer),
            trust=trust,
            leeway=DEFAULT_LEEWAY if leeway is None else leeway,
            ca_file=ca_file,
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


def _keys(text: str, folder: Path) -> str:
    kind, colon, place = text.partition(":")
    if not colon or kind not in KEY_STORES or (kind == "files") != bool(place):
        raise ValueError(f"expected files:<folder> or memory:, found {values.shown(text)}")
    return f"files:{folder / Path(place).expanduser()}" if kind == "files" else text


def _algorithm(text: str) -> str:
    if text not in PUBLIC_KEY_ALGORITHMS:
        raise ValueError(
            f"expected one of {', '.join(sorted(PUBLIC_KEY_ALGORITHMS))}, found {values.shown(text)}"
        )
    return text


def _file(source: SettingSource, name: str) -> Path | None:
    path = source.path(name)
    if path is not None and not path.is_file():
        source.wrong(name, f"expected a file, found {'a folder' if path.is_dir() else 'nothing'} at {path}")
    return path
