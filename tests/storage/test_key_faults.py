"""A change of sealed keys in the database, broken off at every statement: the old keys or the new ones."""

import asyncio
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from watchword.clock import SYSTEM_CLOCK
from watchword.errors import KeyringError, StoreError
from watchword.keys.keyring import Keyring
from watchword.keys.seal import Seal
from watchword.keys.sealing_key import SealingKey, new_sealing_key
from watchword.storage.events import events
from watchword.storage.key_events import KeyEvents
from watchword.storage.keys import SqlKeyStore
from watchword.storage.sqlite import SqliteDatabase, open_sqlite
from watchword.tokens.private_key import PrivateKey

URL = "https://issuer.example"
SEAL = Seal(SealingKey.from_text(new_sealing_key()))
FIRST, SECOND = PrivateKey.generate(), PrivateKey.generate("EdDSA")
BEFORE = Keyring().prepare(FIRST, 1.0).activate(FIRST.kid, 2.0)
AFTER = BEFORE.prepare(SECOND, 3.0).activate(SECOND.kid, 4.0).remove(FIRST.kid)
MOST_STATEMENTS = 60
SAID = ["key.prepared", "key.activated"]
SAID_AFTER = [*SAID, "key.prepared", "key.activated", "key.removed"]

Break = Callable[[], None]


def store(database: SqliteDatabase) -> SqlKeyStore:
    return SqlKeyStore(database, SEAL, KeyEvents(URL, database.writer, SYSTEM_CLOCK))


class Breaking(sqlite3.Connection):
    """A connection of which one statement is not carried out, or is the last thing that happens."""

    at: int = -1
    count = 0
    after = False
    happens: Break

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        kind = type(self)
        number, kind.count = kind.count, kind.count + 1
        if number == kind.at and not kind.after:
            kind.happens()
        cursor = super().execute(*arguments)
        if number == kind.at and kind.after:
            kind.happens()
        return cursor


@contextmanager
def breaking(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    real = sqlite3.connect
    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", lambda *a, **k: real(*a, **k | {"factory": Breaking}))
        yield


def change(database: SqliteDatabase) -> None:
    changing = store(database)
    changing.save(Keyring(AFTER.entries, changing.load().version))


def whole(path: Path) -> bool:
    """Return whether the change is there; anything between is an error."""
    database = open_sqlite(path)
    try:
        found = store(database).load()
        said = [event.type for _, event in database.read_blocking(events(0, 100)) if event.type[:4] == "key."]
    finally:
        asyncio.run(database.aclose())
    assert not found.unusable
    for entry in found.entries:
        entry.key.public.check(entry.key.alg)(entry.key.sign(b"works"), b"works")
    told = ([(entry.kid, entry.state) for entry in found.entries], said)
    done = told == ([(entry.kid, entry.state) for entry in AFTER.entries], SAID_AFTER)
    assert done or told == ([(entry.kid, entry.state) for entry in BEFORE.entries], SAID)
    return done


def begin(path: Path) -> None:
    database = open_sqlite(path)
    store(database).save(BEFORE)
    asyncio.run(database.aclose())


def refuse() -> None:
    raise sqlite3.OperationalError("disk I/O error")


@pytest.mark.threat(149)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_statement_that_fails_leaves_the_old_keys_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    seen = set()
    for at in range(MOST_STATEMENTS):
        path = tmp_path / str(at) / "w.db"
        begin(path)
        with breaking(monkeypatch):
            Breaking.at, Breaking.happens, Breaking.after = -1, staticmethod(refuse), after
            database = open_sqlite(path)
            Breaking.count, Breaking.at = 0, at
            outcome = True
            try:
                change(database)
            except (KeyringError, StoreError):
                outcome = False
            reached, Breaking.at = Breaking.count > at, -1
            asyncio.run(database.aclose())
        if not reached:
            break
        done = whole(path)
        assert done or not outcome
        seen.add((outcome, done))
    assert at > 10
    assert (False, False) in seen


@pytest.mark.threat(149)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_process_that_is_killed_at_any_statement_leaves_the_old_keys_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    seen = []
    for at in range(MOST_STATEMENTS):
        path = tmp_path / str(at) / "w.db"
        begin(path)
        child = os.fork()
        if child == 0:
            try:
                with breaking(monkeypatch):
                    Breaking.happens = staticmethod(lambda: os.kill(os.getpid(), signal.SIGKILL))
                    Breaking.after = after
                    database = open_sqlite(path)
                    Breaking.count, Breaking.at = 0, at
                    change(database)
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        seen.append(whole(path))
        if not os.WIFSIGNALED(status):
            break
    assert at > 10
    assert seen == sorted(seen)  # from some moment on, and from then always
    assert seen[-1]
    assert not seen[0]
