"""Metrics as Prometheus reads them (text format 0.0.4): every label has a fixed set of values."""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

from watchword.telemetry.board import Board, Tally

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"

OTHER = "other"
"""Stands for every label value that is not in its set."""

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Upper bounds in seconds; one more bucket has no bound."""


class Gauge(NamedTuple):
    """A value as it is now, for each value of at most one label."""

    name: str
    meaning: str
    values: Mapping[str, float]
    """By label value; `""` where there is no label."""
    label: str = ""

    def lines(self) -> Iterator[str]:
        """Yield the lines of this family."""
        yield from _head(self.name, "gauge", self.meaning)
        for value, number in self.values.items():
            yield _line(self.name, {self.label: value} if self.label else {}, number)


class Counter:
    """Counts by fixed label values; whatever is not among them counts as `other`.

    Args:
        name: of the family, ending in `_total`.
        meaning: one line.
        board: where the numbers stand; by default they are this process's alone.
        labels: the values that each label can have, besides `other`.
    """

    __slots__ = ("_labels", "_places", "_tally", "meaning", "name")

    def __init__(
        self, name: str, meaning: str, board: Board | None = None, /, **labels: Collection[str]
    ) -> None:
        self.name = name
        self.meaning = meaning
        self._labels = {label: frozenset(values) for label, values in labels.items()}
        combinations = product(*(sorted({*values, OTHER}) for values in labels.values()))
        self._places = {values: place for place, values in enumerate(combinations)}
        self._tally = Tally.of(board, len(self._places))

    def add(self, *values: str) -> None:
        """Count one, with a value for each label in its order."""
        place = self._places.get(values)
        if place is None:
            known = (
                value if value in allowed else OTHER
                for value, allowed in zip(values, self._labels.values(), strict=True)
            )
            place = self._places[tuple(known)]
        self._tally.own[place] += 1

    def counts(self) -> Mapping[tuple[str, ...], int]:
        """Return what was counted so far, by label values; what never was is absent."""
        totals = self._tally.totals()
        return {values: int(totals[place]) for values, place in self._places.items() if totals[place]}

    def lines(self) -> Iterator[str]:
        """Yield the lines of this family."""
        yield from counter_lines(self.name, self.meaning, tuple(self._labels), self.counts())


@dataclass(frozen=True, slots=True)
class Durations:
    """How long something took, each time."""

    counts: tuple[int, ...] = (0,) * (len(BUCKETS) + 1)
    """By bucket, in the order of `BUCKETS`; the last one has no bound. Not cumulative."""
    seconds: float = 0.0
    """In all."""

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.counts)


_SUM = len(BUCKETS) + 1
_WIDTH = _SUM + 1


class Histogram:
    """Durations in fixed buckets, by the fixed values of one label.

    Args:
        name: of the family, ending in `_seconds`.
        meaning: one line.
        board: where the numbers stand; by default they are this process's alone.
        label: its name.
        values: what it can be, besides `other`.
    """

    __slots__ = ("_label", "_places", "_tally", "meaning", "name")

    def __init__(
        self, name: str, meaning: str, board: Board | None = None, /, *, label: str, values: Collection[str]
    ) -> None:
        self.name = name
        self.meaning = meaning
        self._label = label
        self._places = {value: _WIDTH * place for place, value in enumerate(sorted({*values, OTHER}))}
        self._tally = Tally.of(board, _WIDTH * len(self._places))

    def observe(self, value: str, seconds: float) -> None:
        """Count one that took so long."""
        place = self._places.get(value)
        if place is None:
            place = self._places[OTHER]
        own = self._tally.own
        own[place + bisect_left(BUCKETS, seconds)] += 1
        own[place + _SUM] += seconds

    def durations(self) -> Mapping[str, Durations]:
        """Return the durations so far, by label value; what never took any is absent."""
        totals = self._tally.totals()
        return {
            value: Durations(tuple(map(int, totals[place : place + _SUM])), totals[place + _SUM])
            for value, place in self._places.items()
            if any(totals[place : place + _SUM])
        }

    def lines(self) -> Iterator[str]:
        """Yield the lines of this family; buckets are cumulative."""
        yield from histogram_lines(self.name, self.meaning, self._label, self.durations())


def counter_lines(
    name: str, meaning: str, labels: tuple[str, ...], counts: Mapping[tuple[str, ...], int]
) -> Iterator[str]:
    """Yield the lines of a family of counts by label values."""
    yield from _head(name, "counter", meaning)
    for values, count in sorted(counts.items()):
        yield _line(name, dict(zip(labels, values, strict=True)), count)


def histogram_lines(name: str, meaning: str, label: str, durations: Mapping[str, Durations]) -> Iterator[str]:
    """Yield the lines of a family of durations by the value of one label; buckets are cumulative."""
    yield from _head(name, "histogram", meaning)
    for value, found in sorted(durations.items()):
        shown, total = {label: value}, 0
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), found.counts, strict=True):
            total += count
            yield _line(f"{name}_bucket", shown | {"le": bound}, total)
        yield _line(f"{name}_sum", shown, found.seconds)
        yield _line(f"{name}_count", shown, total)


def text(families: Iterable[Gauge | Counter | Histogram]) -> bytes:
    """Return the whole page."""
    return "".join(line + "\n" for family in families for line in family.lines()).encode("utf-8")


def _head(name: str, kind: str, meaning: str) -> Iterator[str]:
    yield f"# HELP {name} {meaning}"
    yield f"# TYPE {name} {kind}"


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    shown = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    return f"{name}{{{shown}}} {value!r}" if shown else f"{name} {value!r}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
