"""FastAPI: a dependency that admits callers, scopes in the OpenAPI document, errors as RFC 6750 answers."""

import hashlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, HTTPException, Request, Response, params
from fastapi.exception_handlers import http_exception_handler
from fastapi.requests import HTTPConnection
from fastapi.security.http import HTTPBase
from msgspec import json

from watchword import service
from watchword.caller import running_for
from watchword.errors import KeyUnknown, WatchwordError
from watchword.integrations.callee import callee_failures
from watchword.integrations.refusals import refusal_of
from watchword.resource.authorize import demand, scope_tokens
from watchword.resource.bearer import Refusal, bearer_token
from watchword.tokens.verified import VerifiedToken

if TYPE_CHECKING:
    from watchword.keys.issuer import Issuer


class Refused(HTTPException):
    """A refusal on its way out; an application with a handler of its own for `HTTPException` shapes it."""

    def __init__(self, refusal: Refusal, error: WatchwordError) -> None:
        self.refusal = refusal
        super().__init__(refusal.status, error.public, dict(refusal.headers))


class _Bearer(HTTPBase):
    """The security scheme of the OpenAPI document; it takes every header, `bearer_token` judges them."""

    async def __call__(self, request: HTTPConnection) -> list[str]:  # type: ignore[override]
        handlers = request.scope.get("starlette.exception_handlers", ({},))[0]
        shaped = next((handlers[kind] for kind in HTTPException.__mro__ if kind in handlers), None)
        if shaped in (None, http_exception_handler):
            handlers.setdefault(Refused, _answer)
        return request.headers.getlist("authorization")


_BEARER = params.Security(
    _Bearer(scheme="bearer", scheme_name="watchword", description="RFC 9068 access token")
)


class Watchword(service.Watchword):
    """The `Watchword` object of a FastAPI service; give its `lifespan` to the application."""

    async def token(self, authorization: Annotated[list[str], _BEARER]) -> AsyncIterator[VerifiedToken]:
        """Verify the request's token; the dependency below every `require`, the one to override in tests."""
        try:
            text = bearer_token(authorization)
            token = await self.averify(text)
            with running_for(text, token), callee_failures(self.settings.urls.values()):
                yield token
        except WatchwordError as error:
            raise _refused(error) from error

    def require(self, *scopes: str, role: str | None = None) -> Any:
        """Return a dependency: the `VerifiedToken` that holds every scope and whose subject has the role.

        `token: Annotated[VerifiedToken, ww.require("users:read")]`, or in a route's `dependencies`. The
        request runs on behalf of the caller until its answer is sent. Refusals are 401, 403 and 400 with
        `WWW-Authenticate` (RFC 6750 §3), 503 without keys; a call to another service that fails and is
        not caught is 502, 503 or 504.
        """
        demanded = scope_tokens(scopes)

        async def admitted(token: Annotated[VerifiedToken, params.Depends(self.token)]) -> VerifiedToken:
            try:
                demand(token, demanded, role=role)
            except WatchwordError as error:
                raise _refused(error) from error
            return token

        return params.Security(admitted, scopes=demanded)


def _refused(error: WatchwordError) -> Exception:
    refusal = refusal_of(error)
    return error if refusal is None else Refused(refusal, error)


async def _answer(_: Request, error: Exception) -> Response:
    if not isinstance(error, Refused):
        raise error
    status, headers, body = error.refusal
    return Response(body, status, dict(headers))


def issuer_router(issuer: "Issuer", *, max_age: int = 300) -> APIRouter:
    """Return the routes of a service that signs its own tokens: JWK Set, metadata, and `/public-key` as PEM.

    Args:
        issuer: whose keys are published.
        max_age: seconds for which answers may be cached; a prepared key waits at least as long.
    """
    routes = APIRouter()

    def published(request: Request, content: bytes, content_type: str) -> Response:
        etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        headers = {"ETag": etag, "Cache-Control": f"public, max-age={max_age}"}
        known = request.headers.get("if-none-match", "")
        if etag in known.split(", ") or known == "*":
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=content_type, headers=headers)

    @routes.get("/.well-known/jwks.json")
    async def jwk_set(request: Request) -> Response:
        """Return the keys of this issuer (RFC 7517 §5)."""
        return published(request, json.encode(issuer.jwk_set().to_dict()), "application/jwk-set+json")

    @routes.get("/.well-known/oauth-authorization-server")
    async def metadata(request: Request) -> Response:
        """Return where the keys are (RFC 8414)."""
        return published(request, json.encode(issuer.metadata()), "application/json")

    @routes.get("/public-key")
    async def public_key(request: Request, kid: str | None = None) -> Response:
        """Return one key as PEM; the one that signs by default."""
        try:
            return published(request, issuer.public_pem(kid), "application/x-pem-file")
        except KeyUnknown:
            raise HTTPException(404, "no key has this kid") from None

    return routes
