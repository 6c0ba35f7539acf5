"""What is looked at when metrics are asked for: keys, the tokens that need them, this process."""

from collections import Counter
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version

from watchword.clock import Clock
from watchword.errors import NoActiveKey, StoreError
from watchword.keys.issuer import Issuer
from watchword.keys.keyring import KeyState
from watchword.storage.ledger import SqlLedger
from watchword.telemetry.exposition import Gauge

_SILENT_SECONDS = 5.0


class ServiceGauges:
    """Looks at the keyring in memory and at one count in the database."""

    __slots__ = ("_clock", "_issuer", "_ledger", "_process")

    def __init__(self, issuer: Issuer, ledger: SqlLedger, clock: Clock) -> None:
        self._issuer = issuer
        self._ledger = ledger
        self._clock = clock
        started = {"": clock.now()}
        self._process = (
            Gauge("watchword_build_info", "1, labelled with the version.", {_version(): 1}, "version"),
            Gauge(
                "process_start_time_seconds", "When this process started, seconds since the epoch.", started
            ),
        )

    async def __call__(self) -> Sequence[Gauge]:
        """Return what can be seen now; what cannot be seen is absent."""
        now, keyring = self._clock.now(), self._issuer.keyring
        found = list(self._process)
        states = Counter(entry.state.value for entry in keyring.entries)
        keys = {state.value: states[state.value] for state in KeyState}
        found.append(Gauge("watchword_keys", "Signing keys by state.", keys, "state"))
        try:
            age = {"": max(0.0, now - keyring.active.since)}
        except NoActiveKey:
            pass  # absent: no token can be issued
        else:
            found.append(
                Gauge("watchword_active_key_age_seconds", "Since the key that signs took over.", age)
            )
        try:
            live = await self._ledger.live_tokens(now)
        except StoreError:
            return found
        # only keys that exist: the label has as many values as the keyring has keys
        tokens = {entry.kid: live.get(entry.kid, 0) for entry in keyring.entries}
        found.append(Gauge("watchword_live_tokens", "Tokens that have not expired, by key.", tokens, "kid"))
        return found


class ProcessGauges:
    """Looks at the signs of life of the processes that answer requests.

    Args:
        last_beat: when a process gave its last sign of life, monotonic.
        workers: their numbers.
        clock: its monotonic time.
    """

    __slots__ = ("_clock", "_last_beat", "_workers")

    def __init__(self, last_beat: Callable[[int], float], workers: Sequence[int], clock: Clock) -> None:
        self._last_beat = last_beat
        self._workers = workers
        self._clock = clock

    async def __call__(self) -> Sequence[Gauge]:
        """Return how many of them live."""
        now = self._clock.monotonic()
        alive = sum(now - self._last_beat(number) < _SILENT_SECONDS for number in self._workers)
        return (Gauge("watchword_workers", "Processes that answer requests.", {"": alive}),)


def _version() -> str:
    try:
        return version("watchword")
    except PackageNotFoundError:
        return "unknown"
