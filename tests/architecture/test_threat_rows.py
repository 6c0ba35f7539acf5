"""Every row of the threat checklist that this release answers has a test that names it."""

import ast
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]

# A row stands here once a test proves it: taking one away is then a decision, not an accident.
ANSWERED = {
    *range(1, 81),  # A parsing and verification, B key sets
    86,
    *range(94, 103),  # C endpoints and exchange
    105,
    *range(107, 125),
    127,
    130,
    *range(146, 164),  # E keys at rest
    164,  # F rotation
    *range(165, 175),
    175,  # G storage
    177,
    178,
    179,
    183,
    184,
    *range(186, 195),  # H load
    196,
    198,  # I audit and logs
    *range(199, 208),
    208,  # J doors and command line
    *range(209, 217),
    218,  # K the package
    219,
    220,
    222,
    223,
    225,
    *range(226, 244),  # L what tutorials teach, M outbound calls
    246,
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
