"""Every setting that a token service knows, as data; the reference page is compared with it."""

from typing import NamedTuple

PREFIX = "WATCHWORD_"
FILE = "watchword.toml"


class Setting(NamedTuple):
    """One setting of the server."""

    name: str
    default: str
    """As the reference page says it; empty: there is none."""
    meaning: str


SETTINGS = (
    Setting("ISSUER", "", "the URL of this token service, exactly as it stands in `iss`"),
    Setting("DATABASE", "./watchword-data/watchword.db", "the SQLite file; its folder is the data folder"),
    Setting("KEYS", "database:", "where the signing keys live: `database:`, `files:<folder>` or `memory:`"),
    Setting("SEAL", "file:<data folder>/sealing.key", "where the key is under which they are sealed"),
    Setting("SIGNING_ALGORITHM", "ES256", "the algorithm of new signing keys; a change begins a rotation"),
    Setting("KEY_ACTIVE_FOR", "30d", "how long a key signs before the next one takes over"),
    Setting("KEY_CACHED_FOR", "1h", "how long verifiers may keep a key set; a new key waits that long"),
    Setting("CLOCK_SKEW", "5m", "how far the clocks of two machines that share the keys may be apart"),
    Setting("LISTEN", "127.0.0.1:<port of ISSUER>", "`host:port`; an IPv6 address in brackets"),
    Setting("WORKERS", "1", "how many processes answer requests, on as many processors"),
    Setting("TLS_CERT", "", "PEM file with the certificate chain; then `LISTEN` speaks TLS"),
    Setting("TLS_KEY", "", "PEM file with its private key, for its owner alone"),
    Setting("ADMIN_SOCKET", "<data folder>/admin.sock", "the owner-only Unix socket of the operator"),
    Setting("METRICS_LISTEN", "", "loopback `host:port` where Prometheus reads metrics"),
    Setting("RATE_PER_CLIENT", "200/1000", "requests per second and burst of each authenticated client"),
    Setting("RATE_PER_ADDRESS", "1000/2000", "requests per second and burst of each network; 0 is off"),
    Setting("TRUST", "", "the trust document that is applied at start when it is new"),
    Setting("AUDIT_RETENTION", "400d", "how long audit events are kept; 0 is for ever"),
    Setting("AUDIT_LOG", "", "a file that takes each audit event as a line of JSON; `-` is stderr"),
    Setting("AUDIT_LOG_FULL", "refuse", "what becomes of tokens while `AUDIT_LOG` cannot be written"),
    Setting("LEEWAY", "5s", "how far `nbf` and `iat` of a presented token may lie ahead; never `exp`"),
    Setting("JWKS_MAX_AGE", "what the issuer says", "how long keys of trusted issuers are kept"),
    Setting("CA_FILE", "", "PEM certificates to trust instead of the system's when keys are fetched"),
)

OF_SERVICES = (
    "AUDIENCE",
    "CLIENT_ID",
    "CLIENT_KEY_FILE",
    "CLIENT_SECRET_FILE",
    "INSECURE_HTTP_HOSTS",
    "TRUSTED_ISSUERS",
)
"""Settings of the SDK, which may share an environment or a file with the server; `URL_<CALLEE>` too."""

OF_THE_PROCESS = ("DEBUG", "REQUIRE_ALL", "SOAK", "VECTORS")
"""Switches of the command line and of the test suite; in the environment only."""
