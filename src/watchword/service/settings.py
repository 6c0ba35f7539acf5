"""The settings of a service: arguments, then `WATCHWORD_…`, then `watchword.toml`; all mistakes at once."""

import difflib
import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from watchword.client.authentication import ClientAuthentication, KeyAuthentication, SecretAuthentication
from watchword.errors import ConfigurationError, DestinationRefused, KeyRejected
from watchword.fetch import demand_safe, origin_of
from watchword.service.issuers import IssuerSettings
from watchword.tokens.policy import MAX_LEEWAY
from watchword.tokens.private_key import PrivateKey

PREFIX = "WATCHWORD_"
FILE = "watchword.toml"
DEFAULT_LEEWAY = 5.0

_NAMES = (
    "ISSUER", "TRUSTED_ISSUERS", "AUDIENCE", "CLIENT_ID", "CLIENT_KEY_FILE", "CLIENT_SECRET_FILE", "CA_FILE",
    "INSECURE_HTTP_HOSTS", "JWKS_MAX_AGE", "LEEWAY",
)  # fmt: skip
_NEVER_IN_CLEAR = frozenset({"CLIENT_SECRET", "CLIENT_KEY"})
_URL_PREFIX = "URL_"
_ALIAS = re.compile(r"[a-z0-9-]+")
_SECONDS = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)\s*([smh]?)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """What a service was told, checked."""

    issuer: IssuerSettings
    audience: frozenset[str]
    client_id: str
    client: ClientAuthentication | None
    """How it proves who it is at the token endpoint; `None`: it verifies only."""
    trusted_issuers: Mapping[str, IssuerSettings]
    """By alias."""
    urls: Mapping[str, str]
    """Base URL by `setting_name` of the callee."""
    ca_file: str | None = None
    insecure_http_hosts: frozenset[str] = frozenset()
    jwks_max_age: float | None = None
    """Seconds; `None`: what the issuer's headers say, within bounds."""
    leeway: float = DEFAULT_LEEWAY
    """Seconds, for `nbf` and `iat` only."""

    @classmethod
    def load(cls, environ: Mapping[str, str], *, folder: Path | None = None, **arguments: Any) -> Self:
        """Read settings; an argument beats the environment, which beats `watchword.toml` in `folder`.

        Arguments have the lower-case names of the settings, and `urls={"users": "http://…"}`; `issuer` and
        the values of `trusted_issuers` may be `IssuerSettings`; `client` may be any `ClientAuthentication`.

        Raises:
            ConfigurationError: every mistake at once.
            TypeError: an argument that there is not.
        """
        reader = _Reader(
            environ, folder, {name: value for name, value in arguments.items() if value is not None}
        )
        settings = reader.settings()
        if reader.problems:
            raise ConfigurationError(reader.problems)
        return cls(**settings)

    def url_of(self, callee: str) -> str:
        """Return the base URL of a callee.

        Raises:
            ConfigurationError: nobody said where it is.
        """
        url = self.urls.get(setting_name(callee))
        if url is None:
            raise ConfigurationError(
                f"{PREFIX}{_URL_PREFIX}{setting_name(callee)}: expected the URL of {callee}, found none"
            )
        return url


def setting_name(callee: str) -> str:
    """Return a callee's name as settings spell it: `order-items` is `ORDER_ITEMS`."""
    return re.sub(r"[^A-Za-z0-9]", "_", callee).upper()


@dataclass(slots=True)
class _Reader:
    """Reads one setting after the other and collects what is wrong."""

    environ: Mapping[str, str]
    folder: Path | None
    arguments: dict[str, Any]
    problems: list[str] = field(default_factory=list)
    file: dict[str, Any] = field(default_factory=dict)

    def settings(self) -> dict[str, Any]:
        known = {name.lower() for name in _NAMES} | {"urls", "client"}
        unknown = sorted(self.arguments.keys() - known)
        if unknown:
            raise TypeError(f"unknown settings: {', '.join(unknown)}; known are {', '.join(sorted(known))}")
        self._read_file()
        self._judge_names()
        hosts = self._list("INSECURE_HTTP_HOSTS")
        audience = self._list("AUDIENCE")
        if not audience:
            self._wrong("AUDIENCE", "expected the name under which tokens are meant for it, found none")
        issuer = self._issuer("ISSUER", self._value("ISSUER"), hosts)
        client_id = self._text("CLIENT_ID") or (min(audience) if audience else "")
        return {
            "issuer": issuer,
            "audience": audience,
            "client_id": client_id,
            "client": self._client(client_id),
            "trusted_issuers": self._trusted(hosts),
            "urls": self._urls(hosts),
            "ca_file": self._ca_file(),
            "insecure_http_hosts": hosts,
            "jwks_max_age": self._seconds("JWKS_MAX_AGE", None, 1, 10**9),
            "leeway": self._seconds("LEEWAY", DEFAULT_LEEWAY, 0, MAX_LEEWAY),
        }

    def _wrong(self, name: str, problem: str) -> None:
        self.problems.append(f"{PREFIX}{name}: {problem}")

    def _read_file(self) -> None:
        path = None if self.folder is None else self.folder / FILE
        if path is None or not path.is_file():
            return
        try:
            self.file = tomllib.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            self.problems.append(f"{path}: expected TOML: {error}")

    def _judge_names(self) -> None:
        """Tell what looks like a setting and is none; other names may belong to a server beside it."""
        known = {name for setting in _NAMES for name in (setting, f"{setting}_FILE")}
        given = [name.removeprefix(PREFIX) for name in self.environ if name.startswith(PREFIX)]
        for name in sorted({*given, *(name.upper() for name in self.file)} - known):
            if name in _NEVER_IN_CLEAR:
                self._wrong(
                    name, f"a secret does not stand in settings; name its file in {PREFIX}{name}_FILE"
                )
            elif not name.startswith(_URL_PREFIX):
                close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.85)
                if close:
                    self._wrong(name, f"there is no such setting; {PREFIX}{close[0]} is one")

    def _value(self, name: str) -> Any:
        """Return the value of a setting, or `None`: from arguments, environment, `…_FILE`, or the file."""
        if (argument := self.arguments.get(name.lower())) is not None:
            return argument
        if (text := self.environ.get(PREFIX + name)) is not None:
            if f"{PREFIX}{name}_FILE" in self.environ:
                self._wrong(name, f"expected it once, found {PREFIX}{name}_FILE too")
            return text.strip()
        path = self.environ.get(f"{PREFIX}{name}_FILE", self.file.get(f"{name.lower()}_file"))
        if path is not None and not name.endswith("_FILE"):
            return self._content(f"{name}_FILE", path)
        return self.file.get(name.lower())

    def _content(self, name: str, path: object) -> str | None:
        try:
            return Path(str(path)).read_text("utf-8").strip()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            self._wrong(name, f"{path} cannot be read: {reason.lower()}")
            return None

    def _text(self, name: str) -> str | None:
        value = self._value(name)
        if isinstance(value, Path):
            value = str(value)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            self._wrong(name, f"expected text, found {type(value).__name__}")
            return None
        return value

    def _list(self, name: str) -> frozenset[str]:
        value = self._value(name)
        if value is None:
            return frozenset()
        items = re.split(r"[\s,]+", value) if isinstance(value, str) else value
        if not isinstance(items, Collection) or not all(isinstance(item, str) for item in items):
            self._wrong(name, "expected names, separated by commas")
            return frozenset()
        return frozenset(item for item in items if item)

    def _seconds(self, name: str, default: float | None, least: float, most: float) -> float | None:
        value = self._value(name)
        if value is None or value == "":
            return default
        match = _SECONDS.fullmatch(str(value))
        seconds = float(match[1]) * _UNITS[match[2]] if match and not isinstance(value, bool) else None
        if seconds is None or not least <= seconds <= most:
            self._wrong(name, f"expected {least:g} to {most:g} seconds, found {str(value)!a:.40}")
            return default
        return seconds

    def _issuer(self, name: str, value: Any, hosts: frozenset[str]) -> IssuerSettings | None:
        if value is None or value == "":
            self._wrong(name, "expected the issuer's URL, found none")
            return None
        issuer = value if isinstance(value, IssuerSettings) else IssuerSettings(str(value))
        for what, url in (
            ("", issuer.issuer),
            ("jwks_uri: ", issuer.jwks_uri),
            ("token_endpoint: ", issuer.token_endpoint),
        ):
            self._demand_url(name, what, url, hosts)
        return issuer

    def _demand_url(self, name: str, what: str, url: str | None, hosts: frozenset[str]) -> None:
        if url is None:
            return
        try:
            demand_safe(origin_of(url), hosts)
        except DestinationRefused as error:
            self._wrong(name, f"{what}{error}")

    def _trusted(self, hosts: frozenset[str]) -> Mapping[str, IssuerSettings]:
        value = self._value("TRUSTED_ISSUERS")
        if value is None:
            return MappingProxyType({})
        if isinstance(value, str):
            pairs = [tuple(item.split("=", 1)) for item in re.split(r"[\s,]+", value) if item]
        else:
            pairs = list(value.items()) if isinstance(value, Mapping) else [(value,)]
        found: dict[str, IssuerSettings] = {}
        for pair in pairs:
            if len(pair) != 2 or not isinstance(pair[0], str) or not _ALIAS.fullmatch(pair[0]):
                self._wrong(
                    "TRUSTED_ISSUERS", "expected alias=url, with commas between; an alias is [a-z0-9-]+"
                )
                continue
            if pair[0] in found:
                self._wrong("TRUSTED_ISSUERS", f"expected the alias {pair[0]} once")
            issuer = self._issuer("TRUSTED_ISSUERS", pair[1], hosts)
            if issuer is not None:
                found[pair[0]] = issuer
        return MappingProxyType(found)

    def _urls(self, hosts: frozenset[str]) -> Mapping[str, str]:
        given: dict[str, Any] = {
            name.removeprefix(_URL_PREFIX.lower()): value
            for name, value in self.file.items()
            if name.startswith(_URL_PREFIX.lower())
        }
        start = PREFIX + _URL_PREFIX
        for name, value in self.environ.items():
            if name.startswith(start) and value:
                callee = name.removeprefix(start)
                is_file = callee.endswith("_FILE")
                given[callee.removesuffix("_FILE")] = (
                    self._content(name.removeprefix(PREFIX), value) if is_file else value
                )
        given |= self.arguments.get("urls", {})
        found = {}
        for callee, url in given.items():
            name = setting_name(callee)
            self._demand_url(_URL_PREFIX + name, "", str(url).strip(), hosts)
            found[name] = str(url).strip()
        return MappingProxyType(found)

    def _ca_file(self) -> str | None:
        path = self._text("CA_FILE")
        if path is not None and "-----BEGIN" not in (self._content("CA_FILE", path) or "-----BEGIN"):
            self._wrong("CA_FILE", f"expected certificates in PEM in {path}")
        return path

    def _client(self, client_id: str) -> ClientAuthentication | None:
        if (given := self.arguments.get("client")) is not None:
            client: ClientAuthentication = given
            return client
        key_file, secret_file = self._text("CLIENT_KEY_FILE"), self._text("CLIENT_SECRET_FILE")
        if key_file and secret_file:
            self._wrong("CLIENT_KEY_FILE", "expected a key or a secret, found both")
            return None
        if secret_file:
            secret = self._content("CLIENT_SECRET_FILE", secret_file)
            if secret == "":
                self._wrong("CLIENT_SECRET_FILE", f"expected a secret in {secret_file}, found nothing")
            return SecretAuthentication(client_id, secret) if secret else None
        pem = self._content("CLIENT_KEY_FILE", key_file) if key_file else None
        if pem is None:
            return None
        try:
            return KeyAuthentication(client_id, PrivateKey.from_pem(pem.encode()))
        except KeyRejected as error:
            self._wrong("CLIENT_KEY_FILE", f"{key_file}: {error}")
            return None
