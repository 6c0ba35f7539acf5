"""The WSGI adapter: the behaviour that every framework has, and what is WSGI's own (PEP 3333)."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from watchword.testing.frameworks import RESOURCE, Endpoints, FrameworkBehaviour
from watchword.testing.peers import IssuingPeer
from watchword.testing.serving import serving_wsgi
from watchword.wsgi import Watchword, issuer_app

Application = Callable[..., Any]


def views(auth: Watchword, endpoints: Endpoints) -> dict[str, Callable[[], Iterator[str]]]:
    """What the application of the suite answers: each a generator of texts."""

    def read() -> Iterator[str]:
        token = auth.token
        yield json.dumps(
            {
                "subject": token.subject.id,
                "scope": sorted(token.scope),
                "roles": sorted(token.roles),
                "caller": endpoints.who(),
            }
        )

    def who() -> Iterator[str]:
        yield endpoints.who()

    def fail() -> Iterator[str]:
        endpoints.fail()
        yield ""

    def meet() -> Iterator[str]:
        endpoints.meet()
        yield endpoints.who()

    def stream() -> Iterator[str]:
        for _ in range(3):
            yield endpoints.who()

    def authors() -> Iterator[str]:
        answer = auth.session("users").get("/users", timeout=2)
        answer.raise_for_status()
        yield answer.text

    return {
        "/read": read, "/fail": fail, "/meet": meet, "/stream": stream, "/authors": authors,
        "/edit": who, "/optional": who, "/drafts": who,
    }  # fmt: skip


def listed(view: Callable[[], Iterator[str]]) -> Application:
    """A WSGI application that makes its body at once."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        body = [chunk.encode() for chunk in view()]
        start_response("200 OK", [("Content-Type", "text/plain")])
        return body

    return app


def generated(view: Callable[[], Iterator[str]]) -> Application:
    """A WSGI application that is a generator: nothing happens before its body is asked for."""

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        begun = False
        for chunk in view():
            if not begun:
                start_response("200 OK", [("Content-Type", "text/plain")])
                begun = True
            yield chunk.encode()

    return app


@contextmanager
def served(
    settings: Mapping[str, Any], endpoints: Endpoints, kind: Callable[[Any], Application]
) -> Iterator[str]:
    auth = Watchword(**settings)
    paths = {path: kind(view) for path, view in views(auth, endpoints).items()}
    routes = {path: auth.protect(app, "posts:read") for path, app in paths.items()} | {
        "/open": kind(lambda: iter([endpoints.who()])),
        "/edit": auth.protect(paths["/edit"], "posts:read", role="editor"),
        "/optional": auth.optional("posts:read")(paths["/optional"]),
        "/drafts": auth.require("posts:read", audience="drafts")(paths["/drafts"]),
    }

    def app(environ: Any, start_response: Any) -> Any:
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            start_response("405 Method Not Allowed", [("Content-Type", "text/plain")])
            return [b""]
        return routes[environ["PATH_INFO"]](environ, start_response)

    with serving_wsgi(auth.publish_metadata(app, RESOURCE)) as url:
        yield url
    auth.close()


class TestLists(FrameworkBehaviour):
    @contextmanager
    def serve(self, settings: Mapping[str, Any], endpoints: Endpoints) -> Iterator[str]:
        with served(settings, endpoints, listed) as url:
            yield url


class TestGenerators(FrameworkBehaviour):
    @contextmanager
    def serve(self, settings: Mapping[str, Any], endpoints: Endpoints) -> Iterator[str]:
        with served(settings, endpoints, generated) as url:
            yield url


@pytest.fixture(scope="module")
def peer() -> Iterator[IssuingPeer]:
    peer = IssuingPeer()
    with peer.running():
        yield peer


@pytest.fixture
def auth(peer: IssuingPeer) -> Watchword:
    return Watchword(issuer=peer.url, audience="posts")


class Asked:
    """One request by hand: status, headers and the body, which may still be made."""

    def __init__(self, app: Application, authorization: str | None = None, **environ: str) -> None:
        environ = {"REQUEST_METHOD": "GET", "QUERY_STRING": "", **environ}
        if authorization is not None:
            environ["HTTP_AUTHORIZATION"] = authorization
        setup_testing_defaults(environ)
        self.status = ""
        self.headers: dict[str, str] = {}
        self.body = app(environ, self._start)

    def _start(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[..., None]:
        self.status, self.headers = status, dict(headers)
        return lambda _: None


def test_a_body_has_its_caller_until_it_is_closed_and_none_between_its_chunks(
    auth: Watchword, peer: IssuingPeer
) -> None:
    closed = []

    @auth.require("posts:read")
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        try:
            for _ in range(3):
                yield auth.token.subject.id.encode()
        finally:
            closed.append(auth.token.subject.id)

    asked = Asked(app, f"Bearer {peer.token()}")
    assert next(asked.body) == b"john_doe"
    assert auth.token_or_none is None
    assert next(asked.body) == b"john_doe"
    asked.body.close()
    assert closed == ["john_doe"]
    assert auth.token_or_none is None


def test_the_guard_keeps_to_the_protocol_of_wsgi(auth: Watchword, peer: IssuingPeer) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [auth.token.subject.id.encode()]

    guarded = validator(auth.protect(validator(app), "posts:read"))
    for value, status in ((f"Bearer {peer.token()}", "200 OK"), (None, "401 Unauthorized")):
        asked = Asked(guarded, value)
        list(asked.body)
        asked.body.close()
        assert asked.status == status


def test_a_refusal_of_head_has_no_body_but_says_how_long_it_would_be(auth: Watchword) -> None:
    asked = Asked(auth.protect(lambda *_: [], "posts:read"), REQUEST_METHOD="HEAD")
    assert b"".join(asked.body) == b""
    assert int(asked.headers["Content-Length"]) > 0


def test_several_headers_that_the_server_joined_are_refused(auth: Watchword, peer: IssuingPeer) -> None:
    token = peer.token()
    asked = Asked(auth.protect(lambda *_: [], "posts:read"), f"Bearer {token},Bearer {token}")
    assert asked.status == "400 Bad Request"


def test_an_application_that_breaks_is_closed_and_leaves_no_caller(
    auth: Watchword, peer: IssuingPeer
) -> None:
    closed = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            return self

        def __next__(self) -> bytes:
            raise RuntimeError("broken on purpose")

        def close(self) -> None:
            closed.append(auth.token.subject.id)

    with pytest.raises(RuntimeError):
        Asked(auth.protect(lambda *_: Body(), "posts:read"), f"Bearer {peer.token()}")
    assert closed == ["john_doe"]
    assert auth.token_or_none is None


def test_a_method_can_be_guarded_too(auth: Watchword, peer: IssuingPeer) -> None:
    class Posts:
        @auth.require("posts:read")
        def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
            start_response("200 OK", [])
            return [auth.token.subject.id.encode()]

    assert b"".join(Asked(Posts(), f"Bearer {peer.token()}").body) == b"john_doe"
    assert Asked(Posts()).status == "401 Unauthorized"


def test_an_application_that_signs_its_own_tokens_publishes_its_keys(
    auth: Watchword, peer: IssuingPeer
) -> None:
    app = issuer_app(auth.protect(lambda *_: [], "posts:read"), peer.issuer)
    asked = Asked(app, PATH_INFO="/.well-known/jwks.json")
    assert json.loads(b"".join(asked.body)) == peer.issuer.jwk_set().to_dict()
    again = Asked(app, PATH_INFO="/.well-known/jwks.json", HTTP_IF_NONE_MATCH=asked.headers["ETag"])
    assert (again.status, b"".join(again.body)) == ("304 Not Modified", b"")
    assert Asked(app, PATH_INFO="/public-key", QUERY_STRING="kid=unknown").status == "404 Not Found"
    assert Asked(app, PATH_INFO="/elsewhere").status == "401 Unauthorized"
