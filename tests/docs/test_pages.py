"""Pages that readers follow: links that lead somewhere, and two languages that say the same."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
TRANSLATED = sorted(page for page in PAGES if page.name.endswith(".ru.md"))


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", without_code(page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def code(page: Path) -> list[str]:
    """Fenced blocks with their comments left out: comments are translated, code is not."""
    blocks = re.findall(r"^```(.*?)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    return [kind + "\n" + re.sub(r"\s*#(?![!\w]).*$", "", text, flags=re.MULTILINE) for kind, text in blocks]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_page_and_a_title(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors(linked), target


@pytest.mark.parametrize("page", TRANSLATED, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_translation_has_the_same_code_and_as_many_titles(page: Path) -> None:
    original = page.with_name(page.name.replace(".ru.md", ".md"))
    assert code(page) == code(original)
    levels = [re.findall(r"^(#+) ", without_code(p.read_text()), re.MULTILINE) for p in (page, original)]
    assert levels[0] == levels[1]


def test_the_readme_and_the_tutorials_are_translated() -> None:
    assert {"README.ru.md", "two-services.ru.md", "from-shared-secret.ru.md"} <= {
        page.name for page in TRANSLATED
    }


def test_no_page_names_a_machine() -> None:
    for page in PAGES:
        assert not re.search(r"(?<![\w.])/(root|work|home/\w+)/", page.read_text()), page.relative_to(ROOT)
