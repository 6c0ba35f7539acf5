"""The FastAPI adapter: the behaviour that every framework has, and what is FastAPI's own."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketDenialResponse

from watchword.caller import current
from watchword.fastapi import VerifiedToken, Watchword, issuer_router
from watchword.testing.asgi_frameworks import AsgiBehaviour
from watchword.testing.frameworks import RESOURCE, Endpoints
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

    @app.get("/optional", dependencies=[ww.optional("posts:read")])
    async def optional() -> str:
        return endpoints.who()

    @app.get("/drafts", dependencies=[ww.require("posts:read", audience="drafts")])
    async def drafts() -> str:
        return endpoints.who()

    @app.get("/later", dependencies=[reader])
    async def later(background: BackgroundTasks) -> str:
        background.add_task(endpoints.note)
        return endpoints.who()

    @app.websocket("/socket")
    async def socket(websocket: WebSocket, token: Annotated[VerifiedToken, reader]) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            if text == "authors":
                (await ww.client("users").get("/users", timeout=2)).raise_for_status()
            await websocket.send_text(endpoints.who())

    ww.publish_metadata(app, RESOURCE)
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


class TestPlainEndpoints(AsgiBehaviour):
    @contextmanager
    def serve(self, settings: Mapping[str, Any], endpoints: Endpoints) -> Iterator[str]:
        with serving_asgi(application(settings, endpoints, plain=True)) as url:
            yield url


class TestCoroutines(AsgiBehaviour):
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


def test_a_whole_router_is_guarded_by_one_line(ww: Watchword, peer: IssuingPeer) -> None:
    router = APIRouter(prefix="/posts", dependencies=[ww.require("posts:read")])

    @router.get("/{number}")
    async def post(number: int) -> str:
        return current().token.subject.id

    @router.websocket("/socket")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(current().token.subject.id)
        await websocket.close()

    app = FastAPI()
    app.include_router(router)
    client = TestClient(app)
    assert client.get("/posts/1").status_code == 401
    assert client.get("/posts/1", headers=bearer(peer)).json() == "john_doe"
    with client.websocket_connect("/posts/socket", headers=bearer(peer)) as session:
        assert session.receive_text() == "john_doe"
    with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect("/posts/socket"):
        pass
    assert refused.value.status_code == 401
    assert app.openapi()["paths"]["/posts/{number}"]["get"]["security"] == [{"watchword": ["posts:read"]}]


def test_a_whole_application_is_guarded_except_for_what_it_publishes(
    ww: Watchword, peer: IssuingPeer
) -> None:
    app = FastAPI(dependencies=[ww.require("posts:read")])
    app.include_router(issuer_router(peer.issuer))
    ww.publish_metadata(app, "https://posts.example/api")
    app.add_api_route("/posts", lambda: None)
    client = TestClient(app)
    assert client.get("/posts").status_code == 401
    assert client.get("/.well-known/jwks.json").status_code == 200
    assert client.get("/.well-known/oauth-protected-resource/api").json()["scopes_supported"] == [
        "posts:read"
    ]


@pytest.mark.anyio
async def test_without_denial_responses_a_socket_is_closed_as_a_policy_violation(ww: Watchword) -> None:
    app = FastAPI()

    @app.websocket("/socket")
    async def socket(websocket: WebSocket, token: Annotated[VerifiedToken, ww.require("posts:read")]) -> None:
        raise AssertionError("nobody comes this far")

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    scope = {"type": "websocket", "path": "/socket", "headers": [], "query_string": b"", "subprotocols": []}
    await app(scope, receive, send)
    assert [(message["type"], message["code"]) for message in sent] == [("websocket.close", 1008)]


@pytest.mark.threat(239)
def test_a_background_task_has_no_caller_however_it_was_asked_for(ww: Watchword, peer: IssuingPeer) -> None:
    app = FastAPI()
    endpoints = Endpoints()

    def early(background: BackgroundTasks) -> None:
        background.add_task(endpoints.note)

    @app.get("/early", dependencies=[Depends(early), ww.require("posts:read")])
    async def asked_before_the_guard() -> str:
        return endpoints.who()

    @app.get("/stream", dependencies=[ww.optional("posts:read")])
    async def streaming(background: BackgroundTasks) -> StreamingResponse:
        background.add_task(endpoints.note)
        return StreamingResponse(endpoints.who() for _ in range(2))

    @app.get("/bound", dependencies=[ww.require("posts:read")])
    async def bound(background: BackgroundTasks) -> None:
        background.add_task(ww.bind(endpoints.note))

    client = TestClient(app)
    assert client.get("/early", headers=bearer(peer)).json() == "john_doe"
    assert client.get("/stream", headers=bearer(peer)).text == "john_doejohn_doe"
    assert client.get("/bound", headers=bearer(peer)).status_code == 200
    assert [endpoints.noted.get(timeout=5) for _ in range(3)] == ["nobody", "nobody", "john_doe"]


def test_services_of_several_names_keep_their_doors_apart(peer: IssuingPeer) -> None:
    public = Watchword(issuer=peer.url, audience="posts")
    admin = Watchword(issuer=peer.url, audience="posts-admin")
    app = FastAPI()
    app.add_api_route("/posts", lambda: "posts", dependencies=[public.require("posts:read")])
    app.add_api_route("/admin", lambda: "admin", dependencies=[admin.require("posts:read")])
    client = TestClient(app)
    assert client.get("/admin", headers=bearer(peer, audience="posts-admin")).json() == "admin"
    assert client.get("/admin", headers=bearer(peer)).status_code == 401
    assert client.get("/posts", headers=bearer(peer, audience="posts-admin")).status_code == 401


def test_an_override_that_finds_nobody_does_not_open_what_is_guarded(ww: Watchword) -> None:
    app = FastAPI()
    app.add_api_route("/posts", lambda: "posts", dependencies=[ww.require("posts:read")])
    app.dependency_overrides[ww.token] = lambda: None
    assert TestClient(app).get("/posts").status_code == 401


def test_an_endpoint_that_is_a_generator_yields_for_its_caller(ww: Watchword, peer: IssuingPeer) -> None:
    app = FastAPI()

    @app.get("/posts", dependencies=[ww.require("posts:read")], response_class=StreamingResponse)
    async def posts() -> AsyncIterator[str]:
        for _ in range(2):
            yield current().token.subject.id

    assert TestClient(app).get("/posts", headers=bearer(peer)).text == "john_doejohn_doe"


def test_what_is_optional_and_what_is_required_stand_together(ww: Watchword, peer: IssuingPeer) -> None:
    app = FastAPI(dependencies=[ww.optional()])
    endpoints = Endpoints()

    @app.get("/posts", dependencies=[ww.require("posts:read")])
    async def posts(background: BackgroundTasks) -> str:
        background.add_task(endpoints.note)
        return endpoints.who()

    client = TestClient(app)
    assert client.get("/posts").status_code == 401
    assert client.get("/posts", headers=bearer(peer)).json() == "john_doe"
    assert endpoints.noted.get(timeout=5) == "nobody"
