"""What the token service counts about itself; nothing that comes from outside becomes a label."""

from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence

from watchword.errors import WatchwordError
from watchword.telemetry.board import Board, Tally
from watchword.telemetry.exposition import Counter, Gauge, Histogram, text

ENDPOINTS = ("token", "introspect", "jwks", "metadata", "public_key", "live", "ready")
STATUSES = ("1xx", "2xx", "3xx", "4xx", "429", "5xx", "unanswered")
DEEDS = ("record",)

Gauges = Callable[[], Awaitable[Sequence[Gauge]]]
"""Looks at something when it is asked, not before."""


class Metrics:
    """Counters of a service; what can only be looked at comes from `gauges`, when the page is made.

    Args:
        grant_types: the ones that the token endpoint knows.
        board: where the numbers of several processes stand; without it, this process is the service.
    """

    __slots__ = (
        "audit_log",
        "gauges",
        "refusals",
        "replacements",
        "requests",
        "seconds",
        "store_seconds",
        "tokens",
    )

    def __init__(self, grant_types: Collection[str], *, board: Board | None = None) -> None:
        self.requests = Counter(
            "watchword_requests_total",
            "Requests by endpoint and class of status; 429 has a class of its own.",
            board,
            endpoint=ENDPOINTS,
            status=STATUSES,
        )
        self.seconds = Histogram(
            "watchword_request_duration_seconds",
            "From the end of the header to the answer.",
            board,
            label="endpoint",
            values=ENDPOINTS,
        )
        self.refusals = Counter(
            "watchword_refusals_total",
            "Refused requests by error code.",
            board,
            endpoint=ENDPOINTS,
            code=sorted(codes()),
        )
        self.tokens = Counter(
            "watchword_tokens_issued_total", "Tokens by grant type.", board, grant_type=grant_types
        )
        self.store_seconds = Histogram(
            "watchword_store_wait_seconds",
            "Waiting for the database until a deed was durable.",
            board,
            label="deed",
            values=DEEDS,
        )
        self.replacements = Counter(
            "watchword_process_replacements_total",
            "Processes of this service that ended and were replaced.",
            board,
        )
        self.audit_log = Tally.of(board, 1)
        """The sign of life of whoever writes the audit log."""
        self.gauges: list[Gauges] = []

    def answered(self, endpoint: str, status: int | None, code: str | None, seconds: float) -> None:
        """Count a request; `status` is `None` if its client went away, `code` that of a refusal."""
        self.requests.add(endpoint, _class_of(status))
        self.seconds.observe(endpoint, seconds)
        if code is not None:
            self.refusals.add(endpoint, code)

    async def page(self) -> bytes:
        """Return all of it as Prometheus reads it."""
        found = [gauge for look in self.gauges for gauge in await look()]
        counted = (self.requests, self.seconds, self.refusals, self.tokens, self.store_seconds)
        return text((*counted, self.replacements, *found))


def codes() -> set[str]:
    """Return the code of every error that there is."""
    return {kind.code for kind in _below(WatchwordError)}


def _below(kind: type[WatchwordError]) -> Iterator[type[WatchwordError]]:
    yield kind
    for narrower in kind.__subclasses__():
        yield from _below(narrower)


def _class_of(status: int | None) -> str:
    if status is None:
        return "unanswered"
    return "429" if status == 429 else f"{status // 100}xx"
