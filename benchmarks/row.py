"""One line of a result, and what it is held to."""

from typing import NamedTuple

from benchmarks.race import Ratio


class Goal(NamedTuple):
    """What must be reached, and what would be good."""

    must: float
    aim: float
    at_least: bool = False

    def held(self, ratio: float) -> bool:
        return ratio >= self.must if self.at_least else ratio <= self.must

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.must:g}, aim {self.aim:g}"


class Row(NamedTuple):
    """One line of the result."""

    measure: str
    what: str
    algorithm: str
    ratio: Ratio
    microseconds: float | None
    """Ours, for orientation only: it says nothing about another machine. `None`: no time was measured."""
    goal: Goal | None = None

    @property
    def verdict(self) -> str:
        if self.goal is None:
            return ""
        return "OK" if self.goal.held(self.ratio.median) else "MISSED"

    def __str__(self) -> str:
        spread = f"{self.ratio.low:.2f}-{self.ratio.high:.2f}"
        goal = "" if self.goal is None else str(self.goal)
        took = " " * 10 if self.microseconds is None else f"{self.microseconds:7.1f} µs"
        columns = (
            f"{self.measure}  {self.what:56} {self.algorithm:8} {self.ratio.median:6.2f}  ({spread:>13})"
        )
        return f"{columns}  {took}  {goal:18} {self.verdict}".rstrip()

    def as_json(self) -> dict[str, object]:
        goal = self.goal
        return {
            "measure": self.measure,
            "what": self.what,
            "algorithm": self.algorithm,
            "ratio": round(self.ratio.median, 3),
            "low": round(self.ratio.low, 3),
            "high": round(self.ratio.high, 3),
            "microseconds": None if self.microseconds is None else round(self.microseconds, 2),
            "must": None if goal is None else goal.must,
            "at_least": None if goal is None else goal.at_least,
            "aim": None if goal is None else goal.aim,
            "held": None if goal is None else goal.held(self.ratio.median),
        }
