"""P10: what group commit gains over one durable commit for each request, on SQLite."""

import argparse
import asyncio
import json
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple

import uvloop

from benchmarks.race import Ratio, Result
from watchword.audit.event import AuditEvent
from watchword.grants.stores import Consumption, IssuedToken
from watchword.storage import group_commit
from watchword.storage.ledger import SqlLedger
from watchword.storage.sqlite import SqliteDatabase, open_sqlite

MUST, AIM = 8.0, 14.0
WAITING = (16, 128)
BATCH = group_commit.MAX_BATCH


class Row(NamedTuple):
    """One line of the result."""

    what: str
    waiting: int
    ratio: Ratio
    per_second: float
    """Ours, for orientation only: it says nothing about another disk."""
    goal: float | None


async def record(ledger: SqlLedger, name: str, *, consumes: bool) -> None:
    """Write what the token endpoint writes before it answers: with a secret, or with an assertion."""
    event = AuditEvent(
        type="token.issued", time=time.time(), client="posts", subject="service|posts", audience="users",
        jti=name, txn=name, kid="k" * 43, request_id=name,
    )  # fmt: skip
    used = [Consumption("client_assertion", name, time.time() + 300)] if consumes else []
    await ledger.record(event, consume=used, issued=IssuedToken("k" * 43, time.time() + 300))


async def turn(ledger: SqlLedger, waiting: int, each: int, names: Iterator[int], *, consumes: bool) -> float:
    """Return the seconds per record when so many callers always wait."""

    async def caller() -> None:
        for _ in range(each):
            await record(ledger, f"{next(names):022}", consumes=consumes)

    start = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(waiting)))
    return (time.perf_counter() - start) / (waiting * each)


async def raced(
    ledger: SqlLedger, waiting: int, seconds: float, names: Iterator[int], *, consumes: bool
) -> Result:
    """Both in turns, so that a busy disk is busy for both."""
    rounds: dict[str, list[float]] = {"one each": [], "group": []}
    end = time.perf_counter() + seconds
    try:
        while time.perf_counter() < end or len(rounds["group"]) < 5:
            group_commit.MAX_BATCH = 1
            rounds["one each"].append(await turn(ledger, waiting, 2, names, consumes=consumes))
            group_commit.MAX_BATCH = BATCH
            rounds["group"].append(await turn(ledger, waiting, 20, names, consumes=consumes))
    finally:
        group_commit.MAX_BATCH = BATCH
    return Result(rounds)


async def measured(database: SqliteDatabase, seconds: float) -> list[Row]:
    ledger = SqlLedger(database, writer=database.writer)
    names = count()
    rows = []
    for what, consumes in (("event, counted token", False), ("the same, and a value used up", True)):
        for waiting in WAITING:
            result = await raced(ledger, waiting, seconds, names, consumes=consumes)
            goal = MUST if waiting == 128 and not consumes else None
            ratio = result.ratio("one each", "group")
            rows.append(Row(what, waiting, ratio, 1 / result.median("group"), goal))
    events = len(await ledger.events(limit=10**9))
    if events != next(names):
        raise RuntimeError(
            f"expected an event for each answer, found {events}: this race would prove nothing"
        )
    return rows


def commit_seconds(folder: Path) -> float:
    """Return what one bare durable commit costs on this disk."""
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE t (x INTEGER)")
    taken = []
    for n in range(200):
        start = time.perf_counter()
        connection.execute("INSERT INTO t VALUES (?)", (n,))
        taken.append(time.perf_counter() - start)
    connection.close()
    return statistics.median(taken)


def _line(row: Row) -> str:
    spread = f"{row.ratio.low:.1f}-{row.ratio.high:.1f}"
    goal, verdict = "", ""
    if row.goal is not None:
        goal, verdict = f"≥ {row.goal:g}, aim {AIM:g}", "OK" if row.ratio.median >= row.goal else "MISSED"
    columns = f"P10  {row.what:30} {row.waiting:4} waiting {row.ratio.median:6.1f}  ({spread:>11})"
    return f"{columns}  {row.per_second:7.0f} /s  {goal:14} {verdict}".rstrip()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.storage", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="time per race (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="on which disk (default: the temporary folder)")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of a table")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        bare = commit_seconds(Path(folder))

        async def story() -> list[Row]:
            database = open_sqlite(Path(folder) / "data" / "watchword.db")
            try:
                return await measured(database, options.seconds)
            finally:
                await database.aclose()

        rows = uvloop.run(story())
    if options.json:
        document = {
            "bare_commits_per_second": round(1 / bare),
            "rows": [
                {
                    "measure": "P10",
                    "what": row.what,
                    "waiting": row.waiting,
                    "ratio": round(row.ratio.median, 2),
                    "low": round(row.ratio.low, 2),
                    "high": round(row.ratio.high, 2),
                    "per_second": round(row.per_second),
                    "must": row.goal,
                    "at_least": True,
                    "held": None if row.goal is None else row.ratio.median >= row.goal,
                }
                for row in rows
            ],
        }
        print(json.dumps(document, indent=1))
        return 0
    print(f"SQLite {sqlite3.sqlite_version}; this disk: {1 / bare:.0f} bare durable commits per second")
    print("one commit per request / group commit: ratio of medians (smallest-largest within a round)\n")
    for row in rows:
        print(_line(row))
    return 0


if __name__ == "__main__":
    sys.exit(main())
