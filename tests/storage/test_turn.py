"""Several processes write to one database: in turn, within bounds, and whoever dies holds nobody up."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from watchword.audit.event import AuditEvent
from watchword.clock import SYSTEM_CLOCK
from watchword.errors import DataFolderInUse, StoreUnavailable
from watchword.storage import group_commit
from watchword.storage.held import held_sqlite
from watchword.storage.ledger import SqlLedger
from watchword.storage.sqlite import join_sqlite, open_sqlite
from watchword.storage.turn import Turn


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "watchword.db"


def next_is_taken(folder: Path) -> bool:
    import fcntl

    probe = os.open(folder / "next-writer", os.O_RDWR)
    try:
        fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(probe)
    return False


def test_whoever_waits_comes_before_one_who_has_just_written(tmp_path: Path) -> None:
    greedy, patient = Turn(tmp_path), Turn(tmp_path)
    order: list[str] = []

    def wait() -> None:
        with patient:
            order.append("patient")

    waiting = threading.Thread(target=wait)
    with greedy:
        order.append("greedy")
        waiting.start()
        given_up = SYSTEM_CLOCK.monotonic() + 10
        while not next_is_taken(tmp_path):
            assert SYSTEM_CLOCK.monotonic() < given_up, "nobody is next"
    with greedy:
        order.append("greedy again")
    waiting.join(20)
    assert order == ["greedy", "patient", "greedy again"]


def event(name: str) -> AuditEvent:
    return AuditEvent(type="token.issued", time=1.0, jti=name)


def test_who_has_waited_too_long_for_others_can_be_sure_that_nothing_was_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "MAX_SECONDS", 0.05)

    async def story() -> None:
        database = join_sqlite(path, writer="w.1")
        ledger = SqlLedger(database, writer="w.1")
        with Turn(path.parent):
            for name in ("a", "b"):
                with pytest.raises(StoreUnavailable, match="nothing was written"):
                    await ledger.record(event(name))
        monkeypatch.setattr(group_commit, "MAX_SECONDS", 20.0)
        await ledger.record(event("c"))
        assert [found.jti for _, found in await ledger.events()] == ["c"]
        await database.aclose()

    with held_sqlite(path):
        asyncio.run(story())


WRITE = """
import asyncio, os, sys
from pathlib import Path
from watchword.audit.event import AuditEvent
from watchword.storage.ledger import SqlLedger
from watchword.storage.sqlite import join_sqlite
path, writer, count, waiting = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])

async def main():
    database = join_sqlite(path, writer=writer)
    ledger = SqlLedger(database, writer=writer)
    numbers = iter(range(count))
    async def one():
        for number in numbers:
            await ledger.record(AuditEvent(type="token.issued", time=1.0, jti=f"{writer}-{number}"))
            os.write(1, b"%s-%d\\n" % (writer.encode(), number))
    await asyncio.gather(*(one() for _ in range(waiting)))
    await database.aclose()

asyncio.run(main())
"""


def writing(path: Path, writer: str, count: int, waiting: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-c", WRITE, str(path), writer, str(count), str(waiting)], stdout=subprocess.PIPE
    )


def stored(path: Path) -> list[tuple[int, str]]:
    async def story() -> list[tuple[int, str]]:
        database = join_sqlite(path, writer="reader")
        ledger = SqlLedger(database, writer="reader")
        found = [(number, found.jti or "") for number, found in await ledger.events(limit=100_000)]
        await database.aclose()
        return found

    return asyncio.run(story())


@pytest.mark.threat(179)
def test_fifty_who_write_from_five_processes_all_get_their_turn(path: Path) -> None:
    with held_sqlite(path):
        processes = [writing(path, f"w.{number}", 100, 10) for number in range(5)]
        answered = [process.communicate(timeout=60)[0].decode().split() for process in processes]
        assert [process.returncode for process in processes] == [0] * 5
        found = stored(path)
    assert [len(names) for names in answered] == [100] * 5
    assert sorted(name for _, name in found) == sorted(name for names in answered for name in names)
    assert [number for number, _ in found] == list(range(1, 501))


@pytest.mark.threat(175)
def test_a_writer_that_is_killed_holds_nobody_up_and_loses_nothing_that_it_answered(path: Path) -> None:
    with held_sqlite(path):
        living = writing(path, "w.1", 400, 4)
        for turn in range(3):
            doomed = writing(path, "w.2", 100_000, 4)
            assert doomed.stdout is not None
            answered = {doomed.stdout.readline().decode().strip() for _ in range(20 + 7 * turn)}
            doomed.send_signal(signal.SIGKILL)
            answered |= {line.decode().strip() for line in doomed.stdout if line.endswith(b"\n")}
            doomed.wait(20)
            assert answered <= {name for _, name in stored(path)}
        assert living.wait(60) == 0


def test_no_connection_stays_open_while_the_folder_is_held_and_its_starts_are_counted(path: Path) -> None:
    with held_sqlite(path) as first:
        assert not path.with_name(path.name + "-wal").exists()
        with pytest.raises(DataFolderInUse):
            open_sqlite(path)
    with held_sqlite(path) as second:
        assert second == first
    database = open_sqlite(path)
    assert database.writer == first.writer
    asyncio.run(database.aclose())
    epoch = path.parent / "epoch"
    counted = int(epoch.read_text())
    epoch.write_text(f"{counted + 5}\n")
    with held_sqlite(path) as restored:
        assert restored.restored
        assert restored.writer != first.writer


def test_a_database_says_when_somebody_else_has_written(path: Path) -> None:
    async def story() -> None:
        one, other = join_sqlite(path, writer="w.1"), join_sqlite(path, writer="w.2")
        before = await one.version()
        assert await one.version() == before
        await SqlLedger(other, writer="w.2").record(event("a"))
        assert await one.version() != before
        await one.aclose()
        await other.aclose()

    with held_sqlite(path, clock=SYSTEM_CLOCK):
        asyncio.run(story())
