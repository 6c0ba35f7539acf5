"""What is particular about aiohttp: base URLs, cookies, time limits, and how it follows redirects."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import pytest

from watchword import Watchword
from watchword.client.aiohttp import DEFAULT_TIMEOUT
from watchword.testing.outbound_site import OutboundSite, outbound_site
from watchword.testing.peers import Reply


@pytest.fixture
def site() -> Iterator[OutboundSite]:
    with outbound_site() as site:
        yield site


def run(site: OutboundSite, work: Callable[[aiohttp.ClientSession], Awaitable[Any]], **settings: Any) -> Any:
    """Do something with a session for a caller."""

    async def in_a_loop(ww: Watchword) -> Any:
        with ww.acting_for(site.issuer.token()):
            async with ww.aiohttp_session("users") as session:
                found = await work(session)
        await ww.aclose()
        return found

    return asyncio.run(in_a_loop(site.posts))


def test_a_base_url_with_a_path_has_the_meaning_that_the_library_gives_it() -> None:
    async def call(ww: Watchword, token: str) -> list[str]:
        with ww.acting_for(token):
            async with ww.aiohttp_session("users") as session:
                told = [str((await session.get(path)).url) for path in ("users", "/users")]
        await ww.aclose()
        return [url.removeprefix(ww.settings.url_of("users").removesuffix("/api")) for url in told]

    with outbound_site() as site:
        ww = Watchword(
            issuer=site.issuer.url, audience="posts", urls={"users": f"{site.users.url}/api"}, environ={},
            client=site.posts.settings.client, clock=site.clock,
        )  # fmt: skip
        assert asyncio.run(call(ww, site.issuer.token())) == ["/api/users", "/users"]


def test_cookies_of_one_session_never_reach_another(site: OutboundSite) -> None:
    site.users.routes["/login"] = lambda *_: Reply(200, {}, {"Set-Cookie": "session=ada; Path=/"})
    site.users.routes["/seen"] = lambda headers, _: Reply(200, {"cookie": headers.get("cookie")})

    async def login(session: aiohttp.ClientSession) -> None:
        await session.get("/login")
        assert session.cookie_jar is not None

    async def seen(session: aiohttp.ClientSession) -> Any:
        return await (await session.get("/seen")).json()

    run(site, login)
    assert run(site, seen) == {"cookie": None}


def test_a_session_has_a_time_limit_of_ours(site: OutboundSite) -> None:
    async def limit(session: aiohttp.ClientSession) -> Any:
        return session.timeout

    assert run(site, limit) == DEFAULT_TIMEOUT
    assert (DEFAULT_TIMEOUT.sock_connect, DEFAULT_TIMEOUT.sock_read) == (3.05, 10.0)


@pytest.mark.threat(237)
def test_a_step_that_the_user_takes_goes_without_the_token_too(site: OutboundSite) -> None:
    place = f"{site.stranger.url}/users"
    site.users.routes["/moved"] = lambda *_: Reply(307, {}, {"Location": place})

    async def follow(session: aiohttp.ClientSession) -> Any:
        moved = await session.get("/moved", allow_redirects=False)
        return await (await session.get(moved.headers["Location"])).json()

    assert run(site, follow) == {"authorization": None}


@pytest.mark.threat(237)
@pytest.mark.parametrize("place", ["//{host}/users", "http://x:y@{host}/users", "http://{host}/users#there"])
def test_however_a_redirect_is_spelled_another_origin_gets_no_token(site: OutboundSite, place: str) -> None:
    location = place.format(host=site.stranger.url.removeprefix("http://"))
    site.users.routes["/moved"] = lambda *_: Reply(302, {}, {"Location": location})

    async def call(session: aiohttp.ClientSession) -> Any:
        return await (await session.get("/moved")).json()

    answer = run(site, call)["authorization"]
    assert answer is None
    assert len(site.stranger.requests) == 1


def test_other_middlewares_stand_beside_it(site: OutboundSite) -> None:
    seen: list[str] = []

    async def log(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> Any:
        seen.append(request.headers.get("Authorization", "none"))
        return await handler(request)

    async def call() -> int:
        bearer = site.posts.aiohttp_middleware("users")
        with site.posts.acting_for(site.issuer.token()):
            async with (
                aiohttp.ClientSession(middlewares=[log, bearer]) as session,
                session.get(f"{site.users.url}/users") as answer,
            ):
                return answer.status

    assert asyncio.run(call()) == 200
    assert seen == ["none"]  # what stands before it sees no token
