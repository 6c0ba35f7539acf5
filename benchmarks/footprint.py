"""P11: what the token service takes: memory when idle, growth under requests, time to its first answer."""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks import load
from benchmarks.endpoints import on_the_other_core
from benchmarks.race import Ratio
from benchmarks.row import Goal, Row
from benchmarks.token_servers import start
from benchmarks.token_servers.contender import Contender, Make

IDLE, GROWTH, FIRST = Goal(64, 45), Goal(16, 4), Goal(0.8, 0.4)
MIB = 2**20
PORTION = 2_000
WARM = 20_000
"""Requests after which everything that is made once is there."""


def measured(requests: int, starts: int) -> Iterator[Row]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-footprint-")))
        wall, processor = [], []
        for number in range(starts):
            here = folder / f"start-{number}"
            here.mkdir()
            began = time.perf_counter()
            with start.watchword(here) as who:
                wall.append(time.perf_counter() - began)
                processor.append(who.server.processor_seconds())
        yield _row("seconds from start to the first answer", processor, FIRST)
        yield _row("seconds from start to the first answer (wall)", wall, None)
        who = stack.enter_context(start.watchword(folder))
        stack.enter_context(on_the_other_core())
        who.first(who.keys(1))
        yield _row("MiB when idle", [who.server.resident_bytes() / MIB], IDLE)
        kinds: list[Callable[[Contender], Make]] = [
            lambda who: who.by_secret,
            lambda who: who.exchange_seen,
            lambda who: who.introspect_seen,
            lambda who: who.keys,
        ]
        warm = min(WARM, requests)
        _ask(who, kinds, warm)
        before = who.server.resident_bytes()
        _ask(who, kinds, requests)
        after = who.server.resident_bytes()
        yield _row(f"MiB grown by {requests:,} requests", [(after - before) / MIB], GROWTH)


def _ask(who: Contender, kinds: list[Callable[[Contender], Make]], requests: int) -> None:
    for number in range(max(1, requests // PORTION)):
        n = min(PORTION, requests)
        done = load.turn(who.server.port, kinds[number % len(kinds)](who)(n))
        if done.statuses != {200: n}:
            raise RuntimeError(f"expected {n} answers with 200, found {dict(done.statuses)}")


def _row(what: str, values: list[float], goal: Goal | None) -> Row:
    return Row("P11", what, "ES256", Ratio(statistics.median(values), min(values), max(values)), None, goal)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks footprint", description=__doc__)
    parser.add_argument(
        "--requests", type=int, default=40_000, help="1000000 is the long form (default: %(default)s)"
    )
    parser.add_argument("--starts", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--seconds", type=float, help="has no meaning here")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of a table")
    options = parser.parse_args(arguments)
    rows = []
    if not options.json:
        print("one process; seconds of processor time, on the wall beside them\n")
    for row in measured(options.requests, options.starts):
        rows.append(row)
        if not options.json:
            print(row, flush=True)
    if options.json:
        print(json.dumps({"rows": [row.as_json() for row in rows]}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
