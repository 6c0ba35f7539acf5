"""The ASGI adapter: plain applications and Starlette's, behind one suite, and what is ASGI's own."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import anyio.to_thread
import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocket

from watchword.asgi import Watchword, issuer_app
from watchword.testing.asgi_frameworks import AsgiBehaviour
from watchword.testing.frameworks import RESOURCE, Endpoints
from watchword.testing.peers import IssuingPeer
from watchword.testing.serving import serving_asgi


def told(ww: Watchword, endpoints: Endpoints) -> dict[str, Any]:
    token = ww.token
    return {
        "subject": token.subject.id,
        "scope": sorted(token.scope),
        "roles": sorted(token.roles),
        "caller": endpoints.who(),
    }


async def users_of(ww: Watchword) -> Any:
    answer = await ww.client("users").get("/users", timeout=2)
    answer.raise_for_status()
    return answer.json()


def plain(ww: Watchword, endpoints: Endpoints) -> Any:
    """An application that no framework helps, guarded path by path."""

    async def respond(send: Any, body: str, status: int = 200) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": body.encode()})

    async def who(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, endpoints.who())

    async def posts(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await talk(receive, send)
        elif scope["method"] not in ("GET", "HEAD"):
            await respond(send, "", 405)
        elif scope["path"] == "/read":
            await respond(send, json.dumps(told(ww, endpoints)))
        elif scope["path"] == "/authors":
            await respond(send, json.dumps(await users_of(ww)))
        elif scope["path"] == "/later":
            await respond(send, endpoints.who())
            endpoints.note()
        elif scope["path"] == "/stream":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(3):
                chunk = endpoints.who().encode()
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body"})
        else:
            await anyio.to_thread.run_sync(endpoints.fail if scope["path"] == "/fail" else endpoints.meet)
            await respond(send, endpoints.who())

    async def talk(receive: Any, send: Any) -> None:
        while (event := await receive())["type"] != "websocket.disconnect":
            if event["type"] == "websocket.connect":
                await send({"type": "websocket.accept"})
                continue
            if event["text"] == "authors":
                await users_of(ww)
            await send({"type": "websocket.send", "text": endpoints.who()})

    routes = {
        "/open": who,
        "/edit": ww.protect(who, "posts:read", role="editor"),
        "/optional": ww.optional("posts:read")(who),
        "/drafts": ww.require("posts:read", audience="drafts")(who),
    }
    guarded = ww.protect(posts, "posts:read")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            async with ww.lifespan():
                for answer in ("startup", "shutdown"):
                    await receive()
                    await send({"type": f"lifespan.{answer}.complete"})
            return
        await routes.get(scope["path"], guarded)(scope, receive, send)

    return ww.publish_metadata(app, RESOURCE)


def starlette(ww: Watchword, endpoints: Endpoints) -> Any:
    """Starlette with a decorator on each endpoint."""
    reader = ww.require("posts:read")

    async def who(request: Request) -> Response:
        return PlainTextResponse(endpoints.who())

    @reader
    async def read(request: Request) -> Response:
        return JSONResponse(told(ww, endpoints))

    @reader
    def fail(request: Request) -> Response:
        endpoints.fail()
        return Response()

    @reader
    def meet(request: Request) -> Response:
        endpoints.meet()
        return PlainTextResponse(endpoints.who())

    @reader
    async def stream(request: Request) -> Response:
        async def chunks() -> AsyncIterator[str]:
            for _ in range(3):
                yield endpoints.who()

        return StreamingResponse(chunks())

    @reader
    async def authors(request: Request) -> Response:
        return JSONResponse(await users_of(ww))

    @reader
    async def later(request: Request) -> Response:
        return PlainTextResponse(endpoints.who(), background=BackgroundTask(endpoints.note))

    @reader
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            if text == "authors":
                await users_of(ww)
            await websocket.send_text(endpoints.who())

    class Edit(HTTPEndpoint):
        @ww.require("posts:read", role="editor")
        async def get(self, request: Request) -> Response:
            return PlainTextResponse("edited")

    routes: list[Any] = [
        Route(f"/{name}", endpoint)
        for name, endpoint in {
            "open": who, "read": read, "edit": Edit, "fail": fail, "meet": meet, "stream": stream,
            "authors": authors, "later": later, "optional": ww.optional("posts:read")(who),
            "drafts": ww.require("posts:read", audience="drafts")(who),
        }.items()
    ]  # fmt: skip
    app = Starlette(routes=[*routes, WebSocketRoute("/socket", socket)], lifespan=ww.lifespan)
    return ww.publish_metadata(app, RESOURCE)


class TestPlainApplication(AsgiBehaviour):
    @contextmanager
    def serve(self, settings: Mapping[str, Any], endpoints: Endpoints) -> Iterator[str]:
        with serving_asgi(plain(Watchword(**settings), endpoints)) as url:
            yield url


class TestStarlette(AsgiBehaviour):
    @contextmanager
    def serve(self, settings: Mapping[str, Any], endpoints: Endpoints) -> Iterator[str]:
        with serving_asgi(starlette(Watchword(**settings), endpoints)) as url:
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


def test_an_application_is_guarded_where_it_is_mounted_or_by_middleware(
    ww: Watchword, peer: IssuingPeer
) -> None:
    async def who(request: Request) -> Response:
        return PlainTextResponse(ww.token.subject.id)

    posts = Starlette(routes=[Route("/all", who)])
    apps = {
        "/posts/all": Starlette(routes=[Mount("/posts", ww.protect(posts, "posts:read"))]),
        "/all": Starlette(routes=[Route("/all", who)], middleware=[Middleware(ww.protect, "posts:read")]),
    }
    for path, app in apps.items():
        client = TestClient(app)
        assert client.get(path).status_code == 401
        assert client.get(path, headers=bearer(peer)).text == "john_doe"


def test_an_endpoint_keeps_the_methods_of_its_route(ww: Watchword, peer: IssuingPeer) -> None:
    @ww.require("posts:read")
    async def posts(request: Request) -> Response:
        return PlainTextResponse(ww.token.subject.id)

    client = TestClient(Starlette(routes=[Route("/posts", posts)]))
    assert client.post("/posts", headers=bearer(peer)).status_code == 405
    assert client.get("/posts", headers=bearer(peer)).text == "john_doe"


def test_a_socket_that_its_endpoint_refuses_before_it_accepts_gets_our_answer(
    ww: Watchword, peer: IssuingPeer
) -> None:
    @ww.require()
    async def socket(websocket: WebSocket) -> None:
        ww.verify("not.atokenatall.butthree")

    client = TestClient(Starlette(routes=[WebSocketRoute("/socket", socket)]))
    with (
        pytest.raises(WebSocketDenialResponse) as refused,
        client.websocket_connect("/socket", headers=bearer(peer)),
    ):
        pass
    assert refused.value.status_code == 401


def run(app: Any, scope: dict[str, Any], event: str = "http.request") -> list[dict[str, Any]]:
    """Everything that an application sends, by hand."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": event}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app({"headers": [], "extensions": {}} | scope, receive, send))
    return sent


async def untouched(scope: Any, receive: Any, send: Any) -> None:
    raise RuntimeError("nobody comes this far")


def test_without_denial_responses_a_socket_is_closed_as_a_policy_violation(ww: Watchword) -> None:
    app = ww.protect(untouched, "posts:read")
    for extensions in ({}, None):
        sent = run(app, {"type": "websocket", "extensions": extensions}, "websocket.connect")
        assert sent == [{"type": "websocket.close", "code": 1008}]


def test_an_answer_that_has_begun_is_not_answered_twice(ww: Watchword, peer: IssuingPeer) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        ww.verify("not.atokenatall.butthree")

    header = (b"authorization", f"Bearer {peer.token()}".encode())
    with pytest.raises(Exception, match="expected") as raised:
        run(ww.protect(app), {"type": "http", "headers": [header]})
    assert type(raised.value).__name__ == "TokenMalformed"


def test_a_refusal_says_how_long_it_is(ww: Watchword) -> None:
    start, body = run(ww.protect(untouched), {"type": "http"})
    headers = dict(start["headers"])
    assert start["status"] == 401
    assert headers[b"content-length"] == str(len(body["body"])).encode()


def test_a_lifespan_passes_through(ww: Watchword) -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    run(ww.publish_metadata(ww.protect(app), "https://posts.example"), {"type": "lifespan"})
    assert seen == ["lifespan"]


def test_an_application_that_signs_its_own_tokens_publishes_its_keys(
    ww: Watchword, peer: IssuingPeer
) -> None:
    client = TestClient(issuer_app(ww.protect(untouched), peer.issuer))
    answer = client.get("/.well-known/jwks.json")
    assert answer.json() == peer.issuer.jwk_set().to_dict()
    again = client.get("/.well-known/jwks.json", headers={"If-None-Match": f"W/{answer.headers['etag']}"})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get("/public-key?kid=unknown").status_code == 404
    assert client.get("/public-key").text.startswith("-----BEGIN PUBLIC KEY-----")
    assert client.post("/public-key").status_code == 401


def test_a_file_that_the_server_sends_is_the_end_of_an_answer(ww: Watchword, peer: IssuingPeer) -> None:
    endpoints = Endpoints()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.pathsend", "path": "/posts.txt"})
        endpoints.note()

    run(ww.protect(app), {"type": "http", "headers": [(b"authorization", f"Bearer {peer.token()}".encode())]})
    assert endpoints.noted.get(timeout=5) == "nobody"
