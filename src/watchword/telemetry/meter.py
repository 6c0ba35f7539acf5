"""Counts what happens to a `Watchword` object, writes its log lines and tells its observer."""

import logging
from collections.abc import Collection, Iterator, Mapping

from watchword.errors import BearerError, KeysUnavailable, TokenError, WatchwordError
from watchword.telemetry.events import (
    CalleeRefused,
    Event,
    KeySetAlarm,
    KeySetFetched,
    Observer,
    TokenRefused,
    TokenRequested,
)
from watchword.telemetry.exposition import Counter, Durations, Histogram
from watchword.telemetry.snapshot import CalleeMetrics

FIELDS = "watchword_fields"
"""The `extra` of a log record that holds what its text says, by name."""

FETCHES = ("changed", "unchanged", "failed")
ALARMS = ("private_key", "kid_reused", "kid_twice", "too_many_keys", "unusable_key")
REQUESTS = ("granted", "rule", "scope", "client", "subject_token", "other", "unreachable")

_log = logging.getLogger("watchword")


def _codes(*kinds: type[WatchwordError]) -> Iterator[str]:
    for kind in kinds:
        yield kind.code
        yield from _codes(*kind.__subclasses__())


class Meter:
    """Safe for threads and forks; nothing that comes from outside becomes a label.

    Args:
        issuers: whose key sets are fetched.
        callees: who is called.
        observer: learns of every event; what it raises is logged and goes no further.
    """

    __slots__ = ("_alarms", "_callees", "_fetches", "_refusals", "_refused", "_requests",
                 "_reused", "_seconds", "observer")  # fmt: skip

    def __init__(
        self,
        *,
        issuers: Collection[str] = (),
        callees: Collection[str] = (),
        observer: Observer | None = None,
    ) -> None:
        self.observer = observer
        self._callees = tuple(sorted(callees))
        self._refused = Counter("refused", "", code=set(_codes(TokenError, BearerError, KeysUnavailable)))
        self._fetches = Counter("fetches", "", issuer=issuers, outcome=FETCHES)
        self._alarms = Counter("alarms", "", issuer=issuers, alarm=ALARMS)
        self._requests = Counter("requests", "", callee=callees, outcome=REQUESTS)
        self._seconds = Histogram("seconds", "", label="callee", values=callees)
        self._reused = Counter("reused", "", callee=callees)
        self._refusals = Counter("refusals", "", callee=callees)

    def refused(
        self,
        error: WatchwordError,
        *,
        client_id: str | None = None,
        token_id: str | None = None,
        story_id: str | None = None,
    ) -> None:
        """Count a refusal; who it was is said only of a genuine token."""
        self._refused.add(error.code)
        told = TokenRefused(error.code, str(error), client_id, token_id, story_id)
        _log.log(
            logging.WARNING if isinstance(error, KeysUnavailable) else logging.INFO,
            "refused %s: %s",
            told.code,
            told.reason,
            extra=_fields(told, code=told.code, client_id=client_id, token_id=token_id, story_id=story_id),
        )
        self._tell(told)

    def fetched(self, issuer: str, outcome: str, seconds: float, problem: str | None = None) -> None:
        """Count a fetch of a key set."""
        self._fetches.add(issuer, outcome)
        told = KeySetFetched(issuer, outcome, seconds, problem)
        if problem is not None:
            _log.warning(
                "the keys of %s could not be fetched, the old ones stay: %s",
                issuer,
                problem,
                extra=_fields(told, issuer=issuer, seconds=round(seconds, 3)),
            )
        self._tell(told)

    def alarm(self, issuer: str, alarm: str, detail: str) -> None:
        """Count something that no key set should hold."""
        self._alarms.add(issuer, alarm)
        told = KeySetAlarm(issuer, alarm, detail)
        _log.warning(
            "alarm about the keys of %s: %s", issuer, detail, extra=_fields(told, issuer=issuer, alarm=alarm)
        )
        self._tell(told)

    def requested(self, callee: str, outcome: str, seconds: float, *, request_id: str | None = None) -> None:
        """Count a request to the token endpoint."""
        name = label_of(callee)
        self._requests.add(name, outcome)
        self._seconds.observe(name, seconds)
        self._tell(TokenRequested(callee, outcome, seconds, request_id))

    def reused(self, callee: str) -> None:
        """Count a call whose token was there already."""
        self._reused.add(label_of(callee))

    def refused_by(self, callee: str) -> None:
        """Count an answer of a callee that its token is not valid."""
        self._refusals.add(label_of(callee))
        self._tell(CalleeRefused(callee))

    def refusals(self) -> Mapping[str, int]:
        """Return how many tokens and requests were refused, by error code."""
        return {code: count for (code,), count in sorted(self._refused.counts().items())}

    def fetches_of(self, issuer: str) -> Mapping[str, int]:
        """Return how often the key set of an issuer was fetched, by outcome."""
        return {outcome: self._fetches.counts().get((issuer, outcome), 0) for outcome in FETCHES}

    def alarms_of(self, issuer: str) -> Mapping[str, int]:
        """Return how many alarms the key set of an issuer gave, by kind."""
        return {alarm: self._alarms.counts().get((issuer, alarm), 0) for alarm in ALARMS}

    def callees(self) -> Mapping[str, CalleeMetrics]:
        """Return what was counted of each callee."""
        requests, durations = self._requests.counts(), self._seconds.durations()
        reused, refused = self._reused.counts(), self._refusals.counts()
        return {
            name: CalleeMetrics(
                {outcome: requests.get((name, outcome), 0) for outcome in REQUESTS},
                durations.get(name, Durations()),
                reused.get((name,), 0),
                refused.get((name,), 0),
            )
            for name in self._callees
        }

    def _tell(self, event: Event) -> None:
        observer = self.observer
        if observer is None:
            return
        try:
            observer(event)
        except Exception as error:  # noqa: BLE001  # whatever an observer does wrong, the request goes on
            _log.error("the observer of %s raised %s", event.name, type(error).__qualname__)


def label_of(callee: str) -> str:
    """Return the name of a callee as metrics spell it: `order-items` is `order_items`."""
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in callee).lower()


def _fields(event: Event, **fields: object) -> dict[str, dict[str, object]]:
    return {FIELDS: {"name": event.name} | fields}
