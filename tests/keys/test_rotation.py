"""The planner of key changes: each rule by itself, then thousands of random lives of a keyring."""

import os
import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from watchword.errors import ConfigurationError, KeyUnknown, NoActiveKey
from watchword.keys.keyring import KeyEntry, Keyring, KeyState
from watchword.keys.rotation import (
    NO_EVIDENCE,
    Activate,
    Discard,
    Evidence,
    Prepare,
    Remove,
    RotationPolicy,
    Step,
    Wait,
    next_step,
    perform,
)
from watchword.tokens.private_key import PrivateKey

POLICY = RotationPolicy(active_for=10_000, cached_for=600, skew=60)
SCHEDULES = 20_000 if os.environ.get("WATCHWORD_SOAK") == "1" else 3_000


def key(alg: str = "ES256") -> PrivateKey:
    return PrivateKey.generate(alg)


def ring(*entries: tuple[PrivateKey, KeyState, float]) -> Keyring:
    return Keyring(tuple(KeyEntry(*entry) for entry in entries))


def test_there_is_always_a_key_in_reserve() -> None:
    active = key()
    assert next_step(Keyring(), POLICY, NO_EVIDENCE, 0) == Prepare("ES256")
    assert next_step(ring((active, KeyState.ACTIVE, 0)), POLICY, NO_EVIDENCE, 0) == Prepare("ES256")


def test_the_heir_takes_over_when_the_active_key_has_served_and_the_heir_was_published() -> None:
    active, heir = key(), key()
    keyring = ring((active, KeyState.ACTIVE, 0), (heir, KeyState.PREPARED, 0))
    assert next_step(keyring, POLICY, NO_EVIDENCE, 9_999) == Wait(10_000)
    assert next_step(keyring, POLICY, NO_EVIDENCE, 10_000) == Activate(heir.kid)
    late = ring((active, KeyState.ACTIVE, 0), (heir, KeyState.PREPARED, 9_900))
    assert next_step(late, POLICY, NO_EVIDENCE, 10_000) == Wait(9_900 + 660)
    assert next_step(late, POLICY, NO_EVIDENCE, 10_560) == Activate(heir.kid)


def test_a_retired_key_goes_when_its_last_token_has_expired_and_evidence_can_only_prolong_that() -> None:
    old, active, heir = key(), key(), key()
    keyring = ring((old, KeyState.RETIRED, 0), (active, KeyState.ACTIVE, 0), (heir, KeyState.PREPARED, 0))
    assert next_step(keyring, POLICY, NO_EVIDENCE, 3_659) == Wait(3_660)
    assert next_step(keyring, POLICY, NO_EVIDENCE, 3_660) == Remove(old.kid)
    assert next_step(keyring, POLICY, Evidence({old.kid: 100}), 3_659) == Wait(3_660)
    assert next_step(keyring, POLICY, Evidence({old.kid: 5_000}), 5_059) == Wait(5_060)
    assert next_step(keyring, POLICY, Evidence({old.kid: 5_000}), 5_060) == Remove(old.kid)


def test_after_a_revocation_the_reserve_signs_at_once_if_verifiers_have_it() -> None:
    gone, reserve = key(), key()
    keyring = ring((gone, KeyState.ACTIVE, 0), (reserve, KeyState.PREPARED, 0)).revoke(gone.kid, 700)
    assert gone.kid not in keyring.jwk_set()
    assert next_step(keyring, POLICY, NO_EVIDENCE, 700) == Activate(reserve.kid)


def test_a_change_of_the_algorithm_is_a_rotation_that_begins_at_once() -> None:
    active, spare, heir = key(), key(), key("EdDSA")
    policy = replace(POLICY, algorithm="EdDSA")
    before = ring((active, KeyState.ACTIVE, 0), (spare, KeyState.PREPARED, 0))
    assert next_step(before, policy, NO_EVIDENCE, 100) == Prepare("EdDSA")
    prepared = before.prepare(heir, 100)
    assert next_step(prepared, policy, NO_EVIDENCE, 100) == Wait(760)
    assert next_step(prepared, policy, NO_EVIDENCE, 760) == Activate(heir.kid)
    assert next_step(prepared.activate(heir.kid, 760), policy, NO_EVIDENCE, 760) == Prepare("EdDSA")
    after = prepared.activate(heir.kid, 760).prepare(key("EdDSA"), 760)
    assert next_step(after, policy, NO_EVIDENCE, 760) == Discard(spare.kid)


def test_while_nobody_signs_a_reserve_of_the_old_algorithm_is_better_than_none() -> None:
    gone, spare = key(), key()
    policy = replace(POLICY, algorithm="EdDSA")
    keyring = ring((gone, KeyState.REVOKED, 900), (spare, KeyState.PREPARED, 0)).prepare(key("EdDSA"), 900)
    assert next_step(keyring, policy, NO_EVIDENCE, 900) == Activate(spare.kid)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"active_for": 660}, "active_for"),
        ({"cached_for": -1}, "cached_for"),
        ({"skew": float("nan")}, "skew"),
        ({"longest_token": float("inf")}, "longest_token"),
        ({"longest_token": 3_599}, "longest_token"),
        ({"seen_within": 9_341}, "active_for"),
        ({"seen_within": -1}, "seen_within"),
        ({"algorithm": "HS256"}, "algorithm"),
    ],
)
def test_settings_in_which_a_key_would_sign_too_soon_or_vanish_cannot_be_made(
    changed: dict[str, float], named: str
) -> None:
    with pytest.raises(ConfigurationError, match=named):
        replace(POLICY, **changed)


Plan = Callable[[Keyring, RotationPolicy, Evidence, float], Step]
Do = Callable[[Keyring, Step, float, PrivateKey | None], Keyring]


class Life:
    """One random life of a keyring: replicas with wrong clocks, crashes, verifiers with old key sets, and
    processes that have not noticed the last step yet.
    """

    def __init__(
        self, seed: int, pool: dict[str, list[PrivateKey]], plan: Plan = next_step, do: Do = perform
    ) -> None:
        self.dice = random.Random(seed)
        self.pool = pool
        self.used = dict.fromkeys(pool, 0)
        self.next_step = plan
        self.perform = do
        self.policy = RotationPolicy(
            algorithm="ES256",
            active_for=self.dice.uniform(9_000, 30_000),
            cached_for=self.dice.uniform(10, 5_000),
            skew=self.dice.uniform(0, 2_000),
            longest_token=self.dice.uniform(3_600, 6_000),
            seen_within=self.dice.choice([0.0, self.dice.uniform(0, 1_000)]),
        )
        # two clocks may be this far apart, so each is off by at most half of it
        self.offsets = [self.dice.uniform(-0.5, 0.5) * self.policy.skew for _ in range(3)]
        self.counts = self.dice.random() < 0.5  # an embedded issuer has no histogram
        self.now = 1_000_000.0
        first = self.take("ES256")
        self.keyring = Keyring().prepare(first, self.clock()).activate(first.kid, self.clock())
        self.history = [(float("-inf"), self.keyring)]
        self.published_since = {first.kid: float("-inf")}
        self.verifiers = [(self.now, self.published()) for _ in range(3)]
        self.tokens: list[tuple[str, float]] = []

    def take(self, alg: str) -> PrivateKey:
        self.used[alg] += 1
        return self.pool[alg][self.used[alg] % len(self.pool[alg])]

    def clock(self) -> float:
        return self.now + self.dice.choice(self.offsets)

    def seen(self) -> Keyring:
        """The keyring as some process knows it: at most `seen_within` old."""
        moment = self.now - self.dice.choice([0.0, 0.999]) * self.policy.seen_within
        return next(keyring for since, keyring in reversed(self.history) if since <= moment)

    def published(self) -> frozenset[str]:
        return frozenset(k.kid or "" for k in self.seen().jwk_set().keys)

    def tick(self) -> None:
        self.now += self.dice.expovariate(1 / 600)
        event = self.dice.random()
        if event < 0.02 and self.policy.algorithm == "ES256":
            self.policy = replace(self.policy, algorithm="EdDSA")
        if event < 0.6:
            self.plan()
        self.fetch()
        self.issue()
        self.check()

    def plan(self) -> None:
        """Let one replica do as many steps as it gets to before it is killed."""
        last = {kid: max(e for k, e in self.tokens if k == kid) for kid, _ in self.tokens}
        evidence = Evidence(last) if self.counts else NO_EVIDENCE
        for _ in range(self.dice.randrange(5)):
            seen = self.clock()
            step = self.next_step(self.keyring, self.policy, evidence, seen)
            if isinstance(step, Wait):
                return
            fresh = self.take(step.algorithm) if isinstance(step, Prepare) else None
            self.keyring = self.perform(self.keyring, step, seen, fresh)
            self.history.append((self.now, self.keyring))
            if fresh is not None:
                self.published_since[fresh.kid] = self.now

    def fetch(self) -> None:
        """Every verifier fetches when its set is as old as the policy allows, some sooner."""
        for index, (fetched, _) in enumerate(self.verifiers):
            due = self.now - fetched >= self.policy.cached_for
            if due or self.dice.random() < 0.1:
                self.verifiers[index] = (self.now, self.published())

    def issue(self) -> None:
        lifetime = self.dice.choice([0.999, self.dice.random()]) * self.policy.longest_token
        signer = self.seen().active.kid
        published_for = self.now - self.published_since[signer]
        assert published_for >= self.policy.cached_for, f"it signs after {published_for:.0f} s already"
        self.tokens = [(kid, expires) for kid, expires in self.tokens if expires > self.now]
        self.tokens.append((signer, self.now + lifetime))

    def check(self) -> None:
        """Every live token must verify at every verifier: nobody is logged out."""
        assert sum(e.state is KeyState.ACTIVE for e in self.keyring.entries) == 1, "not one key is active"
        there = {entry.kid for entry in self.keyring.entries}
        for kid, _ in self.tokens:
            assert kid in there, "a key was removed while a live token needs it"
            for fetched, keys in self.verifiers:
                assert kid in keys, f"a verifier that fetched {self.now - fetched:.0f} s ago lacks the key"


@pytest.fixture(scope="module")
def pool() -> dict[str, list[PrivateKey]]:
    return {alg: [PrivateKey.generate(alg) for _ in range(64)] for alg in ("ES256", "EdDSA")}


@pytest.mark.threat(164, 165, 167, 168, 172)
def test_in_thousands_of_random_lives_no_live_token_is_ever_refused(
    pool: dict[str, list[PrivateKey]],
) -> None:
    rotations = 0
    for seed in range(SCHEDULES):
        life = Life(seed, pool)
        first = life.keyring.active.kid
        for _ in range(60):
            life.tick()
        rotations += life.keyring.active.kid != first
    assert rotations > SCHEDULES / 3  # lives in which nothing happens would prove nothing


def impatient(keyring: Keyring, policy: RotationPolicy, evidence: Evidence, now: float) -> Step:
    """It lets a key sign that was published a while, but not long enough."""
    return next_step(keyring, changed(policy, cached_for=0.7 * policy.cached_for), evidence, now)


def careless_of_clocks(keyring: Keyring, policy: RotationPolicy, evidence: Evidence, now: float) -> Step:
    """It believes that all clocks agree."""
    return next_step(keyring, changed(policy, skew=0.0), evidence, now)


def careless_of_others(keyring: Keyring, policy: RotationPolicy, evidence: Evidence, now: float) -> Step:
    """It believes that every process notices at once."""
    return next_step(keyring, changed(policy, seen_within=0.0), evidence, now)


def tidy(keyring: Keyring, policy: RotationPolicy, evidence: Evidence, now: float) -> Step:
    """It removes a retired key before its last tokens have expired."""
    return next_step(keyring, changed(policy, longest_token=0.5 * policy.longest_token), NO_EVIDENCE, now)


def headless(keyring: Keyring, step: Step, now: float, fresh: PrivateKey | None) -> Keyring:
    """It takes the active key away and lets nobody follow."""
    if isinstance(step, Activate):
        return keyring.revoke(keyring.active.kid, now)
    return perform(keyring, step, now, fresh)


def changed(policy: RotationPolicy, **values: float) -> RotationPolicy:
    """The policy with settings that cannot be configured."""
    other = replace(policy)
    for name, value in values.items():
        object.__setattr__(other, name, value)
    return other


@pytest.mark.threat(164, 168)
@pytest.mark.parametrize(
    ("plan", "do", "caught"),
    [
        (impatient, perform, "it signs after|lacks the key"),
        (careless_of_clocks, perform, "it signs after|lacks the key|while a live token needs it"),
        (careless_of_others, perform, "it signs after|lacks the key|while a live token needs it"),
        (tidy, perform, "while a live token needs it|lacks the key"),
        (next_step, headless, "no key of the keyring is active"),
    ],
)
def test_the_simulation_catches_a_planner_that_is_wrong(
    plan: Plan, do: Do, caught: str, pool: dict[str, list[PrivateKey]]
) -> None:
    def live() -> None:
        for seed in range(1_000):
            life = Life(seed, pool, plan, do)
            for _ in range(60):
                life.tick()

    with pytest.raises((AssertionError, NoActiveKey), match=caught):
        live()


def test_a_revoked_key_is_known_no_more() -> None:
    only = key()
    keyring = ring((only, KeyState.ACTIVE, 0)).revoke(only.kid, 5)
    with pytest.raises(KeyUnknown):
        keyring.jwk_set().named(only.kid)
