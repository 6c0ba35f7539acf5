"""The log outside: in order, at least once, over crashes, full disks and files that are turned over."""

import asyncio
import errno
import json
import os
import select
import shutil
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from watchword.audit.report import Report, Statements
from watchword.audit.verify_lines import verify_lines
from watchword.storage import audit_log_file
from watchword.storage.audit_log import AuditLog
from watchword.storage.audit_log_file import RegularLogFile, StderrLog
from watchword.storage.ledger import SqlLedger
from watchword.storage.sqlite import SqliteDatabase, open_sqlite

from .conftest import AUDIT_KEYS, HANG, event, trail

pytestmark = pytest.mark.threat(200)


class World:
    """A database with its log; every turn of the log can be waited for."""

    def __init__(self, path: Path, log: Path) -> None:
        self.log = log
        self.path = path
        self.alive = threading.Semaphore(0)
        self.open_log: Any = lambda: RegularLogFile(log)

    @contextmanager
    def running(self) -> Iterator[SqliteDatabase]:
        database = open_sqlite(self.path)
        writer = AuditLog(self.path, database, open_log=self.open_log, alive=self.alive.release)
        writer.start()
        try:
            yield database
        finally:
            writer.close()
            asyncio.run(database.aclose())

    def turn(self) -> None:
        """Wait until the log has taken what was committed before this call."""
        while self.alive.acquire(blocking=False):
            pass
        for _ in range(2):
            assert self.alive.acquire(timeout=HANG)


def record(database: SqliteDatabase, *names: str) -> None:
    async def story() -> None:
        ledger = SqlLedger(database, writer=database.writer)
        for name in names:
            await ledger.record(event(name))

    asyncio.run(story())


def logged(*logs: Path) -> list[str]:
    lines = [json.loads(line) for log in logs for line in log.read_text("ascii").splitlines()]
    return [line["jti"] for line in lines if "jti" in line]


def verified(*logs: Path) -> Report:
    lines = [(log.name, line) for log in logs for line in log.read_bytes().splitlines(keepends=True)]
    return verify_lines(lines, Statements(AUDIT_KEYS))


@pytest.fixture
def world(path: Path, tmp_path: Path) -> World:
    return World(path, tmp_path / "audit.jsonl")


def test_every_event_is_a_line_for_its_owner_alone(world: World) -> None:
    umask = os.umask(0)
    try:
        with world.running() as database:
            record(database, "a", "b")
            world.turn()
            assert logged(world.log) == ["a", "b"]
            record(database, "c")
    finally:
        os.umask(umask)
    assert logged(world.log) == ["a", "b", "c"]  # what is left is written when it ends
    assert stat.S_IMODE(world.log.stat().st_mode) == 0o600
    assert verified(world.log).whole


def test_it_goes_on_where_it_was_and_mends_a_line_that_a_crash_tore(world: World) -> None:
    with world.running() as database:
        record(database, "a", "b", "c")
    whole = world.log.read_bytes()
    for left in (len(whole), len(whole) - 1, len(whole) - 20, whole.index(b"\n") + 1, 10, 0):
        world.log.write_bytes(whole[:left])
        with closing(sqlite3.connect(world.path)) as connection, connection:
            connection.execute("DELETE FROM audit_log_position")
        with world.running():
            world.turn()
        assert world.log.read_bytes() == whole
    with world.running() as database:
        record(database, "d")
    assert logged(world.log) == ["a", "b", "c", "d"]
    assert verified(world.log).whole


@pytest.mark.threat(206)
def test_a_log_that_is_turned_over_goes_on_in_a_new_file_and_nothing_is_lost(world: World) -> None:
    olds = [world.log.with_suffix(f".{n}") for n in range(2)]
    with world.running() as database:
        record(database, "a")
        world.turn()
        world.log.rename(olds[0])
        record(database, "b")
        world.turn()
        with closing(sqlite3.connect(world.path)) as connection:  # for whoever starts after a kill -9 now
            assert connection.execute("SELECT sequence FROM audit_log_position").fetchone() == (1,)
        world.log.rename(olds[1])
        world.log.write_bytes(b"")  # as a tool makes it, readable by all
        world.log.chmod(0o644)
        record(database, "c")
    assert [logged(file) for file in (*olds, world.log)] == [["a"], ["b"], ["c"]]
    assert stat.S_IMODE(world.log.stat().st_mode) == 0o600
    world.log.rename(old := world.log.with_suffix(".2"))
    with world.running() as database:  # turned over while nobody wrote: the database knows how far it was
        record(database, "d")
    assert logged(world.log) == ["d"]
    assert verified(*olds, old, world.log).whole
    assert not verified(*olds, world.log).whole


def test_a_full_disk_leaves_no_half_line_and_no_sign_of_life(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = threading.Event()
    tried = threading.Semaphore(0)
    write = os.write

    def write_if_there_is_room(descriptor: int, data: Any) -> int:
        if not full.is_set() or os.fstat(descriptor).st_ino != world.log.stat().st_ino:
            return write(descriptor, data)
        tried.release()
        if os.fstat(descriptor).st_size < 1_000:
            return write(descriptor, bytes(data)[:7])  # a disk takes a part, then nothing
        raise OSError(errno.ENOSPC, "No space left on device")

    with world.running() as database:
        record(database, "a")
        world.turn()
        monkeypatch.setattr(audit_log_file.os, "write", write_if_there_is_room)
        full.set()
        record(database, "b" * 900, *"cdefghi")
        assert tried.acquire(timeout=HANG)
        while world.alive.acquire(blocking=False):
            pass
        for _ in range(250):
            assert tried.acquire(timeout=HANG)
        assert not world.alive.acquire(blocking=False)
        full.clear()
        world.turn()
        assert logged(world.log) == ["a", "b" * 900, *"cdefghi"]
    assert verified(world.log).whole


def test_a_log_that_blocks_keeps_nobody_from_committing(world: World) -> None:
    read, write = os.pipe()

    class Pipe(StderrLog):
        def write(self, lines: list[bytes]) -> None:
            for line in lines:
                os.write(write, line)

    world.open_log = Pipe
    with world.running() as database:
        record(database, *("x" * 900 for _ in range(200)))  # more than a pipe holds
        pause = threading.Event()
        while select.select([], [write], [], 0)[1]:  # until each of its pages has begun
            pause.wait(0.01)
        while world.alive.acquire(blocking=False):
            pass
        record(database, "more")
        assert not world.alive.acquire(blocking=False)
        with open(read, "rb") as reader:
            lines = [json.loads(reader.readline()) for _ in range(201)]
            assert lines[-1]["jti"] == "more"
            world.turn()
    os.close(write)


@pytest.mark.threat(169)
def test_a_database_that_was_put_back_is_logged_from_where_it_was(world: World, tmp_path: Path) -> None:
    with world.running() as database:
        record(database, "a")
    shutil.copy(world.path, tmp_path / "yesterday.db")
    with world.running() as database:
        record(database, "b", "c", "d")
    shutil.copy(tmp_path / "yesterday.db", world.path)
    with world.running() as database:
        record(database, "e")
    assert logged(world.log) == ["a", "b", "c", "d", "e"]
    assert any(json.loads(line)["type"] == "store.restored" for line in world.log.read_text().splitlines())
    assert not verified(world.log).whole  # the log remembers what the database forgot


@pytest.mark.parametrize("kind", ["folder", "fifo", "link"])
def test_what_is_no_file_of_ours_is_not_written_to(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "audit.jsonl"
    if kind == "folder":
        place.mkdir()
    elif kind == "fifo":
        os.mkfifo(place)
    else:
        (tmp_path / "elsewhere").write_bytes(b"")
        place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=r"audit\.jsonl"):
        RegularLogFile(place)


def test_checkpoints_stand_behind_their_events_and_an_anchor_before_all(world: World) -> None:
    with world.running() as database:
        record(database, "a", "b")
        asyncio.run(trail(database).checkpoint(1.0))
        world.turn()
        record(database, "c")
    kinds = [next(iter(json.loads(line))) for line in world.log.read_text().splitlines()]
    assert kinds == ["sequence", "sequence", "checkpoint", "sequence"]
    report = verified(world.log)
    assert (report.whole, report.statements) == (True, 1)
    world.log.unlink()
    with world.running() as database:
        asyncio.run(trail(database).forget(200.0, kept=100.0, limit=2))
        with closing(sqlite3.connect(world.path)) as connection, connection:
            connection.execute("DELETE FROM audit_log_position")
    world.log.unlink(missing_ok=True)
    with closing(sqlite3.connect(world.path)) as connection, connection:
        connection.execute("DELETE FROM audit_log_position")
    with world.running():
        world.turn()
    report = verified(world.log)
    assert (report.whole, report.forgotten, logged(world.log)) == (True, 2, ["c"])
