"""The data folder: private whatever the umask, held by one server, refused with words that help."""

import ast
import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from watchword.errors import DataFolderInUse, StoreCorrupt, StoreUnavailable
from watchword.storage.sqlite import SqliteDatabase, open_sqlite

from .conftest import HANG


def close(database: SqliteDatabase) -> None:
    asyncio.run(database.aclose())


def run(code: str, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
        cwd=cwd,
    )


@pytest.mark.threat(146)
@pytest.mark.parametrize("umask", [0o000, 0o777], ids=["umask 000", "umask 777"])
def test_only_the_owner_can_read_anything_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    code = (
        "import asyncio, os, sys; from pathlib import Path; os.umask(int(sys.argv[2]))\n"
        "from watchword.storage.sqlite import open_sqlite\n"
        "database = open_sqlite(Path(sys.argv[1]))\n"
        "print(sorted((p.name, oct(p.stat().st_mode & 0o777)) for p in Path(sys.argv[1]).parent.iterdir()))\n"
        "asyncio.run(database.aclose())"
    )
    folder = tmp_path / "deep" / "data"
    ran = run(code, str(folder / "w.db"), str(umask))
    assert ran.returncode == 0, ran.stderr
    assert folder.stat().st_mode & 0o777 == 0o700
    assert folder.parent.stat().st_mode & 0o777 == 0o700
    modes = dict(ast.literal_eval(ran.stdout))
    assert {"w.db", "w.db-wal", "w.db-shm", "lock", "epoch"} <= modes.keys()
    assert set(modes.values()) == {"0o600"}


@pytest.mark.threat(146)
def test_a_folder_that_others_can_see_is_refused_with_the_command_that_mends_it(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(0o755)
    with pytest.raises(StoreUnavailable, match=r"found mode 0755: chmod 700 "):
        open_sqlite(folder / "w.db")
    assert list(folder.iterdir()) == []


@pytest.mark.threat(146)
def test_nobody_is_advised_to_close_a_folder_that_everybody_shares(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o1777)
    with pytest.raises(StoreUnavailable, match="found mode 1777: name a folder of its own"):
        open_sqlite(folder / "w.db")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    for path in (tmp_path / "file" / "data" / "w.db", tmp_path / "file" / "w.db"):
        with pytest.raises(StoreUnavailable, match="expected a data folder that can be written at"):
            open_sqlite(path)


def test_a_folder_that_cannot_be_written_is_named_and_left_as_it_is(tmp_path: Path) -> None:
    code = """
import os, sys
from pathlib import Path
from watchword.errors import StoreUnavailable
from watchword.storage.sqlite import open_sqlite
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
for path in ("w.db", "data/w.db"):
    try:
        open_sqlite(Path(path))
    except StoreUnavailable as error:
        print(error)
"""
    folder = tmp_path / "read-only"
    folder.mkdir()
    if os.geteuid() == 0:
        os.chown(folder, 65534, 65534)
    folder.chmod(0o500)
    ran = run(code, cwd=folder)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == [
        "expected a data folder that can be written at .: Permission denied",
        "expected a data folder that can be written at data: Permission denied",
    ]
    assert list(folder.iterdir()) == []


def test_a_database_behind_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "elsewhere.db").touch()
    (tmp_path / "data" / "w.db").symlink_to(tmp_path / "elsewhere.db")
    with pytest.raises(StoreUnavailable, match="cannot open"):
        open_sqlite(tmp_path / "data" / "w.db")


def test_two_servers_never_share_a_folder_and_the_second_learns_who_has_it(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from watchword.storage.sqlite import open_sqlite\n"
        "database = open_sqlite(Path(sys.argv[1])); print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(DataFolderInUse, match=rf"process {other.pid}\) uses the data folder .*: stop it"):
            open_sqlite(path)
        other.send_signal(signal.SIGKILL)
    mine = open_sqlite(path)
    with pytest.raises(DataFolderInUse, match=rf"process {os.getpid()}\) uses the data folder"):
        open_sqlite(path)
    close(mine)
    close(open_sqlite(path))


def test_a_file_that_is_no_database_is_refused_and_lets_go_of_the_folder(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    path.write_text("dear diary, " * 500)
    for _ in range(2):
        with pytest.raises(StoreCorrupt):
            open_sqlite(path)
    assert path.read_text() == "dear diary, " * 500
