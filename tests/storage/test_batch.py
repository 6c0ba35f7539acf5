"""One batch: an intent that fails takes nobody with it, and nothing of it remains."""

import asyncio
from pathlib import Path

import pytest

from watchword.errors import AlreadyConsumed, StoreCorrupt, StoreUnavailable
from watchword.grants.stores import Consumption, IssuedToken
from watchword.storage.database import Append, Intent, Statement, Value

from .conftest import change, event, in_one_batch, insert, names, opened

KINDS = [RuntimeError("changed my mind"), KeyError("x")]


@pytest.mark.threat(183)
@pytest.mark.parametrize("error", KINDS, ids=lambda error: type(error).__name__)
def test_an_intent_that_raises_leaves_nothing_and_takes_nobody_with_it(
    path: Path, error: BaseException
) -> None:
    def raising() -> Intent[None]:
        yield from insert("half")
        yield Append("INSERT INTO consumed (kind, id, expires)", ("code", "appended", 1.0))
        raise error

    def wrong() -> Intent[None]:
        yield from insert("before the wrong one")
        yield Statement("INSERT INTO nowhere VALUES (1)")

    async def story() -> None:
        async with opened(path) as (database, ledger):
            outcomes = await in_one_batch(
                database,
                database.run(insert("a")),
                ledger.record(event("first")),
                database.run(raising()),
                database.run(wrong()),
                database.run(insert("b")),
                ledger.record(event("second"), consume=[Consumption("code", "c", 1e12)]),
            )
            assert [type(outcome) for outcome in outcomes] == [
                type(None), type(None), type(error), StoreUnavailable, type(None), type(None)
            ]  # fmt: skip
            assert await database.read(names()) == ["a", "b", "c"]
            assert {e.jti for _, e in await ledger.events()} == {"first", "second"}

    asyncio.run(story())


@pytest.mark.threat(183)
@pytest.mark.parametrize("table", ["audit_event", "consumed", "token_expiry"])
@pytest.mark.parametrize("how", ["ABORT", "FAIL"])
def test_a_row_that_the_database_refuses_fails_its_own_deed_only(path: Path, table: str, how: str) -> None:
    marked = {"audit_event": "jti", "consumed": "id", "token_expiry": "kid"}[table]
    trigger = (
        f"CREATE TRIGGER t BEFORE INSERT ON {table} WHEN NEW.{marked} = 'bad'"
        f" BEGIN SELECT RAISE({how}, 'no'); END"
    )

    async def story() -> None:
        async with opened(path) as (database, ledger):
            await database.run(change(trigger))
            deeds = [
                ledger.record(
                    event(name),
                    consume=[Consumption("code", name, 1e12)] if consumes else (),
                    issued=IssuedToken(name, 600.0),
                )
                for consumes in (True, False)
                for name in ([f"{consumes}-{n}" for n in range(5)] + ["bad"] + [f"{consumes}+"])
            ]
            outcomes = await in_one_batch(database, *deeds)
            refused = [n for n, outcome in enumerate(outcomes) if outcome is not None]
            assert refused == ([5] if table == "consumed" else [5, 12])
            assert all(isinstance(outcomes[n], StoreCorrupt) for n in refused)
            kept_before = [f"-{n}" for n in range(5)]
            kept = {f"{consumes}{rest}" for consumes in (True, False) for rest in ("+", *kept_before)}
            kept |= {"bad"} if table == "consumed" else set()
            assert {e.jti for _, e in await ledger.events()} == kept
            assert await ledger.live_tokens(0) == dict.fromkeys(sorted(kept), 1)
            assert set(await database.read(names())) == {n for n in kept if n.startswith("True")}

    asyncio.run(story())


def test_a_database_that_rolls_back_everything_is_unavailable_to_everybody_of_the_batch(path: Path) -> None:
    trigger = (
        "CREATE TRIGGER t BEFORE INSERT ON consumed WHEN NEW.id = 'bad'"
        " BEGIN SELECT RAISE(ROLLBACK, 'the disk is ill'); END"
    )

    async def story() -> None:
        async with opened(path) as (database, ledger):
            await database.run(change(trigger))
            for first in ("a", "bad"):
                outcomes = await in_one_batch(
                    database,
                    *(database.run(insert(name)) for name in (first, "bad", "b")),
                    ledger.record(event("x")),
                )
                assert all(isinstance(outcome, StoreUnavailable) for outcome in outcomes)
                assert all("the disk is ill" in str(outcome) for outcome in outcomes)
                assert await database.read(names()) == []
                assert await ledger.events() == []
            await database.run(insert("after"))
            assert await database.read(names()) == ["after"]

    asyncio.run(story())


def test_a_use_that_is_undone_counts_for_nobody(path: Path) -> None:
    once = Consumption("code", "x", 1e12)

    def undone() -> Intent[None]:
        yield from insert("x")
        raise RuntimeError("changed my mind")

    async def story() -> None:
        async with opened(path) as (database, ledger):
            outcomes = await in_one_batch(
                database,
                ledger.record(event("a"), consume=[Consumption("code", "y", 1e12)]),
                database.run(undone()),
                database.run(insert("z")),
                database.run(undone()),
                ledger.record(event("b"), consume=[once]),
                ledger.record(event("c"), consume=[once]),
            )
            assert [type(outcome) for outcome in outcomes] == [
                type(None), RuntimeError, type(None), RuntimeError, type(None), AlreadyConsumed
            ]  # fmt: skip
            assert [e.jti for _, e in await ledger.events()] == ["a", "b"]
            assert await database.read(names()) == ["x", "y", "z"]

    asyncio.run(story())


def test_who_saw_what_a_refused_row_undid_is_asked_to_try_again(path: Path) -> None:
    once = Consumption("code", "x", 1e12)
    trigger = (
        "CREATE TRIGGER t BEFORE INSERT ON audit_event WHEN NEW.jti = 'bad'"
        " BEGIN SELECT RAISE(FAIL, 'no'); END"
    )

    async def story() -> None:
        async with opened(path) as (database, ledger):
            await database.run(change(trigger))
            outcomes = await in_one_batch(
                database,
                ledger.record(event("bad"), consume=[once]),
                ledger.record(event("a"), consume=[once]),
                ledger.record(event("b")),
            )
            assert [type(outcome) for outcome in outcomes] == [StoreCorrupt, StoreUnavailable, type(None)]
            await ledger.record(event("a"), consume=[once])
            assert [e.jti for _, e in await ledger.events()] == ["b", "a"]

    asyncio.run(story())


def test_a_batch_of_any_size_is_written_in_order(path: Path) -> None:
    async def story() -> None:
        async with opened(path) as (database, ledger):
            sizes = [1, 2, 3, 127, 128, 129, 300]
            for size in sizes:
                before = len(await ledger.events(limit=10_000))
                await in_one_batch(database, *(ledger.record(event(f"{n:03}")) for n in range(size)))
                added = (await ledger.events(limit=10_000))[before:]
                assert [e.jti for _, e in added] == [f"{n:03}" for n in range(size)]
            numbers = [number for number, _ in await ledger.events(limit=10_000)]
            assert numbers == list(range(1, sum(sizes) + 1))

    asyncio.run(story())


@pytest.mark.filterwarnings("error")
def test_parameters_are_found_by_their_number(path: Path) -> None:
    def swapped() -> Intent[list[tuple[Value, ...]]]:
        found = yield Statement("SELECT ?2 || ?1, ?2", ("a", "b"))
        return found.rows

    async def story() -> None:
        async with opened(path) as (database, ledger):
            assert await database.run(swapped()) == [("ba", "b")]
            await ledger.record(event("a"), consume=[Consumption("code", "a", 1e12)])

    asyncio.run(story())
