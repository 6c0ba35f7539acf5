"""`watchword serve` in real processes: how it starts, and in which words it does not."""

import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ISSUER = "https://tokens.example"


def environment(**settings: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WATCHWORD_")}
    return clean | {f"WATCHWORD_{name}": value for name, value in settings.items()}


def command(*arguments: str, user: int | None = None) -> list[str]:
    """A server's command line; as another user it first loads what may be out of that user's reach."""
    if user is None:
        return [sys.executable, "-m", "watchword", "serve", *arguments]
    code = (
        "import encodings.idna, importlib.readers, os, sys, watchword.app.run\n"
        "from watchword.cli import main; main(['serve', '--help'])\n"
        f"os.setgroups([]); os.setgid({user}); os.setuid({user}); sys.exit(main(['serve']))"
    )
    return [sys.executable, "-c", code]


def refused(folder: Path, *arguments: str, umask: int = -1, user: int | None = None, **settings: str):
    """Run a server that must not start; its exit code and the lines on stderr."""
    done = subprocess.run(
        command(*arguments, user=user),
        check=False,
        cwd=folder,
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=30,
        umask=umask,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr.splitlines()


def started(folder: Path, *arguments: str, umask: int = -1, user: int | None = None, **settings: str):
    settings = {"ISSUER": ISSUER, "LISTEN": "127.0.0.1:0"} | settings
    process = subprocess.Popen(
        command(*arguments, user=user),
        cwd=folder,
        env=environment(**settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        umask=umask,
    )
    line = process.stdout.readline()
    while line and "ready" not in line:
        line = process.stdout.readline()
    return process, line


def stopped(process: subprocess.Popen[str]) -> int:
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    return process.returncode


def test_an_empty_folder_and_the_issuers_url_are_enough(tmp_path):
    process, line = started(tmp_path)
    assert line.startswith("watchword: ready at http://127.0.0.1:")
    assert ISSUER in line
    assert stopped(process) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["watchword-data"]


def test_the_line_of_readiness_can_be_read_by_programs(tmp_path):
    process, line = started(tmp_path, "--json")
    told = json.loads(line)
    assert (told["ready"], told["issuer"]) == (True, ISSUER)
    assert stopped(process) == 0


def test_every_mistake_in_the_settings_stands_on_a_line_of_its_own(tmp_path):
    code, lines = refused(tmp_path, LISTEN="nowhere", LEEWAY="x", ISUER=ISSUER)
    assert code == 2
    assert len(lines) == 3
    assert all(line.startswith("watchword: WATCHWORD_") for line in lines)


def test_every_mistake_in_the_trust_document_stands_on_a_line_of_its_own(tmp_path):
    (tmp_path / "trust.toml").write_text("version = 1\ncolour = 1\n[services.users]\nscope = 1\n")
    code, lines = refused(tmp_path, ISSUER=ISSUER, LISTEN="127.0.0.1:0", TRUST="trust.toml")
    assert code == 2
    assert len(lines) >= 3
    assert any("services.users" in line for line in lines)


def test_mistakes_can_be_read_by_programs(tmp_path):
    done = subprocess.run(
        command("--json"),
        check=False,
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=30,
    )
    told = json.loads(done.stdout)
    assert (done.returncode, told["ok"], told["code"]) == (2, False, "configuration_invalid")
    assert done.stderr.startswith("watchword: WATCHWORD_ISSUER: expected")


def test_a_taken_port_is_told_in_words(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        code, (line,) = refused(tmp_path, ISSUER=ISSUER, LISTEN=address)
    assert code == 1
    assert line.startswith(f"watchword: {address} is taken by another process")


def test_an_address_of_somebody_else_is_told_in_words(tmp_path):
    code, (line,) = refused(tmp_path, ISSUER=ISSUER, LISTEN="192.0.2.1:9000")
    assert code == 2
    assert "no address of this machine" in line


def test_two_servers_do_not_share_a_data_folder(tmp_path):
    process, _ = started(tmp_path)
    code, (line,) = refused(tmp_path, ISSUER=ISSUER, LISTEN="127.0.0.1:0")
    assert code == 1
    assert str(process.pid) in line
    assert stopped(process) == 0


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
def test_whatever_the_umask_is_its_files_are_for_its_owner_alone(tmp_path, umask):
    process, line = started(tmp_path, umask=umask)
    assert line
    found = [tmp_path / "watchword-data", *(tmp_path / "watchword-data").rglob("*")]
    modes = {}
    for path in found:
        with contextlib.suppress(FileNotFoundError):  # a file on its way to its real name
            modes[path.name] = stat.S_IMODE(path.stat().st_mode)
    assert stopped(process) == 0
    assert {name: mode for name, mode in modes.items() if mode & 0o077 or not mode & 0o600} == {}


def test_a_file_where_the_folder_should_be_is_told_in_words(tmp_path):
    (tmp_path / "watchword-data").write_text("")
    code, (line,) = refused(tmp_path, ISSUER=ISSUER, LISTEN="127.0.0.1:0")
    assert code in {1, 2}
    assert "watchword-data" in line


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach; those of pytest are closed to others."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_an_unprivileged_user_in_a_folder_that_cannot_be_written_is_told_in_words(open_folder):
    user = 65_534 if os.geteuid() == 0 else None  # a folder's mode says nothing to root
    open_folder.chmod(0o555)
    code, (line,) = refused(open_folder, user=user, ISSUER=ISSUER, LISTEN="127.0.0.1:0")
    open_folder.chmod(0o755)
    assert code in {1, 2}
    assert "watchword-data" in line


def test_an_unprivileged_user_serves_from_a_folder_of_its_own(open_folder):
    user = 65_534 if os.geteuid() == 0 else None
    if user is not None:
        os.chown(open_folder, user, user)
    process, line = started(open_folder, user=user)
    assert line.startswith("watchword: ready"), process.communicate(timeout=30)
    assert stopped(process) == 0
