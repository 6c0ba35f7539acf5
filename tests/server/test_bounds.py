"""What one connection may take: bytes, fields, seconds. Others must not notice."""

import asyncio
import contextlib
import os
import socket

import pytest

from watchword.server.answer import json_answer
from watchword.server.application import Application
from watchword.server.endpoints.health import live
from watchword.server.form import read_form
from watchword.server.limits import MAX_BODY, MAX_HEADER_BYTES, MAX_HEADER_FIELDS
from watchword.server.protocol import BoundedProtocol
from watchword.server.routes import Route
from watchword.server.serving import GracefulServer
from watchword.server.stop_sign import StopSign

FORM = "application/x-www-form-urlencoded"
HEAD = f"POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\n".encode()


@pytest.mark.threat(190)
@pytest.mark.parametrize("path", ["/token", "/introspect"])
def test_a_body_of_64_kib_is_read_and_one_byte_more_is_not(server, path):
    for size, status in ((MAX_BODY, 401), (MAX_BODY + 1, 413)):
        answer = server.request("POST", path, body=b"a=" + b"x" * (size - 2), Content_Type=FORM)
        assert answer.status == status
    assert answer.json() == {"error": "invalid_request"}


@pytest.mark.threat(190)
def test_a_body_of_10_mib_is_refused_by_what_it_says_before_it_comes(server):
    answer = server.send(HEAD + b"Content-Length: 10485760\r\n\r\n")
    assert answer.status == 413


@pytest.mark.threat(190)
def test_a_client_that_sends_10_mib_anyway_still_reads_the_refusal(server):
    with server.connect() as connection:
        connection.sendall(HEAD + b"Content-Length: 10485760\r\n\r\n")
        for _ in range(160):
            connection.sendall(b"x" * MAX_BODY)
        assert server.read_reply(connection).status == 413
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert server.read_reply(connection).status == 200


@pytest.mark.threat(190)
def test_chunks_without_end_are_refused_once_they_are_too_many(server):
    chunk = b"400\r\n" + b"x" * 1024 + b"\r\n"
    answer = server.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 80)
    assert answer.status == 413


def test_whoever_waits_to_be_told_to_continue_is_not_told_so_for_too_much(server):
    with server.connect() as connection:
        connection.sendall(HEAD + b"Content-Length: 10485760\r\nExpect: 100-continue\r\n\r\n")
        answer = server.read_reply(connection)
        assert answer.status == 413
        assert answer.headers["connection"] == "close"
        assert connection.recv(1) == b""


@pytest.mark.threat(190)
@pytest.mark.parametrize(
    "head",
    [
        b"GET /health/live HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 65_536 + b"\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 65_536,  # never ends
        b"GET /health/live HTTP/1.1\r\nHost: x\r\n" + b"a" * 65_536,  # a name that never ends
        b"GET /" + b"a" * 65_536 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /health/live?" + b"a" * 65_536,
        b"GET /health/live HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * (MAX_HEADER_FIELDS + 1) + b"\r\n",
    ],
    ids=["long field", "endless field", "endless name", "long target", "endless target", "many fields"],
)
def test_a_header_that_is_too_long_is_refused(server, head):
    answer = server.send(head)
    assert answer.status == 431
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["connection"] == "close"
    assert answer.json()["title"] == "Request Header Fields Too Large"
    assert server.logged(answer.headers["x-request-id"])["status"] == 431


def test_a_header_that_comes_in_many_pieces_is_counted_as_a_whole(server):
    with server.connect() as connection, contextlib.suppress(ConnectionError):
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\nX: ")
        for _ in range(MAX_HEADER_BYTES // 1_000 + 1):
            connection.sendall(b"a" * 1_000)
    answer = server.request("GET", "/health/live", X="a" * (MAX_HEADER_BYTES - 300))
    assert answer.status == 200


def test_an_answer_under_way_is_not_lost_to_a_bad_request_behind_it(server):
    good = HEAD + b"Content-Length: 0\r\n\r\n"
    with server.connect() as connection:
        connection.sendall(good + b"\x00 is no request")
        answer = server.read_reply(connection)
        assert answer.status == 401
        assert answer.headers["connection"] == "close"
        assert connection.recv(1) == b""


def test_requests_in_one_piece_are_answered_in_their_order(server):
    one = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    two = b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"
    with server.connect() as connection:
        connection.sendall(one + two + one)
        assert [server.read_reply(connection).status for _ in range(3)] == [200, 404, 200]


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # somebody speaks TLS
        b"GET /health/live\r\n\r\n",
        b"GET http://[::1 HTTP/1.1\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT evil.example:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /health/live#x HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_what_is_no_request_is_answered_400_and_nothing_else(server, raw):
    answer = server.send(raw)
    assert answer.status in {400, 404, 405}
    assert answer.headers["cache-control"] == "no-store"


def test_a_field_behind_the_body_is_not_a_header(server):
    body = b"0\r\nAuthorization: " + server.basic("posts").encode() + b"\r\n\r\n"
    assert server.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + body).status == 401


def test_another_protocol_is_not_spoken(server):
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    answer = server.send(b"GET /health/live HTTP/1.1\r\nHost: x\r\n" + upgrade + b"\r\n")
    assert answer.status == 200
    assert answer.headers["connection"] == "close"


@pytest.mark.threat(189)
def test_slow_clients_are_nobody_elses_problem(server):
    with contextlib.ExitStack() as stack:
        for number in range(2_000 if os.environ.get("WATCHWORD_SOAK") == "1" else 200):
            slow = stack.enter_context(server.connect())
            slow.sendall(b"POST /token HT" if number % 2 else HEAD + b"Content-Length: 10\r\n\r\na")
        for _ in range(20):
            assert server.token().status == 200


class Hasty(BoundedProtocol):
    header_seconds = body_seconds = 0.1


async def _form(request):
    return json_answer(await read_form(request))


async def _with_hasty_server(visit):
    """Run `visit(address)` in a thread beside a server whose patience is a tenth of a second."""
    sign = StopSign()
    routes = {b"/live": Route("GET", live, "problem"), b"/form": Route("POST", _form, "oauth")}
    ready = asyncio.Event()
    server = GracefulServer(Application(routes, sign), on_ready=ready.set, protocol=Hasty)
    listener = socket.create_server(("127.0.0.1", 0))
    running = asyncio.create_task(server.serve(sockets=[listener]))
    await ready.wait()
    try:
        return await asyncio.to_thread(visit, listener.getsockname())
    finally:
        server.should_exit = True
        await running


def _ends_with(address, raw: bytes) -> bytes:
    """Send, then read until the server ends the connection."""
    with socket.create_connection(address, timeout=20) as connection:
        connection.sendall(raw)
        answer = b""
        while part := connection.recv(65_536):
            answer += part
        return answer


@pytest.mark.threat(189)
@pytest.mark.parametrize(
    ("raw", "answer"),
    [
        (b"", b""),
        (b"\r\n", b""),
        (b"GET /live HT", b"HTTP/1.1 408 "),
        (b"GET /live HTTP/1.1\r\nHost: x\r\nX: y", b"HTTP/1.1 408 "),
        (HEAD.replace(b"/token", b"/form") + b"Content-Length: 9\r\n\r\na=b", b"HTTP/1.1 408 "),
    ],
    ids=["silence", "a line break", "half a line", "half a header", "half a body"],
)  # fmt: skip
def test_who_does_not_come_to_an_end_is_shown_out(raw, answer):
    assert asyncio.run(_with_hasty_server(lambda address: _ends_with(address, raw))).startswith(answer)


@pytest.mark.threat(189)
def test_a_line_break_behind_an_answer_does_not_hold_the_connection_open():
    def visit(address):
        with socket.create_connection(address, timeout=20) as connection:
            connection.sendall(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = b""
            while not answer.endswith(b"}"):
                answer += connection.recv(65_536)
            connection.sendall(b"\r\n")
            return connection.recv(65_536)

    assert asyncio.run(_with_hasty_server(visit)) == b""


@pytest.mark.threat(189)
def test_a_refused_body_that_never_ends_does_not_hold_the_connection_open():
    head = f"POST /form HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nContent-Length: 99999999\r\n\r\nx"
    answer = asyncio.run(_with_hasty_server(lambda address: _ends_with(address, head.encode())))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert answer.count(b"HTTP/1.1") == 1


@pytest.mark.threat(189)
def test_a_request_that_is_late_behind_another_does_not_hold_the_connection_open():
    late = f"POST /form HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nContent-Length: 9\r\n\r\na"
    raw = b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n" + late.encode()
    answer = asyncio.run(_with_hasty_server(lambda address: _ends_with(address, raw)))
    assert answer.startswith(b"HTTP/1.1 200 ")
