"""A server with the least that it needs: a user of its own, one folder to write to, nothing else touched."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from watchword.clock import SYSTEM_CLOCK

ROOT = Path(__file__).resolve().parents[2]
UNIT = re.search(
    r"^```ini\n# /etc/systemd/system/watchword.service\n(.*?)^```",
    (ROOT / "docs" / "how-to" / "run-in-production.md").read_text(),
    re.MULTILINE | re.DOTALL,
)
OWN = 61_000 + os.getpid() % 500
"""A user of this test alone: others become `nobody` at the same time."""

# loads everything, then becomes another user for good: the interpreter may stand where that one cannot look
AS_ITS_USER = f"""
import importlib, os, pkgutil, sys
import click, click.shell_completion, uvicorn.lifespan.off, uvloop, watchword
from encodings import idna
rooms = "app audit authority cli grants keys keystores resource server storage telemetry trust".split()
for module in pkgutil.walk_packages(watchword.__path__, "watchword."):
    if module.name.split(".")[1] in rooms:
        importlib.import_module(module.name)
watchword.storage.migrations.packaged()
os.setgroups([]); os.setgid({OWN}); os.setuid({OWN})
os.umask(0o022)
sys.exit(watchword.cli.main(sys.argv[1:]))
"""

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root can become the server's own user"
)


class World:
    """Folders as the page lays them out: settings that only root writes, one folder for the server."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o755)
        self.settings = folder / "etc"
        self.data = folder / "state"
        self.settings.mkdir(mode=0o755)
        self.data.mkdir(mode=0o700)
        os.chown(self.data, OWN, OWN)
        (self.settings / "watchword.toml").write_text(
            'issuer = "http://127.0.0.1:9000"\nlisten = "127.0.0.1:0"\ntrust = "trust.toml"\n'
            f'database = "{self.data}/watchword.db"\n'
        )
        (self.settings / "trust.toml").write_text('version = 1\n[services.users]\naudience = "users"\n')
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "WATCHWORD_DEBUG": "1",
            "PYTHONDONTWRITEBYTECODE": "1",  # as a package that was installed by another user
        }

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-c", AS_ITS_USER, *arguments],
            cwd=self.settings, env=self.environ, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip


def places(world: World) -> list[Path]:
    """Where every user of this machine may write, and where this one could by mistake."""
    known = [Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"), Path("/run"), world.settings.parent]
    return [place for place in known if place.is_dir()]


def written_since(moment: float, looked_at: list[Path]) -> set[Path]:
    """Every file and folder of the server's user that changed since."""
    found = set()
    for place in looked_at:
        for folder, names, files in os.walk(place):
            for name in (*names, *files):
                path = Path(folder, name)
                try:
                    status = path.lstat()
                except OSError:
                    continue
                if status.st_uid == OWN and max(status.st_mtime, status.st_ctime) >= moment:
                    found.add(path)
    return found


@pytest.mark.threat(216)
def test_a_server_of_a_user_of_its_own_writes_nowhere_but_into_its_folder() -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        began = SYSTEM_CLOCK.now() - 1
        server = world.start("serve", "--json")
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            assert line, server.stderr and server.stderr.read()
            assert "ready" in json.loads(line), server.stderr and server.stderr.read()
            status = Path(f"/proc/{server.pid}/status").read_text()
            assert re.search(rf"^Uid:\s+{OWN}\s+{OWN}\s+{OWN}\s+{OWN}$", status, re.MULTILINE)
            assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE)
            for command in (["clients", "add", "users", "--secret-out", f"{world.data}/s"], ["keys", "show"]):
                done = world.start(*command, "--json")
                out, err = done.communicate(timeout=60)
                assert done.returncode == 0, (out, err)
        finally:
            server.send_signal(signal.SIGTERM)
            _, log = server.communicate(timeout=60)
        assert server.returncode == 0, log
        written = written_since(began, places(world))
        assert written
        outside = {path for path in written if world.data not in (path, *path.parents)}
        assert outside == set()
        for path in world.data.rglob("*"):
            assert path.lstat().st_mode & 0o077 == 0, path
        for path in world.settings.rglob("*"):
            assert path.lstat().st_uid == 0


@pytest.mark.threat(216)
def test_the_unit_file_gives_the_server_a_user_a_folder_and_nothing_else() -> None:
    assert UNIT is not None
    lines = [line for line in UNIT[1].splitlines() if "=" in line]
    settings = dict(line.split("=", 1) for line in lines)
    assert (settings["User"], settings["StateDirectory"], settings["UMask"]) == (
        "watchword",
        "watchword",
        "0077",
    )
    assert settings["ProtectSystem"] == "strict"
    assert not {"ReadWritePaths", "AmbientCapabilities", "PermissionsStartOnly"} & settings.keys()
    assert settings["CapabilityBoundingSet"] == ""
    assert settings["NoNewPrivileges"] == settings["MemoryDenyWriteExecute"] == "yes"
    verify = subprocess.run(["sh", "-c", "command -v systemd-analyze"], capture_output=True, check=False)
    if verify.returncode == 0:
        with tempfile.TemporaryDirectory() as folder:
            unit = Path(folder, "watchword.service")
            unit.write_text(UNIT[1].replace("/opt/watchword/bin/watchword", sys.executable))
            said = subprocess.run(
                ["systemd-analyze", "verify", "--man=no", str(unit)],
                capture_output=True,
                text=True,
                check=False,
            )
            assert "Unknown" not in said.stderr
