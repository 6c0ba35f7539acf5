"""What is installed is the package and nothing else, and two builds are one."""

import re
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


@pytest.mark.threat(218)
def test_the_wheel_asks_for_cryptography_and_msgspec_and_for_the_rest_only_by_extra(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = archive.read(name).decode()
    wanted = re.findall(r"^Requires-Dist: ([\w-]+)(.*)$", metadata, re.MULTILINE)
    assert {package for package, rest in wanted if "extra ==" not in rest} == {"cryptography", "msgspec"}
    assert {"click", "uvicorn", "flask", "requests"} <= {
        package for package, rest in wanted if "extra ==" in rest
    }


@pytest.mark.threat(218)
def test_a_token_is_verified_where_nothing_else_can_be_imported(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = """
import sys
from importlib.abc import MetaPathFinder

class OnlyThese(MetaPathFinder):
    allowed = {"cryptography", "msgspec", "watchword", "cffi", "_cffi_backend", *sys.stdlib_module_names}
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in self.allowed:
            raise ImportError(f"{name} is not there")

sys.meta_path.insert(0, OnlyThese())
sys.path.insert(0, sys.argv[1])
import watchword
from watchword.asgi import Watchword
from watchword.testing.issuer import TestIssuer
from watchword.wsgi import Watchword as OfWSGI
assert watchword.__file__.startswith(sys.argv[1])
issuer = TestIssuer()
for kind in (Watchword, OfWSGI, watchword.Watchword):
    service = kind(environ={}, **issuer.settings("posts"))
    print(service.verify(issuer.token("jane", audience="posts")).subject.id)
"""
    ran = subprocess.run(
        [sys.executable, "-I", "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.stdout.split() == ["jane"] * 3, ran.stderr
