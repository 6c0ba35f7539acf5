"""Every HTTP library, in each of its colours and both ways to use it, passes the one suite of them all."""

import asyncio
import io
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import httpx
import httpx2
import pytest

from watchword import Watchword
from watchword.testing.outbound import OutboundBehaviour

Outcome = tuple[int, Any]
TLS = ssl.create_default_context()  # once: each takes longer than a test


class OneWay(io.RawIOBase):
    """A body that can be read once."""

    def __init__(self, content: bytes) -> None:
        self._left = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def readinto(self, buffer: Any, /) -> int:
        return self._left.readinto(buffer)


async def once(body: bytes) -> AsyncIterator[bytes]:
    yield body


def length(body: bytes | None) -> dict[str, str]:
    return {} if body is None else {"Content-Length": str(len(body))}


class TestRequests(OutboundBehaviour):
    def call(
        self, posts: Watchword, path: str = "/users", *, method: str = "GET",
        body: bytes | None = None, one_way: bool = False,
    ) -> Outcome:  # fmt: skip
        with posts.session("users") as session:
            data: Any = OneWay(body or b"") if one_way else body
            answer = session.request(method, path, data=data, headers=length(body))
            return answer.status_code, answer.json()


class TestOurAsyncClient(OutboundBehaviour):
    retries_a_step_of_a_redirect = False

    def call(
        self, posts: Watchword, path: str = "/users", *, method: str = "GET",
        body: bytes | None = None, one_way: bool = False,
    ) -> Outcome:  # fmt: skip
        async def run() -> Outcome:
            content = once(body or b"") if one_way else body
            async with posts.client("users") as client:
                answer = await client.request(
                    method, path, content=content, headers=length(body), follow_redirects=True
                )
            assert posts._clients is not None
            await posts._clients.aclose()  # the connections of this loop; tokens stay
            return answer.status_code, answer.json()

        return asyncio.run(run())


class _Auth(OutboundBehaviour):
    retries_a_step_of_a_redirect = False
    library: Any

    def call(
        self, posts: Watchword, path: str = "/users", *, method: str = "GET",
        body: bytes | None = None, one_way: bool = False,
    ) -> Outcome:  # fmt: skip
        content: Any = iter([body]) if one_way else body
        url = posts.settings.url_of("users")
        with self.library.Client(
            auth=posts.auth("users"), base_url=url, verify=TLS, trust_env=False
        ) as client:
            answer = client.request(
                method, path, content=content, headers=length(body), follow_redirects=True
            )
            return answer.status_code, answer.json()


class _AsyncAuth(OutboundBehaviour):
    retries_a_step_of_a_redirect = False
    library: Any

    def call(
        self, posts: Watchword, path: str = "/users", *, method: str = "GET",
        body: bytes | None = None, one_way: bool = False,
    ) -> Outcome:  # fmt: skip
        async def run() -> Outcome:
            content = once(body or b"") if one_way else body
            url = posts.settings.url_of("users")
            auth = posts.auth("users")
            async with self.library.AsyncClient(
                auth=auth, base_url=url, verify=TLS, trust_env=False
            ) as client:
                answer = await client.request(
                    method, path, content=content, headers=length(body), follow_redirects=True
                )
                return answer.status_code, answer.json()

        return asyncio.run(run())


class TestHttpx(_Auth):
    library = httpx


class TestHttpx2(_Auth):
    library = httpx2


class TestAsyncHttpx(_AsyncAuth):
    library = httpx


class TestAsyncHttpx2(_AsyncAuth):
    library = httpx2


class TestAiohttpSession(OutboundBehaviour):
    def call(
        self, posts: Watchword, path: str = "/users", *, method: str = "GET",
        body: bytes | None = None, one_way: bool = False,
    ) -> Outcome:  # fmt: skip
        async def run() -> Outcome:
            data = once(body or b"") if one_way else body
            async with (
                posts.aiohttp_session("users") as session,
                session.request(method, path, data=data, headers=length(body)) as answer,
            ):
                told = answer.status, await answer.json()
            assert posts._aiohttp is not None
            await posts._aiohttp.aclose()  # the connections of this loop; tokens stay
            return told

        return asyncio.run(run())


class TestAiohttpMiddleware(OutboundBehaviour):
    def call(
        self, posts: Watchword, path: str = "/users", *, method: str = "GET",
        body: bytes | None = None, one_way: bool = False,
    ) -> Outcome:  # fmt: skip
        async def run() -> Outcome:
            data = once(body or b"") if one_way else body
            url = posts.settings.url_of("users")
            middleware = posts.aiohttp_middleware("users")
            async with (
                aiohttp.ClientSession(url, middlewares=[middleware]) as session,
                session.request(method, path, data=data, headers=length(body)) as answer,
            ):
                return answer.status, await answer.json()

        return asyncio.run(run())


@pytest.mark.threat(218)
def test_neither_importing_nor_calling_without_a_library_loads_one() -> None:
    code = (
        "import sys, watchword, watchword.client.token_source\n"
        "ww = watchword.Watchword(issuer='https://a.example', audience='posts', environ={},\n"
        "    urls={'users': 'https://users.example'})\n"
        "try: ww.outbound('users', on_behalf='insecure_pass_through')\n"
        "except watchword.errors.NoCaller: print('nobody')\n"
        "print(sorted({'requests', 'urllib3', 'httpx', 'httpx2', 'aiohttp', 'yarl'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert ran.stdout.strip() == "nobody\n[]"
