"""Flask: guards of views, blueprints and applications, a caller as long as the request, RFC 6750 answers."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import flask

from watchword.errors import WatchwordError
from watchword.integrations.callee import outbound_error
from watchword.integrations.guard import Guard, Visit
from watchword.integrations.guarding import Decorating
from watchword.integrations.published import Publication, of_issuer
from watchword.integrations.stream import CarriedStream

if TYPE_CHECKING:
    from watchword.keys.issuer import Issuer

P = ParamSpec("P")
R = TypeVar("R")
_LIFE = "watchword.life"


class Watchword(Decorating):
    """The `Watchword` object of a Flask service.

    Args:
        app: the application; without it, call `init_app` later.
        settings: what would otherwise come from `WATCHWORD_…` in the environment.

    Raises:
        ConfigurationError: every setting that cannot work.
    """

    def __init__(self, app: flask.Flask | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        if app is not None:
            self.init_app(app)

    def init_app(self, app: flask.Flask) -> None:
        """Answer this application's refusals; a handler of its own for a more special error goes first."""
        app.extensions["watchword"] = self
        app.register_error_handler(WatchwordError, self._answer)
        handle = app.handle_user_exception

        def handle_named(error: Exception) -> Any:
            # before the application's handlers are looked up by kind
            if (known := outbound_error(error, self.settings.urls.values())) is not None:
                known.__cause__ = error
            return handle(known or error)

        app.handle_user_exception = handle_named  # type: ignore[method-assign, assignment]

    def decorated(self, guard: Guard, endpoint: Callable[P, R]) -> Callable[P, R]:
        """Return a view that runs for whom the guard admits."""

        @wraps(endpoint)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            visit = guard.admit(flask.request.headers.getlist("Authorization"))
            with visit.running():
                answer: Any = flask.current_app.ensure_sync(endpoint)(*args, **kwargs)
            streamed: R = _streaming(answer, visit)
            return streamed

        return guarded

    def protect(
        self,
        app: flask.Flask | flask.Blueprint,
        *scopes: str,
        role: str | None = None,
        audience: str | None = None,
    ) -> None:
        """Guard every view of an application or blueprint, as `require` guards one.

        What `publish_metadata` and `issuer_blueprint` publish stays open, and so does the answer that Flask
        itself gives to `OPTIONS`. An application's unknown paths are refused before they are not found.
        """
        guard = self.guard(scopes, role=role, audience=audience)
        key = f"watchword.visit.{id(guard)}"

        @app.before_request
        def admit() -> None:
            request, rule = flask.request, flask.request.url_rule
            if rule is not None and (
                isinstance(flask.current_app.view_functions.get(rule.endpoint), _Open)
                or (request.method == "OPTIONS" and getattr(rule, "provide_automatic_options", False))
            ):
                return
            visit = request.environ[key] = guard.admit(request.headers.getlist("Authorization"))
            request.environ.setdefault(_LIFE, ExitStack()).enter_context(visit.running())

        @app.after_request
        def carry(answer: flask.Response) -> flask.Response:
            visit = flask.request.environ.get(key)
            return answer if visit is None else _streaming(answer, visit)

        @app.teardown_request
        def end(_: BaseException | None) -> None:
            flask.request.environ.get(_LIFE, ExitStack()).close()

    def publish_metadata(self, app: flask.Flask, resource: str, *scopes: str, max_age: int = 300) -> None:
        """Publish which issuers and scopes this service takes (RFC 9728); its challenges point there.

        `resource` is the URL under which clients know it; `scopes` are named beyond those that guards demand.
        """
        publication = self.resource_metadata(resource, scopes, max_age=max_age)
        app.add_url_rule(publication.path, publication.name, _Open(publication))

    def _answer(self, error: WatchwordError) -> flask.Response:
        refusal = self.refusal_of(error)
        if refusal is None:
            raise error
        return flask.Response(refusal.body, refusal.status, list(refusal.headers))


class _Open:
    """A view that no guard covers: what it publishes is what clients need before they have a token."""

    def __init__(self, publication: Publication) -> None:
        self._publication = publication

    def __call__(self) -> flask.Response:
        request = flask.request
        told = self._publication.answer(request.headers.get("If-None-Match"), request.args.get("kid"))
        return flask.Response(told.body, told.status, dict(told.headers))


def _streaming(answer: Any, visit: Visit) -> Any:
    """Return the view's answer, its chunks made on behalf of the caller if they are made later."""
    first = answer[0] if isinstance(answer, tuple) and answer else answer
    if isinstance(first, Iterator) or (first is not answer and isinstance(first, flask.Response)):
        answer = flask.current_app.make_response(answer)
    if isinstance(answer, flask.Response) and answer.is_streamed and not answer.direct_passthrough:
        answer.response = CarriedStream(answer.response, visit)
    return answer


def issuer_blueprint(issuer: "Issuer", *, max_age: int = 300) -> flask.Blueprint:
    """Return the routes of a service that signs its own tokens: JWK Set, metadata, and `/public-key` as PEM.

    Args:
        issuer: whose keys are published.
        max_age: seconds for which answers may be cached; a prepared key waits at least as long.
    """
    routes = flask.Blueprint("watchword_issuer", __name__)
    for publication in of_issuer(issuer, max_age=max_age):
        routes.add_url_rule(publication.path, publication.name, _Open(publication))
    return routes
