"""Every type of event stands in one table, in the reference and in the code that writes it."""

import ast
import asyncio
import re
from pathlib import Path

import pytest

from watchword.audit.event import AuditEvent
from watchword.audit.event_types import ALWAYS, EVENT_TYPES
from watchword.storage.events import append
from watchword.storage.memory import MemoryLedger

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reference" / "events.md").read_text()


def test_the_page_lists_exactly_the_types_that_exist_and_what_they_tell() -> None:
    rows = re.findall(r"^\| `(\w+\.\w+)` \| ([^|]*) \| ([^|]+) \|$", PAGE, re.MULTILINE)
    assert [name for name, _, _ in rows] == list(EVENT_TYPES)
    for name, members, meaning in rows:
        assert set(re.findall(r"`(\w+)`", members)) == EVENT_TYPES[name].members, name
        assert meaning.lower().startswith(EVENT_TYPES[name].meaning), name


def test_the_page_explains_exactly_the_members_that_exist() -> None:
    explained = set(re.findall(r"^\| `(\w+)` \| ", PAGE, re.MULTILINE))
    assert explained == set(AuditEvent.__struct_fields__) - ALWAYS
    assert set().union(*(found.members for found in EVENT_TYPES.values())) == explained


def test_every_type_is_written_somewhere_and_nothing_else_is() -> None:
    table = ROOT / "src" / "watchword" / "audit" / "event_types.py"
    written = set()
    for path in (ROOT / "src" / "watchword").rglob("*.py"):
        if path != table:
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    written.add(node.value)
    assert set(EVENT_TYPES) - written == set()
    nouns = "|".join({name.split(".")[0] for name in EVENT_TYPES})
    past = {text for text in written if re.fullmatch(rf"({nouns})\.[a-z]+(_[a-z]+)*ed", text)}
    assert past - set(EVENT_TYPES) <= {"token.requested"}  # which telemetry says, not the audit


def test_a_type_that_is_not_in_the_table_cannot_be_written() -> None:
    unknown = AuditEvent(type="token.dreamt", time=1.0)
    with pytest.raises(ValueError, match=r"events\.md"):
        append(unknown, writer="w")
    with pytest.raises(ValueError, match=r"events\.md"):
        asyncio.run(MemoryLedger().record(unknown))


def test_the_ledger_of_tests_takes_no_member_that_the_page_does_not_know() -> None:
    with pytest.raises(ValueError, match="audience"):
        asyncio.run(MemoryLedger().record(AuditEvent(type="key.prepared", time=1.0, audience="users")))
