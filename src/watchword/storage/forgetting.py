"""What may be forgotten, in bounded steps, so that nobody waits long for it."""

from watchword.storage.database import Intent, Statement

KEPT_COUNTS = 90 * 24 * 60
"""Minutes for which refusals stay counted."""
KEPT_SAMPLES = 7 * 24 * 60
"""Minutes for which their samples stay."""

_CONSUMED = (
    "DELETE FROM consumed WHERE (kind, id) IN (SELECT kind, id FROM consumed WHERE expires < ?1 LIMIT ?2)"
)
_EXPIRIES = (
    "DELETE FROM token_expiry WHERE (minute, kid) IN"
    " (SELECT minute, kid FROM token_expiry WHERE minute < ?1 LIMIT ?2)"
)
_REFUSALS = (
    "DELETE FROM refusal WHERE (minute, reason) IN"
    " (SELECT minute, reason FROM refusal WHERE minute < ?1 LIMIT ?2)"
)
_SAMPLES = (
    "DELETE FROM refusal_sample WHERE (minute, reason, number) IN"
    " (SELECT minute, reason, number FROM refusal_sample WHERE minute < ?1 LIMIT ?2)"
)


def forget(now: float, limit: int) -> Intent[int]:
    """Forget at most `limit` rows of each table.

    Single-use values whose time is over, minutes in which all tokens have expired, old counts and samples.
    Events are not among them: `AuditTrail.forget` keeps their chains verifiable.

    Returns:
        How many rows the table lost that lost most: `limit` means that there may be more.
    """
    minute = int(now // 60)
    values = yield Statement(_CONSUMED, (now, limit))
    minutes = yield Statement(_EXPIRIES, (minute, limit))
    counts = yield Statement(_REFUSALS, (minute - KEPT_COUNTS, limit))
    samples = yield Statement(_SAMPLES, (minute - KEPT_SAMPLES, limit))
    return max(values.changed, minutes.changed, counts.changed, samples.changed)
