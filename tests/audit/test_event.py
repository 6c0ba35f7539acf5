"""A deed as a value: it cannot be changed, and it has no place for a secret."""

import msgspec
import pytest

from watchword.audit.event import AuditEvent


def test_a_deed_cannot_be_changed_afterwards() -> None:
    deed = AuditEvent(type="token.issued", time=1.0)
    with pytest.raises(AttributeError):
        deed.outcome = "refused"  # type: ignore[misc]


@pytest.mark.threat(202)
def test_a_deed_has_names_and_identifiers_and_no_place_for_anything_else() -> None:
    assert set(AuditEvent.__struct_fields__) == {
        "type", "time", "outcome", "actor", "client", "subject", "audience", "jti", "parent_jti", "txn",
        "kid", "reason", "request_id",
    }  # fmt: skip


@pytest.mark.threat(201)
def test_a_deed_is_one_line_of_json_whatever_it_says() -> None:
    hostile = 'a\nb\r\x1b[31m\u2028"}\x00'
    line = msgspec.json.encode(AuditEvent(type="token.refused", time=1.0, subject=hostile))
    assert line.count(b"\n") == 0
    assert b"\r" not in line
    assert b"\x1b" not in line
    assert msgspec.json.decode(line, type=AuditEvent).subject == hostile


def test_what_is_not_known_is_not_written() -> None:
    line = msgspec.json.encode(AuditEvent(type="trust.applied", time=1.0))
    assert msgspec.json.decode(line) == {"type": "trust.applied", "time": 1.0}
