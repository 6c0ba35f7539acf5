"""A server in a process of its own, on one core; what it has used of the processor is read, not guessed."""

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_START_SECONDS = 60.0


class ServerProcess:
    """One server; gunicorn's children count too.

    Args:
        name: what the table calls it.
        process: it leads a process group of its own.
        port: on loopback.
    """

    def __init__(self, name: str, process: "subprocess.Popen[bytes]", port: int) -> None:
        self.name = name
        self.port = port
        self._process = process

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def processor_seconds(self) -> float:
        """Return the user and system time of all its processes and threads so far."""
        return sum(_used(pid) for pid in self._pids())

    def resident_bytes(self) -> int:
        """Return what it holds of the memory, all its processes together."""
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self._pids())
        return pages * os.sysconf("SC_PAGE_SIZE")

    def _pids(self) -> list[int]:
        found, pending = [], [self._process.pid]
        while pending:
            pid = pending.pop()
            found.append(pid)
            with suppress(OSError):
                pending += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        return found

    def stop(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(25)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def _used(pid: int) -> float:
    # the processor clock of another process: clock_getcpuclockid(3)
    with suppress(OSError):
        return time.clock_gettime((~pid << 3) | 2)
    return 0.0


@contextmanager
def serving(
    name: str,
    command: Sequence[str],
    port: int,
    *,
    folder: Path,
    health: str | None,
    environ: Mapping[str, str] = {},
    core: int | None = None,
) -> Iterator[ServerProcess]:
    """Start a server, wait until it answers, and end it with its children afterwards.

    Args:
        name: what the table calls it.
        command: and its arguments.
        port: where it will listen.
        folder: its working folder, where its log goes too: `server.log`.
        health: a path that is answered with 200 or 404 once it serves; `None`: any answer will do.
        environ: beside the present one, without any `WATCHWORD_…` of it.
        core: the one core that it may use.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith("WATCHWORD_")}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            list(command),
            cwd=folder,
            env=kept | dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    if core is not None:
        os.sched_setaffinity(process.pid, {core})  # what it starts later inherits it
    server = ServerProcess(name, process, port)
    try:
        _wait(server, process, health, folder / "server.log")
        yield server
    finally:
        server.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cores() -> tuple[int | None, int | None]:
    """Return a core for the servers and one for the load; `None` twice where there is only one."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    mine = sorted(os.sched_getaffinity(0))
    return (mine[0], mine[1]) if len(mine) > 1 else (None, None)


def _wait(server: ServerProcess, process: "subprocess.Popen[bytes]", health: str | None, log: Path) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://{server.host}{health or '/'}", timeout=5):
                return
        except urllib.error.HTTPError as error:
            if error.code == 404 or health is None:
                return
            time.sleep(0.02)
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"{server.name} did not start: {log.read_text(errors='replace')[-2000:]}")
