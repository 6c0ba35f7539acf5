"""Any WSGI application: a guard around it, a caller to the last word of its body, RFC 6750 answers."""

import sys
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast
from urllib.parse import parse_qs

from watchword.errors import WatchwordError
from watchword.integrations.guard import Guard
from watchword.integrations.guarding import Decorating
from watchword.integrations.published import Publication, of_issuer
from watchword.integrations.refusals import headers_of
from watchword.integrations.stream import CarriedStream

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from watchword.keys.issuer import Issuer

P = ParamSpec("P")
R = TypeVar("R")


class Watchword(Decorating):
    """The `Watchword` object of a WSGI service."""

    def protect(
        self, app: "WSGIApplication", *scopes: str, role: str | None = None, audience: str | None = None
    ) -> "WSGIApplication":
        """Return the application behind a guard; what is demanded and answered is told at `require`.

        Its body, made while it is sent, is made on behalf of the caller, until it is closed (PEP 3333).
        """
        return self.decorated(self.guard(scopes, role=role, audience=audience), app)

    def publish_metadata(
        self, app: "WSGIApplication", resource: str, *scopes: str, max_age: int = 300
    ) -> "WSGIApplication":
        """Return the application with the issuers and scopes of this service beside it (RFC 9728 §3).

        `resource` is its URL; `scopes` are named beyond those of its guards. It goes around `protect`.
        """
        return _publishing(app, self.resource_metadata(resource, scopes, max_age=max_age))

    def decorated(self, guard: Guard, endpoint: Callable[P, R]) -> Callable[P, R]:
        """Return a WSGI application, or a method that is one, that runs for whom the guard admits."""

        @wraps(endpoint)
        def guarded(*args: Any) -> Any:
            environ, start_response = args[-2:]
            body: CarriedStream | None = None
            try:
                visit = guard.admit(_authorization(environ))
                with visit.running():
                    chunks: Any = cast("Callable[..., Any]", endpoint)(*args)
                body = CarriedStream(chunks, visit)
                body.begin()  # an application that is a generator begins here, while it can still be refused
            except WatchwordError as error:
                refusal = self.refusal_of(error)
                if body is not None:
                    body.close()
                if refusal is None:
                    raise
                return _answer(environ, start_response, refusal.status, headers_of(refusal), refusal.body)
            except BaseException:
                if body is not None:
                    body.close()
                raise
            return body

        return cast("Callable[P, R]", guarded)


def _authorization(environ: "WSGIEnvironment") -> list[str]:
    value = environ.get("HTTP_AUTHORIZATION")  # servers join several by a comma, which no token holds
    return [] if value is None else [value]


def _answer(
    environ: "WSGIEnvironment",
    start_response: "StartResponse",
    status: int,
    headers: Mapping[str, str],
    body: bytes,
) -> Iterable[bytes]:
    """Answer in place of the application; raises what is under way if its own head has left already."""
    start_response(f"{status} {HTTPStatus(status).phrase}", list(headers.items()), _under_way())
    return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]


def _under_way() -> Any:
    return sys.exc_info() if sys.exc_info()[0] is not None else None


def _publishing(app: "WSGIApplication", *publications: Publication) -> "WSGIApplication":
    published = {publication.path: publication for publication in publications}

    def publishing(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        found = published.get(environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""))
        if found is None or environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return app(environ, start_response)
        kid = parse_qs(environ.get("QUERY_STRING", "")).get("kid", [None])[0]
        told = found.answer(environ.get("HTTP_IF_NONE_MATCH"), kid)
        return _answer(environ, start_response, *told)

    return publishing


def issuer_app(app: "WSGIApplication", issuer: "Issuer", *, max_age: int = 300) -> "WSGIApplication":
    """Return the application of a service that signs its own tokens with what it publishes beside it."""
    return _publishing(app, *of_issuer(issuer, max_age=max_age))
