"""Any ASGI application, and Starlette's endpoints: guards for HTTP and WebSocket, RFC 6750 answers."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import wraps
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast
from urllib.parse import parse_qs

from watchword.errors import WatchwordError
from watchword.integrations.guard import Guard, OnBehalf
from watchword.integrations.guarding import Decorating
from watchword.integrations.published import Publication, of_issuer
from watchword.integrations.refusals import close_code, headers_of
from watchword.resource.bearer import Refusal

if TYPE_CHECKING:
    from watchword.keys.issuer import Issuer

P = ParamSpec("P")
R = TypeVar("R")
Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]


class Watchword(Decorating):
    """The `Watchword` object of an ASGI service; give its `lifespan` to an application that takes one."""

    def protect(
        self, app: ASGIApp, *scopes: str, role: str | None = None, audience: str | None = None
    ) -> "Protected":
        """Return the application behind a guard, for HTTP and WebSocket; lifespan events pass through.

        Also as Starlette's `Middleware(ww.protect, "posts:read")`. Demands and answers: see `require`.
        """
        return Protected(app, self.guard(scopes, role=role, audience=audience), self)

    def publish_metadata(self, app: ASGIApp, resource: str, *scopes: str, max_age: int = 300) -> ASGIApp:
        """Return the application with the issuers and scopes of this service beside it (RFC 9728 §3).

        `resource` is its URL; `scopes` are named beyond those of its guards. It goes around `protect`.
        """
        return _publishing(app, self.resource_metadata(resource, scopes, max_age=max_age))

    def decorated(self, guard: Guard, endpoint: Callable[P, R]) -> Callable[P, R]:
        """Return an endpoint `(request)` or `(websocket)` of Starlette, or an ASGI application, guarded."""

        @wraps(endpoint)
        async def guarded(*args: Any, **kwargs: Any) -> Any:
            if len(args) == 3 and isinstance(args[0], MutableMapping):
                return await Protected(cast("ASGIApp", endpoint), guard, self)(*args)
            *bound, connection = args  # `self` of an `HTTPEndpoint` may stand before it

            async def http(scope: Scope, receive: Receive, send: Send) -> None:
                await (await _called(endpoint, *args, **kwargs))(scope, receive, send)

            async def websocket(scope: Scope, receive: Receive, send: Send) -> None:
                await _called(endpoint, *bound, type(connection)(scope, receive, send), **kwargs)

            if connection.scope["type"] == "http":
                return Protected(http, guard, self)  # Starlette sends an answer by calling it like this
            told = Protected(websocket, guard, self)
            return await told(connection.scope, connection.receive, connection.send)

        return cast("Callable[P, R]", guarded)


class Protected:
    """An ASGI application behind a guard."""

    def __init__(self, app: ASGIApp, guard: Guard, service: Decorating) -> None:
        self._app = app
        self._guard = guard
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application for the caller, until its answer is sent; or refuse."""
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        running: OnBehalf | None = None
        sent = ""

        async def watched(message: Message) -> None:
            nonlocal sent
            sent = message["type"]
            await send(message)
            last = sent in _LAST or (sent == "http.response.body" and not message.get("more_body"))
            if last and running is not None:
                running.end()  # what the application does from now on has no caller

        try:
            visit = await self._guard.aadmit(_authorization(scope))
            with (running := visit.running()):
                await self._app(scope, receive, watched)
        except WatchwordError as error:
            refusal = self._service.refusal_of(error) if sent in ("", *_ACCEPTED) else None
            if refusal is None:
                raise
            await _refuse(scope, send, refusal, accepted=sent in _ACCEPTED)


_ACCEPTED = ("websocket.accept", "websocket.send")
_LAST = ("websocket.close", "http.response.pathsend")


def _authorization(scope: Scope) -> list[str]:
    return [value.decode("latin-1") for name, value in scope["headers"] if name == b"authorization"]


async def _called(endpoint: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if iscoroutinefunction(endpoint):
        return await endpoint(*args, **kwargs)
    from starlette.concurrency import run_in_threadpool  # noqa: PLC0415  # plain ASGI needs no Starlette

    return await run_in_threadpool(endpoint, *args, **kwargs)


async def _refuse(scope: Scope, send: Send, refusal: Refusal, *, accepted: bool) -> None:
    denial = "websocket.http.response" in (scope.get("extensions") or {})
    if scope["type"] == "websocket" and (accepted or not denial):
        return await send({"type": "websocket.close", "code": close_code(refusal)})
    await _send(send, refusal.status, headers_of(refusal), refusal.body, scope["type"])


async def _send(send: Send, status: int, headers: Mapping[str, str], body: bytes, kind: str = "http") -> None:
    prefix = "websocket." if kind == "websocket" else ""  # the denial response of a WebSocket handshake
    fields = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": f"{prefix}http.response.start", "status": status, "headers": fields})
    await send({"type": f"{prefix}http.response.body", "body": body})


def _publishing(app: ASGIApp, *publications: Publication) -> ASGIApp:
    published = {publication.path: publication for publication in publications}

    async def publishing(scope: Scope, receive: Receive, send: Send) -> None:
        found = published.get(scope["path"]) if scope["type"] == "http" else None
        if found is None or scope["method"] not in ("GET", "HEAD"):
            return await app(scope, receive, send)
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        kid = parse_qs(scope["query_string"].decode("latin-1")).get("kid", [None])[0]
        await _send(send, *found.answer(headers.get(b"if-none-match"), kid))

    return publishing


def issuer_app(app: ASGIApp, issuer: "Issuer", *, max_age: int = 300) -> ASGIApp:
    """Return the application of a service that signs its own tokens with what it publishes beside it."""
    return _publishing(app, *of_issuer(issuer, max_age=max_age))
