"""Flights: work that is done once however many wait for it, from threads and from event loops.

A flight belongs to nobody who waits: it runs in a worker thread, and a waiter that is cancelled or
times out leaves it flying. A flight that is overdue is given up, and the next one who asks starts another.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Generator, Hashable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from watchword.clock import SYSTEM_CLOCK
from watchword.errors import FetchFailed
from watchword.fetch.workers import Workers

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

_GRACE = 0.5  # seconds beyond the deadline for the worker to say itself what went wrong

Waiting = Generator["Flight[Any]", Any, T]
"""A flow that waits for flights; `run` and `run_async` are its two drivers."""


class Flight(Generic[T]):
    """Something under way, and until when it makes sense to wait for it."""

    __slots__ = ("_future", "deadline")

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self._future: Future[T] = Future()
        # running from the start: a waiter that is cancelled can then not cancel what others wait for
        self._future.set_running_or_notify_cancel()

    @property
    def overdue(self) -> bool:
        """Whether nobody should wait for it any more."""
        return self._left() <= 0

    def _left(self) -> float:
        return self.deadline + _GRACE - SYSTEM_CLOCK.monotonic()

    def fly(self, job: Callable[[float], T], landed: Callable[[], None]) -> None:
        """Do the work in this thread; `landed` is called before anybody learns the result."""
        try:
            result = job(self.deadline)
        except BaseException as error:  # noqa: BLE001  # it is handed to those who wait
            landed()
            self._future.set_exception(error)
        else:
            landed()
            self._future.set_result(result)

    def wait(self) -> T:
        """Wait in this thread.

        Raises:
            FetchFailed: overdue. Whatever the work raised.
        """
        try:
            return self._future.result(max(self._left(), 0))
        except TimeoutError:
            raise _late() from None

    async def wait_async(self) -> T:
        """Wait in this task; as `wait`."""
        try:
            async with asyncio.timeout(max(self._left(), 0)):
                return await asyncio.wrap_future(self._future)
        except TimeoutError:
            raise _late() from None


def _late() -> FetchFailed:
    return FetchFailed("expected an answer before the deadline, found none")


class _Board:
    """What is in the air in one process."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.lock = threading.Lock()
        self.flying: dict[Any, Flight[Any]] = {}


class Flights(Generic[K, T]):
    """At most one flight per key at a time."""

    __slots__ = ("_board", "_timeout", "_workers")

    def __init__(self, *, timeout: float, workers: Workers) -> None:
        self._timeout = timeout
        self._workers = workers
        self._board = _Board()

    def join(
        self, key: K, job: Callable[[float], T], *, unless: Callable[[], bool] = lambda: False
    ) -> Flight[T] | None:
        """Return the flight of this key, a new one if there is none.

        `job` gets its deadline on the monotonic clock; it must store its result before it returns, and
        `unless` is asked at the last moment whether such a result has come in the meantime: then there is
        no new flight, and `None` is the answer. So nobody can slip between a landing and the look into
        the store that came before it.
        """
        board = self._board
        if board.pid != os.getpid():
            board = self._board = _Board()  # the threads that flew these stayed behind in the parent
        with board.lock:
            flight = board.flying.get(key)
            if flight is not None and not flight.overdue:
                return flight
            if unless():
                return None
            flight = Flight(SYSTEM_CLOCK.monotonic() + self._timeout)
            board.flying[key] = flight
        started: Flight[T] = flight

        def landed() -> None:
            with board.lock:
                if board.flying.get(key) is started:
                    del board.flying[key]

        def work() -> None:
            started.fly(job, landed)

        try:
            self._workers.submit(work)
        except RuntimeError as error:
            started.fly(_refuse(error), landed)
        return started


def _refuse(error: RuntimeError) -> Callable[[float], Any]:
    def job(_: float) -> Any:
        raise FetchFailed("no thread can be started") from error

    return job


def run(flow: Waiting[T]) -> T:
    """Drive a flow in this thread."""
    try:
        flight = next(flow)
        while True:
            try:
                result = flight.wait()
            except Exception as error:  # noqa: BLE001  # the flow decides
                flight = flow.throw(error)
            else:
                flight = flow.send(result)
    except StopIteration as stop:
        value: T = stop.value
        return value


async def run_async(flow: Waiting[T]) -> T:
    """Drive a flow in this task."""
    try:
        flight = next(flow)
        while True:
            try:
                result = await flight.wait_async()
            except Exception as error:  # noqa: BLE001  # the flow decides
                flight = flow.throw(error)
            else:
                flight = flow.send(result)
    except StopIteration as stop:
        value: T = stop.value
        return value
