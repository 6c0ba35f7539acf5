"""The chain itself: one form for each event, and a hash that anybody can make again."""

import hashlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.audit.chain import COVERED, GENESIS, canonical, link
from watchword.audit.event import AuditEvent

texts = st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
rows = st.tuples(
    st.integers(1, 2**63 - 1), st.text(max_size=9), st.floats(allow_nan=False), *[texts] * (len(COVERED) - 3)
)


def text(value: str) -> bytes:
    raw = value.encode()
    return (bytes([0xA0 | len(raw)]) if len(raw) < 32 else bytes([0xD9, len(raw)])) + raw


@pytest.mark.threat(198)
def test_the_hash_can_be_made_by_hand() -> None:
    values = (7, "w", 1.5, "token.issued", "allowed", None, "posts", *[None] * 7, "r" * 40)
    by_hand = b"\x9f\x07" + text("w") + b"\xcb" + struct.pack(">d", 1.5)
    by_hand += text("token.issued") + text("allowed") + b"\xc0" + text("posts") + b"\xc0" * 7 + text("r" * 40)
    assert canonical(values) == by_hand
    assert link(GENESIS, values) == hashlib.sha256(bytes(32) + by_hand).digest()


def test_every_column_of_an_event_is_covered() -> None:
    assert (
        "sequence",
        "writer",
        "time",
        *[n for n in AuditEvent.__struct_fields__ if n != "time"],
    ) == COVERED


@given(rows, rows)
def test_two_different_events_never_have_the_same_bytes(
    one: tuple[object, ...], two: tuple[object, ...]
) -> None:
    same = repr(one) == repr(two)  # 0.0 is not -0.0 here
    assert (canonical(one) == canonical(two)) is same  # type: ignore[arg-type]


@given(rows, st.integers(3, len(COVERED) - 2))
def test_moving_a_letter_into_the_next_column_is_another_event(row: tuple[object, ...], column: int) -> None:
    left, right = str(row[column] or ""), str(row[column + 1] or "")
    joined = left + right
    forms = {
        canonical((*row[:column], joined[:cut], joined[cut:], *row[column + 2 :]))  # type: ignore[arg-type]
        for cut in range(len(joined) + 1)
    }
    assert len(forms) == len(joined) + 1
