"""One child process: started, waited for until it is healthy, and always stopped."""

import http.client
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from watchword.clock import SYSTEM_CLOCK

START_TIMEOUT = 30.0
STOP_TIMEOUT = 10.0
_POLL = 0.05


class DemoFailed(Exception):
    """The demonstration cannot go on; the text says what to do, `seen` what a process printed last."""

    def __init__(self, text: str, *, seen: Sequence[str] = ()) -> None:
        self.seen = tuple(seen)
        super().__init__(text)


class Process:
    """A service in a process of its own, in a session of its own so that Ctrl-C reaches only us.

    Args:
        name: what it is called in messages.
        command: program and arguments.
        environment: its whole environment.
        health: the URL that answers 200 once it can work.
        log: the file that takes what it prints.
    """

    __slots__ = ("_child", "_command", "_environment", "_health", "log", "name")

    def __init__(
        self, name: str, command: Sequence[str], *, environment: Mapping[str, str], health: str, log: Path
    ) -> None:
        self.name = name
        self.log = log
        self._command = tuple(command)
        self._environment = dict(environment)
        self._health = health
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    def start(self) -> None:
        """Start the process and return at once; `wait_until_healthy` says when it can work.

        Raises:
            DemoFailed: the program cannot be started.
        """
        try:
            with self.log.open("ab") as out, uninterrupted():
                self._child = subprocess.Popen(  # noqa: S603  # our own interpreter and arguments
                    self._command,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    cwd=self.log.parent,
                    start_new_session=True,
                )
        except OSError as error:
            raise DemoFailed(f"{self.name} cannot be started: {error.strerror}") from None

    def wait_until_healthy(self) -> None:
        """Wait until the health check answers 200.

        Raises:
            DemoFailed: the process ended, or is not healthy in time; its last lines are in the text.
        """
        deadline = SYSTEM_CLOCK.monotonic() + START_TIMEOUT
        pause = threading.Event()
        while SYSTEM_CLOCK.monotonic() < deadline:
            if self._child is None or self._child.poll() is not None:
                raise DemoFailed(f"{self.name} ended before it was ready; it said:", seen=self.last_lines())
            if _answers(self._health):
                return
            pause.wait(_POLL)
        raise DemoFailed(
            f"{self.name} was not ready after {START_TIMEOUT:.0f} s; it said:", seen=self.last_lines()
        )

    def stop(self) -> None:
        """End the process and everything it started: politely, then by force. Does nothing a second time."""
        with uninterrupted():
            child, self._child = self._child, None
            if child is None:
                return
            child.terminate()
            with suppress(subprocess.TimeoutExpired):
                child.wait(STOP_TIMEOUT)
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()

    def last_lines(self, count: int = 12) -> list[str]:
        """Return the end of what the process printed."""
        lines = (
            self.log.read_text(encoding="utf-8", errors="replace").splitlines() if self.log.exists() else []
        )
        return lines[-count:] or ["nothing"]


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let signals wait while a process is being started or stopped, so that none is ever lost sight of."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
    for each in before:
        signal.signal(each, lambda number, _: waiting.append(number))
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        for number in waiting:
            signal.raise_signal(number)


def _answers(url: str) -> bool:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=2)
    try:
        connection.request("GET", address.path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def free_ports(host: str, count: int) -> list[int]:
    """Return different ports of `host` that nobody listens on now."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((host, 0))
        return [probe.getsockname()[1] for probe in probes]


def demand_free(host: str, port: int, *, service: str, option: str) -> None:
    """Refuse a port that cannot be listened on.

    Raises:
        DemoFailed: taken, or not ours to use; names the port and the option that chooses another.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError:
            reason = "may not be used by this user"
        except OSError:
            reason = "is taken by another program"
        else:
            return
    raise DemoFailed(
        f"port {port}, wanted for {service}, {reason}; "
        f"choose another: watchword demo {option} {free_ports(host, 1)[0]}"
    )
