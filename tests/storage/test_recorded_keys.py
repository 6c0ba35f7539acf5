"""Keys outside the database: each change is told to the audit once, and never forgotten."""

import asyncio
import threading
from pathlib import Path

import pytest

from watchword.clock import SYSTEM_CLOCK
from watchword.errors import KeyringError, StoreUnavailable
from watchword.keys.issuer import Issuer
from watchword.keystores.memory import MemoryKeyStore
from watchword.storage import group_commit
from watchword.storage.database import Intent
from watchword.storage.key_events import KeyEvents
from watchword.storage.recorded_keys import RecordedKeyStore
from watchword.storage.sqlite import SqliteDatabase

from .conftest import change, opened

URL = "https://issuer.example"
FULL = "CREATE TEMP TRIGGER full BEFORE INSERT ON audit_event BEGIN SELECT RAISE(ABORT, 'full'); END"


async def told(ledger) -> list[tuple[str, str | None, str | None]]:
    return [(event.type, event.actor, event.kid) for _, event in await ledger.events()]


def recorded(database: SqliteDatabase) -> RecordedKeyStore:
    return RecordedKeyStore(MemoryKeyStore(), database, KeyEvents(URL, database.writer, SYSTEM_CLOCK))


def test_each_change_is_told_once_and_by_whom(path: Path) -> None:
    async def story() -> None:
        async with opened(path) as (database, ledger):
            issuer = await asyncio.to_thread(Issuer, URL, recorded(database))
            first = issuer.keyring.active.kid
            second = await asyncio.to_thread(issuer.prepare_key, by="operator|7")
            await asyncio.to_thread(issuer.activate_key, second, by="operator|7")
            await asyncio.to_thread(issuer.remove_key, first)
            await asyncio.to_thread(issuer.revoke_key, second, by="operator|8")
            assert await told(ledger) == [
                ("key.prepared", URL, first),
                ("key.activated", URL, first),
                ("key.prepared", "operator|7", second),
                ("key.retired", "operator|7", first),
                ("key.activated", "operator|7", second),
                ("key.removed", URL, first),
                ("key.revoked", "operator|8", second),
            ]

    asyncio.run(story())


def test_events_that_could_not_be_written_come_before_the_next_change(path: Path) -> None:
    async def story() -> None:
        async with opened(path) as (database, ledger):
            issuer = await asyncio.to_thread(Issuer, URL, recorded(database))
            await database.run(change(FULL))
            second = await asyncio.to_thread(issuer.prepare_key)  # done, and its event is owed
            assert issuer.keyring.named(second)
            with pytest.raises(KeyringError, match="audit"):
                await asyncio.to_thread(issuer.prepare_key)
            assert len(issuer.keyring.entries) == 2
            await database.run(change("DROP TRIGGER full"))
            third = await asyncio.to_thread(issuer.prepare_key)
            kids = [kid for kind, _, kid in await told(ledger) if kind == "key.prepared"]
            assert kids[1:] == [second, third]

    asyncio.run(story())


def test_a_thread_that_waits_is_told_when_the_disk_does_not_answer(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        async with opened(path) as (database, _):
            monkeypatch.setattr(group_commit, "MAX_SECONDS", 0.05)
            with pytest.raises(StoreUnavailable, match=r"may have been written|nothing was written"):
                await asyncio.to_thread(database.run_blocking, slow())
            monkeypatch.undo()

    asyncio.run(story())


def slow() -> Intent[None]:
    threading.Event().wait(0.4)
    return
    yield
