"""A reader at a terminal: takes a page block by block, as it stands there, on free ports."""

import os
import re
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```', re.MULTILINE | re.DOTALL)
PORT = re.compile(r"\b(9000|50\d\d)\b")
READY = re.compile(r"running on|ready", re.IGNORECASE)
GUARD = 60.0


class Terminal:
    """One shell: `export` stays, `&` goes to the background and is ready when it says so."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: dict[str, str] = {}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("WATCHWORD_")}
        self.environment = clean | {"PATH": path, "PYTHONUNBUFFERED": "1"}
        self.running: list[subprocess.Popen[str]] = []

    def run(self, line: str) -> None:
        if line.startswith("pip install "):
            return  # the tests' own environment has it
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").partition("=")
            self.environment[name] = value
        elif line.endswith(" &"):
            self.start(line.removesuffix(" &"))
        else:
            ran = subprocess.run(
                ["bash", "-ec", line],
                cwd=self.folder,
                env=self.environment,
                capture_output=True,
                text=True,
                timeout=GUARD,
                check=False,
            )
            self.said[line] = ran.stdout + ran.stderr
            assert ran.returncode == 0, f"{line}\n{self.said[line]}"

    def start(self, line: str) -> None:
        process = subprocess.Popen(
            ["bash", "-c", f"exec env {line}"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.running.append(process)
        assert process.stdout is not None
        said = ""
        for out in process.stdout:
            said += out
            if READY.search(out):
                threading.Thread(target=self.listen, args=(line, process), daemon=True).start()
                return
        pytest.fail(f"{line} ended with {process.wait(GUARD)}\n{said}")

    def listen(self, line: str, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for out in process.stdout:
            self.said[line] = self.said.get(line, "") + out

    def close(self) -> None:
        for process in self.running:
            process.terminate()
        for process in self.running:
            process.wait(GUARD)


def free_ports(names: set[str]) -> dict[str, str]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in names]
        return {name: str(probe.getsockname()[1]) for name, probe in zip(names, probes, strict=True)}


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path)
    yield terminal
    terminal.close()


@pytest.fixture
def walk(terminal: Terminal) -> Callable[[Path], Counter[str]]:
    """Do what a page says: write its files, type its commands, run its Python in one session."""

    def walk_page(page: Path) -> Counter[str]:
        free = free_ports(set(PORT.findall(page.read_text())))
        session: dict[str, object] = {}
        done: Counter[str] = Counter()
        for kind, title, text in BLOCK.findall(page.read_text()):
            here = PORT.sub(lambda port: free[port[1]], text)
            if title:
                (terminal.folder / title).write_text(here)
            elif kind == "sh":
                for line in here.splitlines():
                    terminal.run(line)
            else:
                exec(compile(here, str(page), "exec"), session)
            done["file" if title else kind] += 1
        return done

    return walk_page
