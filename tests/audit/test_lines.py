"""Events in files: one line each whatever they say, and verified over files to the last byte."""

import json
import os
from collections.abc import Iterator

import pytest

from watchword.audit.chain import COVERED, GENESIS, link
from watchword.audit.checkpoint import ANCHOR, ChainTail, Checkpoint, signed
from watchword.audit.lines import line_of, read_line, statement_line
from watchword.audit.report import Report, Statements
from watchword.audit.verification import SealedEvent
from watchword.audit.verify_lines import verify_lines
from watchword.errors import StoreCorrupt
from watchword.tokens.jwk_set import JWKSet
from watchword.tokens.private_key import PrivateKey

KEY = PrivateKey.generate()
HOSTILE = [
    "a\nb\r\n",
    "\x1b[31mred\x07",
    "\u202eevil\u2066",
    "\u2028\u2029\x85",
    '"}\n{"x":1}',
    "é\U0001f600",
    "\x7f\0",
]
SOAK = os.environ.get("WATCHWORD_SOAK") == "1"


def sealed(
    count: int, *, writer: str = "w", first: int = 1, previous: bytes = GENESIS
) -> Iterator[SealedEvent]:
    for number in range(first, first + count):
        told = {"type": "token.issued", "outcome": "allowed", "client": "posts", "jti": f"j{number}"}
        values = (number, writer, number + 0.5, *(told.get(name) for name in COVERED[3:]))
        following = link(previous, values)
        yield SealedEvent(values, previous, following)
        previous = following


def checkpoint(event: SealedEvent, *, typ: str = "watchword-audit-checkpoint+jwt") -> tuple[Checkpoint, str]:
    number = int(str(event.values[0]))
    tail = ChainTail(writer="w", sequence=number, hash=bytes(event.hash).hex(), events=number)  # type: ignore[call-overload]
    made = Checkpoint(iss="http://a", iat=1.0, sequence=number, unchained=0, chains=(tail,))
    return made, signed(made, KEY, typ=typ)


def verify(*files: bytes, kept: tuple[Checkpoint, ...] = (), after: int = 0) -> Report:
    lines = (
        (f"{name}:{number}", line)
        for name, file in enumerate(files)
        for number, line in enumerate(file.splitlines(keepends=True), start=1)
    )
    return verify_lines(lines, Statements(JWKSet([KEY.public]), exported=kept), after=after)


@pytest.mark.threat(201)
@pytest.mark.parametrize("value", HOSTILE)
def test_an_event_is_one_line_of_printable_ascii_and_comes_back_as_it_was(value: str) -> None:
    values = (1, value, 1.5, *([value] * (len(COVERED) - 3)))
    event = SealedEvent(values, GENESIS, link(GENESIS, values))
    line = line_of(event)
    assert line.endswith(b"\n")
    assert all(0x20 <= byte < 0x7F for byte in line[:-1])
    assert json.loads(line)["subject"] == value
    assert read_line(line).event == event


@pytest.mark.threat(201)
def test_what_no_text_can_be_is_written_all_the_same() -> None:
    values = (1, b"\xff\xfe\n", 1.5, *([b"\x80"] * (len(COVERED) - 3)))
    line = line_of(SealedEvent(values, b"short", b""))
    assert line.count(b"\n") == 1
    assert json.loads(line)["writer"] == "\\xff\\xfe\n"


@pytest.mark.threat(198)
def test_every_changed_byte_of_a_file_is_found() -> None:
    events = list(sealed(3))
    file = statement_line(checkpoint=checkpoint(events[1])[1]) + b"".join(map(line_of, events))
    assert verify(file).whole
    for place, byte in enumerate(file):
        for mask in range(1, 256) if SOAK else (1, 1 << place % 7 + 1):
            changed = file[:place] + bytes([byte ^ mask]) + file[place + 1 :]
            assert not verify(changed).whole, changed


@pytest.mark.threat(198)
def test_a_line_in_another_form_is_not_the_line_that_was_written() -> None:
    line = line_of(next(sealed(1)))
    for other in (
        line.replace(b":", b": ", 1),
        line.replace(b"1.5", b"1.50"),
        line.replace(b"{", b'{"sequence":1,'),
        line.replace(b"posts", b"\\u0070osts"),
        line.rstrip(),
        line.replace(b"\n", b"\r\n"),
        line.upper(),
        b"\n",
        b"[]\n",
        b"\xff\n",
        b"[" * 100_000 + b"\n",
    ):
        with pytest.raises(StoreCorrupt):
            read_line(other)


@pytest.mark.threat(206)
def test_a_log_that_was_turned_over_is_verified_over_its_files_and_a_gap_is_an_alarm() -> None:
    lines = list(map(line_of, sealed(9)))
    first, second, third = (b"".join(lines[n : n + 3]) for n in (0, 3, 6))
    assert verify(first, second, third).whole
    for wrong in (
        (first, third),
        (second, third),
        (first, third, second),
        (first, b"".join(lines[3:5]), third),
    ):
        assert verify(*wrong).findings[0].kind == "missing"
    two, other = line_of(next(sealed(1, first=2))), line_of(next(sealed(1, writer="other")))
    assert verify(other + two).whole  # each chain is whole in any order, but the numbers are not
    assert {finding.kind for finding in verify(two + other).findings} == {"missing", "reordered"}
    report = verify(second, third, after=3)
    assert (report.whole, report.events) == (True, 6)
    assert not verify(third, after=3).whole
    kept = checkpoint(list(sealed(9))[-1])[0]
    assert verify(first, second, third, kept=(kept,)).whole
    assert {finding.kind for finding in verify(first, second, kept=(kept,)).findings} == {"cut"}


def test_lines_that_a_log_says_twice_after_a_crash_are_no_alarm_but_others_are() -> None:
    lines = list(map(line_of, sealed(4)))
    assert verify(b"".join(lines[:3]), b"".join(lines[1:])).whole
    forged = line_of(next(sealed(1, first=2)))
    assert not verify(b"".join(lines[:3]) + forged + lines[3]).whole


def test_an_anchor_excuses_what_is_before_it_and_nothing_else() -> None:
    events = list(sealed(6))
    rest = b"".join(map(line_of, events[3:]))
    anchor = statement_line(anchor=checkpoint(events[2], typ=ANCHOR)[1])
    report = verify(anchor + rest)
    assert (report.whole, report.forgotten) == (True, 3)
    assert not verify(rest).whole
    assert not verify(statement_line(anchor=checkpoint(events[2])[1]) + rest).whole
    assert not verify(rest + anchor).whole
    assert not verify(statement_line(anchor=checkpoint(events[1], typ=ANCHOR)[1]) + rest).whole
