"""What was answered is there after `kill -9`, and nothing is there by half."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from watchword.errors import AlreadyConsumed
from watchword.grants.stores import Consumption

from .conftest import HANG, event, names, opened, verify

CYCLES = 10_000 if os.environ.get("WATCHWORD_SOAK") == "1" else 20

WRITER = """
import asyncio, os, sys
from pathlib import Path
from watchword.audit.event import AuditEvent
from watchword.grants.stores import Consumption, IssuedToken
from watchword.storage.ledger import SqlLedger
from watchword.storage.sqlite import open_sqlite

async def one(ledger, name, consumes):
    event = AuditEvent(type="token.issued", time=1.0, jti=name, txn="uses" if consumes else None)
    consume = [Consumption("code", name, 1e12)] if consumes else ()
    await ledger.record(event, consume=consume, issued=IssuedToken("k", 600.0))
    os.write(1, f"{name}\\n".encode())

async def main():
    database = open_sqlite(Path(sys.argv[1]))
    ledger = SqlLedger(database, writer=database.writer)
    number = 0
    while True:
        await asyncio.gather(*(one(ledger, f"{sys.argv[2]}-{number + i}", i % 2) for i in range(8)))
        number += 8

asyncio.run(main())
"""


@pytest.mark.threat(175, 199)
def test_what_was_answered_survives_kill_9_and_nothing_is_half(path: Path) -> None:
    answered: list[str] = []
    for cycle in range(CYCLES):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(cycle)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        answered += [writer.stdout.readline().strip() for _ in range(1 + 7 * cycle % 40)]
        writer.send_signal(signal.SIGKILL)
        answered += [line.strip() for line in writer.stdout if line.endswith("\n")]
        writer.wait(timeout=HANG)
    assert all(answered)

    async def story() -> None:
        async with opened(path) as (database, ledger):
            found = await ledger.events(limit=1_000_000)
            events = {str(e.jti) for _, e in found}
            assert set(answered) <= events
            # the deed, what it used up and what it counted are there together or not at all
            assert {str(e.jti) for _, e in found if e.txn} == set(await database.read(names()))
            assert await ledger.live_tokens(0) == {"k": len(events)}
            assert [number for number, _ in found] == list(range(1, len(found) + 1))

    asyncio.run(story())
    report = verify(path)  # each life went on in the chain where the last one was killed
    assert (report.whole, report.events, len(report.chains)) == (True, report.last, 1)


@pytest.mark.threat(96)
def test_a_value_used_by_one_process_is_used_for_the_next(path: Path) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), "x"], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    used = {writer.stdout.readline().strip() for _ in range(8)} & {"x-1", "x-3", "x-5", "x-7"}
    writer.send_signal(signal.SIGKILL)
    writer.wait(timeout=HANG)
    assert used

    async def story() -> None:
        async with opened(path) as (_, ledger):
            for name in used:
                with pytest.raises(AlreadyConsumed):
                    await ledger.record(event("again"), consume=[Consumption("code", name, 1e12)])

    asyncio.run(story())
