"""FastAPI: a dependency that admits callers, scopes in the OpenAPI document, errors as RFC 6750 answers."""

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, BackgroundTasks, FastAPI, HTTPException, Request, Response, WebSocket, params
from fastapi.exception_handlers import http_exception_handler
from fastapi.requests import HTTPConnection
from fastapi.security import HTTPBearer
from starlette.background import BackgroundTask
from starlette.websockets import WebSocketState

from watchword.errors import WatchwordError
from watchword.integrations.guard import Guard
from watchword.integrations.guarding import Guarding
from watchword.integrations.published import Publication, of_issuer
from watchword.integrations.refusals import close_code
from watchword.integrations.visiting import Visiting
from watchword.resource.bearer import Refusal
from watchword.tokens.verified import VerifiedToken

if TYPE_CHECKING:
    from watchword.keys.issuer import Issuer


class Refused(HTTPException):
    """A refusal on its way out; an application with a handler of its own for `HTTPException` shapes it."""

    def __init__(self, refusal: Refusal, error: WatchwordError) -> None:
        self.refusal = refusal
        super().__init__(refusal.status, error.public, dict(refusal.headers))


class _Bearer(HTTPBearer):
    """The security scheme of the OpenAPI document; it takes every header, a guard judges them."""

    async def __call__(self, request: HTTPConnection) -> list[str]:  # type: ignore[override]
        handlers = request.scope.get("starlette.exception_handlers", ({},))[0]
        shaped = next((handlers[kind] for kind in HTTPException.__mro__ if kind in handlers), None)
        if shaped in (None, http_exception_handler):
            handlers.setdefault(Refused, _answer)
        return request.headers.getlist("authorization")


_SCHEME = _Bearer(scheme_name="watchword", bearerFormat="JWT", description="RFC 9068 access token")
_Presented = Annotated[list[str], params.Security(_SCHEME)]


class Watchword(Guarding):
    """The `Watchword` object of a FastAPI service; give its `lifespan` to the application."""

    async def token(self, later: BackgroundTasks, authorization: _Presented) -> AsyncIterator[VerifiedToken]:
        """Verify the request's token; the dependency below every `require`, the one to override in tests."""
        async with Visiting(Guard(self), authorization, self.refused) as visiting:
            later.tasks.insert(0, BackgroundTask(visiting.end))  # they begin when the answer is sent
            if visiting.token is not None:  # for the type checker: this guard is not optional
                yield visiting.token

    async def token_or_none(
        self, later: BackgroundTasks, authorization: _Presented
    ) -> AsyncIterator[VerifiedToken | None]:
        """Verify the token if there is one; the dependency below every `optional`."""
        async with Visiting(Guard(self, optional=True), authorization, self.refused) as visiting:
            later.tasks.insert(0, BackgroundTask(visiting.end))
            yield visiting.token

    def require(self, *scopes: str, role: str | None = None, audience: str | None = None) -> Any:
        """Return a dependency: the `VerifiedToken` that holds every scope and whose subject has the role.

        `token: Annotated[VerifiedToken, ww.require("users:read")]`, or in the `dependencies` of a route, a
        router or the application; HTTP and WebSocket alike. The request runs on behalf of the caller until
        its answer is sent. Refusals are 401, 403 and 400 with `WWW-Authenticate` (RFC 6750 §3), 503 without
        keys; a call to another service that fails and is not caught is 502, 503 or 504. `audience` is for a
        service with several: only tokens for this one are admitted.
        """
        return self._dependency(self.guard(scopes, role=role, audience=audience), self.token)

    def optional(self, *scopes: str, role: str | None = None, audience: str | None = None) -> Any:
        """Return a dependency as `require`, `None` without any token; one that is there must be good."""
        guard = self.guard(scopes, role=role, audience=audience, optional=True)
        return self._dependency(guard, self.token_or_none)

    def publish_metadata(self, app: FastAPI, resource: str, *scopes: str, max_age: int = 300) -> None:
        """Publish issuers and scopes of this service, the `resource`; challenges point there (RFC 9728)."""
        _publish(app.router, self.resource_metadata(resource, scopes, max_age=max_age))

    def _dependency(self, guard: Guard, found: Callable[..., Any]) -> Any:
        async def admitted(token: Annotated[Any, params.Depends(found)]) -> Any:
            try:
                guard.demand(token)
            except WatchwordError as error:
                raise self.refused(error) from error
            return token

        return params.Security(admitted, scopes=guard.scopes)

    def refused(self, error: WatchwordError) -> Exception:
        """Return what FastAPI makes an answer of; the error itself if it is our own mistake."""
        refusal = self.refusal_of(error)
        return error if refusal is None else Refused(refusal, error)


async def _answer(connection: Request | WebSocket, error: Exception) -> Response | None:
    if not isinstance(error, Refused):
        raise error
    status, headers, body = error.refusal
    if isinstance(connection, WebSocket):
        state, extensions = connection.application_state, connection.scope.get("extensions") or {}
        if state is not WebSocketState.CONNECTING or "websocket.http.response" not in extensions:
            if state is not WebSocketState.DISCONNECTED:
                await connection.close(close_code(error.refusal))
            return None
    return Response(body, status, dict(headers))


def issuer_router(issuer: "Issuer", *, max_age: int = 300) -> APIRouter:
    """Return the routes of a service that signs its own tokens: JWK Set, metadata, and `/public-key` as PEM.

    They stay open where `dependencies` guard the rest. Answers may be cached for `max_age` seconds; a
    prepared key waits at least as long.
    """
    routes = APIRouter()
    for publication in of_issuer(issuer, max_age=max_age):
        _publish(routes, publication)
    return routes


def _publish(routes: APIRouter, publication: Publication) -> None:
    async def published(request: Request) -> Response:
        told = publication.answer(request.headers.get("if-none-match"), request.query_params.get("kid"))
        return Response(told.body, told.status, dict(told.headers))

    routes.add_route(publication.path, published, ["GET"], publication.name, include_in_schema=False)
