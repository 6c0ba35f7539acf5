"""The queue before the writer: bounded, and nobody waits for ever or harms another."""

import asyncio
import threading
from collections.abc import Generator, Sequence
from typing import Any

import pytest

from watchword.errors import StoreUnavailable
from watchword.storage import group_commit
from watchword.storage.database import Intent, Statement
from watchword.storage.group_commit import GroupCommit, Outcome

from .conftest import HANG


class Disk:
    """Carries out intents as soon as it is let; remembers who came together."""

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.reached = threading.Event()
        self.batches: list[list[Any]] = []
        self.failing = False

    def carry_out(self, intents: Sequence[Intent[Any]]) -> list[Outcome]:
        self.reached.set()
        assert self.answers.wait(HANG)
        if self.failing:
            raise MemoryError
        self.batches.append([next(intent) for intent in intents])
        return [Outcome(value) for value in self.batches[-1]]


def intent(name: str) -> Intent[Any]:
    yield Statement(name)


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def commits(disk: Disk) -> Generator[GroupCommit, None, None]:
    made = GroupCommit(disk.carry_out, "test-writer")
    yield made
    disk.answers.set()
    assert made.close()


async def one_in_hand(commits: GroupCommit, disk: Disk) -> "asyncio.Task[Any]":
    task = asyncio.create_task(commits.run(intent("in hand")))
    await asyncio.sleep(0)
    await asyncio.get_running_loop().run_in_executor(None, disk.reached.wait, HANG)
    return task


def test_all_who_wait_are_one_batch_and_one_wake_up(commits: GroupCommit, disk: Disk) -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        first = await one_in_hand(commits, disk)
        others = [asyncio.create_task(commits.run(intent(str(n)))) for n in range(50)]
        await asyncio.sleep(0)
        wake_ups = []
        usual = loop.call_soon_threadsafe
        loop.call_soon_threadsafe = lambda *call, **context: (wake_ups.append(1), usual(*call, **context))[1]  # type: ignore[method-assign, assignment]
        disk.answers.set()
        answers = await asyncio.gather(first, *others)
        assert [statement.sql for statement in answers[1:]] == [str(n) for n in range(50)]
        assert [len(batch) for batch in disk.batches] == [1, 50]
        assert len(wake_ups) == 2

    asyncio.run(story())


@pytest.mark.threat(179)
def test_a_disk_that_does_not_answer_is_unavailable_in_bounded_time(
    commits: GroupCommit, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "MAX_SECONDS", 0.05)

    async def story() -> None:
        in_hand = await one_in_hand(commits, disk)
        queued = asyncio.create_task(commits.run(intent("queued")))
        with pytest.raises(StoreUnavailable, match="it may have been written"):
            await in_hand
        with pytest.raises(StoreUnavailable, match="nothing was written"):
            await queued
        disk.answers.set()
        monkeypatch.setattr(group_commit, "MAX_SECONDS", HANG)
        assert (await commits.run(intent("later"))).sql == "later"
        assert "queued" not in [statement.sql for batch in disk.batches for statement in batch]

    asyncio.run(story())


@pytest.mark.threat(179)
def test_the_queue_is_bounded(commits: GroupCommit, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "MAX_WAITING", 3)

    async def story() -> None:
        tasks = [await one_in_hand(commits, disk)]
        tasks += [asyncio.create_task(commits.run(intent(str(n)))) for n in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(StoreUnavailable, match="3 callers wait"):
            await commits.run(intent("one too many"))
        disk.answers.set()
        await asyncio.gather(*tasks)

    asyncio.run(story())


def test_who_is_cancelled_in_the_queue_is_not_carried_out(commits: GroupCommit, disk: Disk) -> None:
    async def story() -> None:
        tasks = [await one_in_hand(commits, disk)]
        tasks += [asyncio.create_task(commits.run(intent(str(n)))) for n in range(6)]
        await asyncio.sleep(0)
        for task in (tasks[0], *tasks[2::2]):
            task.cancel()
        await asyncio.sleep(0)
        disk.answers.set()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [isinstance(outcome, asyncio.CancelledError) for outcome in outcomes] == [
            True, False, True, False, True, False, True
        ]  # fmt: skip
        assert [statement.sql for statement in disk.batches[1]] == ["0", "2", "4"]

    asyncio.run(story())


def test_an_event_loop_that_is_gone_does_not_stop_the_writer(commits: GroupCommit, disk: Disk) -> None:
    async def gives_up() -> None:
        task = await one_in_hand(commits, disk)
        task.cancel()

    async def story() -> None:
        assert (await commits.run(intent("other loop"))).sql == "other loop"

    asyncio.run(gives_up())
    disk.answers.set()
    asyncio.run(story())


def test_whatever_happens_on_the_writer_nobody_waits_for_ever(commits: GroupCommit, disk: Disk) -> None:
    disk.answers.set()
    disk.failing = True

    async def story() -> None:
        with pytest.raises(MemoryError):
            await commits.run(intent("a"))
        disk.failing = False
        assert (await commits.run(intent("b"))).sql == "b"

    asyncio.run(story())


def test_closing_answers_who_waits_and_refuses_who_comes(commits: GroupCommit, disk: Disk) -> None:
    async def story() -> None:
        tasks = [await one_in_hand(commits, disk)]
        tasks += [asyncio.create_task(commits.run(intent(str(n)))) for n in range(3)]
        await asyncio.sleep(0)
        closing = asyncio.get_running_loop().run_in_executor(None, commits.close)
        disk.answers.set()
        assert len(await asyncio.gather(*tasks)) == 4
        assert await closing
        with pytest.raises(StoreUnavailable, match="closed"):
            await commits.run(intent("late"))

    asyncio.run(story())
