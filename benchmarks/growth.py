"""P14: the token service with ten thousand clients and rules, beside itself with a hundred."""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks import load
from benchmarks.endpoints import MEASURES, on_the_other_core, raced
from benchmarks.row import Goal, Row
from benchmarks.token_servers import start

GOAL = Goal(1.3, 1.1)
FEW, MANY = 100, 10_000
ASKED = ("client_credentials, secret", "exchange, token unseen", "introspection, token seen")


def measured(seconds: float, many: int = MANY) -> Iterator[Row]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-growth-")))
        worlds = [
            stack.enter_context(start.watchword(folder, name=f"{number}", strangers=number))
            for number in (FEW, many)
        ]
        stack.enter_context(on_the_other_core())
        for measure in MEASURES:
            if measure.what in ASKED:
                makes = {who.server.name: (who, measure.make(who)) for who in worlds}
                result = raced(makes, seconds, load.CONNECTIONS).processor
                ratio, took = result.ratio(f"{many}", f"{FEW}"), result.median(f"{many}") * 1e6
                what = f"{measure.what}: {many:,} services / {FEW}"
                yield Row("P14", what, "ES256", ratio, took, GOAL)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks growth", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="time per race (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of a table")
    options = parser.parse_args(arguments)
    rows = []
    if not options.json:
        print("each service has a rule of its own; processor time per request\n")
    for row in measured(options.seconds):
        rows.append(row)
        if not options.json:
            print(row, flush=True)
    if options.json:
        print(json.dumps({"rows": [row.as_json() for row in rows]}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
