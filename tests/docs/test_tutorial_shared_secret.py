"""The tutorial from a shared secret, run as a reader runs it: its files, processes and Python session."""

from pathlib import Path

import pytest

TUTORIAL = Path(__file__).resolve().parents[2] / "docs" / "tutorial"
PAGE = TUTORIAL / "from-shared-secret.md"


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize("name", ["from-shared-secret.md", "from-shared-secret.ru.md"])
def test_every_block_of_the_page_works_in_order(walk, terminal, name: str) -> None:
    assert walk(TUTORIAL / name) == {"file": 4, "sh": 4, "python": 6}
    assert terminal.hears("refused token_algorithm_not_allowed: ")


def test_the_page_and_the_guide_show_the_same_secret_and_the_same_line() -> None:
    text = PAGE.read_text()
    assert 'SECRET_KEY = "your_secret_key"' in text
    assert 'jwt.decode(token, public_key, algorithms=["RS256"], audience="posts")' in text
