"""Whoever has the database can change it, and cannot hide it: every byte of every column, every row."""

import asyncio
import itertools
import os
import sqlite3
import struct
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from watchword.audit.chain import COVERED, GENESIS, link
from watchword.audit.checkpoint import ANCHOR, Checkpoint, signed, verified
from watchword.audit.event import AuditEvent
from watchword.storage.audit_file import AuditFile, _text_or_bytes
from watchword.storage.ledger import SqlLedger
from watchword.tokens.private_key import PrivateKey

from .conftest import AUDIT_KEY, AUDIT_KEYS, opened, trail, verify

pytestmark = pytest.mark.threat(198)

SOAK = os.environ.get("WATCHWORD_SOAK") == "1"
TABLES = {
    "audit_event": "sequence",
    "audit_chain": "writer",
    "audit_checkpoint": "number",
    "audit_anchor": "id",
    "audit_unchained": "id",
}
FIXED = {("audit_anchor", "id"), ("audit_unchained", "id")}  # a row with another id is no row of ours


def said(second: int) -> AuditEvent:
    return AuditEvent(
        type="token.exchanged", time=second + 0.25, actor="service|posts", client="posts",
        subject="staff|john", audience="users", jti=f"j{second}", parent_jti="p", txn=f"é{second}", kid="k",
        reason="services.users.allow[0]", request_id="r",
    )  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Checkpoint]:
    """A small real database: two writers, something forgotten, checkpoints; the last was kept elsewhere."""
    path = tmp_path_factory.mktemp("audit") / "data" / "w.db"

    async def story() -> str:
        async with opened(path) as (database, ledger):
            other, keeper = SqlLedger(database, writer="other"), trail(database)
            exported = ""
            for second in range(9):
                await (other if second % 4 == 1 else ledger).record(said(second))
                if second % 3 == 2:
                    exported = await keeper.checkpoint(float(second))
            assert await keeper.forget(102.0, kept=100.0) == 2
            return exported

    return path, verified(asyncio.run(story()), AUDIT_KEYS)


@pytest.fixture
def copy(made: tuple[Path, Checkpoint]) -> Iterator[sqlite3.Connection]:
    """Its content in memory, without the rules that a table keeps: whoever writes the file ignores them."""
    with closing(sqlite3.connect(made[0])) as file, closing(sqlite3.connect(":memory:")) as memory:
        file.backup(memory)
        memory.isolation_level = None
        memory.text_factory = _text_or_bytes
        memory.execute("PRAGMA ignore_check_constraints = ON")
        yield memory


def whole(connection: sqlite3.Connection, *exported: Checkpoint) -> bool:
    try:
        return verify(AuditFile(connection), *exported).whole
    except Exception as error:  # noqa: BLE001
        pytest.fail(f"verifying must always come to an end: {error!r}")


@contextmanager
def tampering(connection: sqlite3.Connection) -> Iterator[None]:
    """Let somebody change what they like, and put everything back."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")


def masks(place: int) -> Sequence[int]:
    return (*(1 << bit for bit in range(8)), 0xFF) if SOAK else (1 << place % 8,)


def columns(connection: sqlite3.Connection, table: str) -> list[tuple[str, str]]:
    return [(row[1], row[2]) for row in connection.execute(f"PRAGMA table_info({table})")]


def changed(value: Any, kind: str) -> Iterator[tuple[str, Any]]:
    """Yield SQL and a parameter for the value with one byte changed, for each byte, or of another length."""
    if value is None:
        yield "?", {"TEXT": "", "BLOB": b"", "REAL": 0.0, "INTEGER": 0}[kind]
        return
    if kind in ("TEXT", "BLOB"):
        raw = value.encode() if isinstance(value, str) else bytes(value)
        form = "CAST(? AS TEXT)" if kind == "TEXT" else "?"
        for place, byte in enumerate(raw):
            for mask in masks(place):
                yield form, raw[:place] + bytes([byte ^ mask]) + raw[place + 1 :]
        yield form, raw + b"x"
        yield form, raw[:-1]
        yield "?", None
        return
    form = ">d" if kind == "REAL" else ">q"
    raw = struct.pack(form, value)
    for place, byte in enumerate(raw):
        for mask in masks(place):
            yield "?", struct.unpack(form, raw[:place] + bytes([byte ^ mask]) + raw[place + 1 :])[0]


@pytest.mark.parametrize("table", TABLES)
def test_every_changed_byte_is_found(copy: sqlite3.Connection, table: str) -> None:
    key = TABLES[table]
    tried = 0
    assert whole(copy)
    for (identity,) in copy.execute(f"SELECT {key} FROM {table}").fetchall():
        for column, kind in columns(copy, table):
            if (table, column) in FIXED:
                continue
            old = copy.execute(f"SELECT {column} FROM {table} WHERE {key} = ?", (identity,)).fetchone()[0]
            for form, new in changed(old, kind):
                with tampering(copy):
                    try:
                        copy.execute(f"UPDATE {table} SET {column} = {form} WHERE {key} = ?", (new, identity))
                    except sqlite3.IntegrityError:
                        continue  # no row of this table can be like that
                    tried += 1
                    assert not whole(copy), f"{table}.{column} of {identity!r}: {old!r} became {new!r}"
    assert whole(copy)
    assert tried >= 8


def sequences(connection: sqlite3.Connection) -> list[int]:
    return [row[0] for row in connection.execute("SELECT sequence FROM audit_event ORDER BY sequence")]


def test_every_deleted_event_is_found_and_every_run_of_them(copy: sqlite3.Connection) -> None:
    for first, last in itertools.combinations_with_replacement(sequences(copy), 2):
        with tampering(copy):
            copy.execute("DELETE FROM audit_event WHERE sequence BETWEEN ? AND ?", (first, last))
            assert not whole(copy)


@pytest.mark.parametrize("sealed_again", [False, True])
def test_every_two_events_that_change_places_are_found(copy: sqlite3.Connection, sealed_again: bool) -> None:
    for one, two in itertools.combinations(sequences(copy), 2):
        with tampering(copy):
            for new, old in ((-1, one), (one, two), (two, -1)):
                copy.execute("UPDATE audit_event SET sequence = ? WHERE sequence = ?", (new, old))
            if sealed_again:
                reseal(copy, only={one, two})
            assert not whole(copy)


def reseal(connection: sqlite3.Connection, *, only: set[int] | None = None) -> None:
    """Write hashes anew as somebody would who knows how, but has no key: all that follow, or a few."""
    tails: dict[str, bytes] = {}
    counts: dict[str, tuple[int, int]] = {}
    names = ", ".join(COVERED)
    for *values, previous, _ in connection.execute(
        f"SELECT {names}, previous_hash, hash FROM audit_event ORDER BY sequence"
    ).fetchall():
        writer = values[1]
        before = tails.get(writer, previous)
        sealed = link(before, values)
        tails[writer] = sealed
        counts[writer] = (values[0], counts.get(writer, (0, 0))[1] + 1)
        if only is None or values[0] in only:
            connection.execute(
                "UPDATE audit_event SET previous_hash = ?, hash = ? WHERE sequence = ?",
                (before, sealed, values[0]),
            )
    if only is None:
        for writer, (sequence, count) in counts.items():
            connection.execute(
                "UPDATE audit_chain SET sequence = ?, hash = ?, events = ? WHERE writer = ?",
                (sequence, tails[writer], count + 1, writer),  # one of each was forgotten
            )


def test_an_event_that_is_put_in_is_found_anywhere(copy: sqlite3.Connection) -> None:
    numbers = sequences(copy)
    row = list(copy.execute("SELECT * FROM audit_event ORDER BY sequence DESC LIMIT 1").fetchone())
    for number, previous in itertools.product((min(numbers) - 1, max(numbers) + 1), (GENESIS, row[-1])):
        values = [number, *row[1:-2]]
        for hashes in ((None, None), (previous, link(previous, values))):
            with tampering(copy):
                copy.execute(
                    f"INSERT INTO audit_event VALUES ({', '.join('?' * len(row))})", (*values, *hashes)
                )
                assert not whole(copy)


def test_a_chain_that_was_written_anew_does_not_fit_the_checkpoints(
    copy: sqlite3.Connection, made: tuple[Path, Checkpoint]
) -> None:
    copy.execute("UPDATE audit_event SET client = 'innocent' WHERE sequence = 5")
    reseal(copy)
    found = verify(AuditFile(copy))
    assert {finding.kind for finding in found.findings} == {"changed"}
    assert "checkpoint" in found.findings[0].text
    copy.execute("DELETE FROM audit_checkpoint")
    assert whole(copy)  # alone it looks whole: this is why checkpoints are kept elsewhere
    assert not whole(copy, made[1])


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_tail_that_was_cut_off_is_found_by_a_checkpoint_that_was_kept_elsewhere(
    copy: sqlite3.Connection, made: tuple[Path, Checkpoint], cut: int
) -> None:
    last = max(sequences(copy))
    copy.execute("DELETE FROM audit_event WHERE sequence > ?", (last - cut,))
    assert not whole(copy)
    reseal(copy)
    copy.execute("DELETE FROM audit_checkpoint WHERE sequence > ?", (last - cut,))
    assert whole(copy)
    found = verify(AuditFile(copy), made[1])
    assert {finding.kind for finding in found.findings} == {"cut"}


def test_a_whole_chain_that_is_gone_is_found(copy: sqlite3.Connection) -> None:
    copy.execute("DELETE FROM audit_event WHERE writer = 'other'")
    copy.execute("DELETE FROM audit_chain WHERE writer = 'other'")
    copy.execute("UPDATE audit_event SET sequence = -sequence")
    for new, (old,) in enumerate(
        copy.execute("SELECT sequence FROM audit_event ORDER BY -sequence").fetchall(), start=3
    ):
        copy.execute("UPDATE audit_event SET sequence = ? WHERE sequence = ?", (new, old))
    reseal(copy)
    assert not whole(copy)


def test_statements_of_another_installation_or_another_key_count_for_nothing(
    copy: sqlite3.Connection,
) -> None:
    (text,) = copy.execute("SELECT statement FROM audit_checkpoint ORDER BY number LIMIT 1").fetchone()
    checkpoint = verified(text, AUDIT_KEYS)
    elsewhere = Checkpoint(
        iss="https://elsewhere.example", iat=checkpoint.iat, sequence=checkpoint.sequence,
        unchained=checkpoint.unchained, chains=checkpoint.chains,
    )  # fmt: skip
    for forged in (
        signed(checkpoint, PrivateKey.generate()),
        signed(checkpoint, PrivateKey.generate()).replace(PrivateKey.generate().kid, AUDIT_KEY.kid),
        signed(checkpoint, AUDIT_KEY, typ=ANCHOR),
        signed(checkpoint, AUDIT_KEY, typ="at+jwt"),
        signed(elsewhere, AUDIT_KEY),
        text + "\n",
        "",
    ):
        copy.execute("UPDATE audit_checkpoint SET statement = ? WHERE number = 1", (forged,))
        assert not whole(copy)
    copy.execute("UPDATE audit_checkpoint SET statement = ? WHERE number = 1", (text,))
    assert whole(copy)
