"""The same promises over a database file: across connections, and when the process starts anew."""

import asyncio
from pathlib import Path

import pytest

from watchword.authority.requests import TokenAnswer
from watchword.errors import InvalidClient, TemporarilyUnavailable
from watchword.storage.ledger import SqlLedger
from watchword.storage.sqlite import SqliteDatabase, open_sqlite

from .conftest import World, payload_of

pytestmark = pytest.mark.anyio

ASK = {"grant_type": "client_credentials", "audience": "billing"}


def started(world: World, path: Path) -> tuple[SqliteDatabase, SqlLedger]:
    database = open_sqlite(path / "data" / "watchword.db", clock=world.clock)
    ledger = SqlLedger(database, writer=database.writer)
    world.authority = world.restarted(ledger)
    return database, ledger


@pytest.mark.threat(96)
async def test_of_fifty_concurrent_replays_one_succeeds_and_none_after_a_restart(
    world: World, tmp_path: Path
) -> None:
    database, ledger = started(world, tmp_path)
    form = ASK | world.asserted()
    outcomes = await asyncio.gather(*(world.ask(**form) for _ in range(50)), return_exceptions=True)
    answers = [outcome for outcome in outcomes if isinstance(outcome, TokenAnswer)]
    assert len(answers) == 1
    assert sum(type(outcome) is InvalidClient for outcome in outcomes) == 49
    await ledger.aclose()
    await database.aclose()

    database, ledger = started(world, tmp_path)
    with pytest.raises(InvalidClient, match="used before"):
        await world.ask(**form)
    with pytest.raises(InvalidClient, match="used before"):
        await world.introspect(token="x", **world.asserted(form["client_assertion"]))
    kept = [event for _, event in await ledger.events()]
    assert [event.jti for event in kept] == [payload_of(answers[0].access_token)["jti"]]
    await ledger.aclose()
    await database.aclose()


@pytest.mark.threat(96)
async def test_a_used_assertion_is_remembered_until_it_would_be_refused_anyway(
    world: World, tmp_path: Path
) -> None:
    database, ledger = started(world, tmp_path)
    form = ASK | world.asserted(world.assertion(exp=1_800_000_300))
    assert await world.ask(**form)
    world.clock.time += 299.9
    await ledger.forget_expired(world.clock.now())
    with pytest.raises(InvalidClient, match="used before"):
        await world.ask(**form)
    await ledger.aclose()
    await database.aclose()


@pytest.mark.threat(203)
async def test_a_database_that_is_closed_lets_no_token_out(world: World, tmp_path: Path) -> None:
    database, _ = started(world, tmp_path)
    await database.aclose()
    with pytest.raises(TemporarilyUnavailable):
        await world.exchange("posts", world.staff_token(), "users")
