"""The tree of errors: one stable code per leaf, all drawn, all documented."""

import inspect
import re
from pathlib import Path

from watchword import errors

ROOT = Path(__file__).resolve().parents[2]
CLASSES = [
    cls
    for _, cls in inspect.getmembers(errors, inspect.isclass)
    if issubclass(cls, errors.WatchwordError) and not cls.__name__.startswith("_")
]
LEAVES = [cls for cls in CLASSES if not any(c is not cls and issubclass(c, cls) for c in CLASSES)]


def test_every_leaf_has_a_stable_snake_case_code_of_its_own() -> None:
    codes = [leaf.code for leaf in LEAVES]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code) for code in codes)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = set(re.findall(r"[├└]── (\w+)", errors.__doc__ or "")) | {"WatchwordError"}
    assert drawn == {cls.__name__ for cls in CLASSES}


def test_the_docs_page_lists_exactly_the_codes_that_exist() -> None:
    page = (ROOT / "docs" / "reference" / "errors.md").read_text()
    documented = set(re.findall(r"^\| `([a-z_]+)` \|", page, re.MULTILINE))
    assert documented == {leaf.code for leaf in LEAVES}


def test_the_page_for_troubleshooting_has_a_place_for_every_code() -> None:
    page = (ROOT / "docs" / "how-to" / "troubleshooting.md").read_text()
    assert sorted(re.findall(r"^### `(\w+)`$", page, re.MULTILINE)) == sorted(leaf.code for leaf in LEAVES)
