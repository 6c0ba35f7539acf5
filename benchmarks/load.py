"""The load: a fixed list of HTTP/1.1 requests over keep-alive connections, the same for every server.

It runs outside the servers, on a processor of its own where there are two. It reads just enough of an answer
to know where it ends: status line, `Content-Length` or chunks.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlencode

import uvloop

CONNECTIONS = 16
_PATIENCE = 120.0  # seconds that one turn may take before it is given up


class Answer(NamedTuple):
    """One answer, read whole."""

    status: int
    body: bytes


class Turn(NamedTuple):
    """What came of a list of requests."""

    seconds: float
    """On the wall, from the first request to the last answer; connections were open before."""
    statuses: Counter[int]


def request(
    method: str,
    path: str,
    host: str,
    *,
    form: Mapping[str, str] | None = None,
    headers: Mapping[str, str] = {},
) -> bytes:
    """Return the bytes of one request."""
    body = b"" if form is None else urlencode(form).encode()
    fields = {"Host": host, "User-Agent": "bench", "Accept": "application/json", **headers}
    if form is not None:
        fields["Content-Type"] = "application/x-www-form-urlencoded"
        fields["Content-Length"] = str(len(body))
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def turn(port: int, requests: Sequence[bytes], connections: int = CONNECTIONS) -> Turn:
    """Send all requests, each connection its next one when the last one was answered.

    Raises:
        RuntimeError: a connection broke: then nothing can be said of this server.
    """
    return uvloop.run(_turn(port, requests, connections))


def answers(port: int, requests: Sequence[bytes]) -> list[Answer]:
    """Return the answers of a few requests, in their order, over one connection."""
    found: list[Answer] = []

    async def story() -> None:
        await asyncio.wait_for(_over(port, iter(requests), 1, found), _PATIENCE)

    uvloop.run(story())
    return found


async def _turn(port: int, requests: Sequence[bytes], connections: int) -> Turn:
    statuses: Counter[int] = Counter()
    seconds = await asyncio.wait_for(_over(port, iter(requests), connections, statuses), _PATIENCE)
    if statuses.total() != len(requests):
        raise RuntimeError(f"expected {len(requests)} answers, found {statuses.total()}")
    return Turn(seconds, statuses)


async def _over(
    port: int, requests: Iterator[bytes], connections: int, found: "Counter[int] | list[Answer]"
) -> float:
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: _Connection(requests, found), "127.0.0.1", port)
        for _ in range(connections)
    ]
    start = time.perf_counter()
    for _, connection in made:
        connection.next()
    await asyncio.gather(*(connection.done for _, connection in made))
    seconds = time.perf_counter() - start
    for transport, _ in made:
        transport.close()
    return seconds


class _Connection(asyncio.Protocol):
    def __init__(self, requests: Iterator[bytes], found: "Counter[int] | list[Answer]") -> None:
        self._requests = requests
        self._found = found
        self._buffer = b""
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def next(self) -> None:
        following = next(self._requests, None)
        if following is not None:
            self._transport.write(following)  # type: ignore[attr-defined]
        elif not self.done.done():
            self.done.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        body = _body(head, self._buffer, end + 4)
        if body is None:
            return
        status = int(head[9:12])
        self._buffer = b""
        if isinstance(self._found, list):
            self._found.append(Answer(status, body))
        else:
            self._found[status] += 1
        self.next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(RuntimeError(f"the server closed a connection: {exc!r}"))


def _body(head: bytes, buffer: bytes, start: int) -> bytes | None:
    """Return the body, or `None` while it is not whole."""
    _, named, rest = head.partition(b"\r\ncontent-length:")
    if named:
        length = int(rest.partition(b"\r\n")[0])
        return buffer[start : start + length] if len(buffer) >= start + length else None
    if b"\r\ntransfer-encoding: chunked" not in head:
        raise RuntimeError("expected Content-Length or chunks")
    body = b""
    while True:
        line = buffer.find(b"\r\n", start)
        if line < 0:
            return None
        size = int(buffer[start:line].partition(b";")[0], 16)
        if len(buffer) < line + 2 + size + 2:
            return None
        if size == 0:
            return body
        body += buffer[line + 2 : line + 2 + size]
        start = line + 2 + size + 2
