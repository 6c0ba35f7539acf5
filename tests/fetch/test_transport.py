"""One request: whole, in time, small, and nowhere else."""

import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from watchword.clock import SYSTEM_CLOCK
from watchword.errors import DestinationRefused, FetchFailed
from watchword.fetch import Flow, Request, Response, Transport

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Seen: a\r\nX-Seen: b\r\n\r\n{}"


def get(url: str, *, timeout: float = 5.0, **settings: Any) -> Response:
    transport = Transport(timeout=timeout, **settings)
    return transport.send(Request("GET", url), SYSTEM_CLOCK.monotonic() + timeout)


def test_an_answer_comes_whole_with_its_headers_in_lower_case(wire: Any, says: Any) -> None:
    answer = get(wire(says(OK)) + "/x")
    assert (answer.status, answer.body, answer.headers["x-seen"]) == (200, b"{}", "a, b")


def test_the_request_asks_for_no_compression_and_names_its_host(wire: Any, read_request: Any) -> None:
    seen = []

    def script(sock: socket.socket, _: threading.Event) -> None:
        seen.append(read_request(sock))
        sock.sendall(OK)

    url = wire(script)
    get(url + "/a/b?c=d#e")
    head = seen[0].decode().lower()
    assert head.startswith("get /a/b?c=d http/1.1\r\n")
    assert "accept-encoding: identity\r\n" in head
    assert f"host: {url.removeprefix('http://')}\r\n" in head


@pytest.mark.threat(59)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_answer_and_is_not_followed(wire: Any, says: Any, status: int) -> None:
    visited = []
    other = wire(lambda sock, _: visited.append(sock))
    answer = get(
        wire(says(f"HTTP/1.1 {status} Moved\r\nLocation: {other}/\r\nContent-Length: 0\r\n\r\n".encode()))
    )
    assert answer.status == status
    assert visited == []


DRIP = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"x" * 100


@pytest.mark.threat(65)
@pytest.mark.parametrize("at_once", [0, 20, 50], ids=["from the first byte", "in the head", "in the body"])
def test_one_byte_after_the_other_does_not_outlast_the_deadline(
    wire: Any, read_request: Any, at_once: int
) -> None:
    def script(sock: socket.socket, over: threading.Event) -> None:
        read_request(sock)
        sock.sendall(DRIP[:at_once])
        for place in range(at_once, len(DRIP)):
            if over.wait(0.05):
                return
            sock.sendall(DRIP[place : place + 1])

    with pytest.raises(FetchFailed, match="in time"):
        get(wire(script), timeout=0.3)


@pytest.mark.threat(65)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_server_that_accepts_and_stays_silent_is_given_up(wire: Any, scheme: str) -> None:
    url = wire(lambda _, over: over.wait(10))
    with pytest.raises(FetchFailed, match="in time"):
        get(url.replace("http:", f"{scheme}:"), timeout=0.2)


@pytest.mark.threat(65)
def test_all_requests_of_a_flow_share_one_deadline(wire: Any, read_request: Any) -> None:
    asked = []

    def script(sock: socket.socket, over: threading.Event) -> None:
        read_request(sock)
        asked.append(1)
        over.wait(0.15)
        sock.sendall(OK)

    url = wire(script)

    def flow() -> Flow[None]:
        for _ in range(100):
            yield Request("GET", url)

    with pytest.raises(FetchFailed, match="in time"):
        Transport(timeout=0.4).drive(flow())
    assert len(asked) < 5


def flood(head: bytes, chunk: bytes, sent: list[int]) -> Callable[[socket.socket, threading.Event], None]:
    def script(sock: socket.socket, over: threading.Event) -> None:
        sock.recv(4096)
        sock.sendall(head)
        for _ in range(1024):
            if over.is_set():
                return
            sock.sendall(chunk)
            sent.append(len(chunk))

    return script


@pytest.mark.threat(63)
@pytest.mark.parametrize(
    ("head", "chunk"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 67108864\r\n\r\n", b"x" * 65536),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65536 + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\n", b"X: " + b"x" * 65000 + b"\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 3000),
    ],
    ids=["declared", "until closed", "chunked", "head", "continue"],
)
def test_a_huge_answer_is_cut_off_and_not_read(wire: Any, head: bytes, chunk: bytes) -> None:
    sent: list[int] = []
    with pytest.raises(FetchFailed):
        get(wire(flood(head, chunk, sent)))
    assert sum(sent) < 16 * 1024 * 1024  # what kernels buffer at most; the whole would be 64 MiB


@pytest.mark.threat(66)
def test_a_compressed_answer_is_refused_unread(wire: Any, says: Any) -> None:
    bomb = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00"
    with pytest.raises(FetchFailed, match="identity"):
        get(wire(says(bomb)))


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}",
        b"HTTP/1.1 two OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["nothing", "another protocol", "cut short", "bad status", "bad chunk"],
)
def test_an_answer_that_is_not_whole_http_is_a_declared_error(wire: Any, says: Any, answer: bytes) -> None:
    with pytest.raises(FetchFailed):
        get(wire(says(answer)))


def test_nobody_listening_is_a_declared_error() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(FetchFailed, match="nothing listens"):
            get(f"http://127.0.0.1:{unused.getsockname()[1]}")


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every name look-up and every connection of this test."""
    used: list[Any] = []

    def refuse(*args: Any, **_: Any) -> Any:
        used.append(args)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return used


@pytest.mark.threat(58, 230, 238)
@pytest.mark.parametrize(
    "url",
    [
        "http://issuer.example/jwks",
        "http://10.0.0.1/jwks",
        "http://127.0.0.1.example/jwks",
        "http://2130706433/jwks",
        "http://127.1/jwks",
        "http://localhost.example/jwks",
        "http://user@127.0.0.1/jwks",
        "http://127.0.0.1\\@issuer.example/jwks",
        "file:///etc/passwd",
        "ftp://issuer.example/jwks",
        "data:application/json,{}",
        "gopher://issuer.example/",
        "//issuer.example/jwks",
        "https://",
        "https://issuer.example:0/",
        "https://issuer.example:99999/",
        "https://iss uer.example/",
        "https://issuer.example/\r\nX: y",
    ],
)
def test_a_url_that_must_not_be_used_is_refused_before_any_look_up(no_network: list[Any], url: str) -> None:
    with pytest.raises(DestinationRefused):
        get(url)
    assert no_network == []


def test_plain_http_reaches_a_host_that_is_listed(no_network: list[Any]) -> None:
    with pytest.raises(FetchFailed):
        get("http://issuer.internal/jwks", insecure_http_hosts=["issuer.internal"])
    assert len(no_network) == 1


@pytest.mark.threat(62)
@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1", "0.0.0.0", "224.0.0.1"])
def test_a_name_that_resolves_to_a_metadata_service_is_not_connected(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    connected: list[Any] = []
    found = [(family, socket.SOCK_STREAM, 6, "", (address, 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    monkeypatch.setattr(socket.socket, "connect", lambda *args: connected.append(args))
    with pytest.raises(FetchFailed, match="link-local"):
        get("https://issuer.example/jwks")
    assert connected == []


def test_localhost_that_is_another_machine_is_not_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 80))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(FetchFailed, match="another machine"):
        get("http://localhost/jwks")


@pytest.mark.threat(77)
def test_proxies_of_the_environment_are_not_used(
    wire: Any, says: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    visited = []
    proxy = wire(lambda sock, _: visited.append(sock))
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy)
    assert get(wire(says(OK))).status == 200
    assert visited == []


def test_what_a_request_carries_is_not_printed() -> None:
    request = Request(
        "POST", "https://issuer.example/token", {"Authorization": "Basic c2VjcmV0"}, b"secret=s3"
    )
    assert "c2VjcmV0" not in repr(request)
    assert "s3" not in repr(request)
