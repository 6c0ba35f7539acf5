"""Another type checker than ours: the files that mypy checks in tests/typing, by pyright, strictly."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
PYRIGHT = HERE / "node_modules" / "pyright" / "index.js"
FILES = sorted((HERE.parent / "tests" / "typing").glob("*_uses.py"))


def test_pyright_agrees_with_what_users_write_and_with_what_must_be_an_error(
    installed: Callable[[str], str],
) -> None:
    """An excuse for an error that pyright does not see is an error, too."""
    node = installed("node")
    if not PYRIGHT.is_file():
        pytest.skip("npm pyright is not installed; run: make interop-deps")
    ran = subprocess.run(
        [node, str(PYRIGHT), "--outputjson", "--pythonpath", sys.executable, *map(str, FILES)],
        cwd=HERE.parent,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    report = json.loads(ran.stdout)
    assert report["generalDiagnostics"] == []
    assert report["summary"]["filesAnalyzed"] == len(FILES) == 2
