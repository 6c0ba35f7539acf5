"""The operator's guide, run from the first start to the night in which a key leaks."""

import json
import re
import stat
import subprocess
from pathlib import Path

from .conftest import BLOCK, Reader

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "operate.md").read_text()


def kid(reader: Reader, line: str) -> str:
    """Which key an operator would name: a prepared one to let it sign, the one that signs to revoke it."""
    shown = subprocess.run(
        ["watchword", "keys", "show", "--json"],
        cwd=reader.terminal.folder, env=reader.terminal.environment,
        check=True, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    state = "prepared" if " activate " in line else "active"
    return next(key["kid"] for key in json.loads(shown.stdout)["keys"] if key["state"] == state)


def test_every_command_of_the_page_works_in_order_and_does_what_it_says(reader: Reader) -> None:
    terminal = reader.terminal
    page = reader.here(PAGE)
    said: dict[str, str] = {}
    for language, title, block in BLOCK.findall(page):
        if title:
            (terminal.folder / title).write_text(block)
            continue
        assert language == "sh"
        for line in block.splitlines():
            typed = line.replace("KID", kid(reader, line)) if "KID" in line else line
            terminal.run(typed)
            said[line] = terminal.said.get(typed, "")
    assert "FAIL" not in said["watchword doctor"]
    assert "wait another" in said["watchword keys activate KID || true"]
    assert "no token is issued until" in said["watchword keys revoke KID --confirm KID --stop-issuing"]
    assert said["watchword trust plan trust.toml"].startswith("nothing would change")
    assert re.search(r"valid until \d{4}-", said[next(line for line in said if "--old-until 24h" in line)])
    for name in ("posts.key", "users.secret", "posts.key.now", "backup.db"):
        assert stat.S_IMODE((terminal.folder / name).stat().st_mode) == 0o600, name
    assert "client.disabled" in said[next(line for line in said if line.startswith("watchword audit tail"))]
