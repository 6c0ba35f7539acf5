"""Verifying events in JSON lines, over as many files as there are."""

from collections.abc import Iterable
from itertools import chain

from watchword.audit.checkpoint import Checkpoint
from watchword.audit.lines import Line, StatementLine, read_line
from watchword.audit.report import Report, Statements
from watchword.audit.verification import SealedEvent, Verifier
from watchword.errors import StoreCorrupt

_RECENT = 65_536
"""So many events may come a second time: a log that went on after a crash repeats its last ones."""


def verify_lines(lines: Iterable[tuple[str, bytes]], statements: Statements, *, after: int = 0) -> Report:
    """Return what lines of events come to.

    Args:
        lines: each with its place, as in `audit.jsonl:1`; those of several files one after the other.
        statements: reads anchors and checkpoints, those in the files and those that were kept elsewhere.
        after: the files begin behind this number; what lies before is not looked at.
    """
    reading = _Reading(statements, after)
    for place, text in lines:
        try:
            line = read_line(text)
        except StoreCorrupt as error:
            reading.verifier.find("changed", None, f"{place}: {error}")
            continue
        reading.add(line, place)
    reading.verifier.end()
    return statements.report(reading.verifier, forgotten=reading.forgotten)


class _Reading:
    """Makes the verifier when the first statement, or the first event, says how."""

    def __init__(self, statements: Statements, after: int) -> None:
        self._statements = statements
        self._after = after
        self._verifier: Verifier | None = None
        self._recent: dict[int, object] = {}
        self.forgotten = 0

    @property
    def verifier(self) -> Verifier:
        return self._verifier or self._begin(None, None)

    def add(self, line: Line, place: str) -> None:
        if line.statement is not None:
            self._state(line.statement, place)
        elif line.event is not None:
            self._event(line.event)

    def _begin(self, anchor: Checkpoint | None, first: Checkpoint | None) -> Verifier:
        known = chain((anchor, first), self._statements.exported)
        unchained = next((checkpoint.unchained for checkpoint in known if checkpoint is not None), 0)
        self.forgotten = 0 if anchor is None else anchor.sequence
        self._verifier = Verifier(unchained=unchained, anchor=anchor, after=self._after)
        for checkpoint in self._statements.exported:
            self._verifier.expect(checkpoint, "the checkpoint that was kept")
        return self._verifier

    def _state(self, line: StatementLine, place: str) -> None:
        if line.anchor is not None and self._verifier is None:
            self._begin(self._statements.anchor(line.anchor), None)
        elif line.anchor is not None:
            self._statements.wrong(f"{place}: expected the anchor on the first line only")
        if line.checkpoint is not None:
            found = self._statements.read(line.checkpoint, place)
            if found is not None:
                (self._verifier or self._begin(None, found)).expect(found, f"the checkpoint at {place}")

    def _event(self, event: SealedEvent) -> None:
        sequence = event.values[0]
        if not isinstance(sequence, int) or sequence <= self._after:
            return
        if sequence in self._recent and self._recent[sequence] == event:
            return  # a log that went on after a crash says its last events twice
        self._recent[sequence] = event
        if len(self._recent) > _RECENT:
            del self._recent[next(iter(self._recent))]
        self.verifier.add(event)
