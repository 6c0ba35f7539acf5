"""Refusals of those who proved nothing, counted in memory: a flood costs a number, not a row each."""

from dataclasses import dataclass, field

import msgspec

from watchword.audit.event import AuditEvent
from watchword.storage.database import Intent, Statement
from watchword.storage.events import storable, storable_text

MAX_SAMPLES = 3
MAX_COUNTERS = 1_000
OTHER = "other"
"""Where refusals are counted when there are too many reasons to keep apart."""

_COUNT = (
    "INSERT INTO refusal (minute, reason, refusals) VALUES (?1, ?2, ?3)"
    " ON CONFLICT (minute, reason) DO UPDATE SET refusals = refusal.refusals + excluded.refusals"
)
_SAMPLE = (
    "INSERT INTO refusal_sample (minute, reason, number, event) VALUES (?1, ?2, ?3, ?4)"
    " ON CONFLICT (minute, reason, number) DO NOTHING"
)
_READ = "SELECT reason, SUM(refusals) FROM refusal GROUP BY reason ORDER BY reason"


@dataclass(slots=True)
class Counted:
    """What one reason came to in one minute."""

    refusals: int = 0
    samples: list[AuditEvent] = field(default_factory=list)


Refusals = dict[tuple[int, str], Counted]
"""By minute since the epoch and reason."""


class RefusalCounter:
    """Counts until somebody takes; if nobody can, it grows by one number a minute at the most."""

    __slots__ = ("_counted",)

    def __init__(self) -> None:
        self._counted: Refusals = {}

    def count(self, reason: str, sample: AuditEvent) -> None:
        """Count one refusal and keep it as a sample if it is among the first of its minute."""
        counted = self._place(int(sample.time // 60), storable_text(reason))
        counted.refusals += 1
        if len(counted.samples) < MAX_SAMPLES:
            counted.samples.append(sample)

    def take(self) -> Refusals:
        """Return what was counted and begin anew."""
        taken, self._counted = self._counted, {}
        return taken

    def put_back(self, refusals: Refusals) -> None:
        """Count again what could not be written."""
        for (minute, reason), counted in refusals.items():
            present = self._place(minute, reason)
            present.refusals += counted.refusals
            present.samples = (counted.samples + present.samples)[:MAX_SAMPLES]

    def _place(self, minute: int, reason: str) -> Counted:
        found = self._counted.get((minute, reason))
        if found is None:
            key = (minute, reason if len(self._counted) < MAX_COUNTERS else OTHER)
            found = self._counted.setdefault(key, Counted())
        return found


def write_refusals(refusals: Refusals) -> Intent[None]:
    """Add what was counted to what is stored."""
    for (minute, reason), counted in refusals.items():
        yield Statement(_COUNT, (minute, reason, counted.refusals))
        for number, sample in enumerate(counted.samples):
            yield Statement(_SAMPLE, (minute, reason, number, _text(sample)))


def refusals() -> Intent[dict[str, int]]:
    """Return how often each reason was counted, over all time that is kept."""
    found = yield Statement(_READ)
    return {str(reason): int(count or 0) for reason, count in found.rows}


def _text(sample: AuditEvent) -> str:
    members = msgspec.to_builtins(sample)
    return msgspec.json.encode({name: storable(value) for name, value in members.items()}).decode()
