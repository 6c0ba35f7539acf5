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
from watchword.telemetry.meter import FIELDS

_log = logging.getLogger("watchword")

# What a caller may be told; the rest (settings, NoCaller, a wrong destination) is our own mistake: a 500.
_TOLD = (TokenError, BearerError, KeysUnavailable, ExchangeDenied, OutboundError)


def refusal_of(error: WatchwordError, *, resource_metadata: str | None = None) -> Refusal | None:
    """Return the answer to an error; `None` if it is our own mistake and no answer.

    The reason of a refused token or request was logged where it was refused; that of a call to others is
    logged here.
    """
    refusal = challenge(error, resource_metadata=resource_metadata) if isinstance(error, _TOLD) else None
    if refusal is None or refusal.status == 500:
        return None
    if isinstance(error, ExchangeDenied | OutboundError):
        level = logging.INFO if refusal.status < 500 else logging.WARNING
        fields = {"name": "call.failed", "code": error.code, "status": refusal.status}
        if isinstance(error, ExchangeDenied):
            fields |= {"callee": error.callee, "reason": error.reason, "request_id": error.request_id}
        _log.log(level, "refused %s: %s", error.code, error, extra={FIELDS: fields})
    return refusal


def headers_of(refusal: Refusal) -> Mapping[str, str]:
    """Return the header fields of a refusal with its length, for frameworks that do not count."""
    return dict(refusal.headers) | {"Content-Length": str(len(refusal.body))}


def close_code(refusal: Refusal) -> int:
    """Return the WebSocket code of a refusal: policy violation, or our own trouble (RFC 6455 §7.4.1)."""
    return 1008 if refusal.status < 500 else 1011
