"""The Flask adapter: the behaviour that every framework has, and what is Flask's own."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask, Response, stream_with_context

from watchword.errors import ExchangeDenied, NoCaller
from watchword.flask import Watchword
from watchword.testing.frameworks import Endpoints, FrameworkBehaviour
from watchword.testing.peers import IssuingPeer
from watchword.testing.serving import serving_wsgi


class TestFlask(FrameworkBehaviour):
    @contextmanager
    def serve(self, settings: Mapping[str, Any], endpoints: Endpoints) -> Iterator[str]:
        app = Flask(__name__)
        auth = Watchword(app, **settings)

        @app.get("/open")
        def anybody() -> str:
            return endpoints.who()

        @app.get("/read")
        @auth.require("posts:read")
        def read() -> dict[str, Any]:
            token = auth.token
            return {
                "subject": token.subject.id,
                "scope": sorted(token.scope),
                "roles": sorted(token.roles),
                "caller": endpoints.who(),
            }

        @app.get("/edit")
        @auth.require("posts:read", role="editor")
        def edit() -> str:
            return "edited"

        @app.get("/fail")
        @auth.require("posts:read")
        def fail() -> str:
            endpoints.fail()
            return "not reached"

        @app.get("/meet")
        @auth.require("posts:read")
        def meet() -> str:
            endpoints.meet()
            return endpoints.who()

        @app.get("/stream")
        @auth.require("posts:read")
        def stream() -> Iterator[str]:
            for _ in range(3):
                yield endpoints.who()

        @app.get("/authors")
        @auth.require("posts:read")
        def authors() -> Any:
            answer = auth.session("users").get("/users", timeout=2)
            answer.raise_for_status()
            return answer.json()

        with serving_wsgi(app) as url:
            yield url
        auth.close()


@pytest.fixture(scope="module")
def peer() -> Iterator[IssuingPeer]:
    peer = IssuingPeer()
    with peer.running():
        yield peer


@pytest.fixture
def app(peer: IssuingPeer) -> Flask:
    app = Flask(__name__)
    Watchword(app, issuer=peer.url, audience="posts")
    return app


def bearer(peer: IssuingPeer) -> dict[str, str]:
    return {"Authorization": f"Bearer {peer.token()}"}


def test_an_async_view_runs_for_its_caller(app: Flask, peer: IssuingPeer) -> None:
    pytest.importorskip("asgiref")
    auth = app.extensions["watchword"]

    @app.get("/async")
    @auth.require("posts:read")
    async def view() -> str:
        await asyncio.to_thread(int)
        return auth.token.subject.id

    assert app.test_client().get("/async", headers=bearer(peer)).text == "john_doe"


def test_a_response_object_that_streams_keeps_its_caller_and_is_closed(app: Flask, peer: IssuingPeer) -> None:
    auth = app.extensions["watchword"]
    closed = []

    @app.get("/stream")
    @auth.require("posts:read")
    def view() -> Response:
        def chunks() -> Iterator[str]:
            try:
                yield auth.token.subject.id
                yield auth.token.subject.id
            finally:
                closed.append(True)

        return Response(stream_with_context(chunks()))

    answer = app.test_client().get("/stream", headers=bearer(peer))
    assert answer.text == "john_doejohn_doe"
    assert closed == [True]


def test_between_the_chunks_of_a_stream_there_is_no_caller(app: Flask, peer: IssuingPeer) -> None:
    auth = app.extensions["watchword"]

    @app.get("/stream")
    @auth.require("posts:read")
    def view() -> tuple[Iterator[str], int]:
        return (auth.token.subject.id for _ in range(2)), 203

    answer = app.test_client().get("/stream", headers=bearer(peer), buffered=False)
    assert next(answer.response) == b"john_doe"
    with pytest.raises(NoCaller):
        _ = auth.token
    assert next(answer.response) == b"john_doe"
    answer.close()


def test_a_guard_that_is_written_wrongly_fails_where_it_stands(app: Flask) -> None:
    auth = app.extensions["watchword"]

    with pytest.raises(TypeError, match="parentheses"):

        @auth.require
        def view() -> str:
            return "not guarded"

    with pytest.raises(ValueError, match="one scope per text"):
        auth.require("posts:read posts:write")


def test_the_token_of_nobody_is_no_token(app: Flask) -> None:
    auth = app.extensions["watchword"]
    with app.test_request_context("/"), pytest.raises(NoCaller):
        _ = auth.token


def test_a_call_without_a_caller_is_our_own_mistake_and_a_500(app: Flask) -> None:
    auth = app.extensions["watchword"]

    @app.get("/unguarded")
    def view() -> str:
        return auth.token.subject.id

    assert app.test_client().get("/unguarded").status_code == 500


def test_a_handler_of_the_application_goes_before_ours(app: Flask, peer: IssuingPeer) -> None:
    auth = app.extensions["watchword"]

    @app.errorhandler(ExchangeDenied)
    def shaped(error: ExchangeDenied) -> tuple[str, int]:
        return error.error, 418

    @app.get("/denied")
    @auth.require("posts:read")
    def view() -> str:
        raise ExchangeDenied("the server said no", error="invalid_target", callee="users")

    answer = app.test_client().get("/denied", headers=bearer(peer))
    assert (answer.status_code, answer.text) == (418, "invalid_target")


def test_an_error_that_is_not_ours_stays_what_it_is(app: Flask, peer: IssuingPeer) -> None:
    auth = app.extensions["watchword"]

    @app.errorhandler(KeyError)
    def shaped(_: KeyError) -> tuple[str, int]:
        return "mine", 409

    @app.get("/broken")
    @auth.require("posts:read")
    def view() -> str:
        raise KeyError("x")

    assert app.test_client().get("/broken", headers=bearer(peer)).status_code == 409
