"""The ASGI application: finds the route, answers, and writes one line of log per request."""

import logging
from collections.abc import Mapping

from watchword.authority.admin.operation import AdminContext
from watchword.authority.door import code_of
from watchword.clock import SYSTEM_CLOCK, Clock
from watchword.errors import ClientWentAway, RequestRefused, WatchwordError
from watchword.keys.issuer import new_token_id
from watchword.server.address_limit import AddressLimit
from watchword.server.answer import CLOSE, Answer
from watchword.server.errors import oauth_refusal, operator_refusal, problem
from watchword.server.logs import FIELDS, write
from watchword.server.metrics import Metrics
from watchword.server.request import Receive, Request, Scope, Send
from watchword.server.routes import Route
from watchword.server.stop_sign import StopSign

logger = logging.getLogger("watchword.server")

ANSWERED = "watchword.answered"
"""In a scope's `state`: the protocol has answered and logged this request already."""
_REFUSALS = {"oauth": oauth_refusal, "operator": operator_refusal, "problem": problem}


def new_request_id() -> str:
    """Return a fresh request id: 132 random bits. One that a client brings is never taken over."""
    return new_token_id()


class Application:
    """Serves the routes that it is given.

    Args:
        routes: by exact path.
        stop_sign: once it is raised, each answer is the last one on its connection.
        metrics: counts every request.
        administration: what the operator works on, at another listener than this application's own.
        address_limit: how often a network may `POST`. What is read with `GET` comes from memory and is free.
        clock: for the duration in the log.
    """

    __slots__ = ("_address_limit", "_clock", "_routes", "administration", "metrics", "stop_sign")

    def __init__(
        self,
        routes: Mapping[bytes, Route],
        stop_sign: StopSign,
        *,
        metrics: Metrics | None = None,
        administration: AdminContext | None = None,
        address_limit: AddressLimit | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._routes = routes
        self._address_limit = address_limit
        self._clock = clock
        self.metrics = metrics
        self.administration = administration
        self.stop_sign = stop_sign

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request (ASGI 3)."""
        answer, request_id = await self.respond(scope, receive)
        if answer is not None:
            headers = answer.header_fields(request_id.encode())
            if self.stop_sign.raised and CLOSE not in headers:
                headers.append(CLOSE)
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            await send({"type": "http.response.body", "body": answer.body})

    async def respond(self, scope: Scope, receive: Receive) -> tuple[Answer | None, str]:
        """Return what a request is answered, counted and logged, and its id.

        Args:
            scope: of ASGI; looked at are `method`, `raw_path`, `query_string`, `headers`, `client`, `state`.
            receive: for the body.

        Returns:
            `None` for the answer if nobody waits for it any more.
        """
        started = self._clock.monotonic()
        request = Request(scope, receive, new_request_id())
        client, path = scope.get("client"), scope["raw_path"]
        peer = client[0] if client else None
        route = self._routes.get(path)
        answer = await self._answer(route, scope["method"], peer, request)
        if answer is None:
            if ANSWERED in scope.get("state", ()):
                return None, request.id
            status, error = None, None
        else:
            status, error = answer.status, answer.error
        seconds = self._clock.monotonic() - started
        self.count("other" if route is None else route.name, status, error, seconds)
        # before the answer leaves: whoever was told a request id can be sure that it stands in the log
        log_request(
            request.id,
            peer,
            status,
            error,
            method=scope["method"],
            # without the query: what it holds is not ours to keep
            path=path.decode("ascii", "backslashreplace"),
            ms=round(seconds * 1000, 2),
        )
        return answer, request.id

    def count(self, endpoint: str, status: int | None, error: Exception | None, seconds: float) -> None:
        """Count a request that was answered here, or by the protocol in front."""
        if self.metrics is not None:
            code = None
            if error is not None:
                code = code_of(error) if isinstance(error, WatchwordError) else "other"
            self.metrics.answered(endpoint, status, code, seconds)

    async def _answer(
        self, route: Route | None, method: str, peer: str | None, request: Request
    ) -> Answer | None:
        refuse = problem if route is None else _REFUSALS[route.errors]
        try:
            if route is None:
                raise RequestRefused(404, "there is nothing at this path")
            if not route.takes(method):
                raise RequestRefused(405, f"expected {route.method}", headers=((b"allow", route.allow),))
            if self._address_limit is not None and route.method == "POST":
                await self._address_limit.demand(peer, request.id)
            return await route.handler(request)
        except ClientWentAway:
            return None
        except WatchwordError as error:
            return refuse(error)
        except Exception as error:  # whatever it is, the client gets an answer
            logger.error("unexpected error", exc_info=error, extra={FIELDS: {"request_id": request.id}})
            return refuse(error)


def log_request(
    request_id: str, client: str | None, status: int | None, error: Exception | None, **fields: object
) -> None:
    """Write the one line of a request; `status` is `None` if the client went away unanswered."""
    told: dict[str, object] = {"request_id": request_id, "status": status, "client": client, **fields}
    if isinstance(error, WatchwordError):
        told["code"], told["reason"] = code_of(error), str(error)
    write(logger, "request", told)
