"""Logs: one line of JSON per request, and nothing in it that comes from outside can do harm."""

import io
import json
import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.server.logs import FIELDS, MAX_VALUE, JSONFormatter, escaped


def line_of(message: str, **fields: object) -> str:
    record = logging.LogRecord("watchword.server", logging.INFO, __file__, 1, message, (), None)
    setattr(record, FIELDS, fields)
    return JSONFormatter().format(record)


@pytest.mark.threat(201)
@given(st.text(st.characters(codec=None)), st.text(st.characters(codec=None)))
def test_whatever_comes_in_one_event_is_one_line_of_ascii_json(message, value):
    line = line_of(message, client=value)
    assert line.isascii()
    assert line.isprintable()
    told = json.loads(line)
    assert told["client"].isprintable()
    assert told["event"].isprintable()
    assert len(told["client"]) <= 10 * MAX_VALUE


@pytest.mark.threat(201)
@pytest.mark.parametrize("text", ["a\nb", "\x1b[2J", "\u202egpj", "\ud800", "\x00", "\u2028", "a\rb"])
def test_what_could_move_a_cursor_becomes_visible(text):
    assert "\\" in escaped(text)
    assert escaped(text).isprintable()


@pytest.mark.threat(201)
def test_a_long_value_is_cut():
    assert len(json.loads(line_of("x", reason="a" * 2**20))["reason"]) == MAX_VALUE


def test_letters_of_every_language_stay_readable():
    assert json.loads(line_of("отказано"))["event"] == "отказано"


def test_a_trace_holds_neither_values_nor_the_message_of_a_foreign_error():
    secret = "s3cret-value"
    try:
        int(secret)
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, __file__, 1, "unexpected error", (), sys.exc_info())
    line = JSONFormatter().format(record)
    assert secret not in line
    told = json.loads(line)
    assert told["exception"] == "ValueError"
    assert "test_logs.py" in told["trace"][-1]


@pytest.mark.threat(201)
@pytest.mark.threat(202)
def test_a_hostile_request_cannot_write_a_line_of_its_own(server):
    marks = ['\r\n{"event":"forged"}', "\x1b[31m", "\u202e", "\x00"]
    before = len(server.log())
    for mark in marks:
        form = {
            "grant_type": f"x{mark}",
            "client_id": f"posts{mark}",
            "client_secret": server.secrets["posts"],
        }
        server.request("POST", "/token", form=form)
        form = {"grant_type": f"x{mark}", "audience": mark}
        server.request("POST", "/token", form=form, Authorization=server.basic("posts"))
    lines = server.log()[before:]
    assert len(lines) == 2 * len(marks)
    assert {line["event"] for line in lines} == {"request"}


@pytest.mark.threat(202)
def test_no_secret_token_or_header_value_stands_in_the_log(server):
    token = server.token(Cookie="session=cookie-value", User_Agent="agent-value").json()["access_token"]
    server.request("POST", "/introspect", form={"token": token}, Authorization=server.basic("users"))
    server.request("POST", "/token", form={"a": "b"}, Authorization=server.basic("posts", "guessed-secret"))
    server.request("GET", f"/nothing?access_token={token}")
    log = server.log_path.read_text()
    for secret in (
        token,
        token.split(".")[2],
        *server.secrets.values(),
        server.basic("posts"),
        "guessed-secret",
        "cookie-value",
        "agent-value",
    ):
        assert secret not in log


def test_a_refusal_is_found_by_the_id_that_the_client_was_told(server):
    form = {"grant_type": "client_credentials", "audience": "nobody"}
    answer = server.request("POST", "/token", form=form, Authorization=server.basic("posts"))
    line = server.logged(answer.headers["x-request-id"])
    assert (line["status"], line["code"]) == (400, "invalid_target")
    assert "nobody" in line["reason"]


def test_everything_on_stderr_is_json(server):
    assert all(line.keys() >= {"time", "level", "logger", "event"} for line in server.log())


def test_what_other_libraries_log_takes_the_same_way(monkeypatch):
    from watchword.server.logs import configure

    stream = io.StringIO()
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    levels = {
        name: logging.getLogger(name).level for name in ("", "watchword", "uvicorn.error", "uvicorn.access")
    }
    try:
        configure(stream)
        logging.getLogger("uvicorn.error").error("line\nbreak")
        logging.getLogger("uvicorn.access").critical("GET /?secret")
        logging.getLogger("anything").warning("%s", "\x1b[0m")
    finally:
        logging.captureWarnings(False)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["line\\nbreak", "\\x1b[0m"]
