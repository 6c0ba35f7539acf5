"""The conformance suite on services of ours: what the adapters guard passes it whole."""

from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from fastapi import FastAPI
from flask import Flask

import watchword.fastapi
import watchword.flask
from watchword.testing import ConformanceSuite, TestIssuer
from watchword.testing.clients import Send
from watchword.testing.peers import Peer
from watchword.testing.serving import serving_wsgi

ELSEWHERE: dict[str, Any] = {"issuer": "https://login.example", "audience": "posts", "environ": {}}

flask_app = Flask(__name__)
flask_auth = watchword.flask.Watchword(flask_app, **ELSEWHERE)


@flask_app.get("/posts")
@flask_auth.require("posts:read")
def flask_posts() -> Any:
    return flask_auth.session("users").get("/users").json()


fastapi_ww = watchword.fastapi.Watchword(**ELSEWHERE)
fastapi_app = FastAPI(lifespan=fastapi_ww.lifespan)


@fastapi_app.get("/posts")
async def fastapi_posts(
    token: Annotated[watchword.fastapi.VerifiedToken, fastapi_ww.require("posts:read", role="reader")],
) -> Any:
    return (await fastapi_ww.client("users").get("/users")).json()


class TestFlask(ConformanceSuite):
    audience, scope = "posts", "posts:read"

    @pytest.fixture
    def send(self, watchword_issuer: TestIssuer, watchword_callee: Peer) -> Send:
        watchword_issuer.install(flask_auth, urls={"users": watchword_callee.url})
        return watchword_issuer.calling(flask_app, "/posts")


class TestFastAPI(ConformanceSuite):
    audience, scope, roles = "posts", "posts:read", ("reader",)

    @pytest.fixture
    def send(self, watchword_issuer: TestIssuer, watchword_callee: Peer) -> Send:
        watchword_issuer.install(fastapi_ww, urls={"users": watchword_callee.url})
        return watchword_issuer.calling(fastapi_app, "/posts")


class TestOverHTTP(ConformanceSuite):
    """A service that runs, and fetches its keys from an issuer on loopback."""

    audience, scope, roles = "posts", "posts:read", ("reader",)

    @pytest.fixture
    def watchword_issuer(self) -> Iterator[TestIssuer]:
        with TestIssuer.serving() as issuer:
            yield issuer

    @pytest.fixture
    def send(self, watchword_issuer: TestIssuer, watchword_callee: Peer) -> Iterator[Send]:
        auth = watchword.flask.Watchword(
            app := Flask(__name__),
            issuer=watchword_issuer.url,
            audience="posts",
            client=watchword_issuer.settings("posts")["client"],
            urls={"users": watchword_callee.url},
        )

        @app.get("/posts")
        @auth.require("posts:read", role="reader")
        def posts() -> Any:
            return auth.session("users").get("/users").json()

        with serving_wsgi(app) as url:
            yield watchword_issuer.calling(url, "/posts")
        auth.close()
