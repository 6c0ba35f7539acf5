"""Whether chains of events are whole: one look at each event, in the order of numbers, in bounded memory.

What is found is told and the look goes on: a changed event must not hide the next one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from watchword.audit.chain import GENESIS, link
from watchword.audit.checkpoint import ChainTail, Checkpoint

Kind = Literal["changed", "unlinked", "unsealed", "missing", "reordered", "cut", "statement"]
MAX_KEPT = 100
"""How many findings are kept; the others are counted."""

Values = tuple[str | int | float | bytes | None, ...]


class SealedEvent(NamedTuple):
    """One row as it was read, whatever stands in it."""

    values: Values
    """Of `COVERED`, in that order."""
    previous_hash: object
    hash: object


class Finding(NamedTuple):
    """Something that is not as it was written."""

    kind: Kind
    sequence: int | None
    text: str


class Verifier:
    """Takes events in order and says at the end what is wrong with them.

    Args:
        unchained: events up to this number are older than the chain and have no hash.
        anchor: what was forgotten, if anything was.
        after: only events above this number are looked at; their writers' chains begin wherever they do.
    """

    def __init__(self, *, unchained: int = 0, anchor: Checkpoint | None = None, after: int = 0) -> None:
        self.findings: list[Finding] = []
        self.found = 0
        """How many findings there are, the ones that are not kept too."""
        self.events = 0
        """Sealed events that were looked at."""
        self.unchained_events = 0
        """Events that are older than the chain."""
        self._unchained = unchained
        self._after = after
        forgotten = 0 if anchor is None else anchor.sequence
        self.last = max(forgotten, after)
        """The number of the last event so far."""
        self._contiguous = max(self.last, unchained)  # below it numbers may be missing
        self._first = self._contiguous + 1
        chains = () if anchor is None else anchor.chains
        self._tails = {tail.writer: _Tail(tail.sequence, tail.hash_bytes, tail.events) for tail in chains}
        self._points: dict[tuple[str, int], list[tuple[ChainTail, str]]] = {}

    @property
    def tails(self) -> tuple[ChainTail, ...]:
        """Where the chains are now, by writer."""
        return tuple(tail.of(writer) for writer, tail in sorted(self._tails.items()))

    def find(self, kind: Kind, sequence: int | None, text: str) -> None:
        """Add a finding."""
        self.found += 1
        if len(self.findings) < MAX_KEPT:
            self.findings.append(Finding(kind, sequence, text))

    def expect(self, checkpoint: Checkpoint, name: str) -> None:
        """Hold what comes against a checkpoint; called before the first event.

        Args:
            checkpoint: its signature has held.
            name: what to call it.
        """
        if checkpoint.unchained != self._unchained:
            text = f"{name} says that the chain begins after event {checkpoint.unchained}"
            self.find("cut", None, f"{text}, found {self._unchained}")
        for tail in checkpoint.chains:
            known = self._tails.get(tail.writer)
            if known is not None and tail.sequence <= known.sequence:
                if tail.sequence == known.sequence and tail != known.of(tail.writer):
                    self.find("changed", tail.sequence, f"{name} knows another event {tail.sequence}")
            elif tail.sequence > self._after:
                self._points.setdefault((tail.writer, tail.sequence), []).append((tail, name))

    def add(self, event: SealedEvent) -> None:
        """Look at the next event."""
        sequence, writer = event.values[0], event.values[1]
        if type(sequence) is not int or type(writer) is not str:
            self.find("changed", None, "expected an event with a number and a writer")
            return
        self._order(sequence)
        if event.hash is None and event.previous_hash is None and sequence <= self._unchained:
            self.unchained_events += 1
            return
        if not _is_hash(event.hash) or not _is_hash(event.previous_hash) or sequence <= self._unchained:
            self.find("unsealed", sequence, f"event {sequence} is not part of a chain")
            return
        self.events += 1
        self._link(sequence, writer, event)

    def end(self, tails: Iterable[ChainTail] | None = None) -> None:
        """Say what should have come.

        Args:
            tails: where the database says that the chains end, if it says so.
        """
        for (writer, sequence), points in self._points.items():
            name = points[0][1]
            self.find(
                "cut", sequence, f"{name} knows event {sequence} of writer {writer:.40}, which is not there"
            )
        if tails is None:
            return
        said = {tail.writer: tail for tail in tails}
        found = {tail.writer: tail for tail in self.tails}
        for writer in sorted(said.keys() | found.keys()):
            if said.get(writer) != found.get(writer):
                text = f"the chain of writer {writer:.40} does not end where it did"
                self.find("cut", said[writer].sequence if writer in said else None, text)

    def _order(self, sequence: int) -> None:
        expected = self.last + 1
        if sequence < expected:
            self.find("reordered", sequence, f"event {sequence} stands behind event {self.last}")
            return
        first = max(expected, self._first)
        if sequence > first:
            missing = (
                f"event {first} is" if sequence == first + 1 else f"events {first} to {sequence - 1} are"
            )
            self.find("missing", first, f"{missing} missing")
        self.last = sequence

    def _link(self, sequence: int, writer: str, event: SealedEvent) -> None:
        previous, sealed = bytes(event.previous_hash), bytes(event.hash)  # type: ignore[call-overload]
        tail = self._tails.get(writer)
        if tail is None:
            tail = self._tails[writer] = _Tail(0, previous if self._after else GENESIS, 0)
        if previous != tail.hash:
            text = f"event {sequence} does not follow the one that was before it in its chain"
            self.find("unlinked", sequence, text)
        if not _fits(previous, event.values, sealed):
            self.find("changed", sequence, f"event {sequence} is not as it was written")
        tail.sequence, tail.hash = sequence, sealed
        tail.events += 1
        if not self._points:
            return
        for said, name in self._points.pop((writer, sequence), ()):
            if said.hash_bytes != sealed:
                self.find("changed", sequence, f"{name} knows another event {sequence}")


@dataclass(slots=True)
class _Tail:
    """Where a chain is so far."""

    sequence: int
    hash: bytes
    events: int

    def of(self, writer: str) -> ChainTail:
        return ChainTail(writer=writer, sequence=self.sequence, hash=self.hash.hex(), events=self.events)


def _is_hash(value: object) -> bool:
    return isinstance(value, bytes) and len(value) == len(GENESIS)


def _fits(previous: bytes, values: Values, sealed: bytes) -> bool:
    try:
        return link(previous, values) == sealed
    except (UnicodeError, OverflowError):
        return False  # what has no canonical form was never written
