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
READY = re.compile(r"running on|ready|development server at", re.IGNORECASE)
GUARD = 60.0


class Terminal:
    """One shell: `export` stays, `&` goes to the background and is ready when it says so."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: dict[str, str] = {}
        self.heard = threading.Condition()
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
        too_late = threading.Timer(GUARD, process.kill)
        too_late.start()
        for out in process.stdout:
            said += out
            if READY.search(out):
                too_late.cancel()
                threading.Thread(target=self.listen, args=(line, process), daemon=True).start()
                return
        too_late.cancel()
        pytest.fail(f"{line} ended with {process.wait(GUARD)}\n{said}")

    def listen(self, line: str, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for out in process.stdout:
            with self.heard:
                self.said[line] = self.said.get(line, "") + out
                self.heard.notify_all()

    def hears(self, text: str) -> bool:
        """Wait until what runs in the background has said this; what it says arrives when it likes."""
        with self.heard:
            return self.heard.wait_for(lambda: any(text in said for said in self.said.values()), GUARD)

    def end(self, *processes: subprocess.Popen[str]) -> None:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(GUARD)
            self.running.remove(process)

    def close(self) -> None:
        self.end(*self.running)


class Reader:
    """Does what pages say: writes their files, types their commands, runs their Python in one session."""

    def __init__(self, folder: Path) -> None:
        self.terminal = Terminal(folder)
        self.ports: dict[str, str] = {}
        self.session: dict[str, object] = {}

    def here(self, text: str) -> str:
        """Return text with each port that pages name replaced by a free one."""
        self.ports |= free_ports(set(PORT.findall(text)) - self.ports.keys())
        return PORT.sub(lambda port: self.ports[port[1]], text)

    def read(self, text: str, name: str) -> Counter[str]:
        done: Counter[str] = Counter()
        self.here(text)  # all ports at once: none is given twice
        for kind, title, block in BLOCK.findall(text):
            here = self.here(block)
            if title:
                (self.terminal.folder / title).write_text(here)
            elif kind == "sh":
                for line in here.splitlines():
                    self.terminal.run(line)
            else:
                exec(compile(here, name, "exec"), self.session)
            done["file" if title else kind] += 1
        return done


def free_ports(names: set[str]) -> dict[str, str]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in names]
        return {name: str(probe.getsockname()[1]) for name, probe in zip(names, probes, strict=True)}


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path)
    yield reader
    reader.terminal.close()


@pytest.fixture(scope="module")
def long_reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A reader who goes through several pages of one folder."""
    reader = Reader(tmp_path_factory.mktemp("reader"))
    yield reader
    reader.terminal.close()


@pytest.fixture
def terminal(reader: Reader) -> Terminal:
    return reader.terminal


@pytest.fixture
def walk(reader: Reader) -> Callable[[Path], Counter[str]]:
    """Do what a page says, block by block."""
    return lambda page: reader.read(page.read_text(), str(page))
