"""The answer to an error, the same in every framework, and the line that tells the operator why."""

import logging
from collections.abc import Mapping

from watchword.errors import (
    BearerError,
    ExchangeDenied,
    KeysUnavailable,
    OutboundError,
    TokenError,
    WatchwordError,
)
from watchword.resource.bearer import Refusal, challenge

_log = logging.getLogger("watchword")

# What a caller may be told; the rest (settings, NoCaller, a wrong destination) is our own mistake: a 500.
_TOLD = (TokenError, BearerError, KeysUnavailable, ExchangeDenied, OutboundError)


def refusal_of(error: WatchwordError, *, resource_metadata: str | None = None) -> Refusal | None:
    """Return the answer to an error and log its reason; `None` if it is our own mistake and no answer."""
    refusal = challenge(error, resource_metadata=resource_metadata) if isinstance(error, _TOLD) else None
    if refusal is None or refusal.status == 500:
        return None
    level = logging.INFO if refusal.status < 500 else logging.WARNING
    _log.log(level, "refused %s: %s", error.code, error)
    return refusal


def headers_of(refusal: Refusal) -> Mapping[str, str]:
    """Return the header fields of a refusal with its length, for frameworks that do not count."""
    return dict(refusal.headers) | {"Content-Length": str(len(refusal.body))}


def close_code(refusal: Refusal) -> int:
    """Return the WebSocket code of a refusal: policy violation, or our own trouble (RFC 6455 §7.4.1)."""
    return 1008 if refusal.status < 500 else 1011
