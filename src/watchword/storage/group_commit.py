"""Group commit: many callers, one writer thread, one durable transaction for all who wait."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from watchword.errors import StoreUnavailable
from watchword.storage.database import Intent

MAX_WAITING = 10_000
MAX_BATCH = 512


class Outcome(NamedTuple):
    """How an intent ended: with a value or with an error."""

    value: Any = None
    error: BaseException | None = None


class Waiting(NamedTuple):
    """An intent and who waits for it."""

    intent: Intent[Any]
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Any]"


CarryOut = Callable[[Sequence[Intent[Any]]], list[Outcome]]
"""Carries out a batch in one transaction and returns after the commit; never raises."""


class GroupCommit:
    """A thread that takes everything that waits, has it carried out as one batch, and answers everybody.

    Args:
        carry_out: called on the writer thread only.
        name: of the thread.
    """

    def __init__(self, carry_out: CarryOut, name: str) -> None:
        self._carry_out = carry_out
        self._waiting: deque[Waiting] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    async def run(self, intent: Intent[Any]) -> Any:
        """Return what came of the intent, after the commit.

        Raises:
            StoreUnavailable: too many wait already, or the database is closed.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        with self._changed:
            if self._closed:
                raise StoreUnavailable("the database is closed")
            if len(self._waiting) >= MAX_WAITING:
                raise StoreUnavailable(f"{MAX_WAITING} callers wait for the database already")
            self._waiting.append(Waiting(intent, loop, future))
            self._changed.notify()
        return await future

    def close(self) -> None:
        """Carry out what waits, then end the thread; returns when it has ended."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while batch := self._take():
            outcomes = self._carry_out([waiting.intent for waiting in batch])
            answers: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Outcome]]] = {}
            for waiting, outcome in zip(batch, outcomes, strict=True):
                answers.setdefault(waiting.loop, []).append((waiting.future, outcome))
            for loop, answer in answers.items():
                try:
                    loop.call_soon_threadsafe(_answer, answer)
                except RuntimeError:
                    continue  # that event loop is gone, and with it whoever waited

    def _take(self) -> list[Waiting]:
        """Return what waits; an empty list when there is nothing and there will be nothing."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            return [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_BATCH))]


def _answer(answers: list[tuple["asyncio.Future[Any]", Outcome]]) -> None:
    for future, outcome in answers:
        if future.done():
            continue  # whoever asked was cancelled; what was written stays written
        if outcome.error is None:
            future.set_result(outcome.value)
        else:
            future.set_exception(outcome.error)
