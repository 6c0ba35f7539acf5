"""Rotation as it happens: on a store, by several processes at once, killed between any two steps."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from watchword.keys.issuer import Issuer
from watchword.keys.keyring import KeyState
from watchword.keys.rotation import Activate, Prepare, Remove, RotationPolicy, Step, Wait
from watchword.keys.rotator import Rotator, rotate_pending
from watchword.keystores.files import FileKeyStore
from watchword.keystores.memory import MemoryKeyStore
from watchword.tokens.policy import VerificationPolicy
from watchword.tokens.verify import verify

POLICY = RotationPolicy(active_for=1_000, cached_for=60, skew=10)


class Hands:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.at = 1_790_000_000.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


def test_a_whole_life_from_the_first_key_to_its_removal_and_every_token_verifies_on_the_way() -> None:
    clock = Hands()
    issuer = Issuer("http://127.0.0.1:1", MemoryKeyStore(), clock=clock)
    first = issuer.keyring.active.kid
    accepted = VerificationPolicy(issuer.issuer, "posts", ["ES256"])
    told: list[Step] = []
    tokens: list[tuple[str, float]] = []
    for _ in range(200):
        told += rotate_pending(issuer, POLICY)
        clock.at += 30
        tokens.append((issuer.issue("john", "posts", lifetime=300), clock.at + 300))
        for token, expires in tokens:
            if expires > clock.at:
                assert verify(token, issuer.jwk_set(), accepted, clock.at)
    done = [type(step) for step in told if not isinstance(step, Wait)]
    assert done[:3] == [Prepare, Activate, Prepare]
    assert Remove in done
    assert first not in issuer.jwk_set()


@pytest.mark.threat(166)
def test_of_many_that_rotate_at_once_one_does_the_step(tmp_path: Path) -> None:
    clock = Hands()
    issuers = [Issuer("http://127.0.0.1:1", FileKeyStore(tmp_path / "keys"), clock=clock) for _ in range(8)]
    start = threading.Barrier(len(issuers))
    told: list[Step] = []

    def race(issuer: Issuer) -> None:
        start.wait()
        told.extend(rotate_pending(issuer, POLICY))

    for moment in (0, 1_000):
        clock.at += moment
        threads = [threading.Thread(target=race, args=(issuer,)) for issuer in issuers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    prepared = {step.kid for step in told if isinstance(step, Prepare)}
    assert prepared < {entry.kid for entry in FileKeyStore(tmp_path / "keys").load().entries}
    assert len(prepared) == 2
    steps = [type(step).__name__ for step in told if not isinstance(step, Wait)]
    assert sorted(steps) == ["Activate", "Prepare", "Prepare"]
    states = [entry.state for entry in FileKeyStore(tmp_path / "keys").load().entries]
    assert sorted(states) == [KeyState.ACTIVE, KeyState.PREPARED, KeyState.RETIRED]


ROTATE = """
import sys
from pathlib import Path
from watchword.keys.issuer import Issuer
from watchword.keys.rotation import RotationPolicy
from watchword.keys.rotator import rotate_pending
from watchword.keystores.files import FileKeyStore

class Hands:
    at = float(sys.argv[2])
    def now(self): return self.at
    def monotonic(self): return self.at

clock = Hands()
issuer = Issuer("http://127.0.0.1:1", FileKeyStore(Path(sys.argv[1])), clock=clock)
policy = RotationPolicy(active_for=1_000, cached_for=60, skew=10)
while True:
    rotate_pending(issuer, policy)
    clock.at += 100
    print(clock.at, flush=True)
"""


@pytest.mark.threat(167)
def test_killed_between_any_two_steps_it_goes_on_where_it_was(tmp_path: Path) -> None:
    at = 1_790_000_000.0
    for cycle in range(100 if os.environ.get("WATCHWORD_SOAK") == "1" else 8):
        process = subprocess.Popen(
            [sys.executable, "-c", ROTATE, str(tmp_path / "keys"), str(at)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for _ in range(3 + 5 * cycle % 17):
            at = float(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        at = max([at, *(float(line) for line in process.stdout if line.endswith("\n"))])
        process.wait(timeout=30)
        entries = FileKeyStore(tmp_path / "keys").load().entries
        active = [entry for entry in entries if entry.state is KeyState.ACTIVE]
        assert len(active) == 1
        assert len(entries) <= 8


def test_a_rotator_thread_does_the_first_step_at_once_and_stops_when_told() -> None:
    issuer = Issuer("http://127.0.0.1:1", MemoryKeyStore())
    stepped = threading.Event()
    rotator = Rotator(issuer, RotationPolicy(), on_step=lambda _: stepped.set())
    rotator.start()
    assert stepped.wait(10)
    rotator.stop()
    assert [entry.state for entry in issuer.keyring.entries] == [KeyState.ACTIVE, KeyState.PREPARED]
