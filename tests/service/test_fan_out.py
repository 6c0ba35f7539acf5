"""Many calls at once for one caller: in order, bounded, one exchange, and never for anybody else."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import flask
import pytest

from watchword import Watchword, caller
from watchword.errors import NoCaller
from watchword.testing.outbound_site import OutboundSite, outbound_site
from watchword.testing.peers import Reply

GUARD = 20.0


@pytest.fixture
def site() -> Any:
    with outbound_site() as site:
        yield site


class Gauge:
    """How many are inside at once, and the most that ever were."""

    def __init__(self) -> None:
        self.lock, self.now, self.most = threading.Lock(), 0, 0

    def __enter__(self) -> None:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.now -= 1


def test_answers_come_in_order_and_calls_share_one_exchange(site: OutboundSite) -> None:
    site.users.routes["/echo"] = lambda headers, _: Reply(200, {"credential": headers["authorization"]})

    def call(number: int) -> tuple[int, str]:
        with site.posts.session("users") as session:
            return number, session.get("/echo", params={"id": number}).json()["credential"]

    with site.posts.acting_for(site.issuer.token()):
        found = site.posts.map(call, range(50))
    assert [number for number, _ in found] == list(range(50))
    assert len({credential for _, credential in found}) == 1
    assert site.exchanges == 1


@pytest.mark.parametrize("library", ["client", "aiohttp"])
def test_so_do_tasks(site: OutboundSite, library: str) -> None:
    async def by_client(number: int) -> int:
        async with site.posts.client("users") as client:
            return number if (await client.get("/users")).status_code == 200 else -1

    async def by_aiohttp(number: int) -> int:
        async with site.posts.aiohttp_session("users") as session, session.get("/users") as answer:
            return number if answer.status == 200 else -1

    async def page() -> list[int]:
        found = await site.posts.amap(by_client if library == "client" else by_aiohttp, range(50))
        await site.posts.aclose()
        return found

    with site.posts.acting_for(site.issuer.token()):
        assert asyncio.run(page()) == list(range(50))
    assert site.exchanges == 1


def test_no_more_than_the_workers_are_under_way_and_all_of_them_are(posts: Watchword) -> None:
    inside, barrier = Gauge(), threading.Barrier(4)

    def work(_: int) -> None:
        with inside:
            barrier.wait(GUARD)  # broken unless four are here at once

    posts.map(work, range(20), workers=4)
    assert inside.most == 4

    async def both() -> int:
        among, meeting = Gauge(), asyncio.Barrier(4)

        async def task(_: int) -> None:
            with among:
                async with asyncio.timeout(GUARD):
                    await meeting.wait()

        await posts.amap(task, range(20), workers=4)
        return among.most

    assert asyncio.run(both()) == 4


@pytest.mark.threat(239)
def test_without_a_caller_there_is_none_in_the_threads_either(posts: Watchword) -> None:
    def work(_: int) -> Any:
        return posts.session("users")

    with pytest.raises(NoCaller):
        posts.map(work, range(3))


@pytest.mark.threat(239)
def test_the_threads_have_no_caller_left_once_it_is_over(posts: Watchword, issuer: Any) -> None:
    kept: list[Any] = []
    with posts.acting_for(issuer.token()):
        posts.map(lambda _: kept.append(caller.current()), range(3))
    for one in kept:
        with pytest.raises(NoCaller):
            _ = one.token_text


@pytest.mark.threat(240)
def test_callers_that_fan_out_side_by_side_never_cross(site: OutboundSite) -> None:
    people = {name: site.issuer.token(name) for name in ("ada", "bob", "eve")}
    seen: dict[str, set[str]] = {name: set() for name in people}

    def call(name: str) -> Callable[[int], None]:
        def work(_: int) -> None:
            assert caller.current().token.subject.id.endswith(name)
            with site.posts.session("users") as session:
                seen[name].add(session.get("/users").json()["authorization"])

        return work

    def request(name: str) -> None:
        for _ in range(3):
            with site.posts.acting_for(people[name]):
                site.posts.map(call(name), range(12), workers=4)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(request, list(people) * 2))
    assert [len(credentials) for credentials in seen.values()] == [1, 1, 1]
    assert len(set().union(*seen.values())) == 3


def test_the_first_failure_is_raised_and_the_rest_is_not_begun(posts: Watchword) -> None:
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        if number == 1:
            raise KeyError("one")
        return number

    with pytest.raises(KeyError, match="one"):
        posts.map(work, range(1_000), workers=2)
    assert len(begun) < 1_000

    async def task(number: int) -> None:
        if number == 1:
            raise KeyError("one")
        await asyncio.Event().wait()  # cancelled, or it would wait for ever

    async def guarded() -> None:
        async with asyncio.timeout(GUARD):
            await posts.amap(task, range(10), workers=4)

    with pytest.raises(KeyError, match="one"):
        asyncio.run(guarded())


def test_nothing_to_do_is_nothing_done_and_no_worker_is_a_mistake(posts: Watchword) -> None:
    assert posts.map(str, []) == asyncio.run(posts.amap(asyncio.sleep, [])) == []
    assert posts.map(str, [1]) == ["1"]
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="at least one worker"):
            posts.map(str, [1], workers=wrong)


def test_what_else_belongs_to_the_request_goes_along(posts: Watchword) -> None:
    app = flask.Flask(__name__)
    with app.test_request_context("/posts?page=2"):
        assert posts.map(lambda _: flask.request.args["page"], range(3)) == ["2"] * 3


def test_the_calls_of_a_page_are_on_their_way_at_the_same_time(site: OutboundSite) -> None:
    gate = threading.Event()
    waiting = threading.Barrier(8, action=gate.set)

    def answer(headers: Mapping[str, str], body: bytes) -> Reply:
        if not gate.is_set():
            waiting.wait(GUARD)  # broken unless eight are on their way at the same time
        return Reply(200, {})

    site.users.routes["/slow"] = answer
    with site.posts.acting_for(site.issuer.token()):
        site.posts.map(lambda _: site.posts.session("users").get("/slow"), range(20), workers=8)
    assert gate.is_set()
