"""Many calls at once on behalf of one caller, so that N calls do not take the time of N round trips."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

WORKERS = 16


def over_threads(function: Callable[[T], R], items: Iterable[T], workers: int) -> list[R]:
    """Return `[function(item) for item in items]`, at most `workers` of them at a time, each in a thread.

    Every call runs in a copy of this context: the caller goes along, and so do traces. The first failure is
    raised; what was not begun by then is not begun.
    """
    _demand_positive(workers)
    todo = list(items)
    if len(todo) < 2:
        return [function(item) for item in todo]
    with ThreadPoolExecutor(min(workers, len(todo)), thread_name_prefix="watchword-map") as pool:
        under_way = [pool.submit(copy_context().run, function, item) for item in todo]
        try:
            return [one.result() for one in under_way]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


async def over_tasks(function: Callable[[T], Awaitable[R]], items: Iterable[T], workers: int) -> list[R]:
    """Return the same of an async function, in tasks; the first failure cancels what is under way."""
    _demand_positive(workers)
    todo = list(items)
    left = iter(enumerate(todo))
    found: dict[int, R] = {}

    async def work() -> None:
        for place, item in left:
            found[place] = await function(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(workers, len(todo))):
                group.create_task(work())
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None
    return [found[place] for place in range(len(todo))]


def _demand_positive(workers: int) -> None:
    if workers < 1:
        raise ValueError(f"expected at least one worker, found {workers}")
