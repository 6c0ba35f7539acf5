"""Every row of the threat checklist that this release answers has a test that names it."""

import ast
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]

# the main job: parsing and verification, endpoints and exchange, the two rows of M, the taught mistakes
ANSWERED = {
    *range(1, 58),
    *range(99, 103),
    105,
    *range(107, 125),
    130,
    242,
    246,
    *range(226, 231),
    *range(232, 235),
}


def proven() -> set[int]:
    rows = set()
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.threat":
                rows |= {arg.value for arg in node.args if isinstance(arg, ast.Constant)}
    # suites that the package exports for adapters name their rows there
    for path in (TESTS.parent / "src" / "watchword" / "testing").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.threat":
                rows |= {arg.value for arg in node.args if isinstance(arg, ast.Constant)}
    return rows


def test_every_answered_row_has_a_test_that_names_it() -> None:
    assert sorted(ANSWERED - proven()) == []
