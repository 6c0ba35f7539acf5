"""What a part of Watchword counts of itself, and what it tells others while it happens."""

from watchword.telemetry.events import (
    CalleeRefused,
    Event,
    KeySetAlarm,
    KeySetFetched,
    Observer,
    TokenRefused,
    TokenRequested,
)
from watchword.telemetry.exposition import Durations
from watchword.telemetry.meter import Meter
from watchword.telemetry.snapshot import CalleeMetrics, KeySetMetrics, Metrics

__all__ = [
    "CalleeMetrics",
    "CalleeRefused",
    "Durations",
    "Event",
    "KeySetAlarm",
    "KeySetFetched",
    "KeySetMetrics",
    "Meter",
    "Metrics",
    "Observer",
    "TokenRefused",
    "TokenRequested",
]
