"""Whatever a process learned before it forks serves its children, who go on by themselves; so for loops."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any

import pytest

from watchword.fetch import Transport
from watchword.resource.jwks import JWKSClient
from watchword.resource.metadata import IssuerMetadata
from watchword.resource.verifier import AcceptedIssuer, TokenVerifier
from watchword.testing.peers import IssuingPeer, Reply
from watchword.tokens.policy import VerificationPolicy

GUARD = 30.0
KEYS = "/.well-known/jwks.json"

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")

VERIFIER = """
import json, os, signal, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from watchword.errors import WatchwordError
from watchword.fetch import Transport
from watchword.resource.jwks import JWKSClient
from watchword.resource.metadata import IssuerMetadata
from watchword.resource.verifier import AcceptedIssuer, TokenVerifier
from watchword.tokens.policy import VerificationPolicy

issuer, token = sys.argv[1:3]
metadata = IssuerMetadata(issuer, jwks_uri=issuer + "/.well-known/jwks.json")
verifier = TokenVerifier(
    [AcceptedIssuer(VerificationPolicy(issuer, "posts", ["ES256"]), JWKSClient(metadata, Transport()))]
)
"""

WORKERS = (
    VERIFIER
    + """
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_GET(self):
        try:
            found = verifier.verify(self.headers["Authorization"].removeprefix("Bearer "))
            told = {"sub": found.subject.id, "pid": os.getpid(), "kept": len(verifier._cache)}
        except WatchwordError as error:
            told = {"error": error.code, "pid": os.getpid()}
        content = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass

verifier.verify(token)  # preload: keys are fetched, threads have run, the token is remembered
servers = [ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(3)]
children = []
for server in servers:
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)
        server.serve_forever()
    children.append(pid)
print(json.dumps([server.server_port for server in servers]), flush=True)
sys.stdin.read()
for pid in children:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
"""
)


def fetches(issuer: IssuingPeer) -> int:
    return sum(target == KEYS for target, _ in issuer.requests)


@contextmanager
def script(code: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        try:
            process.communicate(timeout=GUARD)  # at the end of its input it ends, and its children with it
        finally:
            process.kill()
    assert process.returncode == 0


def ask(port: int, token: str) -> dict[str, Any]:
    connection = HTTPConnection("127.0.0.1", port, timeout=GUARD)
    connection.request("GET", "/", headers={"Authorization": f"Bearer {token}"})
    told: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()
    return told


@pytest.mark.threat(75, 78)
def test_preforked_workers_take_what_the_parent_learned_and_fetch_by_themselves(issuer: IssuingPeer) -> None:
    first = issuer.token()
    with script(WORKERS, issuer.url, first) as process:
        assert process.stdout is not None
        ports = json.loads(process.stdout.readline())
        told = [ask(port, first) for port in ports]
        assert {one["sub"] for one in told} == {"john_doe"}
        assert len({one["pid"] for one in told} | {process.pid}) == 4
        assert [one["kept"] for one in told] == [1, 1, 1]
        assert fetches(issuer) == 1

        old = issuer.issuer.keyring.active.kid
        issuer.issuer.activate_key(issuer.issuer.prepare_key())
        issuer.issuer.remove_key(old)
        newer = issuer.token()
        with ThreadPoolExecutor(24) as pool:  # each worker serves eight at once from a set without the key
            told = list(pool.map(lambda number: ask(ports[number % 3], newer), range(24)))
        assert {one.get("sub") for one in told} == {"john_doe"}
        assert fetches(issuer) == 1 + 3

        for port in ports:
            assert ask(port, first)["error"] == "signing_key_revoked"
            assert ask(port, newer)["sub"] == "john_doe"
        assert fetches(issuer) == 1 + 3


FORKS = (
    VERIFIER
    + """
verifier.verify(token)
over = threading.Event()
def hammer():
    while not over.is_set():
        verifier.verify(token)
        verifier._cache.clear()
threads = [threading.Thread(target=hammer, daemon=True) for _ in range(4)]
for thread in threads:
    thread.start()
codes = set()
for _ in range(40):
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        try:
            for _ in range(3):
                verifier.verify(token)
            try:
                verifier.verify(sys.argv[3])
            except WatchwordError as error:
                os._exit(0 if error.code == "token_key_unknown" else 3)
        finally:
            os._exit(1)
    codes.add(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
over.set()
print(sorted(codes), flush=True)
"""
)


@pytest.mark.threat(78)
def test_a_fork_in_the_middle_of_the_work_of_other_threads_leaves_a_child_that_works(
    issuer: IssuingPeer,
) -> None:
    stranger = IssuingPeer()
    stranger.issuer.issuer = issuer.url  # its kid is unknown: every child has to ask the issuer by itself
    with script(FORKS, issuer.url, issuer.token(), stranger.token()) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "[0]"
    stranger._server.server_close()
    assert fetches(issuer) == 1 + 40


IN_THE_AIR = (
    VERIFIER
    + """
waiting = threading.Thread(target=verifier.verify, args=(token,))
waiting.start()
sys.stdin.readline()  # the parent's fetch is at the issuer now, and gets no answer
pid = os.fork()
if pid == 0:
    signal.alarm(20)
    try:
        verifier.verify(token)
    except BaseException:
        os._exit(1)
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
waiting.join()
"""
)


@pytest.mark.threat(78)
def test_a_child_does_not_wait_for_a_fetch_of_its_parent(issuer: IssuingPeer) -> None:
    asked, answer, plain = threading.Event(), threading.Event(), issuer.routes[KEYS]

    def first_waits(headers: Mapping[str, str], body: bytes) -> Reply:
        if fetches(issuer) == 1:
            asked.set()
            assert answer.wait(GUARD)
        return plain(headers, body)

    issuer.routes[KEYS] = first_waits
    with script(IN_THE_AIR, issuer.url, issuer.token()) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert asked.wait(GUARD)
        process.stdin.write("go\n")
        process.stdin.flush()
        assert process.stdout.readline().strip() == "0"
        answer.set()
    assert fetches(issuer) == 2


@pytest.fixture
def verifier(issuer: IssuingPeer) -> Iterator[TokenVerifier]:
    keys = JWKSClient(IssuerMetadata(issuer.url, jwks_uri=issuer.url + KEYS), Transport())
    made = TokenVerifier([AcceptedIssuer(VerificationPolicy(issuer.url, "posts", ["ES256"]), keys)])
    yield made
    made.close()


@pytest.mark.threat(78)
def test_a_verifier_outlives_its_event_loops(issuer: IssuingPeer, verifier: TokenVerifier) -> None:
    for turn in range(5):
        tokens = [issuer.token(f"person-{number}") for number in range(10)]

        async def work(tokens: list[str] = tokens) -> set[str]:
            found = await asyncio.gather(*(verifier.averify(token) for token in tokens))
            return {token.subject.id for token in found}

        assert len(asyncio.run(work())) == 10
        assert verifier.verify(tokens[0])
        if turn == 0:
            issuer.issuer.activate_key(issuer.issuer.prepare_key())
    assert fetches(issuer) == 2


@pytest.mark.threat(78)
def test_a_fetch_outlives_the_loop_that_began_it(issuer: IssuingPeer, verifier: TokenVerifier) -> None:
    asked, answer, plain = threading.Event(), threading.Event(), issuer.routes[KEYS]
    token = issuer.token()

    def waits(headers: Mapping[str, str], body: bytes) -> Reply:
        asked.set()
        assert answer.wait(GUARD)
        return plain(headers, body)

    issuer.routes[KEYS] = waits

    async def begin() -> None:
        waiting = asyncio.create_task(verifier.averify(token))
        assert await asyncio.to_thread(asked.wait, GUARD)
        waiting.cancel()

    asyncio.run(begin())

    async def go_on() -> str:
        waiting = asyncio.create_task(verifier.averify(token))
        await asyncio.to_thread(answer.set)
        return (await waiting).subject.id

    assert asyncio.run(go_on()) == "john_doe"
    assert fetches(issuer) == 1


@pytest.mark.threat(78)
def test_loops_in_several_threads_share_one_verifier(issuer: IssuingPeer, verifier: TokenVerifier) -> None:
    tokens = [issuer.token(f"person-{number}") for number in range(20)]
    together = threading.Barrier(4)

    def loop(_: int) -> list[str]:
        async def work() -> list[str]:
            together.wait(GUARD)
            found = await asyncio.gather(*(verifier.averify(token) for token in tokens * 5))
            return [token.subject.id for token in found]

        return asyncio.run(work())

    with ThreadPoolExecutor(4) as pool:
        expected = [f"person-{number}" for number in range(20)] * 5
        assert all(found == expected for found in pool.map(loop, range(4)))
    assert fetches(issuer) == 1
