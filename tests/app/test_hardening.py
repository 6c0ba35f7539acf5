"""Nobody reads the keys out of the memory of a running server: read from `/proc` of the real process."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# as a service would: an ordinary user, whose processes may be dumped unless they say otherwise
SERVE = """
import ctypes, encodings.idna, importlib.readers, os, resource, sys, watchword.app.run
from watchword.cli import main
main(["serve", "--help"])
user = int(sys.argv[1])
hard = resource.RLIM_INFINITY if user else resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
if user:
    os.setgroups([]); os.setgid(user); os.setuid(user)
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # what exec(2) as that user would have done
print("before", os.stat("/proc/self/environ").st_uid, flush=True)
sys.exit(main(["serve"]))
"""


@contextlib.contextmanager
def serving(user: int) -> Iterator[tuple[int, int]]:
    """A server of this user; its process id, and who owned its environment before it was one."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        if user:
            os.chown(folder, user, user)
        environ = {"WATCHWORD_ISSUER": "https://tokens.example", "WATCHWORD_LISTEN": "127.0.0.1:0"}
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(user)],
            cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        owner, line = -1, process.stdout.readline()
        while line and "ready at" not in line:
            if line.startswith("before"):
                owner = int(line.split()[1])
            line = process.stdout.readline()
        try:
            yield process.pid, owner
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)
        assert process.returncode == 0


@pytest.mark.threat(157)
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
def test_a_server_is_not_dumped_and_its_memory_is_not_its_users():
    user = 65_534 if os.geteuid() == 0 else 0
    with serving(user) as (pid, owner_before):
        limits = Path(f"/proc/{pid}/limits").read_text()
        (core,) = [line.split() for line in limits.splitlines() if line.startswith("Max core file size")]
        assert core[4:6] == ["0", "0"]
        assert owner_before == (user or os.geteuid())
        # the files of a process that is not dumpable belong to root (proc(5))
        for name in ("environ", "mem", "maps"):
            assert Path(f"/proc/{pid}/{name}").stat().st_uid == 0
