"""Every moment at which a disk can fail or a process can die, found by counting the calls to the system."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

CALLS = ("open", "mkdir", "chmod", "fchmod", "write", "fsync", "rename", "unlink", "listdir", "close")


class Died(BaseException):
    """The process ends here; nothing that it would have done after this happens."""


class Disk:
    """Counts calls to the system; at one of them something happens before it, after it, or half way."""

    def __init__(self, at: int, when: str) -> None:
        self.at = at
        self.when = when
        self.count = 0
        self.dead = False
        self.failed_at = ""

    def wrap(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if self.dead:
                # a dead process changes nothing any more; what the system does for it is to close its files
                if name == "close":
                    return real(*arguments, **options)
                raise Died
            number, self.count = self.count, self.count + 1
            if number != self.at:
                return real(*arguments, **options)
            self.failed_at = name
            return self._fail(name, real, arguments, options)

        return call

    def _fail(self, name: str, real: Callable[..., Any], arguments: Any, options: Any) -> Any:
        if self.when == "error before":
            if name == "close":
                real(*arguments, **options)  # a close that fails has closed
            raise OSError(errno.EIO, "input/output error")
        if self.when == "dies before":
            if name == "close":
                real(*arguments, **options)
            self.dead = True
            raise Died
        if self.when.startswith("short") and name == "write":
            fd, content = arguments
            written = real(fd, bytes(content)[: len(content) // 2])
            if self.when == "short":
                return written
            self.dead = True
            raise Died
        answer = real(*arguments, **options)
        if self.when == "error after" and name not in {"open", "close", "listdir"}:
            raise OSError(errno.EIO, "input/output error")
        if self.when == "dies after":
            self.dead = True
            raise Died
        return answer


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, at: int, when: str) -> Iterator[Disk]:
    disk = Disk(at, when)
    with monkeypatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, disk.wrap(name, getattr(os, name)))
        yield disk


WHEN = ("error before", "error after", "dies before", "dies after", "short", "short and dies")
