"""No two processes share a connection or an exchange under way; no two event loops share a connection."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from watchword import Watchword
from watchword.client.authentication import SecretAuthentication
from watchword.testing.peers import IssuingPeer, Peer, Reply

pytestmark = pytest.mark.threat(78)

GUARD = 30.0

KEPT_SESSION = """
import os, signal, sys
from watchword import Watchword
from watchword.client.authentication import SecretAuthentication

issuer, users = sys.argv[1:]
ww = Watchword(issuer=issuer, audience="posts", urls={"users": users}, environ={},
               client=SecretAuthentication("posts", "a-secret-for-tests"))
session = ww.session("users", own_identity=True)  # made when the module is imported, before the fork

def connection():
    return session.get("/users").json()["connection"]

mine = connection()
seen = []
for _ in range(3):
    there, here = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        theirs = {connection() for _ in range(5)}
        os.write(here, b"%d " % len(theirs) + b" ".join(b"%d" % one for one in theirs))
        os._exit(0)
    assert connection() == mine
    os.close(here)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    seen.append(os.read(there, 1000).split())
assert connection() == mine
assert all(int(one[0]) == 1 and int(one[1]) != mine for one in seen), (mine, seen)
print("apart")
"""


@pytest.fixture
def issuer(start: Callable[[Peer], Any]) -> IssuingPeer:
    peer: IssuingPeer = start(IssuingPeer())
    return peer


@pytest.fixture
def users(start: Callable[[Peer], Any]) -> Peer:
    """A callee with a thread, and so a number, for each connection."""
    peer: Peer = start(Peer())
    numbers: dict[threading.Thread, int] = {}
    peer.routes["/users"] = lambda *_: Reply(
        200, {"connection": numbers.setdefault(threading.current_thread(), len(numbers))}
    )
    return peer


def exchanges(issuer: IssuingPeer) -> int:
    return sum(target == "/token" for target, _ in issuer.requests)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_session_kept_over_a_fork_opens_connections_of_its_own(
    issuer: IssuingPeer, users: Peer, tmp_path: Path
) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", KEPT_SESSION, issuer.url, users.url],
        capture_output=True, text=True, timeout=GUARD, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert ran.stdout.strip() == "apart", ran.stderr
    assert exchanges(issuer) == 1  # the token itself serves the children, too


@pytest.mark.parametrize("library", ["client", "aiohttp"])
def test_clients_of_one_loop_after_the_other_work_and_share_tokens_only(
    issuer: IssuingPeer, users: Peer, tmp_path: Path, library: str
) -> None:
    ww = Watchword(
        issuer=issuer.url, audience="posts", urls={"users": users.url}, environ={}, folder=tmp_path,
        client=SecretAuthentication("posts", "a-secret-for-tests"),
    )  # fmt: skip

    async def work() -> set[int]:
        async with ww.client("users", own_identity=True) as client:
            seen = {(await client.get("/users")).json()["connection"] for _ in range(3)}
        async with ww.client("users", own_identity=True) as client:
            seen.add((await client.get("/users")).json()["connection"])
        assert ww._clients is not None
        await ww._clients.aclose()
        return seen

    async def work_of_aiohttp() -> set[int]:
        seen = set()
        for _ in range(4):
            async with (
                ww.aiohttp_session("users", own_identity=True) as session,
                session.get("/users") as told,
            ):
                seen.add((await told.json())["connection"])
        assert ww._aiohttp is not None
        await ww._aiohttp.aclose()
        return seen

    one_loop = work if library == "client" else work_of_aiohttp
    assert [len(asyncio.run(one_loop())) for _ in range(3)] == [1, 1, 1]
    assert exchanges(issuer) == 1
    ww.close()


def test_an_exchange_outlives_the_loop_that_began_it(
    issuer: IssuingPeer, users: Peer, tmp_path: Path
) -> None:
    ww = Watchword(
        issuer=issuer.url, audience="posts", urls={"users": users.url}, environ={}, folder=tmp_path,
        client=SecretAuthentication("posts", "a-secret-for-tests"),
    )  # fmt: skip
    asked, answer, plain = threading.Event(), threading.Event(), issuer.routes["/token"]
    issuer.routes["/token"] = lambda *request: (asked.set(), answer.wait(GUARD), plain(*request))[2]
    outbound = ww.outbound("users", on_behalf="self")

    async def begin() -> None:
        waiting = asyncio.create_task(outbound.authorization_async(users.url))
        assert await asyncio.to_thread(asked.wait, GUARD)
        waiting.cancel()

    async def go_on() -> str:
        waiting = asyncio.create_task(outbound.authorization_async(users.url))
        await asyncio.to_thread(answer.set)
        return await waiting

    asyncio.run(begin())
    assert asyncio.run(go_on()).startswith("Bearer ")
    assert exchanges(issuer) == 1
    ww.close()
