"""Refusals of those who proved nothing, counted in memory: a flood costs a number, not a row each."""

from dataclasses import dataclass, field

from watchword.audit.event import AuditEvent

MAX_SAMPLES = 3
MAX_COUNTERS = 1_000


@dataclass(slots=True)
class Counted:
    """What one reason came to in one minute."""

    refusals: int = 0
    samples: list[AuditEvent] = field(default_factory=list)


Refusals = dict[tuple[str, int], Counted]
"""By reason and minute since the epoch."""


class RefusalCounter:
    """Counts until somebody takes; bounded by the number of reasons, which are codes of ours."""

    __slots__ = ("_counted",)

    def __init__(self) -> None:
        self._counted: Refusals = {}

    def count(self, reason: str, sample: AuditEvent) -> None:
        """Count one refusal and keep it as a sample if it is among the first of its minute."""
        key = (reason, int(sample.time // 60))
        counted = self._counted.get(key)
        if counted is None:
            if len(self._counted) >= MAX_COUNTERS:
                return
            counted = self._counted[key] = Counted()
        counted.refusals += 1
        if len(counted.samples) < MAX_SAMPLES:
            counted.samples.append(sample)

    def take(self) -> Refusals:
        """Return what was counted and begin anew."""
        taken, self._counted = self._counted, {}
        return taken

    def put_back(self, refusals: Refusals) -> None:
        """Count again what could not be written."""
        for key, counted in refusals.items():
            present = self._counted.setdefault(key, Counted())
            present.refusals += counted.refusals
            present.samples = (counted.samples + present.samples)[:MAX_SAMPLES]
