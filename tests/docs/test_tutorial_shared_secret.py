"""The tutorial from a shared secret, run as a reader runs it: its files, processes and Python session."""

import os
import re
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tutorial" / "from-shared-secret.md"
PORTS = re.compile(r"127\.0\.0\.1:(\d+)|--port (\d+)")
GUARD = 30.0


class Block(NamedTuple):
    kind: str
    title: str | None
    text: str


def blocks() -> list[Block]:
    found = re.findall(
        r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```', PAGE.read_text(), re.MULTILINE | re.DOTALL
    )
    return [Block(kind, title or None, text) for kind, title, text in found]


def free_ports(text: str) -> dict[str, str]:
    """A free port for each one that the page names."""
    named = sorted({port for pair in PORTS.findall(text) for port in pair if port})
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in named]
        return {port: str(probe.getsockname()[1]) for port, probe in zip(named, probes, strict=True)}


class Terminal:
    """Runs `export` lines and background commands, as the page's shell blocks have them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("WATCHWORD_", "FLASK_"))
        }
        self._running: list[subprocess.Popen[bytes]] = []

    def run(self, line: str) -> None:
        if line.startswith("pip install "):
            return  # the tests' own environment has it
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").partition("=")
            self._environment[name] = value
            return
        assert line.endswith(" &"), f"a command of the page that this test does not understand: {line}"
        words = shlex.split(line.removesuffix(" &"))
        process = subprocess.Popen(
            [sys.executable, "-m", *words], cwd=self._folder, env=self._environment, stderr=subprocess.PIPE
        )
        self._running.append(process)
        assert process.stderr is not None
        for said in process.stderr:  # flask says where it runs once its socket is open
            if b"Running on" in said:
                threading.Thread(target=process.stderr.read, daemon=True).start()
                return
        pytest.fail(f"{line} ended with {process.wait()}")

    def close(self) -> None:
        for process in self._running:
            process.kill()
            process.wait(GUARD)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path)
    yield terminal
    terminal.close()


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_every_block_of_the_page_works_in_order(terminal: Terminal, tmp_path: Path) -> None:
    free = free_ports(PAGE.read_text())
    session: dict[str, object] = {}
    ran = {"file": 0, "sh": 0, "python": 0}
    for kind, title, text in blocks():
        here = PORTS.sub(
            lambda match: match[0].replace(match[1] or match[2], free[match[1] or match[2]]), text
        )
        if title is not None:
            (tmp_path / title).write_text(here)
            ran["file"] += 1
        elif kind == "sh":
            for line in here.splitlines():
                terminal.run(line)
            ran["sh"] += 1
        else:
            exec(compile(here, str(PAGE), "exec"), session)
            ran["python"] += 1
    assert ran == {"file": 4, "sh": 4, "python": 6}


def test_the_page_and_the_guide_show_the_same_secret_and_the_same_line() -> None:
    text = PAGE.read_text()
    assert 'SECRET_KEY = "your_secret_key"' in text
    assert 'jwt.decode(token, public_key, algorithms=["RS256"], audience="posts")' in text
