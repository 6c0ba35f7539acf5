"""P15: what the audit costs: the token service as it is, beside itself with a ledger that writes nothing."""

import argparse
import json
import sqlite3
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from benchmarks.endpoints import on_the_other_core, raced
from benchmarks.row import Goal, Row
from benchmarks.token_servers import start

GOALS = {16: Goal(0.45, 0.57, True), 128: Goal(0.6, 0.71, True)}


def measured(seconds: float, goals: Mapping[int, Goal] = GOALS) -> Iterator[Row]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-audit-")))
        both = [stack.enter_context(start.watchword(folder, audited=audited)) for audited in (True, False)]
        stack.enter_context(on_the_other_core())
        makes = {who.server.name: (who, who.by_secret) for who in both}
        for clients, goal in goals.items():
            race = raced(makes, seconds, clients)
            for result, on, held in ((race.processor, "", goal), (race.wall, " (wall)", None)):
                ratio = result.ratio("unaudited", "watchword")
                what = f"audited / unaudited requests, {clients} clients{on}"
                yield Row("P15", what, "ES256", ratio, result.median("watchword") * 1e6, held)
        audited, unaudited = (issued(folder / who.server.name) for who in both)
        if not audited or unaudited:
            raise RuntimeError(
                f"expected events of one alone, found {audited} and {unaudited}: nothing was compared"
            )


def issued(folder: Path) -> int:
    """Return how many events of issued tokens a server has written."""
    database = folder / "watchword-data" / "watchword.db"
    connection = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)
    try:
        (found,) = connection.execute(
            "SELECT count(*) FROM audit_event WHERE type = 'token.issued'"
        ).fetchone()
    finally:
        connection.close()
    return int(found)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks audit_cost", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="time per race (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of a table")
    options = parser.parse_args(arguments)
    rows = []
    if not options.json:
        print("client_credentials with a secret; requests per second of processor time\n")
    for row in measured(options.seconds):
        rows.append(row)
        if not options.json:
            print(row, flush=True)
    if options.json:
        print(json.dumps({"rows": [row.as_json() for row in rows]}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
