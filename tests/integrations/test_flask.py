"""The Flask adapter: the behaviour that every framework has, and what is Flask's own."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
import requests
from flask import Blueprint, Flask, Response, jsonify, stream_with_context

from watchword.errors import CalleeUnreachable, ExchangeDenied, NoCaller
from watchword.flask import Watchword, issuer_blueprint
from watchword.testing.frameworks import RESOURCE, Endpoints, FrameworkBehaviour
from watchword.testing.peers import IssuingPeer
from watchword.testing.serving import serving_wsgi


def views(auth: Watchword, endpoints: Endpoints) -> dict[str, Callable[[], Any]]:
    """What the application of the suite answers, by path, without any guard."""

    def read() -> dict[str, Any]:
        token = auth.token
        return {
            "subject": token.subject.id,
            "scope": sorted(token.scope),
            "roles": sorted(token.roles),
            "caller": endpoints.who(),
        }

    def fail() -> str:
        endpoints.fail()
        return "not reached"

    def meet() -> str:
        endpoints.meet()
        return endpoints.who()

    def stream() -> Iterator[str]:
        for _ in range(3):
            yield endpoints.who()

    def authors() -> Any:
        answer = auth.session("users").get("/users", timeout=2)
        answer.raise_for_status()
        return answer.json()

    return {
        "/read": read, "/fail": fail, "/meet": meet, "/stream": stream, "/authors": authors,
        "/edit": lambda: "edited", "/optional": endpoints.who, "/drafts": endpoints.who,
    }  # fmt: skip


def awaited(auth: Watchword, view: Callable[[], Any]) -> Callable[[], Any]:
    """The same as an async view; calls go through the async client."""

    async def aview() -> Any:
        await asyncio.sleep(0)
        if view.__name__ == "authors":
            answer = await auth.client("users").get("/users", timeout=2)
            answer.raise_for_status()
            return answer.json()
        return view()

    return aview


@contextmanager
def served(app: Flask, auth: Watchword, endpoints: Endpoints) -> Iterator[str]:
    app.add_url_rule("/open", "open", endpoints.who)
    auth.publish_metadata(app, RESOURCE)
    with serving_wsgi(app) as url:
        yield url
    auth.close()


def decorate(app: Flask, auth: Watchword, paths: Mapping[str, Callable[[], Any]]) -> None:
    """Guard each view by a decorator."""
    guards = {
        "/edit": auth.require("posts:read", role="editor"),
        "/optional": auth.optional("posts:read"),
        "/drafts": auth.require("posts:read", audience="drafts"),
    }
    for path, view in paths.items():
        app.add_url_rule(path, path, guards.get(path, auth.require("posts:read"))(view))


class TestViews(FrameworkBehaviour):
    @contextmanager
    def serve(self, settings: Mapping[str, Any], endpoints: Endpoints) -> Iterator[str]:
        app = Flask(__name__)
        auth = Watchword(app, **settings)
        decorate(app, auth, views(auth, endpoints))
        with served(app, auth, endpoints) as url:
            yield url


class TestAsyncViews(FrameworkBehaviour):
    @contextmanager
    def serve(self, settings: Mapping[str, Any], endpoints: Endpoints) -> Iterator[str]:
        app = Flask(__name__)
        auth = Watchword(app, **settings)
        decorate(app, auth, {path: awaited(auth, view) for path, view in views(auth, endpoints).items()})
        with served(app, auth, endpoints) as url:
            yield url


class TestBlueprints(FrameworkBehaviour):
    """Whole blueprints behind one line each; only what is optional is decorated."""

    @contextmanager
    def serve(self, settings: Mapping[str, Any], endpoints: Endpoints) -> Iterator[str]:
        app = Flask(__name__)
        auth = Watchword(app, **settings)
        paths = views(auth, endpoints)
        app.add_url_rule("/optional", "optional", auth.optional("posts:read")(paths.pop("/optional")))
        for name, guard in (("edit", {"role": "editor"}), ("drafts", {"audience": "drafts"})):
            blueprint = Blueprint(name, __name__)
            auth.protect(blueprint, "posts:read", **guard)
            blueprint.add_url_rule(f"/{name}", name, paths.pop(f"/{name}"))
            app.register_blueprint(blueprint)
        posts = Blueprint("posts", __name__)
        for path, view in paths.items():
            posts.add_url_rule(path, path[1:], view)
        auth.protect(posts, "posts:read")
        app.register_blueprint(posts)
        with served(app, auth, endpoints) as url:
            yield url


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


def test_a_whole_application_is_guarded_except_for_what_it_publishes(app: Flask, peer: IssuingPeer) -> None:
    auth = app.extensions["watchword"]
    app.register_blueprint(issuer_blueprint(peer.issuer))
    auth.publish_metadata(app, "https://posts.example/api", "posts:all")
    auth.protect(app, "posts:read")

    @app.get("/posts")
    def posts() -> str:
        return auth.token.subject.id

    client = app.test_client()
    assert client.get("/posts").status_code == 401
    assert client.get("/posts", headers=bearer(peer)).text == "john_doe"
    assert client.get("/nothing").status_code == 401
    assert client.get("/nothing", headers=bearer(peer)).status_code == 404
    assert client.options("/posts").status_code == 200
    assert client.get("/.well-known/jwks.json").status_code == 200
    metadata = client.get("/.well-known/oauth-protected-resource/api")
    assert metadata.get_json()["scopes_supported"] == ["posts:all", "posts:read"]


def test_hooks_after_the_guard_of_a_blueprint_run_for_its_caller(app: Flask, peer: IssuingPeer) -> None:
    auth = app.extensions["watchword"]
    posts = Blueprint("posts", __name__)
    auth.protect(posts, "posts:read")
    seen = []

    @posts.before_request
    def before() -> None:
        seen.append(auth.token.subject.id)

    @posts.after_request
    def after(answer: Response) -> Response:
        token = auth.token_or_none  # hooks like this one run after refusals, too
        seen.append("nobody" if token is None else token.subject.id)
        return answer

    @posts.get("/posts")
    def view() -> Response:
        return jsonify(auth.token.subject.id)

    app.register_blueprint(posts)
    client = app.test_client()
    assert client.get("/posts", headers=bearer(peer)).get_json() == "john_doe"
    assert seen == ["john_doe", "john_doe"]
    assert client.get("/posts").status_code == 401
    assert seen[2:] == ["nobody"]
    assert auth.token_or_none is None


def test_blueprints_within_blueprints_demand_both(app: Flask, peer: IssuingPeer) -> None:
    auth = app.extensions["watchword"]
    outer, inner = Blueprint("outer", __name__), Blueprint("inner", __name__)
    auth.protect(outer, "posts:read")
    auth.protect(inner, "posts:write")
    inner.add_url_rule("/posts", "posts", lambda: auth.token.subject.id)
    outer.register_blueprint(inner)
    app.register_blueprint(outer)
    client = app.test_client()
    assert client.get("/posts", headers=bearer(peer)).status_code == 403
    both = {"Authorization": f"Bearer {peer.token(scope={'posts:read', 'posts:write'})}"}
    assert client.get("/posts", headers=both).text == "john_doe"
    assert auth.token_or_none is None


def test_a_broken_view_of_a_blueprint_leaves_no_caller_behind(app: Flask, peer: IssuingPeer) -> None:
    auth = app.extensions["watchword"]
    posts = Blueprint("posts", __name__)
    auth.protect(posts, "posts:read")

    @posts.get("/posts")
    def view() -> str:
        raise RuntimeError("broken on purpose")

    app.register_blueprint(posts)
    assert app.test_client().get("/posts", headers=bearer(peer)).status_code == 500
    assert auth.token_or_none is None


def test_a_stream_of_a_blueprint_has_its_caller_only_while_a_chunk_is_made(
    app: Flask, peer: IssuingPeer
) -> None:
    auth = app.extensions["watchword"]
    posts = Blueprint("posts", __name__)
    auth.protect(posts, "posts:read")
    posts.add_url_rule("/posts", "posts", lambda: (auth.token.subject.id for _ in range(2)))
    app.register_blueprint(posts)
    answer = app.test_client().get("/posts", headers=bearer(peer), buffered=False)
    assert next(answer.response) == b"john_doe"
    assert auth.token_or_none is None
    assert next(answer.response) == b"john_doe"
    answer.close()


def test_a_handler_of_the_application_gets_a_failed_call_by_our_name(peer: IssuingPeer) -> None:
    app = Flask(__name__)
    Watchword(app, issuer=peer.url, audience="posts", urls={"users": "http://127.0.0.1:1"})

    @app.errorhandler(CalleeUnreachable)
    def shaped(error: CalleeUnreachable) -> tuple[str, int]:
        return type(error.__cause__).__name__, 418

    @app.get("/posts")
    def posts() -> str:
        requests.get("http://127.0.0.1:1/users", timeout=2)
        return "not reached"

    answer = app.test_client().get("/posts")
    assert (answer.status_code, answer.text) == (418, "ConnectionError")


def test_an_audience_that_is_not_ours_fails_where_it_stands(app: Flask) -> None:
    with pytest.raises(ValueError, match="one of WATCHWORD_AUDIENCE"):
        app.extensions["watchword"].require("posts:read", audience="reports")
