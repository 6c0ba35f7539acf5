"""The answer to an error, the same in every framework, and the line that tells the operator why."""

import logging

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


def refusal_of(error: WatchwordError) -> Refusal | None:
    """Return the answer to an error and log its reason; `None` if it is our own mistake and no answer."""
    refusal = challenge(error) if isinstance(error, _TOLD) else None
    if refusal is None or refusal.status == 500:
        return None
    level = logging.INFO if refusal.status < 500 else logging.WARNING
    _log.log(level, "refused %s: %s", error.code, error)
    return refusal
