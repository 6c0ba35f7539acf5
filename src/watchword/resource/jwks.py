"""The keys of one issuer, fetched rarely and kept well (RFC 7517 §5).

A token whose key is known never waits. One fetch is under way at a time, however many want it. What was
good stays when a fetch fails, for a day at most. An unknown `kid` may cause one fetch per cool-down.
"""

import re
import secrets
from typing import NamedTuple

from watchword.clock import SYSTEM_CLOCK, Clock
from watchword.errors import DestinationRefused, FetchFailed, KeySetInvalid, KeysUnavailable
from watchword.fetch import (
    Flight,
    Flights,
    Flow,
    Request,
    Response,
    Transport,
    Waiting,
    Workers,
    run,
    run_async,
)
from watchword.resource.metadata import IssuerMetadata
from watchword.telemetry import KeySetMetrics, Meter
from watchword.tokens.jwk_set import JWKSet

MIN_AGE, DEFAULT_AGE, LONGEST_AGE = 60.0, 300.0, 3600.0
COOL_DOWN = 30.0
MAX_GONE = 32
LAST_KNOWN_GOOD = 24 * 3600.0
_FIRST_PAUSE = 1.0  # after a failed fetch; doubles with each further one up to the cool-down

_MAX_AGE = re.compile(r"(?:^|,)\s*max-age\s*=\s*\"?(\d{1,10})\"?\s*(?:,|$)", re.IGNORECASE)


class _Held(NamedTuple):
    """The last good set; times are of the monotonic clock."""

    keys: JWKSet
    body: bytes
    etag: str | None
    fetched: float
    fresh_until: float


class JWKSClient:
    """Fetches and keeps the JWK Set of one issuer. Safe for threads, event loops and forks.

    Args:
        metadata: whose keys, and where they stand.
        transport: how to get there; its `timeout` is the total deadline of a fetch.
        max_age: seconds after which the set is fetched anew. `None`: what the server's `Cache-Control`
            says, from 60 s to 1 h, and 5 min if it says nothing.
        cool_down: seconds between two fetches that unknown `kid`s may cause.
        last_known_good: seconds for which a set serves while no newer one can be had; then it fails closed.
        clock: for every age; wall time plays no part.
        meter: counts fetches and alarms.
    """

    __slots__ = (
        "_clock", "_cool_down", "_failures", "_flights", "_gone", "_held", "_last_good", "_max_age",
        "_metadata", "_meter", "_not_before", "_problem", "_transport", "_unknown_not_before", "_workers",
    )  # fmt: skip

    def __init__(
        self,
        metadata: IssuerMetadata,
        transport: Transport | None = None,
        *,
        max_age: float | None = None,
        cool_down: float = COOL_DOWN,
        last_known_good: float = LAST_KNOWN_GOOD,
        clock: Clock = SYSTEM_CLOCK,
        meter: Meter | None = None,
    ) -> None:
        self._metadata = metadata
        self._meter = meter or Meter(issuers=(metadata.issuer,))
        self._problem: str | None = None
        self._transport = transport or Transport()
        self._max_age = max_age
        self._cool_down = cool_down
        self._last_good = last_known_good
        self._clock = clock
        self._workers = Workers(2)  # one may hang in a name look-up
        self._flights: Flights[None, JWKSet] = Flights(timeout=self._transport.timeout, workers=self._workers)
        self._held: _Held | None = None
        self._gone = JWKSet(())
        self._failures = 0
        self._not_before = self._unknown_not_before = float("-inf")

    @property
    def issuer(self) -> str:
        """Whose keys these are."""
        return self._metadata.issuer

    @property
    def stale_seconds(self) -> float:
        """For how long the held set has been older than it should be; 0 while it is fresh."""
        held = self._held
        return 0.0 if held is None else max(0.0, self._clock.monotonic() - held.fresh_until)

    @property
    def gone(self) -> JWKSet:
        """The last keys that stood in an earlier set and do not in this one, by `kid`; none of them counts.

        Only for telling a token whose key was taken back from one whose key never was there.
        """
        return self._gone

    @property
    def problem(self) -> str | None:
        """Why the last fetch failed; `None` if it did not, or if there was none yet."""
        return self._problem

    def metrics(self) -> KeySetMetrics:
        """Return what there is to know about the set, without waiting for anything."""
        held, now = self._held, self._clock.monotonic()
        return KeySetMetrics(
            keys=0 if held is None or now - held.fetched > self._last_good else len(held.keys),
            age_seconds=None if held is None else now - held.fetched,
            stale_seconds=0.0 if held is None else max(0.0, now - held.fresh_until),
            fetches=self._meter.fetches_of(self.issuer),
            alarms=self._meter.alarms_of(self.issuer),
        )

    def keys(self, kid: str | None = None) -> JWKSet:
        """Return the set; wait for it only if there is none, or if it lacks `kid` and may be asked again.

        A set without `kid` is an answer too: looking a key up there says that it is unknown.

        Raises:
            KeysUnavailable: there is no set that may be used, and none can be had now.
        """
        return run(self.flow(kid))

    async def akeys(self, kid: str | None = None) -> JWKSet:
        """Return the set without blocking the event loop; as `keys`."""
        return await run_async(self.flow(kid))

    def held(self) -> JWKSet | None:
        """Return the set that may be used now, without waiting; one that is due is fetched meanwhile."""
        now = self._clock.monotonic()
        held = self._usable(now)
        if held is None:
            return None
        if now >= held.fresh_until:
            self._refresh(now)
        return held.keys

    def warm(self) -> None:
        """Begin to fetch the set if there is none, without waiting for it."""
        self._refresh(self._clock.monotonic())

    def close(self) -> None:
        """Let the worker thread end; the client can still be used and starts a new one."""
        self._workers.close()

    def flow(self, kid: str | None = None) -> Waiting[JWKSet]:
        """Find the set; written once, driven by `keys` and by `akeys`."""
        now = self._clock.monotonic()
        held = self._usable(now)
        if held is not None:
            if kid is None or kid in held.keys:
                if now >= held.fresh_until:
                    self._refresh(now)  # in the background: known keys go on meanwhile
                return held.keys
            return (yield from self._ask_again(kid, held, now))
        flight = self._refresh(now)
        if flight is None:
            held = self._usable(now)  # it may have landed between the two looks
            if held is not None:
                return held.keys
            raise KeysUnavailable(f"the keys of {self.issuer} could not be fetched; the next try is due soon")
        try:
            keys: JWKSet = yield flight
        except FetchFailed as error:
            raise KeysUnavailable(f"the keys of {self.issuer} cannot be fetched: {error}") from error
        return keys

    def _ask_again(self, kid: str, held: _Held, now: float) -> Waiting[JWKSet]:
        """Look once more for a key that is not there: one fetch per cool-down, whoever asks for what."""

        def unwanted() -> bool:
            newer = self._held
            if newer is not None and newer is not held and kid in newer.keys:
                return True
            # a set that is due anyway is asked again whatever was asked before: its age bounds that by itself
            if now < max(min(self._unknown_not_before, held.fresh_until), self._not_before):
                return True
            self._unknown_not_before = now + self._cool_down
            return False

        flight = self._flights.join(None, self._fetch, unless=unwanted)
        if flight is None:
            return held.keys if self._held is None else self._held.keys
        try:
            keys: JWKSet = yield flight
        except FetchFailed:
            return held.keys
        return keys

    def _usable(self, now: float) -> _Held | None:
        held = self._held
        return held if held is not None and now - held.fetched <= self._last_good else None

    def _refresh(self, now: float) -> Flight[JWKSet] | None:
        def unwanted() -> bool:
            held = self._held
            return now < self._not_before or (held is not None and now < held.fresh_until)

        return self._flights.join(None, self._fetch, unless=unwanted)

    def _fetch(self, deadline: float) -> JWKSet:
        """Do one fetch in a worker thread and keep the outcome, good or bad."""
        begun, old = self._clock.monotonic(), self._held
        try:
            held = self._transport.drive(self._download(), deadline)
        except (FetchFailed, DestinationRefused, KeySetInvalid) as error:
            pause = min(_FIRST_PAUSE * 2**self._failures, self._cool_down)
            self._failures = min(self._failures + 1, 30)
            now = self._clock.monotonic()
            self._not_before = now + pause
            self._problem = str(error)
            self._meter.fetched(self.issuer, "failed", now - begun, self._problem)
            raise FetchFailed(str(error)) from error
        self._failures = 0
        self._not_before = float("-inf")
        self._held = held
        self._problem = None
        same = old is not None and held.keys is old.keys
        self._meter.fetched(self.issuer, "unchanged" if same else "changed", held.fetched - begun)
        return held.keys

    def _download(self) -> Flow[_Held]:
        url = yield from self._metadata.jwks_uri()
        old = self._held
        headers = {"Accept": "application/jwk-set+json, application/json"}
        if old is not None and old.etag is not None:
            headers["If-None-Match"] = old.etag
        response = yield Request("GET", url, headers)
        now = self._clock.monotonic()
        age = self._age(response)
        # replicas that started together shall not come back together (threat row 74)
        fresh_until = now + age * (1 - secrets.randbelow(100) / 1000)
        unchanged = old is not None and response.status == 304 and old.etag is not None
        if response.status != 200 and not unchanged:
            raise FetchFailed(f"expected status 200 from {url}, found {response.status}")
        if old is not None and (unchanged or response.body == old.body):
            return old._replace(fetched=now, fresh_until=fresh_until)
        keys = JWKSet.from_json(response.body)
        for unusable in keys.unusable:
            self._meter.alarm(
                self.issuer, unusable.alarm, f"key {unusable.index} cannot be used: {unusable.reason}"
            )
        if not keys:
            raise KeySetInvalid("expected at least one usable key: an empty set never replaces a good one")
        if old is not None:
            self._tell_of_reuse(old.keys, keys)
            self._gone = _gone(self._gone, old.keys, keys)
        return _Held(keys, response.body, _etag(response), now, fresh_until)

    def _tell_of_reuse(self, old: JWKSet, new: JWKSet) -> None:
        before = {key.kid: key.thumbprint() for key in old.keys if key.kid is not None}
        for key in new.keys:
            if key.kid is not None and before.get(key.kid, key.thumbprint()) != key.thumbprint():
                detail = "it uses a kid again for another key; the old key is forgotten"
                self._meter.alarm(self.issuer, "kid_reused", detail)

    def _age(self, response: Response) -> float:
        if self._max_age is not None:
            return self._max_age
        control = response.headers.get("cache-control", "")
        found = _MAX_AGE.search(control)
        if found is not None:
            return min(max(float(found[1]), MIN_AGE), LONGEST_AGE)
        return MIN_AGE if re.search(r"no-(store|cache)", control, re.IGNORECASE) else DEFAULT_AGE


def _gone(before: JWKSet, old: JWKSet, new: JWKSet) -> JWKSet:
    """Return the named keys that are gone, the latest last and bounded; one that came back is not gone."""
    named = {key.kid: key for key in (*before.keys, *old.keys) if key.kid is not None}
    published = {key.kid for key in new.keys} | {key.kid for key in new.unusable}
    gone = [key for kid, key in named.items() if kid not in published]
    return JWKSet(gone[-MAX_GONE:])


def _etag(response: Response) -> str | None:
    etag = response.headers.get("etag")
    return etag if etag and len(etag) <= 256 and re.fullmatch(r'(?:W/)?"[\x21\x23-\x7E]*"', etag) else None
