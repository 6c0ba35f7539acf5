"""Rotates the keys of an issuer by itself: a thread that does what the planner says, when it says so."""

import logging
import threading
from collections.abc import Callable

from watchword.clock import SYSTEM_CLOCK, Clock
from watchword.errors import KeyringError
from watchword.keys.issuer import Issuer
from watchword.keys.rotation import NO_EVIDENCE, Evidence, RotationPolicy, Step, Wait

logger = logging.getLogger("watchword.keys")

LOOK_AT_LEAST_EVERY = 60.0
_MAX_STEPS = 8  # more in a row than any keyring needs: a planner that never waits must not spin


def rotate_pending(issuer: Issuer, policy: RotationPolicy, evidence: Evidence = NO_EVIDENCE) -> list[Step]:
    """Do every step that is due now and return them; the last one may be the `Wait` for the next.

    Raises:
        KeyringError: the store cannot be read or written to; what was done before is done.
    """
    done: list[Step] = []
    while len(done) < _MAX_STEPS:
        step = issuer.rotate(policy, evidence)
        done.append(step)
        if isinstance(step, Wait):
            break
    return done


class Rotator:
    """Keeps the keys of an embedded `Issuer` rotating for as long as the process runs.

    Several processes may do so with one store: each step is done by exactly one of them.

    Args:
        issuer: whose keys.
        policy: how long a key lives in each state.
        clock: when to look again.
        on_step: told of each step that was done here, for logs and metrics.
    """

    def __init__(
        self,
        issuer: Issuer,
        policy: RotationPolicy,
        *,
        clock: Clock = SYSTEM_CLOCK,
        on_step: Callable[[Step], None] = lambda _: None,
    ) -> None:
        self._issuer = issuer
        self._policy = policy
        self._clock = clock
        self._on_step = on_step
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchword-rotator", daemon=True)

    def start(self) -> None:
        """Begin; the first look is taken at once."""
        self._thread.start()

    def stop(self) -> None:
        """End, after a step that is under way."""
        self._stopped.set()
        self._thread.join()

    def look(self) -> float:
        """Do what is due now; return how many seconds to wait before the next look."""
        try:
            steps = rotate_pending(self._issuer, self._policy)
        except KeyringError as error:
            logger.warning("the keys of %s could not be rotated: %s", self._issuer.issuer, error)
            return LOOK_AT_LEAST_EVERY
        wait = LOOK_AT_LEAST_EVERY
        for step in steps:
            if isinstance(step, Wait):
                wait = min(wait, max(step.until - self._clock.now(), 0.05))
            else:
                self._on_step(step)
        return wait

    def _run(self) -> None:
        while not self._stopped.wait(self.look()):
            continue
