"""Users' type checkers see what they were promised, and see mistakes before a test does."""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


@pytest.mark.threat(228, 229)
@pytest.mark.parametrize("name", ["right_uses.py", "wrong_uses.py"])
def test_mypy_agrees(name: str) -> None:
    """Every wrong use is excused by a comment, and an excuse that is not needed is an error."""
    ran = subprocess.run(
        [sys.executable, "-m", "mypy", str(HERE / name)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_there_are_enough_wrong_uses() -> None:
    assert (HERE / "wrong_uses.py").read_text().count("# type: ignore[") >= 25
