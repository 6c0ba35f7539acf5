"""Tokens for calls to other services: exchanged once, kept until they or their parents die.

The key of the store is SHA-256 of the *whole* subject token with client, audience, resource and scope; it is
never a person's name, since one person has several sessions and each its own rights.
"""

import hashlib
import secrets
from collections.abc import Callable
from typing import NamedTuple

from watchword.client.endpoint import LONGEST_LIFE, SubjectToken, Target, TokenAnswer, TokenEndpoint
from watchword.clock import SYSTEM_CLOCK, Clock
from watchword.errors import (
    DestinationRefused,
    ExchangeDenied,
    FetchFailed,
    TokenEndpointUnreachable,
    TokenExpired,
)
from watchword.fetch import Flights, Flow, Transport, Waiting, Workers
from watchword.telemetry import Meter

MAX_ENTRIES = 4096
_MARGIN = 5.0  # seconds of life that a token must still have when it leaves; at most a tenth of its life
_RENEW_AFTER = (
    0.8  # of its life a token is renewed in the background, while it still serves; or up to a tenth
)
_EARLIER = 0.1  # of its life earlier, so that tokens which came together are not all renewed together
_TRUST = 30.0  # seconds for which a callee that refuses a token got for it just now is not believed again
_PAUSE = 1.0  # a refusal is remembered for this long: those who wait do not ask the same again


class _Key(NamedTuple):
    subject: bytes
    client: str
    audience: str | None
    resource: str | None
    scope: frozenset[str]


class _Entry(NamedTuple):
    """A token or a refusal; times are of the monotonic clock."""

    token: str
    usable_until: float
    renew_at: float
    trusted_until: float = float("-inf")
    """A callee that refused its predecessor does not get yet another one before."""
    refusal: ExchangeDenied | TokenEndpointUnreachable | None = None

    def __repr__(self) -> str:
        return f"_Entry(usable_until={self.usable_until})"


class _Store:
    """Two generations of entries: bounded, the unused go first, and no lock that a fork could leave held."""

    __slots__ = ("_half", "_old", "_young")

    def __init__(self, size: int) -> None:
        self._half = max(size // 2, 1)
        self._young: dict[_Key, _Entry] = {}
        self._old: dict[_Key, _Entry] = {}

    def get(self, key: _Key) -> _Entry | None:
        entry = self._young.get(key)
        if entry is None:
            entry = self._old.get(key)
            if entry is not None:
                self.put(key, entry)
        return entry

    def put(self, key: _Key, entry: _Entry) -> None:
        if len(self._young) >= self._half and key not in self._young:
            self._old, self._young = self._young, {}
        self._young[key] = entry

    def clear(self) -> None:
        self._old, self._young = {}, {}

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())


class TokenSource:
    """Gets and keeps tokens for one client. Safe for threads, event loops and forks.

    Args:
        endpoint: whom to ask, and as whom.
        transport: how to get there; its `timeout` bounds every wait.
        clock: wall time for assertions and the subject token's `exp`, the monotonic clock for ages.
        max_entries: how many tokens are kept; the unused go first.
        concurrency: how many different tokens are asked for at the same time.
        meter: counts what is asked and what was there.
    """

    __slots__ = ("_clock", "_endpoint", "_entries", "_flights", "_meter", "_transport", "_workers", "last")

    def __init__(
        self,
        endpoint: TokenEndpoint,
        transport: Transport,
        *,
        clock: Clock = SYSTEM_CLOCK,
        max_entries: int = MAX_ENTRIES,
        concurrency: int = 16,
        meter: Meter | None = None,
    ) -> None:
        self._meter = meter or Meter()
        self._endpoint = endpoint
        self._transport = transport
        self._clock = clock
        self._workers = Workers(concurrency)
        self._flights: Flights[_Key, str] = Flights(timeout=transport.timeout, workers=self._workers)
        self._entries = _Store(max_entries)
        self.last: tuple[str, str | None] | None = None
        """How the last request to the token endpoint went, and what was wrong; `None`: there was none yet."""

    def exchange(self, subject: SubjectToken, target: Target, *, refused: str | None = None) -> Waiting[str]:
        """Find a token for `target` on behalf of the subject (RFC 8693); from the store if it has one.

        Args:
            subject: on whose behalf.
            target: for whom.
            refused: a token that the callee did not accept. It alone is given up and one other asked for,
                however many come with it; if that one is refused too, it stays for a while and is the
                answer, since then the token is not what is wrong.

        Raises:
            TokenExpired: the subject token has expired in the meantime.
            ExchangeDenied: the server said no.
            TokenEndpointUnreachable: no answer that can be understood, in bounded time.
        """
        left = subject.expires_at - self._clock.now()
        if left <= 0:
            raise TokenExpired("the caller's token has expired; nothing can be exchanged for it any more")
        digest = hashlib.sha256(subject.text.encode()).digest()
        return (
            yield from self._obtain(
                self._key(digest, target),
                target,
                left,
                lambda now: self._endpoint.exchange(subject, target, now),
                refused,
            )
        )

    def own(self, target: Target, *, refused: str | None = None) -> Waiting[str]:
        """Find a token for `target` as the service itself (RFC 6749 §4.4); as `exchange`."""
        return (
            yield from self._obtain(
                self._key(b"", target),
                target,
                LONGEST_LIFE,
                lambda now: self._endpoint.client_credentials(target, now),
                refused,
            )
        )

    def close(self) -> None:
        """Forget every token and let the threads end."""
        self._entries.clear()
        self._workers.close()

    def __len__(self) -> int:
        return len(self._entries)

    def _key(self, subject: bytes, target: Target) -> _Key:
        return _Key(subject, self._endpoint.client.client_id, target.audience, target.resource, target.scope)

    def _obtain(
        self,
        key: _Key,
        target: Target,
        left: float,
        ask: Callable[[float], Flow[TokenAnswer]],
        refused: str | None,
    ) -> Waiting[str]:
        """Find the token of a key; written once for both grants and for both drivers."""
        now = self._clock.monotonic()
        dies = now + left

        def job(deadline: float) -> str:
            return self._fetch(key, target, dies, ask, deadline, refused=refused)

        def usable(entry: _Entry) -> bool:
            return now < entry.usable_until and (entry.token != refused or now < entry.trusted_until)

        def settled() -> bool:
            entry = self._entries.get(key)
            return entry is not None and usable(entry) and now < entry.renew_at

        entry = self._entries.get(key)
        if entry is None or not usable(entry):
            flight = self._flights.join(key, job, unless=settled)
            if flight is not None:
                try:
                    token: str = yield flight
                except FetchFailed as error:
                    raise _unreachable(target, error) from error
                return token
            entry = self._entries.get(key)
        elif now >= entry.renew_at:
            self._flights.join(key, job, unless=settled)  # in the background; this one still serves
        if entry is None:
            raise TokenEndpointUnreachable(f"no token for {target.callee} could be had: too many at once")
        if entry.refusal is not None:
            raise entry.refusal.with_traceback(None)
        self._meter.reused(target.callee)
        return entry.token

    def _fetch(
        self,
        key: _Key,
        target: Target,
        dies: float,
        ask: Callable[[float], Flow[TokenAnswer]],
        deadline: float,
        *,
        refused: str | None,
    ) -> str:
        """Ask once in a worker thread, and keep what came: the token, or for a moment the refusal."""
        before = self._clock.monotonic()
        kept = self._entries.get(key)
        try:
            answer = self._transport.drive(ask(self._clock.now()), deadline)
        except (FetchFailed, DestinationRefused, ExchangeDenied, TokenEndpointUnreachable) as error:
            refusal = (
                _unreachable(target, error) if isinstance(error, FetchFailed | DestinationRefused) else error
            )
            now = self._clock.monotonic()
            again = now + _PAUSE
            self._note(target, now - before, refusal)
            if kept is not None and kept.refusal is None and again < kept.usable_until:
                trusted = kept.trusted_until if refused is None else again
                # a failed renewal takes nothing away
                self._entries.put(key, kept._replace(renew_at=again, trusted_until=trusted))
            else:
                self._entries.put(key, _Entry("", again, again, refusal=refusal))
            raise refusal from error
        self._note(target, self._clock.monotonic() - before, None)
        life = min(answer.expires_in, dies - before)
        # a token that dies with its parent cannot be prolonged by asking again
        renewable = answer.expires_in < dies - before - 1
        self._entries.put(
            key,
            _Entry(
                answer.access_token,
                usable_until=before + life - min(_MARGIN, life / 10),
                renew_at=before + life * _renewal() if renewable else float("inf"),
                trusted_until=float("-inf") if refused is None else before + _TRUST,
            ),
        )
        return answer.access_token

    def _note(
        self, target: Target, seconds: float, refusal: ExchangeDenied | TokenEndpointUnreachable | None
    ) -> None:
        denied = refusal if isinstance(refusal, ExchangeDenied) else None
        outcome = "granted" if refusal is None else "unreachable" if denied is None else denied.reason
        request_id = None if denied is None else denied.request_id
        self.last = (outcome, None if refusal is None else str(refusal))
        self._meter.requested(target.callee, outcome, seconds, request_id=request_id)


def _renewal() -> float:
    return _RENEW_AFTER - _EARLIER * secrets.randbelow(1_000) / 1_000


def _unreachable(target: Target, error: Exception) -> TokenEndpointUnreachable:
    return TokenEndpointUnreachable(f"no token for {target.callee} could be had: {error}")
