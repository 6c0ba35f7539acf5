"""The tutorial of two services, run as a reader runs it."""

import re
from pathlib import Path

import pytest

TUTORIAL = Path(__file__).resolve().parents[2] / "docs" / "tutorial"


@pytest.mark.parametrize("name", ["two-services.md", "two-services.ru.md"])
def test_every_block_of_the_page_works_in_order_and_says_what_it_promises(walk, terminal, name: str) -> None:
    assert walk(TUTORIAL / name) == {"file": 3, "sh": 8, "python": 3}

    assert terminal.hears("posts asks for people|john_doe, actors ('service|posts',)")
    assert terminal.hears("refused token_signature_invalid: ")
    said = "\n".join(terminal.said.values())
    assert 'caller = "users"' in re.sub(" +", " ", said)  # explain shows the lines that would let it in
    assert "services.users.allow[0].on_behalf" in said
    assert "on_behalf_of" in terminal.said[next(line for line in terminal.said if "check wrong" in line)]
