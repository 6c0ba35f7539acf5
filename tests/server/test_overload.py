"""One client asks five times as often as it may: it is told so at once, and others do not notice."""

import contextlib
import os
import sqlite3
import statistics
import subprocess
import sys

import pytest

from watchword.clock import SYSTEM_CLOCK

SOAK = os.environ.get("WATCHWORD_SOAK") == "1"
RATE, BURST = (20, 50) if SOAK else (2, 10)
ROUNDS = 20 if SOAK else 2
FLOODED = 300 if SOAK else 60
"""Requests of each flood, at five times the rate at most."""
ASKED = 20 if SOAK else 2
"""By the quiet client, twice in each round: less than its burst in all, however fast the rounds are."""

# a process of its own, so that what floods does not slow down what measures
FLOOD = """
import socket, sys, time
host, port, rate, count = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
request = sys.stdin.buffer.read()
counted, slowest, begin, sent = {}, 0.0, time.monotonic(), 0
with socket.create_connection((host, port), timeout=20) as connection:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print("flooding", flush=True)
    while sent < count:
        now = time.monotonic()
        if sent > (now - begin) * rate:
            time.sleep(1 / rate)
            continue
        connection.sendall(request)
        answer = b""
        while b"\\r\\n\\r\\n" not in answer:
            answer += connection.recv(65_536)
        head, _, body = answer.partition(b"\\r\\n\\r\\n")
        length = int(head.lower().partition(b"content-length:")[2].split()[0])
        while len(body) < length:
            body += connection.recv(65_536)
        took, status, sent = time.monotonic() - now, head[9:12].decode(), sent + 1
        counted[status] = counted.get(status, 0) + 1
        if status == "429":
            slowest = max(slowest, took)
print(counted.get("200", 0), counted.get("429", 0), sum(counted.values()), slowest, flush=True)
"""


def raw(authorization: str) -> bytes:
    body = b"grant_type=client_credentials&audience=users"
    head = f"POST /token HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\n"
    head += f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@contextlib.contextmanager
def flood(served):
    """Ask as `posts`, five times as often as it may; yields a function that tells what came of it."""
    host, port = served.address
    process = subprocess.Popen(
        [sys.executable, "-c", FLOOD, host, str(port), str(5 * RATE if SOAK else 1_000), str(FLOODED)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(raw(served.basic("posts")))
    process.stdin.close()
    assert process.stdout.readline() == b"flooding\n"
    told: list[float] = []
    try:
        yield told
    finally:
        told += map(float, process.stdout.readline().split())
        process.wait(60)
        process.stdout.close()


def waits(served, count: int) -> list[float]:
    """How long another client waits for each of its answers, all of them 200."""
    request = (
        f"POST /introspect HTTP/1.1\r\nHost: x\r\nAuthorization: {served.basic('users')}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 7\r\n\r\ntoken=x"
    ).encode()
    found = []
    with served.connect() as connection:
        for _ in range(count):
            began = SYSTEM_CLOCK.monotonic()
            connection.sendall(request)
            assert served.read_reply(connection).status == 200
            found.append(SYSTEM_CLOCK.monotonic() - began)
    return found


def p99(found: list[float]) -> float:
    return statistics.quantiles(found, n=100)[98]


@pytest.mark.threat(188, 193)
@pytest.mark.parametrize(
    "workers",
    ["1", pytest.param("2", marks=pytest.mark.skipif(sys.platform != "linux", reason="needs Linux"))],
)
def test_a_client_that_floods_is_refused_at_once_and_another_one_waits_no_longer(start, workers):
    served = start(WORKERS=workers, RATE_PER_CLIENT=f"{RATE}/{BURST}", RATE_PER_ADDRESS="0")
    quiet: list[float] = []
    beside: list[float] = []
    issued = refused = asked = 0
    slowest = 0.0
    for _ in range(ROUNDS):
        # the quiet client stays below its own limit, which is the same
        quiet += waits(served, ASKED)
        with flood(served) as told:
            beside += waits(served, ASKED)
        issued, refused, asked = issued + told[0], refused + told[1], asked + told[2]
        slowest = max(slowest, told[3])
    assert issued + refused == asked
    assert refused > 0
    assert issued > 0
    assert served.stop() == 0
    with contextlib.closing(sqlite3.connect(served.folder / "watchword-data" / "watchword.db")) as reading:
        kept = dict(reading.execute("SELECT type, COUNT(*) FROM audit_event GROUP BY type").fetchall())
    assert kept["token.issued"] == issued
    if SOAK:
        assert slowest < 0.05, f"a refusal took {slowest * 1e3:.0f} ms"
        assert p99(beside) < 1.2 * p99(quiet) + 0.002, f"{p99(quiet) * 1e3:.1f} → {p99(beside) * 1e3:.1f} ms"
