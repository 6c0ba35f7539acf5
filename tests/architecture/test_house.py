"""The house of ARCHITECTURE.md, held against the code."""

import ast
import re
import statistics
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "watchword"
FILES = sorted(SOURCE.rglob("*.py"))


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for path in FILES:
        yield path, ast.parse(path.read_text())


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_the_stairs_are_exhaustive_and_nobody_is_excused() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    stairs = next(contract for contract in contracts if contract["id"] == "stairs")
    assert stairs["exhaustive"] is True
    for contract in contracts:
        assert (
            not {"ignore_imports", "exhaustive_ignores", "unmatched_ignore_imports_alerting"}
            & contract.keys()
        )


def test_every_room_of_the_stairs_is_drawn_in_the_architecture_page() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text()
    rooms = {path.name for path in SOURCE.iterdir() if path.is_dir() and (path / "__init__.py").exists()}
    missing = sorted(room for room in rooms if not re.search(rf"\b{room}\b", page))
    assert not missing


def test_only_the_clock_imports_time() -> None:
    for path, tree in trees():
        if path != SOURCE / "clock.py":
            assert not {"time", "datetime.datetime.now"} & set(imported(tree)), path.relative_to(ROOT)


def test_no_random_number_comes_from_anything_but_the_system() -> None:
    for path, tree in trees():
        assert "random" not in set(imported(tree)), path.relative_to(ROOT)


def test_the_token_floor_reads_no_clock_no_file_and_no_network() -> None:
    forbidden = {
        "os",
        "io",
        "socket",
        "ssl",
        "http",
        "urllib",
        "pathlib",
        "asyncio",
        "threading",
        "time",
        "logging",
    }
    for path, tree in trees():
        if path.is_relative_to(SOURCE / "tokens"):
            roots = {name.split(".")[0] for name in imported(tree)}
            assert not roots & forbidden, path.relative_to(ROOT)


def test_only_verify_makes_a_verified_token() -> None:
    users = {
        path.relative_to(SOURCE).as_posix() for path in FILES if re.search(r"\b_accept\b", path.read_text())
    }
    assert users == {"tokens/verified.py", "tokens/verify.py"}


def test_files_are_small_and_have_one_idea() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in FILES}
    assert statistics.median(lengths.values()) < 150
    assert [path.relative_to(ROOT) for path, length in lengths.items() if length > 400] == []
    assert [
        path.relative_to(ROOT) for path in FILES if path.stem in {"utils", "helpers", "common", "misc"}
    ] == []


def test_a_framework_is_at_most_150_lines() -> None:
    for path in (SOURCE / "integrations").glob("*.py"):
        assert len(path.read_text().splitlines()) <= 150, path.relative_to(ROOT)


@pytest.mark.threat(225)
def test_no_decision_stands_in_an_assert() -> None:
    for path, tree in trees():
        if path.is_relative_to(SOURCE / "testing"):
            continue  # suites for adapters: there an assert is what a test says
        asserts = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]
        assert not asserts, f"{path.relative_to(ROOT)}:{asserts}"


@pytest.mark.threat(218)
def test_the_core_of_the_sdk_needs_cryptography_and_msgspec_only() -> None:
    allowed = {"cryptography", "msgspec", "watchword"} | set(sys.stdlib_module_names)
    core = (
        "errors",
        "fetch",
        "tokens",
        "keys",
        "trust",
        "audit",
        "resource",
        "service",
        "keystores",
        "telemetry",
    )
    single = {"clock.py", "caller.py", "__init__.py"}
    adapters = {"client/requests.py", "client/httpx.py", "client/aiohttp.py"}
    for path, tree in trees():
        place = path.relative_to(SOURCE).as_posix()
        if (place.split("/")[0] in {*core, "client"} and place not in adapters) or place in single:
            foreign = {name.split(".")[0] for name in imported(tree)} - allowed
            assert not foreign, f"{place}: {foreign}"


def test_a_service_that_verifies_never_loads_issuing_code() -> None:
    code = (
        "import sys, watchword; watchword.Watchword; watchword.VerifiedToken\n"
        "rooms = {m.split('.')[1] for m in sys.modules if m.startswith('watchword.')}\n"
        "issuing = 'grants storage keystores authority server app cli trust keys'.split()\n"
        "print(sorted(rooms.intersection(issuing)))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert loaded.stdout.strip() == "[]"


def test_tests_never_sleep_and_never_try_until_green() -> None:
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {
                "time.sleep",
                "sleep",
                "pytest.mark.flaky",
            }:
                pytest.fail(f"{path.relative_to(ROOT)}:{node.lineno} sleeps")


def test_no_unfinished_word_stands_in_the_source() -> None:
    for path in FILES:
        assert not re.search(r"\b(TODO|FIXME|XXX|NotImplementedError)\b", path.read_text()), path.relative_to(
            ROOT
        )
