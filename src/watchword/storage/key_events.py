"""What was done to signing keys, as events of the audit."""

from dataclasses import dataclass

from watchword.audit.event import AuditEvent
from watchword.clock import Clock
from watchword.keys.changes import deeds
from watchword.keys.keyring import Keyring
from watchword.storage.database import Append
from watchword.storage.events import append


@dataclass(frozen=True, slots=True)
class KeyEvents:
    """Turns a change of a keyring into the rows that tell it."""

    issuer: str
    """Whose keys: the actor of what nobody else asked for."""
    writer: str
    """Names the writer in each event."""
    clock: Clock

    def rows(self, old: Keyring, new: Keyring, *, by: str | None) -> list[Append]:
        """Return one row for each thing that was done to a key, in the order in which it was done."""
        now = self.clock.now()
        actor = by or self.issuer
        return [
            append(AuditEvent(type=deed.type, time=now, actor=actor, kid=deed.kid), writer=self.writer)
            for deed in deeds(old, new)
        ]
