"""Keys change under running requests, by the planner alone and whoever is killed, and nobody notices."""

import contextlib
import http.client
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from watchword.clock import SYSTEM_CLOCK
from watchword.keys.issuer import RELOAD_SECONDS
from watchword.tokens.jwk_set import JWKSet
from watchword.tokens.policy import VerificationPolicy
from watchword.tokens.verified import VerifiedToken
from watchword.tokens.verify import verify

from .processes import children, until

SOAK = os.environ.get("WATCHWORD_SOAK") == "1"
SAVING = 0.3
"""A key is published when it is on the disk, which is a moment after it was made: this long at most."""
ALGORITHMS = ["ES256", "RS256", "EdDSA"]


class Pace(NamedTuple):
    """How fast keys change, and for how long each verifier keeps what it has fetched."""

    active_for: float
    cached_for: float
    verifiers: tuple[float, ...]
    changes: int

    def settings(self) -> dict[str, str]:
        return {
            "KEY_ACTIVE_FOR": f"{self.active_for:g}",
            "KEY_CACHED_FOR": f"{self.cached_for:g}",
            "CLOCK_SKEW": f"{SAVING:g}",
            "RATE_PER_CLIENT": "0",
            "RATE_PER_ADDRESS": "0",
        }


several = pytest.mark.parametrize(
    "workers",
    [1, pytest.param(2, marks=pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc"))],
)

# several processes notice each other's steps within a second, which a new key waits for
SHORT = {1: Pace(1, 0.4, (0.4, 0.1), 3), 2: Pace(2, 0.4, (0.4, 0.1), 2)}
EMBEDDED_SHORT = {1: Pace(1, 0.4, (0.4, 0.1), 2), 2: Pace(6, 0.4, (0.4, 0.1), 1)}
LONG = Pace(75, 60, (60, 30, 1), 3)


class Verifier:
    """A verifier as careless as it may be: it keeps a key set for as long as it is allowed, and never looks
    again sooner, not even for a key that it does not know.
    """

    def __init__(self, issuer: str, fetch: Callable[[], bytes], cached_for: float) -> None:
        self.policy = VerificationPolicy(issuer, "users", ALGORITHMS, leeway=1)
        self.fetch = fetch
        self.cached_for = cached_for
        self.fetched = float("-inf")

    def accept(self, token: str) -> VerifiedToken:
        if SYSTEM_CLOCK.monotonic() - self.fetched >= self.cached_for:
            began = SYSTEM_CLOCK.monotonic()
            self.keys = JWKSet.from_json(self.fetch())
            self.fetched = began
        return verify(token, self.keys, self.policy, SYSTEM_CLOCK.now())


class Traffic:
    """Asks for tokens all the time and shows each to every verifier, those of old keys again and again."""

    def __init__(self, issuer: str, token: Callable[[], str], fetch: Callable[[], bytes], pace: Pace) -> None:
        self._token = token
        self._verifiers = [Verifier(issuer, patient(fetch), kept) for kept in pace.verifiers]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.living: dict[str, tuple[str, float]] = {}
        """The last token of each key and when it expires, by `kid` in the order of their first."""
        self.shown = 0
        self.trouble: list[BaseException] = []

    def _run(self) -> None:
        try:
            while not self._over.is_set():
                token = patient(self._token)()
                for verifier in self._verifiers:
                    accepted = verifier.accept(token)
                self.living[str(accepted.key_id)] = token, accepted.expires_at
                for older, expires in list(self.living.values()):
                    for verifier in self._verifiers:
                        if SYSTEM_CLOCK.now() < expires - 1:
                            verifier.accept(older)
                self.shown += 1
        except BaseException as error:  # noqa: BLE001  # the thread of the test tells it
            self.trouble.append(error)

    def __enter__(self) -> "Traffic":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(60)
        assert self.trouble == []

    def has_seen(self, keys: int) -> bool:
        return bool(self.trouble) or len(self.living) >= keys


class Away(Exception):
    """Nobody serves at the moment: not a refusal."""


def patient(ask: Callable[[], object]) -> Callable:
    """Ask again while nobody serves, as everybody does."""

    def asking() -> object:
        given_up = SYSTEM_CLOCK.monotonic() + 60
        while True:
            try:
                return ask()
            except (OSError, Away):
                assert SYSTEM_CLOCK.monotonic() < given_up, "it does not come back"

    return asking


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Service:
    """A token service at one address, whichever process serves there."""

    def __init__(self, start: Callable, pace: Pace, workers: int, **settings: str) -> None:
        own = {"LISTEN": f"127.0.0.1:{free_port()}", "WORKERS": str(workers)}
        self._start = start
        self.settings = pace.settings() | own | settings
        self.workers = workers
        self.served = start(**self.settings)

    def token(self) -> str:
        answer = self.served.token()
        if answer.status == 503:
            raise Away
        assert answer.status == 200
        return answer.json()["access_token"]

    def keys(self) -> bytes:
        answer = self.served.request("GET", "/.well-known/jwks.json")
        assert answer.status == 200
        return answer.body

    def traffic(self, pace: Pace) -> Traffic:
        return Traffic(self.served.issuer, self.token, self.keys, pace)

    def kill_who_rotates(self) -> None:
        if self.workers > 1:
            keeper = children(self.served.process.pid)[0]
            os.kill(keeper, signal.SIGKILL)
            until(lambda: keeper not in (found := children(self.served.process.pid)) and len(found) == 3)
        else:
            self.served.process.kill()
            self.served.process.wait(20)
            self.served = self._start(**self.settings)

    def again(self, **settings: str) -> None:
        assert self.served.stop() == 0
        self.settings |= settings
        self.served = self._start(**self.settings)

    def steps(self) -> list[tuple[str, str]]:
        """What the planner did, in order."""
        with contextlib.closing(
            sqlite3.connect(self.served.folder / "watchword-data" / "watchword.db")
        ) as reading:
            return reading.execute(
                "SELECT type, kid FROM audit_event WHERE type LIKE 'key.%' ORDER BY sequence"
            ).fetchall()


def within(seconds: float) -> float:
    """A bound for waiting that a busy machine does not reach."""
    return 60 + 10 * seconds


@pytest.mark.threat(164, 165)
@several
def test_key_changes_under_running_requests_refuse_no_token(start, workers) -> None:
    pace = LONG if SOAK else SHORT[workers]
    service = Service(start, pace, workers)
    with service.traffic(pace) as traffic:
        until(lambda: traffic.has_seen(pace.changes + 1), within(pace.active_for * pace.changes))
    kids = list(traffic.living)
    assert traffic.shown > len(kids)
    activated = [kid for deed, kid in service.steps() if deed == "key.activated"]
    assert kids == [kid for kid in activated if kid in kids] or kids[1:] == [
        k for k in activated if k in kids
    ]
    for kid in kids[1:]:
        assert [deed for deed, of in service.steps() if of == kid][:2] == ["key.prepared", "key.activated"]
    assert service.served.stop() == 0


def kill_after_steps(
    traffic: Traffic, pace: Pace, *, steps: Callable[[], int], kill: Callable[[int], None]
) -> None:
    """Kill whoever rotates as soon as it has done something, until the keys have changed often enough."""
    killed, done = 0, steps()
    while not traffic.has_seen(pace.changes + 1):
        until(partial(lambda done: traffic.trouble or steps() > done, done), within(pace.active_for))
        shown = traffic.shown
        kill(killed)
        killed += 1
        until(partial(lambda shown: traffic.trouble or traffic.shown > shown, shown), within(1))
        done = steps()
    assert killed or traffic.trouble


@pytest.mark.threat(166, 167)
@several
def test_whoever_rotates_is_killed_between_any_two_steps_and_no_token_is_refused(start, workers) -> None:
    pace = LONG._replace(changes=3) if SOAK else SHORT[workers]._replace(changes=2)
    service = Service(start, pace, workers)
    with service.traffic(pace) as traffic:
        kill_after_steps(
            traffic, pace, steps=lambda: len(service.steps()), kill=lambda _: service.kill_who_rotates()
        )
    for kid in list(traffic.living)[1:]:
        deeds = [deed for deed, of in service.steps() if of == kid]
        assert deeds[:2] == ["key.prepared", "key.activated"]
        assert len(deeds) == len(set(deeds)), "a step was done twice"


@pytest.mark.threat(172)
@several
def test_another_algorithm_is_a_key_change_like_any_other_also_under_load(start, workers) -> None:
    pace = (LONG if SOAK else SHORT[workers])._replace(changes=1)
    service = Service(start, pace, workers, SIGNING_ALGORITHM="RS256", KEY_ACTIVE_FOR="1h")
    with service.traffic(pace) as traffic:
        until(lambda: traffic.has_seen(1))
        service.again(SIGNING_ALGORITHM="ES256")
        until(lambda: traffic.has_seen(2), within(pace.cached_for))
        shown = traffic.shown
        until(lambda: traffic.trouble or traffic.shown > shown + 3)
    published = JWKSet.from_json(service.keys())
    assert [published.named(kid).algorithms for kid in traffic.living] == [{"RS256"}, {"ES256"}]


EMBEDDED = """
import os, sys
from pathlib import Path
from watchword import Issuer
from watchword.keys.rotation import RotationPolicy
from watchword.keys.rotator import Rotator
from watchword.keystores.files import FileKeyStore
from watchword.testing.peers import Peer, Reply

folder, url, active_for, cached_for, seen_within = Path(sys.argv[1]), sys.argv[2], *map(float, sys.argv[3:6])
issuer = Issuer(url, FileKeyStore(folder))
policy = RotationPolicy(active_for=active_for, cached_for=cached_for, skew=0.3, seen_within=seen_within)
def tell(*words):
    os.write(1, (" ".join(words) + "\\n").encode())  # whole lines, from whichever thread
Rotator(issuer, policy, on_step=lambda step: tell(type(step).__name__, step.kid)).start()
peer = Peer()
peer.routes["/keys"] = lambda *_: Reply(200, issuer.jwk_set().to_dict())
peer.routes["/token"] = lambda *_: Reply(200, issuer.issue("john", "users").encode())
with peer.running():
    tell("serving", peer.url)
    sys.stdin.read()
"""


class Embedded:
    """Services that sign with one `Issuer` each and share its keys, as replicas do."""

    issuer = "https://staff.example"

    def __init__(self, folder: Path, pace: Pace, replicas: int) -> None:
        seen_within = RELOAD_SECONDS if replicas > 1 else 0
        times = [str(pace.active_for), str(pace.cached_for), str(seen_within)]
        self._arguments = [sys.executable, "-c", EMBEDDED, str(folder / "keys"), self.issuer, *times]
        self.steps: list[str] = []
        self.replicas = [self._begin() for _ in range(replicas)]
        self._asked = 0

    def _begin(self):
        process = subprocess.Popen(self._arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("serving"):
                break
            self.steps.append(line.strip())
        reading = threading.Thread(target=self._hear, args=(process.stdout,), daemon=True)
        reading.start()
        return process, line.split()[1]

    def _hear(self, stream) -> None:
        with contextlib.suppress(ValueError):
            for line in stream:
                self.steps.append(line.strip())

    def ask(self, path: str) -> bytes:
        self._asked += 1
        number = self._asked % len(self.replicas)
        _, url = self.replicas[number]
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=20)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            if url != self.replicas[number][1]:
                raise Away  # who has its port now is somebody else
            assert answer.status == 200
            return answer.read()
        except http.client.HTTPException as error:
            raise Away from error
        finally:
            connection.close()

    def kill(self, number: int) -> None:
        process, _ = self.replicas[number]
        self.replicas[number] = process, "nowhere"
        process.kill()
        process.wait(20)
        self.replicas[number] = self._begin()

    def close(self) -> None:
        for process, _ in self.replicas:
            process.kill()
            process.communicate(timeout=20)


@contextlib.contextmanager
def embedded(folder: Path, pace: Pace, replicas: int) -> Iterator[Embedded]:
    services = Embedded(folder, pace, replicas)
    try:
        yield services
    finally:
        services.close()


@pytest.mark.threat(164, 166, 167)
@pytest.mark.parametrize("replicas", [1, 2])
def test_an_embedded_issuer_changes_its_keys_under_requests_and_kills_and_no_token_is_refused(
    tmp_path, replicas
) -> None:
    pace = LONG._replace(changes=3) if SOAK else EMBEDDED_SHORT[replicas]
    with embedded(tmp_path, pace, replicas) as services:
        traffic = Traffic(
            services.issuer, lambda: services.ask("/token").decode(), lambda: services.ask("/keys"), pace
        )
        with traffic:
            kill_after_steps(
                traffic,
                pace,
                steps=lambda: len(services.steps),
                kill=lambda killed: services.kill(killed % replicas),
            )
        kids = list(traffic.living)
        activated = [step for step in services.steps if step.startswith("Activate")]
        # a step that was done may have been the last word of a process that was killed
        assert len(activated) == len(set(activated))
        assert {step.split()[1] for step in activated} & set(kids)
