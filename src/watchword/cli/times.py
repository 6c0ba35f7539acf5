"""Moments and spans as operators read them."""

from collections.abc import Callable
from datetime import UTC, datetime

import click

from watchword.app.setting_values import duration

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


def span(longest: float) -> Callable[[click.Context, click.Parameter, str], float]:
    """Return what reads a span of time on the command line, written as in the settings, as seconds."""

    def read(_: click.Context, __: click.Parameter, text: str) -> float:
        try:
            return duration(text, longest=longest)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    return read
