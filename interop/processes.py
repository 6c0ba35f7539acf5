"""Processes of a stranger: found, started, watched and ended."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

GUARD = 30.0


def installed(program: str, *, folder: Path | None = None) -> str:
    """Return where a program is, or skip loudly."""
    found = shutil.which(program, path=str(folder or f"{os.environ['PATH']}:/usr/sbin"))
    if found is None:
        pytest.skip(f"{program} is not installed; run: make interop-deps")
    return found


class Running:
    """Processes of one test module; each is watched while it starts and ended with its children."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("WATCHWORD_")}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return clean | {"PATH": path, "HOME": str(self.folder), "NO_PROXY": "127.0.0.1"} | dict(settings)

    def start(
        self, name: str, *argv: str | Path, port: int, patience: float = GUARD, **settings: str
    ) -> None:
        """Start a process and return when it listens on `port`; what it says is in `<name>.log`."""
        with (self.folder / f"{name}.log").open("wb") as log:
            process = self.processes[name] = subprocess.Popen(
                argv, cwd=self.folder, env=self.environment(settings), start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return
            with suppress(subprocess.TimeoutExpired):
                status = process.wait(timeout=0.05)
                pytest.fail(f"{name} ended with {status}\n{self.said(name)}")
        pytest.fail(f"{name} does not listen\n{self.said(name)}")

    def wait_for(self, name: str, found: Callable[[], Any]) -> Any:
        """Return what is found as soon as there is something, while the process lives."""
        deadline = time.monotonic() + GUARD
        while time.monotonic() < deadline:
            if (something := found()) is not None:
                return something
            with suppress(subprocess.TimeoutExpired):
                pytest.fail(f"{name} ended with {self.processes[name].wait(timeout=0.05)}\n{self.said(name)}")
        pytest.fail(f"{name}: nothing was found\n{self.said(name)}")

    def run(self, *argv: str | Path, said: str = "", **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; `said` is its standard input."""
        return subprocess.run(
            argv, cwd=self.folder, env=self.environment(settings), input=said,
            capture_output=True, text=True, timeout=GUARD, check=False,
        )  # fmt: skip

    def said(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def stop(self, name: str) -> None:
        process = self.processes.pop(name)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(GUARD)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(GUARD)

    def close(self) -> None:
        for name in [*self.processes]:
            self.stop(name)
