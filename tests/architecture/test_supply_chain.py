"""What is released: dependencies that are told, a bill of materials that holds, the same bytes twice."""

import hashlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def dependencies() -> ModuleType:
    spec = importlib.util.spec_from_file_location("dependencies", ROOT / "scripts" / "dependencies.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["dependencies"] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def test_the_page_names_every_direct_dependency_with_versions_and_licence(dependencies: ModuleType) -> None:
    page = (ROOT / "docs" / "reference" / "dependencies.md").read_text()
    told = re.findall(r"^\| (\S+) \| `(\S+)` \| `(\S+)` \| (.+?) \| \S.* \|$", page, re.MULTILINE)
    wanted = [
        (
            f"`{extra}`" if extra else "everybody",
            one.name,
            str(one.specifier),
            dependencies.licence_of(one.name),
        )
        for extra, requirements in dependencies.direct().items()
        for one in requirements
    ]
    assert told == wanted


def test_the_page_tells_what_comes_without_extras_and_which_licence_is_not_permissive(
    dependencies: ModuleType,
) -> None:
    page = (ROOT / "docs" / "reference" / "dependencies.md").read_text()
    least = dependencies.closure(dependencies.direct()[""])
    assert sorted(least) == ["cffi", "cryptography", "msgspec", "pycparser"]
    permissive = {"MIT", "MIT-0", "BSD-3-Clause", "Apache-2.0", "PSF-2.0"}
    other = {
        name: one.licence
        for name, one in dependencies.everything().items()
        if not any(set(choice.split(" AND ")) <= permissive for choice in one.licence.split(" OR "))
    }
    assert other == {"certifi": "MPL-2.0"}
    assert "`certifi` (MPL-2.0)" in page


@pytest.mark.threat(223)
def test_lower_bounds_exclude_versions_with_known_holes(dependencies: ModuleType) -> None:
    bounds = {one.name: one.specifier for all_of in dependencies.direct().values() for one in all_of}
    for name, last_with_a_hole in {
        "cryptography": "46.0.4",  # CVE-2026-26007
        "aiohttp": "3.14.2",  # CVE-2026-69244
        "flask": "3.1.0",  # CVE-2025-47278
        "requests": "2.32.3",  # CVE-2024-47081
    }.items():
        assert not bounds[name].contains(last_with_a_hole)


@pytest.mark.threat(222)
def test_the_bill_of_materials_is_valid_whole_and_of_the_pinned_versions(dependencies: ModuleType) -> None:
    bill = dependencies.bill()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill)) is None
    pinned = dict(
        re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "requirements" / "demo.txt").read_text(), re.MULTILINE)
    )
    listed = {one["name"]: one["version"] for one in bill["components"]}
    assert listed == {name: pinned[name] for name in listed}
    direct = {one.name for all_of in dependencies.direct().values() for one in all_of}
    assert direct <= listed.keys()
    assert {"cffi", "starlette", "werkzeug"} <= listed.keys()  # what stands below them, too
    assert not {"pytest", "hatchling", "argon2-cffi"} & listed.keys()  # what only we need
    references = {one["bom-ref"] for one in bill["components"]} | {bill["metadata"]["component"]["bom-ref"]}
    assert {one["ref"] for one in bill["dependencies"]} == references
    assert {below for one in bill["dependencies"] for below in one["dependsOn"]} <= references
    assert {one["scope"] for one in bill["components"] if one["name"] in ("cffi", "msgspec")} == {"required"}


def released(folder: Path, umask: str) -> dict[str, bytes]:
    subprocess.run(
        ["sh", "-c", f'umask {umask}; exec sh scripts/release.sh "$1" "$2"', "sh", sys.prefix, str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=180,
    )
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.threat(222)
def test_a_release_is_the_same_bytes_twice_and_its_sums_are_right(tmp_path: Path) -> None:
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("a release is built from a commit: expected a git repository, found none")
    first, second = released(tmp_path / "1", "022"), released(tmp_path / "2", "077")
    assert first == second
    wheel, sources, bill = (
        next(name for name in first if name.endswith(end)) for end in (".whl", ".tar.gz", ".cdx.json")
    )
    sums = dict(line.split()[::-1] for line in first["SHA256SUMS"].decode().splitlines())
    assert sums == {name: hashlib.sha256(first[name]).hexdigest() for name in (wheel, sources, bill)}
    document = json.loads(first[bill])
    assert document["metadata"]["component"]["hashes"] == [{"alg": "SHA-256", "content": sums[wheel]}]
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(first[bill].decode()) is None


@pytest.mark.threat(220)
def test_there_are_no_workflows_whose_actions_could_be_moved() -> None:
    workflows = [path for path in (ROOT / ".github").rglob("*") if path.suffix in {".yml", ".yaml"}]
    for path in workflows:  # whoever adds one pins by commit
        for action in re.findall(r"uses:\s*(\S+)", path.read_text()):
            assert re.search(r"@[0-9a-f]{40}$", action), f"{path.name}: {action}"


def test_every_requirement_that_is_installed_has_hashes() -> None:
    for path in sorted((ROOT / "requirements").glob("*.txt")):
        pins = re.split(r"\n(?=\S)", path.read_text().strip())
        assert [pin.split()[0] for pin in pins if "--hash=sha256:" not in pin and "==" in pin] == []
