"""An auditor does what the page says, with the files that it says, and sees what somebody changed."""

import json
import re
from pathlib import Path

import pytest

from .conftest import BLOCK, PORT, Terminal, free_ports

PAGE = Path(__file__).resolve().parents[2] / "docs" / "explanation" / "audit.md"


@pytest.mark.threat(198)
def test_the_commands_and_the_code_of_the_page_about_the_audit(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = PAGE.read_text()
    ports = free_ports(set(PORT.findall(text)))
    blocks = [(kind, PORT.sub(lambda port: ports[port[1]], block)) for kind, _, block in BLOCK.findall(text)]
    for kind, block in blocks:
        if kind == "sh":
            for line in block.splitlines():
                terminal.run(line)
    verdicts = [said for line, said in terminal.said.items() if "audit verify" in line]
    assert [bool(re.match(r"whole: \d+ events of 1 writer", said)) for said in verdicts] == [True, True]

    # by hand, without anything of ours
    monkeypatch.chdir(terminal.folder)
    (code,) = [block for kind, block in blocks if kind == "python"]
    session: dict[str, dict[str, str]] = {}
    exec(compile(code, str(PAGE), "exec"), session)
    events = [json.loads(line) for line in Path("audit.jsonl").read_text().splitlines()]
    assert session["tails"] == {events[-1]["writer"]: events[-1]["hash"]}
    changed = Path("audit.jsonl").read_text().replace("key.prepared", "key.promoted")
    Path("audit.jsonl").write_text(changed)
    with pytest.raises(AssertionError):
        exec(compile(code, str(PAGE), "exec"), {})
