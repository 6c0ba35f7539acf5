"""Group commit: many callers, one writer thread, one durable transaction for all who wait.

Callers of one event loop are handed over together, once in each of its turns: the thread is woken once for
all of them, and takes the interpreter away from the loop once.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from watchword.errors import StoreUnavailable
from watchword.storage.database import Intent

MAX_WAITING = 10_000
MAX_BATCH = 512
MAX_SECONDS = 10.0
"""How long a caller waits for a disk that does not answer."""


class Outcome(NamedTuple):
    """How an intent ended: with a value or with an error."""

    value: Any = None
    error: BaseException | None = None


class Waiting:
    """An intent and who waits for it."""

    __slots__ = ("_free", "future", "intent", "loop")

    def __init__(
        self,
        intent: Intent[Any],
        loop: asyncio.AbstractEventLoop | None,
        future: "asyncio.Future[Any] | Future[Any]",
    ) -> None:
        self.intent = intent
        self.loop = loop
        """Whose task waits; `None`: a thread does."""
        self.future = future
        self._free = [True]

    def take(self) -> bool:
        """Return whether the intent was still free: the writer takes it, or the caller takes it back."""
        try:
            return self._free.pop()  # one step for every thread: exactly one of two gets it
        except IndexError:
            return False

    def give_up(self) -> None:
        """Answer a caller who has waited too long; called on its event loop."""
        if self.future.done():
            return
        self.future.set_exception(self.in_vain())

    def in_vain(self) -> StoreUnavailable:
        """Take the intent back if it is still free; return what its caller is told."""
        if self.take():
            return StoreUnavailable(f"the database was busy for {MAX_SECONDS:g} s: nothing was written")
        return StoreUnavailable(f"the disk did not answer for {MAX_SECONDS:g} s: it may have been written")


CarryOut = Callable[[Sequence[Intent[Any]]], list[Outcome]]
"""Carries out a batch in one transaction and returns after the commit."""


class GroupCommit:
    """A thread that takes everything that waits, has it carried out as one batch, and answers everybody.

    Args:
        carry_out: called on the writer thread only.
        name: of the thread.
        turn: held while a batch is put together and carried out, where others write too.
    """

    def __init__(
        self, carry_out: CarryOut, name: str, *, turn: AbstractContextManager[None] | None = None
    ) -> None:
        self._carry_out = carry_out
        self._turn: AbstractContextManager[None] = nullcontext() if turn is None else turn
        self._queue: SimpleQueue[list[Waiting] | None] = SimpleQueue()
        self._gathered: dict[asyncio.AbstractEventLoop, list[Waiting]] = {}
        self._over: list[Waiting] = []  # the writer's: what did not fit into the last batch
        self._waiting = 0
        self._door = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    async def run(self, intent: Intent[Any]) -> Any:
        """Return what came of the intent, after the commit.

        Raises:
            StoreUnavailable: too many wait already, the wait was too long, or the database is closed.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        waiting = Waiting(intent, loop, future)
        with self._door:  # nobody may come in behind the last one
            self._demand_room()
            self._waiting += 1
            gathered = self._gathered.setdefault(loop, [])
            gathered.append(waiting)
        if len(gathered) == 1:
            loop.call_soon(self._hand_over, loop)
        patience = loop.call_later(MAX_SECONDS, waiting.give_up)
        try:
            return await future
        except asyncio.CancelledError:
            waiting.take()
            raise
        finally:
            patience.cancel()

    def run_blocking(self, intent: Intent[Any]) -> Any:
        """Do what `run` does for a thread without an event loop, which waits.

        Raises:
            StoreUnavailable: likewise.
        """
        future: Future[Any] = Future()
        waiting = Waiting(intent, None, future)
        with self._door:
            self._demand_room()
            self._waiting += 1
            self._queue.put([waiting])
        try:
            return future.result(MAX_SECONDS)
        except TimeoutError:
            raise waiting.in_vain() from None

    def _demand_room(self) -> None:
        if self._closed:
            raise StoreUnavailable("the database is closed")
        if self._waiting >= MAX_WAITING:
            raise StoreUnavailable(f"{MAX_WAITING} callers wait for the database already")

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._door:
            gathered = self._gathered.pop(loop, None)
            if gathered is not None:
                self._queue.put(gathered)

    def close(self) -> bool:
        """Carry out what waits and end the thread; return whether it ended within a bounded time."""
        with self._door:
            if not self._closed:
                self._closed = True
                for gathered in self._gathered.values():
                    self._queue.put(gathered)
                self._gathered.clear()
                self._queue.put(None)
        self._thread.join(MAX_SECONDS)
        return not self._thread.is_alive()

    def _work(self) -> None:
        last = False
        while not last:
            first = self._over or self._queue.get()
            # whoever comes while others write is in this batch too, and can still give up
            with self._turn:
                batch, last = self._batch(first)
                outcomes = self._outcomes(batch)
            answers: dict[asyncio.AbstractEventLoop | None, list[tuple[Waiting, Outcome]]] = {}
            for waiting, outcome in zip(batch, outcomes, strict=True):
                answers.setdefault(waiting.loop, []).append((waiting, outcome))
            for loop, answer in answers.items():
                if loop is None:
                    _answer(answer)
                    continue
                try:
                    loop.call_soon_threadsafe(_answer, answer)
                except RuntimeError:
                    continue  # that event loop is gone, and with it whoever waited

    def _outcomes(self, batch: Sequence[Waiting]) -> list[Outcome]:
        if not batch:
            return []
        try:
            return self._carry_out([waiting.intent for waiting in batch])
        except BaseException as error:  # noqa: BLE001  # whatever it is, nobody may wait for ever
            return [Outcome(error=error)] * len(batch)

    def _batch(self, first: list[Waiting] | None) -> tuple[list[Waiting], bool]:
        """Return these and all who wait behind, as many as fit, and whether they are the last."""
        found: list[Waiting] = []
        gathered = first
        try:
            while gathered is not None:
                found += gathered
                if len(found) >= MAX_BATCH:
                    break
                gathered = self._queue.get_nowait()
        except Empty:
            pass
        last = gathered is None
        found, self._over = found[:MAX_BATCH], found[MAX_BATCH:]
        with self._door:
            self._waiting -= len(found)
        return [waiting for waiting in found if waiting.take()], last


def _answer(answers: list[tuple[Waiting, Outcome]]) -> None:
    for waiting, outcome in answers:
        if waiting.future.done():
            continue  # whoever asked went away; what was written stays written
        if outcome.error is None:
            waiting.future.set_result(outcome.value)
        else:
            waiting.future.set_exception(outcome.error)
