"""Benchmarks in a form that takes seconds: all is started, asked and compared, and nothing is timed."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make turns as short as they can be; what they measure then means nothing."""
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import endpoints, guide_pages

    monkeypatch.setattr(endpoints, "MIN_ROUNDS", 1)
    monkeypatch.setattr(endpoints, "MOST", 8)
    monkeypatch.setattr(guide_pages, "MIN_ROUNDS", 1)
