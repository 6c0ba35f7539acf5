"""A few daemon threads that do what must not happen in a request's own thread or event loop."""

import os
import queue
import threading
from collections.abc import Callable

Job = Callable[[], None]


class _Pool:
    """The threads of one process."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self.idle = threading.Semaphore(0)
        self.lock = threading.Lock()
        self.count = 0

    def work(self) -> None:
        while True:
            try:
                job = self.jobs.get_nowait()
            except queue.Empty:
                self.idle.release()
                job = self.jobs.get()
            if job is None:
                return
            job()
            del job  # what it holds must not live on in an idle thread


class Workers:
    """At most `limit` daemon threads, started when there is work; a fork starts with none.

    Daemon, so that a request to a silent server never keeps a process from ending.
    """

    __slots__ = ("_limit", "_pool")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pool = _Pool()

    def submit(self, job: Job) -> None:
        """Let a thread run `job`, which must not raise.

        Raises:
            RuntimeError: no thread runs and none can be started, as at the end of the process.
        """
        pool = self._pool
        if pool.pid != os.getpid():
            # without a lock: one that another thread held at the fork would never be released here
            pool = self._pool = _Pool()
        pool.jobs.put(job)
        if pool.idle.acquire(blocking=False):
            return
        with pool.lock:
            if pool.count >= self._limit:
                return
            try:
                threading.Thread(target=pool.work, name="watchword", daemon=True).start()
            except RuntimeError:
                if pool.count == 0:
                    raise
            else:
                pool.count += 1

    def close(self) -> None:
        """Let idle threads end, and busy ones after their job; a later `submit` starts anew."""
        pool, self._pool = self._pool, _Pool()
        for _ in range(pool.count):
            pool.jobs.put(None)
