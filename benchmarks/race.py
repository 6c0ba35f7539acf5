"""An interleaved race: everybody runs a little in each round, so that a busy machine is busy for all.

Processor time is counted, not the time on the wall: what other programs take is nobody's cost.
"""

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

BATCH_SECONDS = 0.001  # shorter than a turn of the scheduler: most batches run undisturbed
MIN_ROUNDS = 25

Batch = Callable[[int], float]
"""Does the work `n` times and returns the seconds of processor time that it took."""


class Ratio(NamedTuple):
    """How many times longer one takes than another."""

    median: float
    """Ratio of the medians of all rounds."""
    low: float
    """Smallest and largest ratio within one round."""
    high: float


class Result(NamedTuple):
    """Seconds per call of each runner, one number per round."""

    rounds: dict[str, list[float]]

    def median(self, name: str) -> float:
        return statistics.median(self.rounds[name])

    def ratio(self, above: str, below: str) -> Ratio:
        each = [a / b for a, b in zip(self.rounds[above], self.rounds[below], strict=True)]
        return Ratio(self.median(above) / self.median(below), min(each), max(each))


def calling(work: Callable[[], object]) -> Batch:
    """Return the batch that calls `work`."""

    def batch(n: int) -> float:
        turns = range(n)
        work()  # what the neighbour left in the caches is not ours to pay for
        start = time.thread_time()
        for _ in turns:
            work()
        return time.thread_time() - start

    return batch


def race(runners: Mapping[str, Batch], seconds: float) -> Result:
    """Run everybody in turns for about `seconds` in all."""
    sizes = {}
    for name, batch in runners.items():
        batch(20)  # warm: caches, header tables, just-in-time compilers
        each = min(batch(20) for _ in range(5)) / 20
        sizes[name] = max(3, round(BATCH_SECONDS / each))
    rounds: dict[str, list[float]] = {name: [] for name in runners}
    enabled = gc.isenabled()
    gc.disable()
    try:
        end = time.perf_counter() + seconds
        order = list(runners.items())
        while time.perf_counter() < end or len(rounds[order[0][0]]) < MIN_ROUNDS:
            for name, batch in order:
                rounds[name].append(batch(sizes[name]) / sizes[name])
            order.reverse()  # nobody always runs behind the same neighbour
            gc.collect(0)
    finally:
        if enabled:
            gc.enable()
    return Result(rounds)
