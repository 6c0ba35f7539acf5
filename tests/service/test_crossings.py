"""Requests of many people at once, over threads and over tasks: nobody's token is ever somebody else's.

`WATCHWORD_SOAK=1` also goes over HTTP to the callee each time.
"""

import asyncio
import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from watchword import Watchword
from watchword.testing import TestIssuer
from watchword.testing.outbound_site import OutboundSite, outbound_site
from watchword.testing.peers import Reply
from watchword.tokens import base64url, strict_json

pytestmark = pytest.mark.threat(240)

SOAK = os.environ.get("WATCHWORD_SOAK") == "1"
GUARD = 60.0
USERS = "http://127.0.0.1:5001"
PEOPLE = [f"person-{number}" for number in range(8)]


def subject_of(authorization: str) -> str:
    """Whom a token speaks of; it was made by an issuer of ours a moment ago."""
    body = authorization.removeprefix("Bearer ").split(".")[1]
    return str(strict_json.decode_object(base64url.decode(body.encode()))["sub"]).rpartition("|")[2]


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads that change places often."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def posts() -> Iterator[tuple[Watchword, dict[str, str]]]:
    """The service, and a token of each person."""
    with TestIssuer() as issuer:
        ww = Watchword(**issuer.settings("posts"), urls={"users": USERS}, environ={})
        yield ww, {name: issuer.token(name, scope="posts:read") for name in PEOPLE}
        ww.close()


@pytest.mark.usefixtures("restless")
def test_eight_threads_with_five_thousand_requests_each(posts: tuple[Watchword, dict[str, str]]) -> None:
    ww, tokens = posts
    barrier = threading.Barrier(8)

    def work(first: int) -> int:
        barrier.wait(GUARD)
        crossings = 0
        for number in range(5_000):
            name = PEOPLE[(first + number) % len(PEOPLE)]
            with ww.acting_for(tokens[name]):
                crossings += subject_of(ww.outbound("users").authorization(USERS)) != name
        return crossings

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, range(8))) == 0
    assert ww.metrics().callees["users"].requests["granted"] == len(PEOPLE)


def test_a_thousand_tasks(posts: tuple[Watchword, dict[str, str]]) -> None:
    ww, tokens = posts

    async def request(number: int) -> bool:
        name = PEOPLE[number % len(PEOPLE)]
        await asyncio.sleep(0)
        with ww.acting_for(tokens[name]):
            for _ in range(3):
                await asyncio.sleep(0)
                if subject_of(await ww.outbound("users").authorization_async(USERS)) != name:
                    return True
        return False

    async def all_at_once() -> int:
        async with asyncio.timeout(GUARD):
            return sum(await asyncio.gather(*(request(number) for number in range(1_000))))

    assert asyncio.run(all_at_once()) == 0
    assert ww.metrics().callees["users"].requests["granted"] == len(PEOPLE)


@pytest.fixture
def site() -> Iterator[OutboundSite]:
    """The service over HTTP; its callee says whose token it got."""
    with outbound_site() as site:
        plain = site.issuer.routes["/token"]
        whose: dict[str, str] = {}

        def grant(headers: Any, body: bytes) -> Reply:
            reply = plain(headers, body)
            subject = body.decode().partition("subject_token=")[2].partition("&")[0]
            whose[reply.body["access_token"]] = subject_of(subject)  # type: ignore[call-overload]
            return reply

        site.issuer.routes["/token"] = grant
        site.users.routes["/whose"] = lambda headers, _: Reply(
            200, {"whose": whose[headers["authorization"].removeprefix("Bearer ")]}
        )
        yield site


def test_threads_over_http(site: OutboundSite) -> None:
    tokens = {name: site.issuer.token(name) for name in PEOPLE}

    def work(first: int) -> int:
        crossings = 0
        for number in range(5_000 if SOAK else 25):
            name = PEOPLE[(first + number) % len(PEOPLE)]
            with site.posts.acting_for(tokens[name]), site.posts.session("users") as session:
                crossings += session.get("/whose").json() != {"whose": name}
        return crossings

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, range(8))) == 0
    assert site.exchanges <= len(PEOPLE) * (1 + SOAK * 10)


@pytest.mark.parametrize("library", ["client", "aiohttp"])
def test_tasks_over_http(site: OutboundSite, library: str) -> None:
    tokens = {name: site.issuer.token(name) for name in PEOPLE}

    async def by_client() -> Any:
        async with site.posts.client("users") as client:
            return (await client.get("/whose")).json()

    async def by_aiohttp() -> Any:
        async with site.posts.aiohttp_session("users") as session, session.get("/whose") as answer:
            return await answer.json()

    async def request(number: int) -> bool:
        name = PEOPLE[number % len(PEOPLE)]
        with site.posts.acting_for(tokens[name]):
            return await (by_client() if library == "client" else by_aiohttp()) != {"whose": name}

    async def many() -> int:
        crossings = await site.posts.amap(request, range(1_000 if SOAK else 100), workers=50)
        await site.posts.aclose()
        return sum(crossings)

    assert asyncio.run(many()) == 0
    assert site.exchanges == len(PEOPLE)
