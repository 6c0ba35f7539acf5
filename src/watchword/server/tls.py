"""TLS of the server's own: one certificate with its key, taken up anew when the files change."""

import logging
import os
import ssl
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509

from watchword.errors import ConfigurationError
from watchword.telemetry.exposition import Gauge

logger = logging.getLogger("watchword.server")

_MINIMUM = ssl.TLSVersion.TLSv1_2
# TLS 1.2 with forward secrecy and authenticated encryption only; TLS 1.3 has nothing else
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
_OTHERS = 0o077


class Pair(NamedTuple):
    """Where a certificate and its private key stand, both in PEM."""

    certificate: Path
    """The chain: the server's own certificate first."""
    key: Path


class ReloadingTLS:
    """A context for listening sockets; every handshake is made with the pair that stands on disk then.

    Connections that exist keep what they have. A new pair that cannot be used changes nothing: the old one
    goes on, and the log says why, once.

    Args:
        pair: read now, and again whenever a file is another one.

    Raises:
        ConfigurationError: it cannot be used.
    """

    __slots__ = ("_ends", "_pair", "_ready", "_seen", "context")

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._seen = _versions(pair)
        self._ready, self._ends = load(pair), _end_of(pair)
        self.context = load(pair)
        # called at the start of each handshake, with or without a server name
        self.context.sni_callback = self._choose

    def refresh(self) -> None:
        """Take up the pair if it changed since the last time; two calls of `stat` if not."""
        versions = _versions(self._pair)
        if versions == self._seen:
            return
        self._seen = versions
        try:
            self._ready, self._ends = load(self._pair), _end_of(self._pair)
        except ConfigurationError as error:
            logger.warning("the TLS certificate stays as it was: %s", "; ".join(error.problems))
        else:
            logger.info("a new TLS certificate was taken up")

    async def gauges(self) -> Sequence[Gauge]:
        """Return when the certificate in force ends, for metrics."""
        self.refresh()
        ends = {"": self._ends}
        return (
            Gauge("watchword_tls_certificate_ends_seconds", "When it ends, seconds since the epoch.", ends),
        )

    def _choose(self, connection: Any, _name: str | None, _context: ssl.SSLContext) -> None:
        self.refresh()
        connection.context = self._ready


def load(pair: Pair) -> ssl.SSLContext:
    """Return a server context with this pair, TLS 1.2 or newer.

    Raises:
        ConfigurationError: a file cannot be read, is no PEM, the two do not belong together, or others than
            its owner may read the key.
    """
    problem = _readable_by_others(pair.key)
    if problem is not None:
        raise ConfigurationError(f"WATCHWORD_TLS_KEY: {problem}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _MINIMUM
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    try:
        # a server has nobody to ask for a passphrase: an encrypted key is one that cannot be read
        context.load_cert_chain(pair.certificate, pair.key, password=_no_passphrase)
    except OSError as error:
        raise ConfigurationError(_why(error, pair)) from None
    return context


def _end_of(pair: Pair) -> float:
    try:
        first = x509.load_pem_x509_certificates(pair.certificate.read_bytes())[0]
    except (OSError, ValueError, IndexError):
        raise ConfigurationError(
            f"WATCHWORD_TLS_CERT: expected certificates in {pair.certificate}, found something else"
        ) from None
    return first.not_valid_after_utc.timestamp()


def _no_passphrase() -> str:
    return ""


def _readable_by_others(key: Path) -> str | None:
    try:
        found = key.stat()
    except OSError as error:
        return f"expected a readable file, found {key}: {(error.strerror or 'error').lower()}"
    if found.st_uid not in (0, os.geteuid()):
        return f"expected {key} to belong to this user (uid {os.geteuid()}), found uid {found.st_uid}"
    mode = stat.S_IMODE(found.st_mode)
    if mode & _OTHERS:
        return f"expected only its owner to read {key}, found mode {mode:04o}; run: chmod 600 {key}"
    return None


def _why(error: OSError, pair: Pair) -> str:
    if isinstance(error, ssl.SSLError):
        if error.reason == "KEY_VALUES_MISMATCH":
            return f"WATCHWORD_TLS_KEY: {pair.key} is not the key of the certificate in {pair.certificate}"
        return (
            f"WATCHWORD_TLS_CERT: expected a certificate chain in {pair.certificate} and an unencrypted "
            f"private key in {pair.key}, both PEM, found something else"
        )
    return f"WATCHWORD_TLS_CERT: cannot read {pair.certificate}: {(error.strerror or 'error').lower()}"


def _versions(pair: Pair) -> tuple[object, ...]:
    versions: list[object] = []
    for path in pair:
        try:
            found = path.stat()
        except OSError:
            versions.append(None)
        else:
            # another file, or the same one written again; a mode that was mended counts, too
            versions.append((found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns))
    return tuple(versions)
