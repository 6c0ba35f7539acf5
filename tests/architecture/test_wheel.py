"""What is installed is the package and nothing else, and two builds are one."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def build(folder: Path) -> Path:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=120,
    )
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"))


@pytest.mark.threat(219)
def test_the_wheel_holds_only_the_package(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert all(
        name.startswith(("watchword/", f"{wheel.name.rsplit('-', 3)[0]}.dist-info/")) for name in names
    )
    assert not [name for name in names if name.endswith((".pth", ".so", ".pyc")) or "__pycache__" in name]


def test_the_wheel_has_what_runs_and_types_need(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    migrations = (ROOT / "src" / "watchword" / "storage" / "schema").glob("*.sql")
    assert {f"watchword/storage/schema/{path.name}" for path in migrations} <= names
    assert {"watchword/py.typed", "watchword/cli/users_posts/trust.toml"} <= names
    assert {"watchword/cli/users_posts/users_service.py", "watchword/__main__.py"} <= names


@pytest.mark.threat(222)
def test_two_builds_give_the_same_bytes(wheel: Path, tmp_path: Path) -> None:
    assert build(tmp_path).read_bytes() == wheel.read_bytes()
