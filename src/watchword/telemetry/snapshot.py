"""The counters of a `Watchword` object as they stood at one moment, and the page that Prometheus reads."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from watchword.telemetry.exposition import (
    CONTENT_TYPE,
    Durations,
    Gauge,
    counter_lines,
    histogram_lines,
)


@dataclass(frozen=True, slots=True)
class KeySetMetrics:
    """The key set of one issuer."""

    keys: int
    """How many can verify."""
    age_seconds: float | None
    """Since the issuer last said that this is its key set; `None`: it never did."""
    stale_seconds: float
    """For how long it has been older than it should be; 0 while it is fresh."""
    fetches: Mapping[str, int]
    """By outcome: `changed`, `unchanged`, `failed`."""
    alarms: Mapping[str, int]
    """By kind, see `KeySetAlarm`."""


@dataclass(frozen=True, slots=True)
class CalleeMetrics:
    """The tokens for calls to one service."""

    requests: Mapping[str, int]
    """Requests to the token endpoint by outcome, see `TokenRequested`."""
    durations: Durations
    """Of those requests."""
    reused: int
    """Calls whose token was there already."""
    refused: int
    """Answers of the callee that its token is not valid."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """What one `Watchword` object has counted in this process since it was made."""

    content_type: ClassVar[str] = CONTENT_TYPE.decode()
    """Of what `prometheus` returns."""

    verified: int
    """Tokens that were accepted after their signature was verified."""
    cached: int
    """Tokens that were accepted because the same text had been verified before."""
    refused: Mapping[str, int]
    """Refused tokens and requests by error code."""
    key_sets: Mapping[str, KeySetMetrics]
    """By issuer."""
    callees: Mapping[str, CalleeMetrics]
    """By callee, as `WATCHWORD_URL_<CALLEE>` spells it, in lower case."""

    def prometheus(self) -> bytes:
        """Return all of it in the text format 0.0.4; it may follow on another page of that format."""
        lines = (*self._of_tokens(), *self._of_key_sets(), *self._of_callees())
        return "".join(f"{line}\n" for line in lines).encode()

    def _of_tokens(self) -> Iterator[str]:
        yield from counter_lines(
            "watchword_tokens_accepted_total",
            "Accepted tokens; cached: the same text had been verified before.",
            ("how",),
            {("verified",): self.verified, ("cached",): self.cached},
        )
        yield from counter_lines(
            "watchword_tokens_refused_total",
            "Refused tokens and requests by error code.",
            ("code",),
            {(code,): count for code, count in self.refused.items()},
        )

    def _of_key_sets(self) -> Iterator[str]:
        sets = self.key_sets.items()
        for gauge in (
            Gauge("watchword_jwks_keys", "Keys that can verify.", {i: s.keys for i, s in sets}, "issuer"),
            Gauge(
                "watchword_jwks_age_seconds",
                "Since the issuer last confirmed its key set.",
                {i: s.age_seconds for i, s in sets if s.age_seconds is not None},
                "issuer",
            ),
            Gauge(
                "watchword_jwks_stale_seconds",
                "For how long the key set has been older than it should be.",
                {i: s.stale_seconds for i, s in sets},
                "issuer",
            ),
        ):
            yield from gauge.lines()
        yield from counter_lines(
            "watchword_jwks_fetches_total",
            "Fetches of key sets by outcome.",
            ("issuer", "outcome"),
            {(i, outcome): count for i, s in sets for outcome, count in s.fetches.items()},
        )
        yield from counter_lines(
            "watchword_jwks_alarms_total",
            "What no key set should hold.",
            ("issuer", "alarm"),
            {(i, alarm): count for i, s in sets for alarm, count in s.alarms.items()},
        )

    def _of_callees(self) -> Iterator[str]:
        callees = self.callees.items()
        yield from counter_lines(
            "watchword_token_requests_total",
            "Requests to the token endpoint by callee and outcome.",
            ("callee", "outcome"),
            {(name, outcome): count for name, c in callees for outcome, count in c.requests.items()},
        )
        yield from histogram_lines(
            "watchword_token_request_duration_seconds",
            "How long the token endpoint took.",
            "callee",
            {name: c.durations for name, c in callees if c.durations.count},
        )
        yield from counter_lines(
            "watchword_tokens_reused_total",
            "Calls whose token was there already.",
            ("callee",),
            {(name,): c.reused for name, c in callees},
        )
        yield from counter_lines(
            "watchword_callee_refusals_total",
            "Answers of a callee that its token is not valid.",
            ("callee",),
            {(name,): c.refused for name, c in callees},
        )
