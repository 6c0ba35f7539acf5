"""What `watchword doctor` looks at: each examination yields findings and changes nothing."""

import email.utils
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from watchword.app.config import ServerSettings
from watchword.app.key_places import looked_at
from watchword.clock import Clock
from watchword.errors import (
    ConfigurationError,
    DestinationRefused,
    FetchFailed,
    KeyringError,
    NoActiveKey,
    StoreError,
    TokenError,
    TrustError,
)
from watchword.fetch import Flow, Request, Response, Transport
from watchword.resource.metadata import locations, parse
from watchword.server.tls import Pair
from watchword.server.tls import load as load_tls
from watchword.trust import document as trust_document

# this code was written later than that: a clock before it is wrong
_NOT_BEFORE = 1_793_000_000
_SKEW_SECONDS = 2


class Finding(NamedTuple):
    """One line of the report."""

    status: Literal["OK", "WARN", "FAIL"]
    about: str
    text: str
    """What was found, and what to do where it is wrong."""


def settings(error: ConfigurationError) -> Iterator[Finding]:
    """Tell every mistake in the settings."""
    for problem in error.problems:
        yield Finding("FAIL", "settings", problem)


def used(found: ServerSettings) -> Iterator[Finding]:
    """Tell which settings are in force, and what is strange about them."""
    yield Finding("OK", "settings", f"issuer {found.issuer}, listening at {found.listen}")
    for warning in found.warnings:
        yield Finding("WARN", "settings", warning)


def time(clock: Clock) -> Iterator[Finding]:
    """Hold the clock against the age of this code."""
    if clock.now() < _NOT_BEFORE:
        yield Finding("FAIL", "clock", "it is set to the past; every token would be refused: set it, use NTP")
    else:
        yield Finding("OK", "clock", "it is plausible")


def data_folder(path: Path) -> Iterator[Finding]:
    """Look at owner, mode and writability of the data folder, or of the place where it will be made."""
    if not path.exists():
        above = next(folder for folder in path.parents if folder.exists())
        if os.access(above, os.W_OK | os.X_OK):
            yield Finding("OK", "data folder", f"{path} will be made at the first start")
        else:
            yield Finding("FAIL", "data folder", f"{path} cannot be made: this user cannot write to {above}")
        return
    found = path.stat()
    if not stat.S_ISDIR(found.st_mode):
        yield Finding("FAIL", "data folder", f"{path} is no folder; name another in WATCHWORD_DATABASE")
    elif found.st_uid != os.geteuid():
        yield Finding("FAIL", "data folder", f"{path} belongs to uid {found.st_uid}, not to this user")
    elif stat.S_IMODE(found.st_mode) & 0o077:
        mode = stat.S_IMODE(found.st_mode)
        yield Finding(
            "FAIL", "data folder", f"{path} is open to others (mode {mode:04o}); run: chmod 700 {path}"
        )
    elif not os.access(path, os.W_OK | os.X_OK):
        yield Finding("FAIL", "data folder", f"{path} cannot be written to by this user")
    else:
        yield Finding("OK", "data folder", f"{path} is this user's alone")


def keys(found: ServerSettings) -> Iterator[Finding]:
    """Load the signing keys, without making the first one or the key under which they are sealed."""
    place = found.keys
    try:
        keyring = looked_at(found).load()
        if not keyring.states:
            yield Finding("OK", "keys", f"none in {place} yet; the first start makes one")
            return
        for lost in keyring.unusable:
            yield Finding("FAIL", "keys", f"{lost.kid} cannot be used: {lost.problem}; restore its record")
        active = keyring.active
    except NoActiveKey:
        yield Finding("FAIL", "keys", f"none of the keys in {place} is active: no token can be issued")
    except (KeyringError, StoreError, ConfigurationError) as error:
        yield Finding("FAIL", "keys", str(error))
    else:
        yield Finding("OK", "keys", f"{len(keyring.entries)} in {place}; {active.key.alg} {active.kid} signs")


def audit_log(path: "Path | Literal['-'] | None") -> Iterator[Finding]:
    """Look whether the log of the audit can be written where the settings want it."""
    if path is None or path == "-":
        return
    place = path if path.exists() else path.parent
    if not os.access(place, os.W_OK):
        yield Finding(
            "FAIL", "audit log", f"{place} cannot be written by this user: no token would be issued"
        )
    elif path.is_symlink() or (path.exists() and path.stat().st_uid != os.geteuid()):
        yield Finding("FAIL", "audit log", f"expected a file of this user at {path}, found another or a link")
    else:
        yield Finding("OK", "audit log", f"{path} can be written")


def tls(pair: Pair | None) -> Iterator[Finding]:
    """Load certificate and key as the server would."""
    if pair is None:
        return
    try:
        load_tls(pair)
    except ConfigurationError as error:
        for problem in error.problems:
            yield Finding("FAIL", "tls", problem)
    else:
        yield Finding("OK", "tls", f"{pair.certificate} and its key belong together")


def trust(path: Path | None) -> Iterator[Finding]:
    """Read the trust document and tell every mistake."""
    if path is None:
        yield Finding(
            "WARN", "trust", "no WATCHWORD_TRUST: unless a document was applied before, all is denied"
        )
        return
    try:
        document = trust_document.read(path)
    except TrustError as error:
        for problem in error.problems:
            yield Finding("FAIL", "trust", problem)
        return
    yield Finding(
        "OK", "trust", f"{len(document.services)} services, {len(document.issuers)} trusted issuers"
    )
    for warning in trust_document.warnings(document):
        yield Finding("WARN", "trust", warning)


def issuer(found: ServerSettings, clock: Clock) -> Iterator[Finding]:
    """Ask the issuer's URL for its metadata, as every service does, and compare clocks."""
    url = locations(found.issuer)[0]
    transport = Transport(ca_file=found.ca_file)

    def ask() -> Flow[Response]:
        return (yield Request("GET", url, {"Accept": "application/json"}))

    try:
        response = transport.drive(ask())
        parse(response, found.issuer)
    except (FetchFailed, DestinationRefused, TokenError) as error:
        yield Finding(
            "WARN", "issuer", f"{url} does not answer as services expect: {error}; is the server running?"
        )
        return
    yield Finding("OK", "issuer", f"{found.issuer} answers with its own metadata")
    yield from skew(response, clock)


def skew(response: Response, clock: Clock) -> Iterator[Finding]:
    """Tell if our clock and that of whoever answered just now differ."""
    told = response.headers.get("date")
    try:
        skew = clock.now() - email.utils.parsedate_to_datetime(told).timestamp() if told else 0.0
    except ValueError:
        return
    if abs(skew) > _SKEW_SECONDS:
        yield Finding(
            "WARN", "clock", f"it differs from the issuer's by {skew:+.0f} s; use NTP on both machines"
        )
