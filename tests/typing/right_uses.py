"""What users write, with the types that they are promised; checked, never run."""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true, reportUnusedFunction=false

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from pathlib import Path
from typing import Annotated, Any, assert_type

import aiohttp
import requests
from fastapi import APIRouter, FastAPI
from flask import Blueprint, Flask

import watchword
from watchword import Issuer, IssuerSettings, VerifiedToken, Watchword, errors
from watchword.asgi import Watchword as ASGIWatchword
from watchword.fastapi import Watchword as FastAPIWatchword
from watchword.fastapi import issuer_router
from watchword.flask import Watchword as FlaskWatchword
from watchword.flask import issuer_blueprint
from watchword.keystores import open_key_store
from watchword.testing import ConformanceSuite, Forgery, TestIssuer
from watchword.testing.peers import Peer
from watchword.tokens.jwk_set import JWKSet
from watchword.tokens.policy import VerificationPolicy
from watchword.tokens.verify import verify
from watchword.wsgi import Watchword as WSGIWatchword


def plain() -> None:
    ww = Watchword(
        issuer=IssuerSettings("https://login.example", algorithms=("RS256",), token_types=["at+jwt", "JWT"]),
        audience={"posts", "posts-admin"},
        trusted_issuers={"staff": "https://staff.example"},
        client_key_file=Path("posts.key"),
        urls={"users": "https://users.example"},
        leeway=5,
    )
    token = ww.verify("…")
    assert_type(token, VerifiedToken)
    assert_type(token.subject.issuer, str)
    assert_type(token.subject.id, str)
    assert_type(token.scope, frozenset[str])
    assert_type(token.roles, frozenset[str])
    assert_type(token.actors, tuple[str, ...])
    assert_type(token.audience, tuple[str, ...])
    assert_type(token.client_id, str | None)
    assert_type(token.expires_at, float)
    assert_type(token.claims, Mapping[str, Any])
    assert_type(ww.acting_for("…").__enter__(), VerifiedToken)


def add(number: int, *, text: str) -> bytes:
    return b"" * number + text.encode()


async def later(number: int) -> str:
    return str(number)


async def calls(ww: Watchword) -> None:
    assert_type(await ww.averify("…"), VerifiedToken)
    assert_type(ww.bind(add)(1, text="…"), bytes)
    assert_type(await ww.bind(later)(1), str)
    answer = ww.session("users", scope=["users:read"]).get("/users", params={"id": ["1"]})
    assert_type(answer, requests.Response)
    ww.session("users", own_identity=True)
    users = ww.outbound("users", on_behalf="self")
    assert_type(users.authorization("https://users.example/"), str)
    assert_type(await users.authorization_async("https://users.example/"), str)
    assert_type(users.renewed("https://users.example/", "Bearer …", []), str | None)
    async with ww.aiohttp_session("users") as session:
        assert_type(session, aiohttp.ClientSession)
    async with ww.lifespan():
        pass
    ww.close()
    await ww.aclose()


def flask() -> None:
    app = Flask(__name__)
    auth = FlaskWatchword(app)
    blueprint = Blueprint("posts", __name__)
    auth.protect(blueprint, "posts:read")

    @app.get("/<int:number>")
    @auth.require("posts:read", role="editor")
    def view(number: int) -> dict[str, str]:
        assert_type(auth.token, VerifiedToken)
        assert_type(auth.token_or_none, VerifiedToken | None)
        return {"reader": auth.token.subject.id}

    @auth.optional()
    async def front(name: str) -> tuple[str, int]:
        return name, 200

    assert_type(view(1), dict[str, str])
    auth.publish_metadata(app, "https://posts.example")
    app.register_blueprint(issuer_blueprint(issuer()))


def fastapi() -> FastAPI:
    ww = FastAPIWatchword()
    app = FastAPI(lifespan=ww.lifespan, dependencies=[ww.require()])
    router = APIRouter(dependencies=[ww.require("posts:read")])

    @router.get("/{number}")
    async def read(
        number: int,
        token: Annotated[VerifiedToken, ww.require("posts:read")],
        guest: Annotated[VerifiedToken | None, ww.optional()],
    ) -> str:
        assert_type(token, VerifiedToken)
        assert_type(guest, VerifiedToken | None)
        return token.subject.id

    app.include_router(router)
    app.include_router(issuer_router(issuer()))
    app.dependency_overrides[ww.token] = lambda: None
    return app


def any_application(ww: ASGIWatchword, auth: WSGIWatchword) -> None:
    @ww.require("posts:read")
    async def endpoint(request: object) -> str:
        return ww.token.subject.id

    @auth.require("posts:read")
    def view(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        return []

    auth.protect(view, "posts:read")


def issuer() -> Issuer:
    issuer = Issuer("https://users.example", open_key_store("files:keys"), algorithm="ES256")
    assert_type(issuer.issue("john", "posts", scope=["posts:read"], roles={"editor"}, lifetime=300), str)
    assert_type(issuer.prepare_key(), str)
    assert_type(issuer.jwk_set(), JWKSet)
    assert_type(issuer.public_pem(), bytes)
    return issuer


def strict(keys: JWKSet) -> None:
    policy = VerificationPolicy("https://login.example", "posts", {"ES256"}, missing_kid="single_key")
    assert_type(verify("…", keys, policy, 0), VerifiedToken)
    assert_type(JWKSet.from_dict({"keys": []}), JWKSet)
    try:
        verify("…", keys, policy, now=0.5)
    except errors.TokenExpired as error:
        assert_type(error.code, str)
    except errors.TokenError as error:
        assert_type(error.public, str)


def mistakes(error: errors.ExchangeDenied, wrong: errors.ConfigurationError) -> None:
    assert_type(error.callee, str)
    assert_type(error.request_id, str | None)
    assert_type(wrong.problems, tuple[str, ...])
    assert_type(watchword.errors.NoCaller.code, str)


class TestPosts(ConformanceSuite):
    audience = "posts"
    scope = "posts:read"
    excused = {Forgery.WRONG_TYPE: "until March"}


def plugin(watchword_issuer: TestIssuer, watchword_callee: Peer, auth: FlaskWatchword) -> None:
    watchword_issuer.install(auth, urls={"users": watchword_callee.url})
    assert_type(watchword_issuer.token("jane", scope={"posts:read"}, expired=True), str)
    assert_type(watchword_issuer.forge(Forgery.TAMPERED, roles=["editor"]), str)
    assert_type(watchword_issuer.down().__enter__(), None)
    watchword_issuer.clock.advance(30)


def managers(
    ww: Watchword,
) -> tuple[AbstractContextManager[VerifiedToken], AbstractAsyncContextManager[None]]:
    return ww.acting_for("…"), ww.lifespan(None)


async def stream(ww: Watchword) -> AsyncIterator[str]:
    yield (await ww.averify("…")).subject.id
