"""Flask: a decorator that admits callers, a caller as long as the request, errors as RFC 6750 answers."""

from collections.abc import Callable, Iterator
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import flask
from werkzeug.wsgi import ClosingIterator

from watchword import service
from watchword.caller import current, running_for
from watchword.errors import KeyUnknown, WatchwordError
from watchword.integrations.callee import callee_failures
from watchword.integrations.refusals import refusal_of
from watchword.resource.authorize import demand, scope_tokens
from watchword.resource.bearer import bearer_token
from watchword.tokens.verified import VerifiedToken

if TYPE_CHECKING:
    from watchword.keys.issuer import Issuer

P = ParamSpec("P")
R = TypeVar("R")
_END = object()


class Watchword(service.Watchword):
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
        app.register_error_handler(WatchwordError, _answer)

    def require(self, *scopes: str, role: str | None = None) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Return a decorator that admits requests whose token holds every scope, its subject the role.

        The decorator stands below the route's. The view, and an answer that it streams, run on behalf of
        the caller. Refusals are 401, 403 and 400 with `WWW-Authenticate` (RFC 6750 §3), 503 without keys;
        a call to another service that fails and is not caught there is 502, 503 or 504.
        """
        demanded = scope_tokens(scopes)

        def guard(view: Callable[P, R]) -> Callable[P, R]:
            @wraps(view)
            def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
                text = bearer_token(flask.request.headers.getlist("Authorization"))
                token = self.verify(text)
                demand(token, demanded, role=role)
                with running_for(text, token), callee_failures(self.settings.urls.values()):
                    answer = flask.current_app.ensure_sync(view)(*args, **kwargs)
                streamed: R = _streaming(answer, text, token)
                return streamed

            return guarded

        return guard

    @property
    def token(self) -> VerifiedToken:
        """The verified token of this request.

        Raises:
            NoCaller: outside of a view that is guarded by `require`.
        """
        return current().token


def _answer(error: WatchwordError) -> flask.Response:
    refusal = refusal_of(error)
    if refusal is None:
        raise error
    return flask.Response(refusal.body, refusal.status, list(refusal.headers))


def _streaming(answer: Any, text: str, token: VerifiedToken) -> Any:
    """Return the view's answer, its chunks made on behalf of the caller if they are made later."""
    if isinstance(answer, Iterator):
        return _carried(answer, text, token)
    if isinstance(answer, tuple) and answer and isinstance(answer[0], Iterator):
        return (_carried(answer[0], text, token), *answer[1:])
    if isinstance(answer, flask.Response) and answer.is_streamed and not answer.direct_passthrough:
        answer.response = _carried(iter(answer.response), text, token)
    return answer


def _carried(chunks: Iterator[Any], text: str, token: VerifiedToken) -> ClosingIterator:
    """Yield the chunks, each made on behalf of the caller; between them there is none, whoever iterates."""

    def steps() -> Iterator[Any]:
        while True:
            with running_for(text, token):
                chunk = next(chunks, _END)
            if chunk is _END:
                return
            yield chunk

    return ClosingIterator(steps(), getattr(chunks, "close", None))


def issuer_blueprint(issuer: "Issuer", *, max_age: int = 300) -> flask.Blueprint:
    """Return the routes of a service that signs its own tokens: JWK Set, metadata, and `/public-key` as PEM.

    Args:
        issuer: whose keys are published.
        max_age: seconds for which answers may be cached; a prepared key waits at least as long.
    """
    routes = flask.Blueprint("watchword_issuer", __name__)

    def published(content: bytes, content_type: str) -> flask.Response:
        answer = flask.Response(content, content_type=content_type)
        answer.cache_control.public, answer.cache_control.max_age = True, max_age
        answer.add_etag()
        answer.make_conditional(flask.request)
        return answer

    @routes.get("/.well-known/jwks.json")
    def jwk_set() -> flask.Response:
        return published(flask.json.dumps(issuer.jwk_set().to_dict()).encode(), "application/jwk-set+json")

    @routes.get("/.well-known/oauth-authorization-server")
    def metadata() -> flask.Response:
        return published(flask.json.dumps(issuer.metadata()).encode(), "application/json")

    @routes.get("/public-key")
    def public_key() -> flask.Response:
        try:
            return published(issuer.public_pem(flask.request.args.get("kid")), "application/x-pem-file")
        except KeyUnknown:
            flask.abort(404)

    return routes
