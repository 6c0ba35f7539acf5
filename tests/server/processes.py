"""The processes of a running service, seen from outside."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from watchword.clock import SYSTEM_CLOCK


def stat(pid: int) -> list[str]:
    """The fields of `/proc/PID/stat` behind the name: state, parent, …"""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def alive(pid: int) -> bool:
    try:
        return stat(pid)[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(pid: int) -> list[int]:
    """Living children, in the order in which they began: the keeper first, then the workers."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if entry.name.isdigit():
                fields = stat(int(entry.name))
                if int(fields[1]) == pid and fields[0] not in "ZX":
                    found.append((int(fields[19]), int(entry.name)))
    return [child for _, child in sorted(found)]


def until(holds, seconds: float = 20.0):
    """Ask until the answer is true, a bounded time; return it."""
    given_up = SYSTEM_CLOCK.monotonic() + seconds
    while not (found := holds()):
        assert SYSTEM_CLOCK.monotonic() < given_up, "waited in vain"
    return found


@contextlib.contextmanager
def stopped(*pids: int) -> Iterator[None]:
    """Let these processes stand still for a while."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    for pid in pids:
        until(lambda pid=pid: stat(pid)[0] == "T")
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


class Pinned:
    """A connection that one certain worker has accepted."""

    def __init__(self, served, worker: int) -> None:
        self.served = served
        others = [pid for pid in children(served.process.pid)[1:] if pid != worker]
        with stopped(*others):
            self.connection = served.connect()
            assert self.get("/health/live").status == 200

    def get(self, path: str):
        self.connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return self.served.read_reply(self.connection)

    def post(self, path: str, body: bytes, authorization: str | None = None):
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        if authorization is not None:
            head += f"Authorization: {authorization}\r\n"
        self.connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        return self.served.read_reply(self.connection)

    def token(self, client: str = "posts", audience: str = "users"):
        body = f"grant_type=client_credentials&audience={audience}".encode()
        return self.post("/token", body, self.served.basic(client))

    def __enter__(self) -> "Pinned":
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()


@contextlib.contextmanager
def pinned_to_each(served) -> Iterator[list[Pinned]]:
    with contextlib.ExitStack() as stack:
        workers = children(served.process.pid)[1:]
        yield [stack.enter_context(Pinned(served, worker)) for worker in workers]
