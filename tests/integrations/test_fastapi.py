"""The FastAPI adapter: the behaviour that every framework has, and what is FastAPI's own."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.testclient import TestClient

from watchword.caller import current
from watchword.fastapi import VerifiedToken, Watchword
from watchword.testing.frameworks import Endpoints, FrameworkBehaviour
from watchword.testing.peers import IssuingPeer
from watchword.testing.serving import serving_asgi


def application(settings: Mapping[str, Any], endpoints: Endpoints, *, plain: bool) -> FastAPI:
    """The application of the suite, its endpoints plain functions (in the thread pool) or coroutines."""
    ww = Watchword(**settings)
    app = FastAPI(lifespan=ww.lifespan)
    reader = ww.require("posts:read")

    @app.get("/open")
    async def anybody() -> str:
        return endpoints.who()

    def told(token: VerifiedToken) -> dict[str, Any]:
        return {
            "subject": token.subject.id,
            "scope": sorted(token.scope),
            "roles": sorted(token.roles),
            "caller": endpoints.who(),
        }

    @app.get("/edit")
    async def edit(token: Annotated[VerifiedToken, ww.require("posts:read", role="editor")]) -> str:
        return "edited"

    @app.get("/fail", dependencies=[reader])
    def fail() -> None:
        endpoints.fail()

    @app.get("/stream", dependencies=[reader])
    async def stream() -> StreamingResponse:
        async def chunks() -> AsyncIterator[str]:
            for _ in range(3):
                yield endpoints.who()

        return StreamingResponse(chunks())

    if plain:

        @app.get("/read")
        def read(token: Annotated[VerifiedToken, reader]) -> dict[str, Any]:
            return told(token)

        @app.get("/meet", dependencies=[reader])
        def meet() -> str:
            endpoints.meet()
            return endpoints.who()

        @app.get("/authors", dependencies=[reader])
        def authors() -> Any:
            answer = ww.session("users").get("/users", timeout=2)
            answer.raise_for_status()
            return answer.json()

    else:

        @app.get("/read")
        async def aread(token: Annotated[VerifiedToken, reader]) -> dict[str, Any]:
            return told(token)

        @app.get("/meet", dependencies=[reader])
        async def ameet() -> str:
            import anyio.to_thread

            await anyio.to_thread.run_sync(endpoints.meet)
            return endpoints.who()

        @app.get("/authors", dependencies=[reader])
        async def aauthors() -> Any:
            answer = await ww.client("users").get("/users", timeout=2)
            answer.raise_for_status()
            return answer.json()

    return app


class TestPlainEndpoints(FrameworkBehaviour):
    @contextmanager
    def serve(self, settings: Mapping[str, Any], endpoints: Endpoints) -> Iterator[str]:
        with serving_asgi(application(settings, endpoints, plain=True)) as url:
            yield url


class TestCoroutines(FrameworkBehaviour):
    @contextmanager
    def serve(self, settings: Mapping[str, Any], endpoints: Endpoints) -> Iterator[str]:
        with serving_asgi(application(settings, endpoints, plain=False)) as url:
            yield url


@pytest.fixture(scope="module")
def peer() -> Iterator[IssuingPeer]:
    peer = IssuingPeer()
    with peer.running():
        yield peer


@pytest.fixture
def ww(peer: IssuingPeer) -> Watchword:
    return Watchword(issuer=peer.url, audience="posts")


def bearer(peer: IssuingPeer, **claims: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {peer.token(**claims)}"}


def test_scheme_and_scopes_stand_in_the_openapi_document(ww: Watchword) -> None:
    app = FastAPI()

    @app.get("/posts")
    async def posts(token: Annotated[VerifiedToken, ww.require("posts:read", "posts:list")]) -> None: ...

    @app.get("/open")
    async def anybody() -> None: ...

    document = app.openapi()
    assert document["components"]["securitySchemes"]["watchword"]["type"] == "http"
    assert document["components"]["securitySchemes"]["watchword"]["scheme"] == "bearer"
    assert document["paths"]["/posts"]["get"]["security"] == [{"watchword": ["posts:read", "posts:list"]}]
    assert "security" not in document["paths"]["/open"]["get"]
    parameters = document["paths"]["/posts"]["get"].get("parameters", [])
    assert parameters == []


def test_a_test_can_override_who_calls_and_the_scopes_still_count(ww: Watchword, peer: IssuingPeer) -> None:
    app = FastAPI()

    @app.get("/posts")
    async def posts(token: Annotated[VerifiedToken, ww.require("posts:read")]) -> str:
        return token.subject.id

    @app.get("/all")
    async def everything(token: Annotated[VerifiedToken, ww.require("posts:all")]) -> str:
        return token.subject.id

    app.dependency_overrides[ww.token] = lambda: ww.verify(peer.token("jane_doe"))
    client = TestClient(app)
    assert client.get("/posts").json() == "jane_doe"
    refused = client.get("/all")
    assert refused.status_code == 403
    assert 'scope="posts:all"' in refused.headers["www-authenticate"]


def test_without_a_lifespan_it_works_all_the_same(ww: Watchword, peer: IssuingPeer) -> None:
    app = FastAPI()

    @app.get("/posts", dependencies=[ww.require("posts:read")])
    async def posts() -> str:
        return current().token.subject.id

    assert TestClient(app).get("/posts", headers=bearer(peer)).json() == "john_doe"


def test_one_route_may_demand_several_things(ww: Watchword, peer: IssuingPeer) -> None:
    app = FastAPI(dependencies=[ww.require("posts:read")])

    @app.get("/posts")
    async def posts(token: Annotated[VerifiedToken, ww.require("posts:write", role="editor")]) -> str:
        return current().token.subject.id

    client = TestClient(app)
    assert client.get("/posts", headers=bearer(peer)).status_code == 403
    both = bearer(peer, scope={"posts:read", "posts:write"}, roles=["editor"])
    assert client.get("/posts", headers=both).json() == "john_doe"


def test_an_application_that_shapes_its_own_errors_shapes_ours(ww: Watchword) -> None:
    app = FastAPI()

    @app.exception_handler(HTTPException)
    async def shaped(_: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"mine": error.detail}, error.status_code, error.headers)

    @app.get("/posts", dependencies=[ww.require("posts:read")])
    async def posts() -> None: ...

    answer = TestClient(app).get("/posts")
    assert answer.status_code == 401
    assert answer.json() == {"mine": "an access token is required"}
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_guard_that_is_written_wrongly_fails_where_it_stands(ww: Watchword) -> None:
    with pytest.raises(ValueError, match="one scope per text"):
        ww.require("posts:read posts:write")


def test_a_task_that_outlives_its_request_loses_the_caller(ww: Watchword, peer: IssuingPeer) -> None:
    app = FastAPI()
    tasks: dict[str, asyncio.Task[str]] = {}
    over = asyncio.Event()

    async def later() -> str:
        within = current().token.subject.id
        await over.wait()
        return within + ", then " + Endpoints().who()

    @app.get("/start", dependencies=[ww.require("posts:read")])
    async def start() -> None:
        tasks["later"] = asyncio.create_task(later())
        await asyncio.sleep(0)

    @app.get("/finish")
    async def finish() -> str:
        over.set()
        return await tasks["later"]

    with TestClient(app) as client:
        assert client.get("/start", headers=bearer(peer)).status_code == 200
        assert client.get("/finish").json() == "john_doe, then nobody"


def test_a_dependency_of_the_users_own_runs_for_the_caller(ww: Watchword, peer: IssuingPeer) -> None:
    app = FastAPI()

    def whose(token: Annotated[VerifiedToken, ww.require("posts:read")]) -> str:
        return current().token.subject.id

    @app.get("/posts")
    async def posts(name: Annotated[str, Depends(whose)]) -> str:
        return name

    assert TestClient(app).get("/posts", headers=bearer(peer)).json() == "john_doe"
