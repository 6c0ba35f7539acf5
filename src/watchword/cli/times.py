"""Moments and spans as operators read them."""

from datetime import UTC, datetime

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


def moment(seconds: float) -> str:
    """Return a moment, seconds since the epoch, in UTC and to the second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def lasting(seconds: float) -> str:
    """Return a span of seconds by its two largest units: `3d 4h`, `1h 5m`, `12s`."""
    left, parts = max(0, round(seconds)), []
    for size, unit in _UNITS:
        if left >= size:
            parts.append(f"{left // size}{unit}")
            left %= size
        if len(parts) == 2:
            break
    return " ".join(parts) or "0s"
