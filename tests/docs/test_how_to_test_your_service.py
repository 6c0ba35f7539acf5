"""The how-to of the pytest plugin: its files, run by pytest as a reader runs them."""

import re
from pathlib import Path

import pytest

from watchword.testing import Forgery, TestIssuer

pytest_plugins = ["pytester"]

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "test-your-service.md").read_text()
FILES = dict(re.findall(r'^```python title="([^"]+)"\n(.*?)^```', PAGE, re.MULTILINE | re.DOTALL))
SUITE = len(Forgery) + 14


def test_every_file_of_the_page_passes(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # what else is installed here takes its time
    for name in ("WATCHWORD_ISSUER", "WATCHWORD_AUDIENCE"):
        monkeypatch.delenv(name, raising=False)
    for name, text in FILES.items():
        (pytester.path / name).write_text(text)
    outcome = pytester.runpytest_subprocess(
        "-q", "-p", "watchword.testing.plugin", "-p", "no:cacheprovider", timeout=120
    )
    assert set(FILES) == {
        "posts.py",
        "conftest.py",
        "test_posts.py",
        "invoices.py",
        "test_invoices.py",
        "test_time.py",
        "test_calls.py",
        "test_conformance.py",
        "test_by_hand.py",
    }
    outcome.assert_outcomes(passed=2 + 2 + 3 + 2 + SUITE + SUITE - 5 - 1, skipped=1, xfailed=5)


def test_the_page_names_what_there_is() -> None:
    excuses = re.findall(r"Forgery\.([A-Z_0-9]+)", PAGE)
    assert set(excuses) <= set(Forgery.__members__)
    named = set(re.findall(r"`(\w+)\([^`]*\)`", PAGE)) & {"prepare", "rotate", "revoke_key"}
    assert all(hasattr(TestIssuer, name) for name in named)
