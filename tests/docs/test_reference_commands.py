"""The reference of commands is what the commands say themselves."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_is_what_its_script_prints() -> None:
    place = ROOT / "scripts" / "commands_page.py"
    spec = importlib.util.spec_from_file_location("commands_page", place)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    page = (ROOT / "docs" / "reference" / "commands.md").read_text()
    made = script.page()
    assert page == made, "run: .venv/bin/python scripts/commands_page.py > docs/reference/commands.md"
    assert made.count("\n## watchword ") > 20
