"""The end of a server: nothing that was accepted is lost, and the exit status is 0."""

import asyncio
import signal
import threading

import pytest

from watchword.errors import TemporarilyUnavailable
from watchword.server.endpoints.health import ReadyEndpoint
from watchword.server.request import Message, Request
from watchword.server.stop_sign import StopSign

FORM = "application/x-www-form-urlencoded"
BODY = b"grant_type=client_credentials&audience=users"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_status_0(start, number):
    served = start()
    served.process.send_signal(number)
    assert served.process.wait(20) == 0


@pytest.mark.threat(194)
def test_a_request_under_way_is_answered_and_nobody_new_is_invited(start):
    served = start()
    head = f"POST /token HTTP/1.1\r\nHost: x\r\nAuthorization: {served.basic('posts')}\r\n"
    head += f"Content-Type: {FORM}\r\nContent-Length: {len(BODY)}\r\n\r\n"
    with served.connect() as under_way, served.connect() as watcher:
        under_way.sendall(head.encode() + BODY[:10])
        watcher.sendall(b"GET /health/ready HTTP/1.1\r\nHost: x\r\n\r\n")
        assert served.read_reply(watcher).status == 200
        served.process.send_signal(signal.SIGTERM)
        status = 200
        while status == 200:  # until the signal has arrived there; a closed connection fails the test
            watcher.sendall(b"GET /health/ready HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = served.read_reply(watcher)
            status = answer.status
        assert (status, answer.headers["connection"]) == (503, "close")
        under_way.sendall(BODY[10:])
        last = served.read_reply(under_way)
        assert (last.status, last.headers["connection"]) == (200, "close")
    assert served.process.wait(20) == 0


@pytest.mark.threat(194)
def test_stopping_under_load_resets_no_request(start):
    served = start(RATE_PER_CLIENT="0", RATE_PER_ADDRESS="0")
    head = f"POST /token HTTP/1.1\r\nHost: x\r\nAuthorization: {served.basic('posts')}\r\n"
    request = f"{head}Content-Type: {FORM}\r\nContent-Length: {len(BODY)}\r\n\r\n".encode() + BODY
    warm = threading.Barrier(9)
    answered: list[int] = []
    broken: list[OSError] = []

    def client() -> None:
        try:
            with served.connect() as connection:
                for number in range(1_000_000):
                    connection.sendall(request)
                    answer = served.read_reply(connection)
                    answered.append(answer.status)
                    if number == 2:
                        warm.wait(20)
                    if answer.headers.get("connection") == "close":
                        return
        except OSError as error:
            broken.append(error)

    threads = [threading.Thread(target=client) for _ in range(8)]
    for thread in threads:
        thread.start()
    warm.wait(20)
    served.process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join(30)
    assert broken == []
    assert set(answered) == {200}
    assert served.process.wait(20) == 0


def test_readiness_says_503_when_the_signal_comes_while_the_disk_is_asked():
    stop_sign = StopSign()

    async def ready() -> None:
        stop_sign.raised = True

    async def receive() -> Message:
        raise AssertionError("a GET has no body to read")

    request = Request({"query_string": b"", "headers": []}, receive, "r")
    with pytest.raises(TemporarilyUnavailable, match="stopping"):
        asyncio.run(ReadyEndpoint(ready, stop_sign)(request))
