"""The reference page, held against the keys that the reader knows."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from watchword.trust.checked import root_keys
from watchword.trust.issuer_table import ISSUER_KEYS
from watchword.trust.service_table import RULE_KEYS, SERVICE_KEYS
from watchword.trust.tables import Key

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "trust-document.md").read_text()


@pytest.mark.parametrize(
    ("title", "keys"),
    [
        ("## The top", root_keys(None)),
        ("## Services", SERVICE_KEYS),
        ("## Rules", RULE_KEYS),
        ("## Issuers", ISSUER_KEYS),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_page_has_exactly_the_keys_that_exist(title: str, keys: Sequence[Key]) -> None:
    section = PAGE.split(title, 1)[1].split("\n## ", 1)[0]
    table = [line for line in section.splitlines() if line.startswith("| `") and "invalid_" not in line]
    assert table == [
        f"| `{key.name}` | {key.form} | {'required' if key.required else key.default_words} | {key.meaning} |"
        for key in keys
    ]
    assert all(line.count("|") == 5 for line in table), "a bar inside a cell breaks the table"


def test_every_key_that_may_be_left_out_says_what_holds_then() -> None:
    for key in (*root_keys(None), *SERVICE_KEYS, *RULE_KEYS, *ISSUER_KEYS):
        assert key.required != bool(key.default_words), key.name
