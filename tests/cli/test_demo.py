"""`watchword demo` as a person runs it: what it says, how it ends, and that nothing is left behind."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from watchword.cli.demo.process import DemoFailed
from watchword.cli.demo.world import Ports, World, example_folder

pytestmark = pytest.mark.xdist_group("demo")
ANY_PORTS = ["--port", "0", "--users-port", "0", "--posts-port", "0"]
GUARD = 60.0


class Demo:
    """One run, with a temporary folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._environment = {**os.environ, "TMPDIR": str(folder), "NO_COLOR": "1"}
        self._running: list[subprocess.Popen[str]] = []

    def start(
        self, *arguments: str, umask: int = -1, environment: dict[str, str] | None = None
    ) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "watchword", "demo", *arguments],
            env=self._environment | (environment or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            umask=umask,
            start_new_session=True,
        )
        self._running.append(process)
        return process

    def run(
        self, *arguments: str, umask: int = -1, environment: dict[str, str] | None = None
    ) -> tuple[int, str, str]:
        process = self.start(*arguments, umask=umask, environment=environment)
        out, err = process.communicate(timeout=GUARD)
        return process.returncode, out, err

    def close(self) -> None:
        for process in self._running:
            if process.poll() is None:
                process.kill()
            process.communicate()


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    demo = Demo(tmp_path)
    yield demo
    demo.close()


def pids(text: str) -> list[int]:
    found = [int(pid) for pid in re.findall(r"process (\d+)", text)]
    assert len(found) == 3
    return found


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def assert_nothing_left(text: str, folder: Path) -> None:
    assert [pid for pid in pids(text) if not gone(pid)] == []
    assert list(folder.iterdir()) == []


def test_once_tells_the_story_and_exits_0_under_a_strange_umask(demo: Demo) -> None:
    status, out, err = demo.run("--once", *ANY_PORTS, umask=0o777)
    assert (status, err) == (0, "")
    assert re.search(r"All \d+ steps held", out)
    assert "37 posts, 37 authors, one exchange" in out
    assert "service|posts for people|john_doe" in out
    assert "no rule of users lets reports call it" in re.sub(r"\s+", " ", out)
    assert "\x1b" not in out
    assert max(len(line) for line in out.splitlines()) <= 80
    assert_nothing_left(out, demo.folder)


def test_a_removed_rule_fails_the_story_by_its_name(
    demo: Demo, tmp_path_factory: pytest.TempPathFactory
) -> None:
    example = tmp_path_factory.mktemp("example") / "users_posts"
    shutil.copytree(example_folder(), example)
    text = (example / "trust.toml").read_text()
    start = text.index("[[services.users.allow]]")
    (example / "trust.toml").write_text(text[:start] + text[text.index("[services.posts]") :])
    status, out, _ = demo.run("--once", "--json", *ANY_PORTS, "--example", str(example))
    assert status == 1
    cast, *steps, end = [json.loads(line) for line in out.splitlines()]
    assert [process["name"] for process in cast["processes"]][1:] == ["users-service", "posts-service"]
    assert steps[1]["held"] is False
    assert "no rule of users lets posts call it" in steps[1]["verdict"]
    assert [step["held"] for step in steps if step["title"].startswith("Refused: a request without")] == [
        True
    ]
    assert 0 < end["failed"] < end["steps"] == len(steps)


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (signal.SIGTERM, "Three processes"),
        (signal.SIGHUP, " 3. "),
        (signal.SIGINT, "Ctrl-C stops everything."),
    ],
)
def test_however_it_is_ended_nothing_is_left_behind(demo: Demo, number: signal.Signals, moment: str) -> None:
    process = demo.start(*ANY_PORTS)
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if moment in said and said.count("process ") == 3:
            process.send_signal(number)
            break
    rest, err = process.communicate(timeout=GUARD)
    assert process.returncode == (0 if "All" in said else 130)
    assert "Traceback" not in err
    assert "everything is stopped" in err
    assert_nothing_left(said + rest, demo.folder)


def test_when_nobody_reads_it_stops_quietly(demo: Demo) -> None:
    process = demo.start(*ANY_PORTS)
    assert process.stdout is not None
    said = "".join(process.stdout.readline() for _ in range(5))
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    assert process.wait(GUARD) == 1
    assert err == ""
    assert_nothing_left(said, demo.folder)


def test_a_taken_port_is_named_with_a_way_out(demo: Demo) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, out, err = demo.run("--once", "--port", "0", "--users-port", str(port), "--posts-port", "0")
    assert status == 1
    assert f"port {port}, wanted for users-service, is taken" in err
    assert re.search(r"--users-port \d+", err)
    assert "Traceback" not in out + err
    assert list(demo.folder.iterdir()) == []


def test_one_port_for_two_services_is_refused(demo: Demo) -> None:
    status, _, err = demo.run("--once", "--port", "50123", "--users-port", "50123")
    assert status == 1
    assert "three different ports are needed" in err


def test_a_service_that_cannot_start_is_told_with_its_own_words(
    demo: Demo, tmp_path_factory: pytest.TempPathFactory
) -> None:
    example = tmp_path_factory.mktemp("example") / "users_posts"
    shutil.copytree(example_folder(), example)
    (example / "users_service.py").write_text("raise SystemExit('the people are on holiday')\n")
    status, _, err = demo.run("--once", *ANY_PORTS, "--example", str(example))
    assert status == 1
    assert "users-service ended before it was ready" in err
    assert "the people are on holiday" in err
    assert "Traceback" not in err
    assert list(demo.folder.iterdir()) == []


def test_missing_packages_are_named_with_the_command_that_brings_them(demo: Demo, tmp_path: Path) -> None:
    hiding = (
        "import importlib.util, sys\n"
        "found = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'argon2' else found(name, *rest)\n"
        "from watchword.cli import main\n"
        "sys.exit(main(['demo', '--once']))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", hiding], check=False, capture_output=True, text=True, timeout=GUARD
    )
    assert ended.returncode == 1
    assert 'pip install "argon2-cffi"' in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_folder_that_cannot_be_written_to_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "not there"))
    with pytest.raises(DemoFailed, match="TMPDIR"), World(Ports(0, 0, 0)):
        pytest.fail("started without a folder")
