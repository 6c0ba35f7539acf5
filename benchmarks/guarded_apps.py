"""The same small application without a guard, with ours, and with PyJWT and its `PyJWKClient`.

An ASGI server imports `app`; `BENCH_APP` says which one: `fastapi-plain`, `asgi-ours`, …
"""

import json
import os
from collections.abc import Callable
from typing import Annotated, Any

import jwt
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from flask import Flask, abort, request

from watchword import asgi, fastapi, flask

AUDIENCE = "posts"
ANSWER = {"posts": [1, 2, 3]}
_BODY = json.dumps(ANSWER).encode()


def verifier(issuer: str, alg: str) -> Callable[[str], dict[str, Any]]:
    """Return PyJWT's verification as its documentation has it for a JWK Set at a URL."""
    client = jwt.PyJWKClient(f"{issuer}/.well-known/jwks.json")

    def verify(token: str) -> dict[str, Any]:
        key = client.get_signing_key_from_jwt(token)
        required = ["exp", "iat", "sub", "jti", "client_id"]
        return jwt.decode(
            token, key, audience=AUDIENCE, issuer=issuer, algorithms=[alg], options={"require": required}
        )

    return verify


def flask_app(guard: str, issuer: str, alg: str) -> Flask:
    app = Flask("posts")
    auth = flask.Watchword(app, issuer=issuer, audience=AUDIENCE, environ={}) if guard == "ours" else None
    verify = verifier(issuer, alg) if guard == "pyjwt" else None

    def posts() -> dict[str, Any]:
        if verify is not None:
            try:
                verify(request.headers["Authorization"].removeprefix("Bearer "))
            except jwt.PyJWTError:
                abort(401)
        return ANSWER

    app.get("/posts")(posts if auth is None else auth.require("posts:read")(posts))
    return app


def fastapi_app(guard: str, issuer: str, alg: str) -> FastAPI:
    if guard == "plain":
        app = FastAPI()

        @app.get("/posts")
        async def plain() -> dict[str, Any]:
            return ANSWER

    elif guard == "ours":
        ww = fastapi.Watchword(issuer=issuer, audience=AUDIENCE, environ={})
        app = FastAPI(lifespan=ww.lifespan)

        @app.get("/posts")
        async def ours(token: Annotated[fastapi.VerifiedToken, ww.require("posts:read")]) -> dict[str, Any]:
            return ANSWER

    else:
        verify, scheme = verifier(issuer, alg), HTTPBearer()
        app = FastAPI()

        async def claims(given: Annotated[HTTPAuthorizationCredentials, Depends(scheme)]) -> dict[str, Any]:
            if guard == "empty":  # what FastAPI itself takes for a dependency below a dependency
                return {}
            try:
                return verify(given.credentials)
            except jwt.PyJWTError:
                raise HTTPException(401) from None

        @app.get("/posts")
        async def pyjwt(token: Annotated[dict[str, Any], Depends(claims)]) -> dict[str, Any]:
            return ANSWER

    return app


def asgi_app(guard: str, issuer: str, alg: str) -> Any:
    verify = verifier(issuer, alg) if guard == "pyjwt" else None

    async def plain(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        status = 200
        if verify is not None:
            try:
                verify(dict(scope["headers"])[b"authorization"].decode().removeprefix("Bearer "))
            except (KeyError, jwt.PyJWTError):
                status = 401
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_BODY))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": _BODY})

    if guard != "ours":
        return plain
    return asgi.Watchword(issuer=issuer, audience=AUDIENCE, environ={}).protect(plain, "posts:read")


MAKERS = {"fastapi": fastapi_app, "asgi": asgi_app}

if "BENCH_APP" in os.environ:
    _framework, _, _guard = os.environ["BENCH_APP"].partition("-")
    app = MAKERS[_framework](_guard, os.environ["BENCH_ISSUER"], os.environ["BENCH_ALG"])
